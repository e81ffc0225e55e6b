import type { HeldClient } from "./held.ts";
import type { Queryable } from "./queryable.ts";

export type BackupTrigger = "schedule" | "manual";
/** `Forgetting`: decided, and no work may choose it any more. */
export type BackupState = "Running" | "Complete" | "Failed" | "Forgetting" | "Forgotten";

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
  /** The job's word for what was found. */
  readonly verifyCode: string | undefined;
  /** How far it was read back: `whole`, or a part of the repository's data, such as `3/7`. */
  readonly verifiedExtent: string | undefined;
  /** Kept until then whatever its class says. */
  readonly keepUntil: string | undefined;
  /** What it holds less than the one before, while nobody has said that this is right. */
  readonly shrunk: string | undefined;
  /** Number of the school's repository that it lies in. */
  readonly repository: number;
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
  readonly verify_code: string | null;
  readonly verified_extent: string | null;
  readonly keep_until: Date | null;
  readonly shrunk: string | null;
  readonly repository: number;
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
    verifyCode: row.verify_code ?? undefined,
    verifiedExtent: row.verified_extent ?? undefined,
    keepUntil: row.keep_until?.toISOString(),
    shrunk: row.shrunk ?? undefined,
    repository: row.repository,
  };
}

/** Records that a backup begins. Beginning the same run again (after a crash) keeps its first start; a complete one stays complete. */
export async function startBackup(
  db: HeldClient,
  backup: {
    readonly runId: string;
    readonly tenantUid: string;
    readonly trigger: BackupTrigger;
    readonly startedAt: Date;
    readonly repository: number;
  },
): Promise<void> {
  await db.query(
    `insert into backups (run_id, tenant_uid, trigger, state, started_at, repository) values ($1, $2, $3, 'Running', $4, $5)
     on conflict (run_id) do update set state = 'Running', error = null, repository = excluded.repository
       where backups.state in ('Running', 'Failed')`,
    [backup.runId, backup.tenantUid, backup.trigger, backup.startedAt, backup.repository],
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
    readonly shrunk: string | undefined;
  },
): Promise<void> {
  await db.query(
    `update backups set state = 'Complete', database_snapshot = $2, files_snapshot = $3, bytes_added = $4, fingerprint = $5,
       size = $6, shrunk = $7, finished_at = now()
     where run_id = $1`,
    [
      runId,
      outcome.databaseSnapshot,
      outcome.filesSnapshot,
      outcome.bytesAdded,
      JSON.stringify(outcome.fingerprint ?? null),
      JSON.stringify(outcome.size),
      outcome.shrunk ?? null,
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

/** What reading a backup back came to. */
export interface Verification {
  readonly extent: string;
  /** Undefined: it is as it should be. */
  readonly fault: { readonly code: string; readonly message: string } | undefined;
}

export async function recordVerification(
  db: HeldClient,
  runId: string,
  { extent, fault }: Verification,
): Promise<void> {
  await db.query(
    "update backups set verified_at = now(), verify_error = $2, verify_code = $3, verified_extent = $4 where run_id = $1",
    [runId, fault?.message ?? null, fault?.code ?? null, extent],
  );
}

/** Keeps the newest complete backup for some days, whatever its class says: something is about to happen to the school. */
export async function keepNewest(db: HeldClient, tenantUid: string, days: number): Promise<void> {
  await db.query(
    `update backups set keep_until = greatest(keep_until, now() + make_interval(days => $2)) where run_id =
       (select run_id from backups where tenant_uid = $1 and state = 'Complete' order by started_at desc limit 1)`,
    [tenantUid, days],
  );
}

/** An operator's word that the school is as small as its newest backups say. */
export async function acceptShrink(db: HeldClient, tenantUid: string): Promise<number> {
  const { rowCount } = await db.query("update backups set shrunk = null where tenant_uid = $1 and shrunk is not null", [
    tenantUid,
  ]);
  return rowCount ?? 0;
}

/** A damaged repository is kept, and what comes goes to a fresh one beside it. Once for each. */
export async function leaveRepository(db: HeldClient, tenantUid: string, number: number, why: string): Promise<void> {
  await db.query(
    `update tenants set repositories = repositories || jsonb_build_object(
       'number', $2::integer + 1,
       'damaged', coalesce(repositories -> 'damaged', '[]') || jsonb_build_array(
         jsonb_build_object('number', $2::integer, 'since', to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'why', $3::text)))
     where uid = $1 and coalesce((repositories ->> 'number')::integer, 1) = $2`,
    [tenantUid, number, why],
  );
}

/**
 * A school's backups are where the platform has them. What lay in repositories that were found damaged stayed behind; it says so.
 * @param from address of what they were in
 */
export async function settleRepository(db: HeldClient, tenantUid: string, from: string): Promise<void> {
  const { rowCount } = await db.query(
    "update tenants set repositories = repositories - 'at', wake_at = now() where uid = $1 and repositories ->> 'at' = $2",
    [tenantUid, from],
  );
  if (rowCount !== 1) throw new Error(`the school's backups are not in ${from} any more`);
  await tellLeftBehind(db, tenantUid, from);
}

/**
 * Backups in repositories that were found damaged did not come along; they say so.
 * @param where what they stayed behind in
 */
export async function tellLeftBehind(db: HeldClient, tenantUid: string, where: string): Promise<void> {
  await db.query(
    `update backups set verify_code = 'RepositoryDamaged',
       verify_error = 'It lies in a repository that was found damaged, and stayed behind with it in ' || $2 || '.'
     where tenant_uid = $1 and state = 'Complete'
       and repository <> coalesce((select (repositories ->> 'number')::integer from tenants where uid = $1), 1)`,
    [tenantUid, where],
  );
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

/** Any number that nobody else locks. */
const CHOICE_LOCK = 7305;

/** Until the transaction ends, nobody else chooses one of a school's backups, or decides that one is forgotten. */
export async function holdChoice(db: Queryable, tenantUid: string): Promise<void> {
  await db.query("select pg_advisory_xact_lock($1, hashtext($2))", [CHOICE_LOCK, tenantUid]);
}

/**
 * Decides that backups are forgotten: from here on nothing may choose them. Those that open work names by now stay.
 * @returns those that were decided about
 */
export async function decideForgetting(
  db: HeldClient,
  tenantUid: string,
  runIds: readonly string[],
): Promise<readonly string[]> {
  await holdChoice(db, tenantUid);
  const { rows } = await db.query<{ run_id: string }>(
    `update backups b set state = 'Forgetting' where tenant_uid = $1 and run_id = any($2) and state in ('Complete', 'Forgetting')
       and not exists (select from operations o where o.state in ('Pending', 'Running') and o.params ->> 'runId' = b.run_id::text)
     returning run_id`,
    [tenantUid, runIds],
  );
  return rows.map(({ run_id }) => run_id);
}

/** Runs of a school that open work names, its own or that of a school which is made from them. */
export async function namedRuns(db: Queryable, tenantUid: string): Promise<ReadonlySet<string>> {
  const { rows } = await db.query<{ run_id: string }>(
    `select distinct o.params ->> 'runId' as run_id from operations o
      where o.state in ('Pending', 'Running') and o.params ? 'runId'
        and (o.tenant_uid = $1 or o.params ->> 'sourceUid' = $1::text)`,
    [tenantUid],
  );
  return new Set(rows.map(({ run_id }) => run_id));
}

/** Backups whose forgetting was decided and cut off. */
export async function halfForgotten(db: Queryable, tenantUid: string): Promise<readonly Backup[]> {
  const { rows } = await db.query<BackupRow>(
    "select * from backups where tenant_uid = $1 and state = 'Forgetting' order by started_at desc",
    [tenantUid],
  );
  return rows.map(toBackup);
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

/** Whether a repository of a school ever had a complete backup: then it may never be made anew in silence. */
export async function everBackedUp(db: Queryable, tenantUid: string, repository: number): Promise<boolean> {
  const { rowCount } = await db.query(
    "select from backups where tenant_uid = $1 and repository = $2 and state in ('Complete', 'Forgetting', 'Forgotten') limit 1",
    [tenantUid, repository],
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
