import { z } from "zod";
import { namespaceOf } from "../../tenant.ts";
import { isolationTargets } from "../../verify/targets.ts";
import { type Attempt, runJob } from "../steps.ts";

const result = z.object({
  tried: z.number(),
  holes: z.array(
    z.looseObject({ kind: z.string(), label: z.string(), host: z.string(), port: z.number(), outcome: z.string() }),
  ),
});

/** Tries from inside the school everything that must be refused. */
export async function verifyIsolation(attempt: Attempt): Promise<unknown> {
  const { deps, gathered } = attempt;
  const targets = await isolationTargets(deps.engine, namespaceOf(gathered.tenant.slug), 20, deps.controlSockets ?? []);
  const probed = await runJob(attempt, "probe", { command: "isolation", input: { targets }, schema: result });
  const byKind = Object.fromEntries(
    [...new Set(targets.map((target) => target.kind))].map((kind) => [
      kind,
      targets.filter((target) => target.kind === kind).length,
    ]),
  );
  const seen = gathered.breaches.map(({ kind, label, where }) => ({
    kind,
    label,
    host: where,
    port: 0,
    outcome: "seen",
  }));
  return { tried: probed.tried, byKind, holes: [...seen, ...probed.holes] };
}
