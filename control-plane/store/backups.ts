import type { HeldClient } from "./held.ts";
import type { Queryable } from "./tenants.ts";

export type BackupTrigger = "schedule" | "manual";
export type BackupState = "Running" | "Complete" | "Failed" | "Forgotten";

/** What a backup holds. */
export interface BackupSize {
  readonly databaseBytes: number;
  readonly filesBytes: number;
  readonly files: number;
  readonly rows: number;
}

/** One backup of a school: two snapshots with one run id. It exists only with both. */
export interface Backup {
  readonly runId: string;
  readonly tenantUid: string;
  readonly trigger: BackupTrigger;
  readonly state: BackupState;
  readonly databaseSnapshot: string | undefined;
  readonly filesSnapshot: string | undefined;
  readonly bytesAdded: number | undefined;
  /** Row counts and hashes taken with the backup, to hold a restore against. */
  readonly fingerprint: unknown;
  /** Undefined of backups from before sizes were recorded. */
  readonly size: BackupSize | undefined;
  readonly error: string | undefined;
  readonly startedAt: string;
  readonly finishedAt: string | undefined;
  readonly verifiedAt: string | undefined;
  readonly verifyError: string | undefined;
}

interface BackupRow {
  readonly run_id: string;
  readonly tenant_uid: string;
  readonly trigger: BackupTrigger;
  readonly state: BackupState;
  readonly database_snapshot: string | null;
  readonly files_snapshot: string | null;
  readonly bytes_added: string | null;
  readonly fingerprint: unknown;
  readonly size: BackupSize | null;
  readonly error: string | null;
  readonly started_at: Date;
  readonly finished_at: Date | null;
  readonly verified_at: Date | null;
  readonly verify_error: string | null;
}

function toBackup(row: BackupRow): Backup {
  return {
    runId: row.run_id,
    tenantUid: row.tenant_uid,
    trigger: row.trigger,
    state: row.state,
    databaseSnapshot: row.database_snapshot ?? undefined,
    filesSnapshot: row.files_snapshot ?? undefined,
    bytesAdded: row.bytes_added === null ? undefined : Number(row.bytes_added),
    fingerprint: row.fingerprint ?? undefined,
    size: row.size ?? undefined,
    error: row.error ?? undefined,
    startedAt: row.started_at.toISOString(),
    finishedAt: row.finished_at?.toISOString(),
    verifiedAt: row.verified_at?.toISOString(),
    verifyError: row.verify_error ?? undefined,
  };
}

/** Records that a backup begins. Beginning the same run again (after a crash) keeps its first start. */
export async function startBackup(
  db: HeldClient,
  backup: {
    readonly runId: string;
    readonly tenantUid: string;
    readonly trigger: BackupTrigger;
    readonly startedAt: Date;
  },
): Promise<void> {
  await db.query(
    `insert into backups (run_id, tenant_uid, trigger, state, started_at) values ($1, $2, $3, 'Running', $4)
     on conflict (run_id) do update set state = 'Running', error = null`,
    [backup.runId, backup.tenantUid, backup.trigger, backup.startedAt],
  );
}

export async function completeBackup(
  db: HeldClient,
  runId: string,
  outcome: {
    readonly databaseSnapshot: string;
    readonly filesSnapshot: string;
    readonly bytesAdded: number;
    readonly fingerprint: unknown;
    readonly size: BackupSize;
  },
): Promise<void> {
  await db.query(
    `update backups set state = 'Complete', database_snapshot = $2, files_snapshot = $3, bytes_added = $4, fingerprint = $5,
       size = $6, finished_at = now()
     where run_id = $1`,
    [
      runId,
      outcome.databaseSnapshot,
      outcome.filesSnapshot,
      outcome.bytesAdded,
      JSON.stringify(outcome.fingerprint ?? null),
      JSON.stringify(outcome.size),
    ],
  );
}

export async function failBackup(db: HeldClient, runId: string, error: string): Promise<void> {
  await db.query(
    "update backups set state = 'Failed', error = $2, finished_at = now() where run_id = $1 and state = 'Running'",
    [runId, error],
  );
}

