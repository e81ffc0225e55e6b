import type { Version } from "../tenant.ts";
import { sameVersion } from "../tenant.ts";
import type { HeldClient, Hold } from "./held.ts";
import type { Queryable } from "./queryable.ts";
import type { Rollout, RolloutState, Trial, TrialRow } from "./rollout-rows.ts";

/**
 * Rollouts, and which version each school was given. A school's version is given by its engine's rollout, under a lock on the rollout's row (taken
 * before any school's), or by its own first attempt, which reads that row; it is recorded before anything of it is made.
 */

interface RolloutRow {
  readonly number: string;
  readonly engine: string;
  readonly version: Version;
  readonly previous: Version | null;
  readonly state: RolloutState;
  readonly proven: boolean;
  readonly well: number;
  readonly round: number;
  readonly reason: string | null;
  readonly started_at: Date;
  readonly changed_at: Date;
}

const COLUMNS = "number, engine, version, previous, state, proven, well, round, reason, started_at, changed_at";

function toRollout(row: RolloutRow): Rollout {
  return {
    number: Number(row.number),
    engine: row.engine,
    version: row.version,
    previous: row.previous ?? undefined,
    state: row.state,
    proven: row.proven,
    well: row.well,
    round: row.round,
    reason: row.reason ?? undefined,
    startedAt: row.started_at.toISOString(),
    changedAt: row.changed_at.toISOString(),
  };
}

const LOCKS = { none: "", read: "for share", write: "for update", writeOrLeave: "for update skip locked" } as const;

/** What holds for an engine now; undefined before a reconciler has announced its version, or if somebody else is at it (`writeOrLeave`). */
export async function currentRollout(
  db: Queryable,
  engine: string,
  lock: keyof typeof LOCKS = "none",
): Promise<Rollout | undefined> {
  const { rows } = await db.query<RolloutRow>(
    `select ${COLUMNS} from rollouts where engine = $1 and current ${LOCKS[lock]}`,
    [engine],
  );
  return rows[0] === undefined ? undefined : toRollout(rows[0]);
}

/** One an engine, by name. */
export async function listRollouts(db: Queryable): Promise<readonly Rollout[]> {
  const { rows } = await db.query<RolloutRow>(`select ${COLUMNS} from rollouts where current order by engine`);
  return rows.map(toRollout);
}

/** Engines among the given ones where something is under way. */
export async function movingRollouts(db: Queryable, engines: readonly string[]): Promise<readonly string[]> {
  const { rows } = await db.query<{ engine: string }>(
    "select engine from rollouts where current and state in ('Running', 'Undoing') and engine = any($1) order by engine",
    [engines],
  );
  return rows.map(({ engine }) => engine);
}

/** The last version that was good, as seen from a rollout that another one follows. Pure. */
export function lastGood({ state, version, previous }: Rollout): Version {
  return state === "Complete" ? version : (previous ?? version);
}

/**
 * Records which version the configuration of an engine names. A new one begins a rollout; an engine's first is what its schools have. One transaction
 * is the caller's.
 * @returns the rollout that began; undefined if nothing is new
 */
export async function announceVersion(db: Queryable, engine: string, version: Version): Promise<Rollout | undefined> {
  // Of two reconcilers that start at once one announces: the engine's row is there already.
  await db.query("select from engines where name = $1 for no key update", [engine]);
  const before = await currentRollout(db, engine, "write");
  if (before !== undefined && sameVersion(before.version, version)) return undefined;
  const good = before === undefined ? undefined : lastGood(before);
  await db.query(
    "update rollouts set current = false, state = case when state = 'Complete' then state else 'Superseded' end where engine = $1 and current",
    [engine],
  );
  const { rows } = await db.query<RolloutRow>(
    `insert into rollouts (engine, version, previous, state, proven) values ($1, $2, $3, $4, $5) returning ${COLUMNS}`,
    [
      engine,
      JSON.stringify(version),
      good === undefined ? null : JSON.stringify(good),
      good === undefined ? "Complete" : "Running",
      // What was good needs no proof.
      good === undefined || sameVersion(good, version),
    ],
  );
  return rows[0] === undefined || good === undefined ? undefined : toRollout(rows[0]);
}

/**
 * Writes what a rollout has come to. The caller holds its row.
 * @param next.again an operator asks for another try: failed schools get one
 */
export async function writeRollout(
  db: Queryable,
  number: number,
  next: Pick<Rollout, "state" | "proven" | "well" | "reason"> & { readonly again?: boolean },
): Promise<void> {
  await db.query(
    `update rollouts set state = $2, proven = $3, well = $4, reason = $5, round = round + $6, changed_at = now()
     where number = $1`,
    [number, next.state, next.proven, next.well, next.reason ?? null, next.again === true ? 1 : 0],
  );
}

/** A school that is not kept on its version any more gets the one that all others have. The caller holds the row. */
export async function reopenRollout(db: Queryable, number: number): Promise<void> {
  await db.query("update rollouts set state = 'Running', changed_at = now() where number = $1 and state = 'Complete'", [
    number,
  ]);
}

const keyOf = ({ app, postgres }: Version): string => `${app} ${postgres}`;

export async function schoolsOnTrial(db: Queryable, { engine, version }: Rollout): Promise<readonly TrialRow[]> {
  const { rows } = await db.query<TrialRow>(
    `select uid, slug, trial, pin is not null as pinned, version_key = $2 as "onVersion" from tenants
     where engine = $1 and trial is not null order by slug`,
    [engine, keyOf(version)],
  );
  return rows;
}

