import type { TenantStatus } from "../tenant.ts";
import type { HeldClient, Hold } from "./held.ts";
import type { Queryable } from "./queryable.ts";
import type { ProgressStep, StoredTenant } from "./tenants.ts";
import { inOrder, TENANT_COLUMNS, toTenant } from "./tenants.ts";

/**
 * Leases: who may act on a school. A process holds it for an attempt, and beyond that for as long as work that it began goes on;
 * then the lease is marked `working`, and a wake-up is for another attempt of the same process. Times are the database's own.
 */

export const LEASE_SECONDS = 15;

type TenantRow = Parameters<typeof toTenant>[0];

/**
 * Takes the school that has been due longest and that nobody else holds; undefined when none is.
 * @param busy schools that this process holds and cannot take now: an attempt is under way, or work that lost its lease is ending
 */
export async function claimTenant(
  db: Queryable,
  holder: string,
  busy: readonly string[] = [],
): Promise<StoredTenant | undefined> {
  const { rows } = await db.query<TenantRow>(
    `update tenants set lease_holder = $1, lease_expires = now() + make_interval(secs => $2), wake_at = 'infinity', working = false
     where uid = (
       select uid from tenants
       where due_at <= now() and (lease_expires is null or lease_expires < now() or (working and lease_holder = $1)) and uid <> all($3)
       order by due_at limit 1 for update skip locked
     )
     returning ${TENANT_COLUMNS}`,
    [holder, LEASE_SECONDS, busy],
  );
  return rows[0] === undefined ? undefined : toTenant(rows[0]);
}

/** Prolongs a lease. False when it is no longer held: stop at once. */
export async function renewLease(db: Queryable, { uid, holder }: Hold): Promise<boolean> {
  const { rowCount } = await db.query(
    "update tenants set lease_expires = now() + make_interval(secs => $3) where uid = $1 and lease_holder = $2 and lease_expires >= now()",
    [uid, holder, LEASE_SECONDS],
  );
  return rowCount === 1;
}

/** Shows the steps of the attempt under way. False when the lease is lost. */
export async function writeProgress(
  db: Queryable,
  { uid, holder }: Hold,
  progress: readonly ProgressStep[],
): Promise<boolean> {
  const { rowCount } = await db.query(
    "update tenants set progress = $3 where uid = $1 and lease_holder = $2 and lease_expires >= now()",
    [uid, holder, JSON.stringify(progress)],
  );
  return rowCount === 1;
}

export interface AttemptEnd {
  /** Seconds until the next attempt. */
  readonly wakeInSeconds: number;
  /** Failed attempts in a row. */
  readonly attempts: number;
  /** Whether long work goes on: then the school is not let go. */
  readonly working: boolean;
}

/**
 * Ends an attempt and lets the school go, if the lease still holds. A wish that came meanwhile makes it due at once.
 * @returns false when the lease was lost
 */
export async function finishAttempt(
  db: Queryable,
  tenant: StoredTenant,
  holder: string,
  end: AttemptEnd,
): Promise<boolean> {
  const { rowCount } = await db.query(
    `update tenants set
       lease_holder = case when $6 then lease_holder end, lease_expires = case when $6 then lease_expires end, working = $6,
       attempts = $4, observed_at = now(),
       wake_at = case when generation = $3 then least(wake_at, now() + make_interval(secs => $5)) else now() end
     where uid = $1 and lease_holder = $2 and lease_expires >= now()`,
    [tenant.uid, holder, tenant.generation, end.attempts, end.wakeInSeconds, end.working],
  );
  return rowCount === 1;
}

/** Lets a school go whose work was broken off: it is due at once, for whoever comes. */
export async function releaseTenant(db: Queryable, { uid, holder }: Hold): Promise<void> {
  await db.query(
    "update tenants set lease_holder = null, lease_expires = null, working = false, wake_at = now() where uid = $1 and lease_holder = $2",
    [uid, holder],
  );
}

/** Asks for another attempt of the holder's: its work has come to something. */
export async function wakeHeld(db: HeldClient, { uid }: Hold): Promise<void> {
  await db.query("update tenants set wake_at = now() where uid = $1", [uid]);
}

