import type { Depth } from "../engine/engine.ts";
import { messageOf } from "../errors.ts";
import {
  type Override,
  readFitness,
  recordFindings,
  requestedChecks,
  type StoredFinding,
  unmetOf,
  wakeStranded,
} from "../store/engines.ts";
import { REASONS } from "../tenant.ts";
import type { Dependencies, Fleet, Site } from "./dependencies.ts";
import type { StepFailure } from "./execute.ts";

/**
 * Whether an engine is fit for schools: the required checks of its preflight, less those that an administrator took upon
 * themselves by name. It is asked before anything of a school is made there.
 */
export interface Fitness {
  readonly engine: string;
  /** Required checks that failed and that nobody took upon themselves. */
  readonly unmet: readonly StoredFinding[];
  /** Failed checks that somebody did. */
  readonly overridden: ReadonlyArray<StoredFinding & { readonly override: Override }>;
}

/** A failed examination is repeated for a waiting school when it is older than this. */
const FAILURE_HOLDS_MS = 30_000;
/** Any number that nobody else locks. */
const EXAMINATION_LOCK = 7304;

type Examined = Pick<Fleet, "pool" | "log">;

/** Milliseconds since the epoch. Ages of examinations are told by the database that dates them. */
async function databaseTime(pool: Fleet["pool"]): Promise<number> {
  const { rows } = await pool.query<{ now: Date }>("select now() as now");
  return rows[0]?.now.getTime() ?? 0;
}

/** Runs preflight and records what it found. Of two reconcilers that want it at once, one does it and both read the result. */
export async function examineEngine(
  fleet: Examined,
  site: Pick<Site, "name" | "engine">,
  depth: Depth,
  signal: AbortSignal,
): Promise<void> {
  const asked = await databaseTime(fleet.pool);
  const client = await fleet.pool.connect();
  try {
    await client.query("select pg_advisory_lock($1, hashtext($2))", [EXAMINATION_LOCK, site.name]);
    const { triedAt, lookedAt, findings: before, overrides } = await readFitness(client, site.name);
    const newest = depth === "try" ? triedAt : lookedAt;
    if (newest !== undefined && Date.parse(newest) >= asked) return;
    const findings = await site.engine.preflight(depth, signal);
    if (signal.aborted) return;
    await recordFindings(client, site.name, depth, findings);
    for (const { check, message, remedy } of findings.filter(({ ok }) => !ok))
      fleet.log.warn({ engine: site.name, check, remedy }, `preflight: ${message}`);
    const recovered = unmetOf({ findings: before, overrides }).length > 0;
    if (recovered && unmetOf({ findings, overrides }).length === 0) await wakeStranded(client, site.name);
  } finally {
    // Ending the session lets the lock go, whatever state the connection is in.
    client.release(true);
  }
}

/** Answers operators' requests to try an engine out, each engine once at a time in this process. */
export function createExaminer(
  fleet: Fleet,
  signal: AbortSignal,
): { answer(): Promise<void>; settled(): Promise<void> } {
  const running = new Map<string, Promise<void>>();
  return {
    async answer() {
      const idle = [...fleet.sites.keys()].filter((name) => !running.has(name));
      for (const name of await requestedChecks(fleet.pool, idle)) {
        const site = fleet.sites.get(name);
        if (site === undefined) continue;
        const work = examineEngine(fleet, site, "try", signal)
          .catch((error: unknown) => fleet.log.warn({ engine: name, error: messageOf(error) }, "preflight failed"))
          .finally(() => running.delete(name));
        running.set(name, work);
      }
    },
    async settled() {
      await Promise.all(running.values());
    },
  };
}

async function isOutdated(
  pool: Fleet["pool"],
  known: { readonly triedAt: string | undefined } & Parameters<typeof unmetOf>[0],
): Promise<boolean> {
  if (known.triedAt === undefined) return true;
  if (unmetOf(known).length === 0) return false;
  return (await databaseTime(pool)) - Date.parse(known.triedAt) > FAILURE_HOLDS_MS;
}

/**
 * What is known of the fitness of a school's engine.
 * @param needed whether something new is about to be made there: then it has to have been tried out, and a failure is looked at again
 */
export async function fitnessOf(deps: Dependencies, needed: boolean, signal: AbortSignal): Promise<Fitness> {
  const site = { name: deps.engineName, engine: deps.engine };
  let known = await readFitness(deps.pool, site.name);
  if (needed && (await isOutdated(deps.pool, known))) {
    await examineEngine(deps, site, "try", signal);
    known = await readFitness(deps.pool, site.name);
  }
  const overridden = known.findings.flatMap((finding) => {
    const override = known.overrides.find(({ check }) => check === finding.check);
    return finding.ok || override === undefined ? [] : [{ ...finding, override }];
  });
  return { engine: site.name, unmet: unmetOf(known), overridden };
}

/** Why nothing is made on this engine, as a failure of the attempt. Pure. */
export function unfitFailure(fitness: Fitness): StepFailure {
  const why = fitness.unmet.map(({ check, message }) => `${check}: ${message}`).join("; ");
  return {
    step: "preflight",
    reason: REASONS.PreflightFailed,
    message: `${fitness.engine} is not fit for a school: ${why}. What to do: classmind doctor --engine ${fitness.engine}`,
    retryable: true,
  };
}
