import { type Depth, EngineError } from "../engine/engine.ts";
import { messageOf } from "../errors.ts";
import {
  CLUSTER_IDENTITY,
  isSameCluster,
  type Override,
  readFitness,
  recordFindings,
  requestedChecks,
  type StoredFinding,
  unmetOf,
  wakeStranded,
} from "../store/engines.ts";
import type { Queryable } from "../store/queryable.ts";
import { REASONS } from "../tenant.ts";
import type { Dependencies, Fleet, Site } from "./dependencies.ts";
import type { StepFailure } from "./step-failure.ts";

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

/** One that found all well is repeated when it is older than this: clusters change. */
const SUCCESS_HOLDS_MS = 7 * 24 * 3_600_000;
/** A failed examination is repeated for a waiting school when it is older than this. */
const FAILURE_HOLDS_MS = 30_000;
/** Any number that nobody else locks. */
const EXAMINATION_LOCK = 7304;

type Examined = Pick<Fleet, "pool" | "log">;

/** Milliseconds since the epoch. Ages of examinations are told by the database that dates them. */
async function databaseTime(pool: Queryable): Promise<number> {
  const { rows } = await pool.query<{ now: Date }>("select now() as now");
  return rows[0]?.now.getTime() ?? 0;
}

async function lockExamination(client: Queryable, name: string, wait: boolean): Promise<boolean> {
  const lock = wait ? "pg_advisory_lock" : "pg_try_advisory_lock";
  const { rows } = await client.query<{ held: unknown }>(`select ${lock}($1, hashtext($2)) as held`, [
    EXAMINATION_LOCK,
    name,
  ]);
  return rows[0]?.held !== false;
}

/**
 * Runs preflight and records what it found. Of two that want it at once, one does it and both read the result.
 * @param wait false: whoever comes second does not wait for the first
 * @returns false if somebody else is at it, and that was not waited for
 */
export async function examineEngine(
  fleet: Examined,
  site: Pick<Site, "name" | "engine">,
  depth: Depth,
  signal: AbortSignal,
  wait = true,
): Promise<boolean> {
  const asked = await databaseTime(fleet.pool);
  const client = await fleet.pool.connect();
  try {
    if (!(await lockExamination(client, site.name, wait))) return false;
    const began = await databaseTime(client);
    const { triedAt, lookedAt, overrides } = await readFitness(client, site.name);
    const newest = depth === "try" ? triedAt : lookedAt;
    if (newest !== undefined && Date.parse(newest) >= asked) return true;
    const findings = await site.engine.preflight(depth, signal);
    if (signal.aborted) return true;
    await recordFindings(client, site.name, depth, findings, new Date(began));
    for (const { check, message, remedy } of findings.filter(({ ok }) => !ok))
      fleet.log.warn({ engine: site.name, check, remedy }, `preflight: ${message}`);
    if (depth === "try" && unmetOf({ findings, overrides }).length === 0) await wakeStranded(client, site.name);
    return true;
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
          .then(
            () => undefined,
            (error: unknown) => fleet.log.warn({ engine: name, error: messageOf(error) }, "preflight failed"),
          )
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
  const age = (await databaseTime(pool)) - Date.parse(known.triedAt);
  return age > (unmetOf(known).length === 0 ? SUCCESS_HOLDS_MS : FAILURE_HOLDS_MS);
}

/**
 * Where nothing of a school is found, the cluster may be another than the one it lives on: making it anew there, empty, or calling it
 * purged would be wrong. What is found is recorded like the engine's own findings, so that an administrator who has set a cluster
 * up again can take it upon themselves.
 */
async function noteIdentity(deps: Dependencies): Promise<void> {
  const identity = await deps.engine.identity?.();
  if (identity === undefined) return;
  const same = await isSameCluster(deps.pool, deps.engineName, identity);
  const before = (await readFitness(deps.pool, deps.engineName)).findings.find(
    ({ check }) => check === CLUSTER_IDENTITY,
  );
  if (before === undefined ? same : before.ok === same) return;
  const told = same
    ? { ok: true, message: "this is the cluster that it always was" }
    : {
        ok: false,
        message: "this is another cluster than the one on which the schools were made",
        remedy: `correct the kubeconfig; if the cluster was set up again: classmind engine override ${deps.engineName} ${CLUSTER_IDENTITY} --reason "…", and restore the schools`,
      };
  await recordFindings(deps.pool, deps.engineName, "look", [{ check: CLUSTER_IDENTITY, required: true, ...told }]);
}

/**
 * What is known of the fitness of a school's engine.
 * @param missing whether nothing of the school is found there
 * @param needed whether something new is about to be made there: then it has to have been tried out, and a failure is looked at again
 */
export async function fitnessOf(
  deps: Dependencies,
  needed: boolean,
  signal: AbortSignal,
  missing = needed,
): Promise<Fitness> {
  const site = { name: deps.engineName, engine: deps.engine };
  if (missing) await noteIdentity(deps);
  let known = await readFitness(deps.pool, site.name);
  // Nothing is tried out on a cluster that is somebody else's, perhaps.
  if (needed && !isElsewhere(unmetOf(known)) && (await isOutdated(deps.pool, known))) {
    // Not waited for: a worker that waits is missing to schools on other engines. Who comes too early is woken when it is over.
    if (!(await examineEngine(deps, site, "try", signal, false)))
      throw new EngineError(
        REASONS.PreflightFailed,
        `${site.name} is being examined; what waits for it goes on when it is found fit.`,
      );
    known = await readFitness(deps.pool, site.name);
  }
  const overridden = known.findings.flatMap((finding) => {
    const override = known.overrides.find(({ check }) => check === finding.check);
    return finding.ok || override === undefined ? [] : [{ ...finding, override }];
  });
  return { engine: site.name, unmet: unmetOf(known), overridden };
}

/** Whether a required check says that this is another cluster than the one on which the schools were made. Pure. */
export function isElsewhere(unmet: readonly StoredFinding[]): boolean {
  return unmet.some(({ check }) => check === CLUSTER_IDENTITY);
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
