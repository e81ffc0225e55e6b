import type { HeldClient } from "./held.ts";
import type { Queryable } from "./queryable.ts";

/** A snapshot of the keys of a school's people. */
export interface KeySnapshot {
  /** Of the run that took it. */
  readonly runId: string;
  readonly snapshot: string;
  /** Number of the school's repository that it lies in. */
  readonly repository: number;
}

interface Row {
  readonly run_id: string;
  readonly snapshot: string;
  readonly repository: number;
}

const toSnapshot = ({ run_id, snapshot, repository }: Row): KeySnapshot => ({ runId: run_id, snapshot, repository });

/** Days for which the keys of people are kept. A day less than is promised: forgetting comes with a backup, once a day. */
const KEPT_DAYS = 29;

/** Records a snapshot. */
export async function recordKeys(
  db: HeldClient,
  tenantUid: string,
  { runId, snapshot, repository }: KeySnapshot,
  takenAt: Date,
): Promise<void> {
  await db.query(
    "insert into key_snapshots (tenant_uid, run_id, snapshot, repository, taken_at) values ($1, $2, $3, $4, $5)",
    [tenantUid, runId, snapshot, repository, takenAt],
  );
}

/** All that are kept, the newest first: by when they were recorded, whatever a clock said. */
export async function keySnapshots(db: Queryable, tenantUid: string): Promise<readonly KeySnapshot[]> {
  const { rows } = await db.query<Row>(
    "select run_id, snapshot, repository from key_snapshots where tenant_uid = $1 order by number desc",
    [tenantUid],
  );
  return rows.map(toSnapshot);
}

/** Those whose time is over: never the newest, whatever its age, while there is a backup that it opens; all once there is none. */
export async function expiredKeys(db: Queryable, tenantUid: string, now: Date): Promise<readonly KeySnapshot[]> {
  const { rows } = await db.query<Row>(
    `select run_id, snapshot, repository from key_snapshots k
      where tenant_uid = $1 and (
        not exists (select from backups b where b.tenant_uid = k.tenant_uid and b.state in ('Running', 'Complete'))
        or taken_at < $2::timestamptz - make_interval(days => $3)
          and number < (select max(number) from key_snapshots n where n.tenant_uid = k.tenant_uid))`,
    [tenantUid, now, KEPT_DAYS],
  );
  return rows.map(toSnapshot);
}

/** They are gone from their repository. */
export async function dropKeys(db: HeldClient, tenantUid: string, gone: readonly KeySnapshot[]): Promise<void> {
  await db.query("delete from key_snapshots where tenant_uid = $1 and snapshot = any($2)", [
    tenantUid,
    gone.map(({ snapshot }) => snapshot),
  ]);
}

/** The same snapshots have other ids where they were brought to. Those that did not come along are of no use there, and not on record any more. */
export async function renameKeys(
  db: HeldClient,
  tenantUid: string,
  renamed: ReadonlyArray<{ readonly runId: string; readonly snapshot: string }>,
): Promise<void> {
  await db.query("delete from key_snapshots where tenant_uid = $1 and not run_id = any($2)", [
    tenantUid,
    renamed.map(({ runId }) => runId),
  ]);
  for (const { runId, snapshot } of renamed)
    await db.query("update key_snapshots set snapshot = $3 where tenant_uid = $1 and run_id = $2", [
      tenantUid,
      runId,
      snapshot,
    ]);
}