/** Runs that were cut off and will never end: what they left has been forgotten. */
export async function failAbandoned(db: HeldClient, runIds: readonly string[]): Promise<void> {
  await db.query(
    "update backups set state = 'Failed', error = 'cut off', finished_at = now() where run_id = any($1) and state = 'Running'",
    [runIds],
  );
}

export async function recordVerification(db: HeldClient, runId: string, error: string | undefined): Promise<void> {
  await db.query("update backups set verified_at = now(), verify_error = $2 where run_id = $1", [runId, error ?? null]);
}

/** The same snapshots have other ids in another repository. Runs that are not named keep theirs. */
export async function renameSnapshots(
  db: HeldClient,
  renamed: ReadonlyArray<{ readonly runId: string; readonly databaseSnapshot: string; readonly filesSnapshot: string }>,
): Promise<void> {
  for (const { runId, databaseSnapshot, filesSnapshot } of renamed)
    await db.query("update backups set database_snapshot = $2, files_snapshot = $3 where run_id = $1", [
      runId,
      databaseSnapshot,
      filesSnapshot,
    ]);
}

export async function markForgotten(db: HeldClient, runIds: readonly string[]): Promise<void> {
  await db.query("update backups set state = 'Forgotten' where run_id = any($1)", [runIds]);
}

/** Dates may be this far ahead of the clock that looks at them. */
const CLOCK_SLACK_MS = 3_600_000;

/**
 * The newest of a school's backups in a state. A date to come was given by a clock that was wrong: it counts for nothing, or
 * the school would go without backups until that day. Pure.
 * @param backups newest first
 */
export function newestOf(backups: readonly Backup[], state: BackupState, now: Date): Backup | undefined {
  const latest = now.getTime() + CLOCK_SLACK_MS;
  return backups.find((backup) => backup.state === state && Date.parse(backup.startedAt) <= latest);
}

/** All complete backups of a school, newest first: retention bounds their number. */
export async function completeBackups(db: Queryable, tenantUid: string): Promise<readonly Backup[]> {
  const { rows } = await db.query<BackupRow>(
    "select * from backups where tenant_uid = $1 and state = 'Complete' order by started_at desc",
    [tenantUid],
  );
  return rows.map(toBackup);
}

/** Whether a school ever had a complete backup: then its repository may never be made anew in silence. */
export async function everBackedUp(db: Queryable, tenantUid: string): Promise<boolean> {
  const { rowCount } = await db.query(
    "select from backups where tenant_uid = $1 and state in ('Complete', 'Forgotten') limit 1",
    [tenantUid],
  );
  return (rowCount ?? 0) > 0;
}

/** What decides about a school's backups, newest first: all complete ones, and the newest others (failures may be many). */
export async function decidingBackups(db: Queryable, tenantUid: string): Promise<readonly Backup[]> {
  const { rows } = await db.query<BackupRow>(
    `(select * from backups where tenant_uid = $1 and state = 'Complete')
     union all
     (select * from backups where tenant_uid = $1 and state in ('Running', 'Failed') order by started_at desc limit 50)
     order by started_at desc`,
    [tenantUid],
  );
  return rows.map(toBackup);
}

/** Backups of a school, newest first. */
export async function listBackups(db: Queryable, tenantUid: string, limit: number): Promise<readonly Backup[]> {
  const { rows } = await db.query<BackupRow>(
    "select * from backups where tenant_uid = $1 and state <> 'Forgotten' order by started_at desc limit $2",
    [tenantUid, limit],
  );
  return rows.map(toBackup);
}

export async function findBackup(db: Queryable, runId: string): Promise<Backup | undefined> {
  const { rows } = await db.query<BackupRow>("select * from backups where run_id = $1", [runId]);
  return rows[0] === undefined ? undefined : toBackup(rows[0]);
}

/** The newest complete backup that began at or before a time. */
export async function newestBackupAt(db: Queryable, tenantUid: string, at: Date): Promise<Backup | undefined> {
  const { rows } = await db.query<BackupRow>(
    "select * from backups where tenant_uid = $1 and state = 'Complete' and started_at <= $2 order by started_at desc limit 1",
    [tenantUid, at],
  );
  return rows[0] === undefined ? undefined : toBackup(rows[0]);
}
