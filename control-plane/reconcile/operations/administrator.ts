import { z } from "zod";
import { recordInitialised } from "../../store/leases.ts";
import { type Attempt, runJob, write } from "../steps.ts";

const result = z.looseObject({ username: z.string(), sealedPassword: z.string().optional() });

/** Makes a new school's first administrator; the one-time password is sealed by the school itself. The command repeats itself well. */
export async function createAdministrator(attempt: Attempt): Promise<unknown> {
  const { deps, gathered, hold } = attempt;
  const { username, sealedPassword } = await runJob(attempt, "admin", {
    command: "create-administrator",
    input: gathered.tenant.spec.administrator,
    schema: result,
  });
  const administrator = { username, ...(sealedPassword === undefined ? {} : { sealedPassword }) };
  await write(attempt, (db) => recordInitialised(db, hold, deps.clock.now(), administrator));
  return { username };
}