/** How schools are that wait for a version: phases. */
export const LANES = {
  well: ["Ready"],
  unwell: ["Degraded", "Failed", "Provisioning", "Pending"],
  stopped: ["Suspended", "Deleted"],
} as const;

/**
 * Schools without the rollout's version (of one that goes back: with it) that nobody keeps on theirs and that are not on trial, in an order by chance
 * that is the same each time; those at which long work goes on come last.
 */
export async function waitingSchools(
  db: Queryable,
  { engine, version, state }: Rollout,
  lane: keyof typeof LANES,
  limit: number,
): Promise<readonly string[]> {
  const { rows } = await db.query<{ uid: string }>(
    `select uid from tenants
     where engine = $1 and (version_key = $2) = $3 and version ->> 'engine' = $1 and pin is null and (trial is null or $3) and phase = any($4)
     order by working, md5(uid::text || $2) limit $5`,
    [engine, keyOf(version), state === "Undoing", LANES[lane], limit],
  );
  return rows.map(({ uid }) => uid);
}

export interface RolloutCounts {
  /** Schools with its version. */
  readonly updated: number;
  /** Schools with another one that are not pinned. */
  readonly waiting: number;
  readonly pinned: number;
  readonly onTrial: number;
}

export async function countSchools(db: Queryable, { engine, version }: Rollout): Promise<RolloutCounts> {
  const { rows } = await db.query<Record<keyof RolloutCounts, string>>(
    `select count(*) filter (where version_key = $2) as updated,
       count(*) filter (where version_key <> $2 and pin is null) as waiting,
       count(*) filter (where version_key <> $2 and pin is not null) as pinned,
       count(*) filter (where trial is not null) as "onTrial"
     from tenants where engine = $1 and phase <> 'Purging'`,
    [engine, keyOf(version)],
  );
  const number = (name: keyof RolloutCounts): number => Number(rows[0]?.[name] ?? 0);
  return {
    updated: number("updated"),
    waiting: number("waiting"),
    pinned: number("pinned"),
    onTrial: number("onTrial"),
  };
}

/**
 * Gives schools a version: they are due at once. The caller holds the rollout's row.
 * @param trial how the school is watched; undefined: it is not
 */
export async function giveVersion(
  db: Queryable,
  uids: readonly string[],
  { engine, version }: { readonly engine: string; readonly version: Version },
  trial: Trial | undefined,
): Promise<void> {
  await db.query(
    `update tenants set version = $3, trial = $4, generation = generation + 1, wake_at = now()
     where uid = any($1) and engine = $2 and pin is null`,
    [uids, engine, JSON.stringify({ engine, ...version }), trial === undefined ? null : JSON.stringify(trial)],
  );
}

/** Another try with the version that they have. The caller holds the rollout's row. */
export async function retryTrials(db: Queryable, uids: readonly string[], trial: Trial): Promise<void> {
  await db.query(
    "update tenants set trial = $2, generation = generation + 1, wake_at = now() where uid = any($1) and trial is not null",
    [uids, JSON.stringify(trial)],
  );
}

/** Ends trials that still are as they were seen. The caller holds the rollout's row. */
export async function endTrials(db: Queryable, trials: readonly Pick<TrialRow, "uid" | "trial">[]): Promise<void> {
  await db.query(
    `update tenants set trial = null
     where (uid, trial ->> 'state') in (select * from unnest($1::uuid[], $2::text[]))`,
    [trials.map(({ uid }) => uid), trials.map(({ trial }) => trial.state)],
  );
}

/** How a school does with its version, unless it was given another one meanwhile. */
export async function recordTrial(db: HeldClient, { uid }: Hold, generation: number, trial: Trial): Promise<void> {
  await db.query("update tenants set trial = $3 where uid = $1 and generation = $2 and trial is not null", [
    uid,
    generation,
    JSON.stringify(trial),
  ]);
}

/** Records the version of a school that is new on its engine, before anything of it is made there. */
export async function recordVersion(db: HeldClient, { uid }: Hold, engine: string, version: Version): Promise<void> {
  await db.query("update tenants set version = $3, trial = null where uid = $1 and engine = $2", [
    uid,
    engine,
    JSON.stringify({ engine, ...version }),
  ]);
}

/** Keeps a school on the version that it has, or, with undefined, lets it go with the others. */
export async function setPin(
  db: Queryable,
  slug: string,
  pin: { readonly operator: string; readonly at: string; readonly reason?: string | undefined } | undefined,
): Promise<void> {
  await db.query("update tenants set pin = $2 where slug = $1", [slug, pin === undefined ? null : JSON.stringify(pin)]);
}

/** References of all images that a school has, or that a rollout leads to or would go back to. */
export async function imagesInUse(db: Queryable): Promise<ReadonlySet<string>> {
  const { rows } = await db.query<{ app: string | null; postgres: string | null }>(
    `select distinct each ->> 'app' as app, each ->> 'postgres' as postgres from (
       select version as each from tenants union all select version from rollouts where current
       union all select previous from rollouts where current) as versions where each is not null`,
  );
  return new Set(rows.flatMap(({ app, postgres }) => [app, postgres]).filter((reference) => reference !== null));
}
