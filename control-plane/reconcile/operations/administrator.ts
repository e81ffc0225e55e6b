import { z } from "zod";
import { recordInitialised } from "../../store/leases.ts";
import { type Attempt, runJob, write } from "../steps.ts";

const invention = z.looseObject({ people: z.number(), existing: z.boolean().optional() });
const result = z.looseObject({ username: z.string(), sealedPassword: z.string().optional() });

/**
 * Makes a new school's first administrator; the one-time password is sealed by the school itself. A demo that was asked for with invented
 * people gets them. Both commands repeat themselves well, and only then is the school open: nobody comes between.
 */
export async function createAdministrator(attempt: Attempt): Promise<unknown> {
  const { deps, gathered, hold } = attempt;
  const { terms, administrator: person } = gathered.tenant.spec;
  const { username, sealedPassword } = await runJob(attempt, "admin", {
    command: "create-administrator",
    input: person,
    schema: result,
  });
  const filled =
    terms.kind === "demo" && terms.invented === true
      ? await runJob(attempt, "admin", { command: "invent-school", input: {}, schema: invention })
      : undefined;
  const administrator = { username, ...(sealedPassword === undefined ? {} : { sealedPassword }) };
  await write(attempt, (db) => recordInitialised(db, hold, deps.clock.now(), administrator));
  return { username, ...(filled === undefined ? {} : { invented: filled.people }) };
}
