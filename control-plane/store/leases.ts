import type { TenantStatus } from "../tenant.ts";
import type { ProgressStep, Queryable, StoredTenant } from "./tenants.ts";
import { TENANT_COLUMNS, toTenant } from "./tenants.ts";

/**
 * Leases: who may act on a school. Every write of a holder is guarded by the lease, so that a worker that lost it
 * (stopped, slow, cut off) cannot write over its successor. Times are the database's own.
 */

export const LEASE_SECONDS = 15;

type TenantRow = Parameters<typeof toTenant>[0];

/** Takes the school that has been due longest and that nobody holds; undefined when none is. */
export async function claimTenant(db: Queryable, holder: string): Promise<StoredTenant | undefined> {
  const { rows } = await db.query<TenantRow>(
    `update tenants set lease_holder = $1, lease_expires = now() + make_interval(secs => $2), wake_at = 'infinity'
     where uid = (select uid from tenants where due_at <= now() order by due_at limit 1 for update skip locked)
     returning ${TENANT_COLUMNS}`,
    [holder, LEASE_SECONDS],
  );
  return rows[0] === undefined ? undefined : toTenant(rows[0]);
}

/** Prolongs a lease. False when it is no longer held: stop at once. */
export async function renewLease(db: Queryable, uid: string, holder: string): Promise<boolean> {
  const { rowCount } = await db.query(
    "update tenants set lease_expires = now() + make_interval(secs => $3) where uid = $1 and lease_holder = $2 and lease_expires >= now()",
    [uid, holder, LEASE_SECONDS],
  );
  return rowCount === 1;
}

/** Shows the steps of the attempt under way. False when the lease is lost. */
export async function writeProgress(
  db: Queryable,
  uid: string,
  holder: string,
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
       lease_holder = null, lease_expires = null, attempts = $4,
       wake_at = case when generation = $3 then least(wake_at, now() + make_interval(secs => $5)) else now() end
     where uid = $1 and lease_holder = $2 and lease_expires >= now()`,
    [tenant.uid, holder, tenant.generation, end.attempts, end.wakeInSeconds],
  );
  return rowCount === 1;
}

/** Writes a status mid-attempt or at its end; guarded by lease and generation. */
export async function writeStatus(
  db: Queryable,
  tenant: StoredTenant,
  holder: string,
  status: TenantStatus,
): Promise<boolean> {
  const { rowCount } = await db.query(
    `update tenants set status = $4 where uid = $1 and lease_holder = $2 and lease_expires >= now() and generation = $3`,
    [tenant.uid, holder, tenant.generation, JSON.stringify(status)],
  );
  return rowCount === 1;
}

/**
 * Lets a school live on another engine from now on; the one it came from keeps its stopped copy. The generation rises, so that
 * nothing seen on the old engine is written any more, and the next attempt is due at once. One transaction is the caller's.
 * @returns false when the lease is lost: nothing was changed
 */
export async function switchEngine(db: Queryable, tenant: StoredTenant, holder: string, to: string): Promise<boolean> {
  const { rowCount } = await db.query(
    `update tenants set engine = $3, left_engine = engine, generation = generation + 1
     where uid = $1 and lease_holder = $2 and lease_expires >= now()`,
    [tenant.uid, holder, to],
  );
  return rowCount === 1;
}

/**
 * Notes which other engine holds a copy of the school; undefined: none does any more.
 * @returns false when the lease is lost
 */
export async function writeLeftEngine(
  db: Queryable,
  tenant: StoredTenant,
  holder: string,
  engine: string | undefined,
): Promise<boolean> {
  const { rowCount } = await db.query(
    `update tenants set left_engine = $3, generation = generation + 1
     where uid = $1 and lease_holder = $2 and lease_expires >= now()`,
    [tenant.uid, holder, engine ?? null],
  );
  return rowCount === 1;
}

/** Seconds until the next school is due; undefined when no school exists. */
export async function secondsUntilDue(db: Queryable): Promise<number | undefined> {
  const { rows } = await db.query<{ seconds: number | null }>(
    `select extract(epoch from min(due_at) - now())::float8 as seconds from tenants`,
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
       wake_at = least(wake_at, now() + random() * make_interval(secs => $1))`,
    [spreadSeconds, LEASE_SECONDS],
  );
  // A wake-up to come announces nothing: whoever sleeps must reckon anew.
  await db.query("select pg_notify('classmind_work', '')");
}