/** Writes a status mid-attempt or at its end; guarded by lease and generation. */
export async function writeStatus(
  db: Queryable,
  tenant: StoredTenant,
  holder: string,
  status: TenantStatus,
): Promise<boolean> {
  // These two are not an attempt's to write: the work that furnishes the school goes on beside it.
  const { initialisedAt: _initialisedAt, administrator: _administrator, ...rest } = status;
  const { rowCount } = await db.query(
    `update tenants set status = $4 where uid = $1 and lease_holder = $2 and lease_expires >= now() and generation = $3`,
    [tenant.uid, holder, tenant.generation, JSON.stringify(rest)],
  );
  return rowCount === 1;
}

/** Records that a school is furnished, once: by its first administrator, or by a restore, which has none. */
export async function recordInitialised(
  db: HeldClient,
  { uid }: Hold,
  at: Date,
  administrator?: TenantStatus["administrator"],
): Promise<void> {
  await db.query(
    "update tenants set initialised_at = coalesce(initialised_at, $2), administrator = coalesce($3, administrator) where uid = $1",
    [uid, at, administrator === undefined ? null : JSON.stringify(administrator)],
  );
}

/**
 * Lets a school live on another engine from now on; the one it came from keeps its stopped copy. The generation rises, so that
 * nothing seen on the old engine is written any more, and the next attempt is due at once. How it did with a version there is no
 * trial of the one that it gets here.
 * @throws Error when it does not live on `from`: the engine that it lives on must never be noted as the one that it left
 */
export async function switchEngine(
  db: HeldClient,
  { uid }: Hold,
  { from, to }: { readonly from: string; readonly to: string },
): Promise<void> {
  const { rowCount } = await db.query(
    `update tenants set engine = $3, left_engine = engine, repositories = repositories - 'at', trial = null, generation = generation + 1, wake_at = now()
     where uid = $1 and engine = $2 and engine <> $3`,
    [uid, from, to],
  );
  if (rowCount !== 1) throw new Error(`the school does not live on ${from} any more`);
}

/** Notes which other engine holds a copy of the school; undefined: none does any more. What it lives on is no copy. */
export async function writeLeftEngine(db: HeldClient, { uid }: Hold, engine: string | undefined): Promise<void> {
  await db.query(
    `update tenants set left_engine = $2, generation = generation + 1, wake_at = now()
     where uid = $1 and engine is distinct from $2`,
    [uid, engine ?? null],
  );
}

/**
 * Seconds until the next school is due; undefined when no school exists.
 * @param holder whose own working schools count by their wake-up; others' by their lease
 */
export async function secondsUntilDue(
  db: Queryable,
  holder: string,
  busy: readonly string[] = [],
): Promise<number | undefined> {
  const { rows } = await db.query<{ seconds: number | null }>(
    `select extract(epoch from min(due) - now())::float8 as seconds from (
       (select due_at as due from tenants where not working and uid <> all($2) order by due_at limit 1)
       union all
       (select case when lease_holder = $1 then due_at else lease_expires end from tenants where working and uid <> all($2))
     ) as each`,
    [holder, busy],
  );
  return rows[0]?.seconds ?? undefined;
}

/**
 * Forgets a purged school, leaving only that it existed and that its keys are destroyed; both or neither.
 * @returns false when the lease is lost
 */
export async function buryTenant(
  db: Queryable,
  tenant: StoredTenant,
  holder: string,
  keysDestroyed: number,
): Promise<boolean> {
  const { rowCount } = await db.query(
    `with gone as (delete from tenants where uid = $1 and lease_holder = $2 returning uid, slug, created_at)
     insert into tombstones (uid, slug, created_at, purged_at, keys_destroyed)
     select uid, slug, created_at, now(), $3::integer from gone`,
    [tenant.uid, holder, keysDestroyed],
  );
  return rowCount === 1;
}

/**
 * After the clock jumped, either way: every school is due within `spreadSeconds`, and no lease or wake-up lies further ahead
 * than it could have been set; with a clock that went back a year they would hold for a year.
 */
export async function wakeAfterJump(db: Queryable, spreadSeconds: number): Promise<void> {
  await db.query(
    `update tenants set
       lease_expires = case when lease_expires is null then null else least(lease_expires, now() + make_interval(secs => $2)) end,
       wake_at = least(wake_at, now() + random() * make_interval(secs => $1))
     where ${inOrder("true")}`,
    [spreadSeconds, LEASE_SECONDS],
  );
  // A wake-up to come announces nothing: whoever sleeps must reckon anew.
  await db.query("select pg_notify('classmind_work', '')");
}
