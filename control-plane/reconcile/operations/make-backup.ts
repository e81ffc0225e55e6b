import { randomUUID } from "node:crypto";
import { createResult, keysResult } from "../../backup/results.ts";
import { shrinkOf } from "../../backup/retention.ts";
import { messageOf } from "../../errors.ts";
import * as backups from "../../store/backups.ts";
import { LeaseLostError } from "../../store/held.ts";
import { type KeySnapshot, recordKeys } from "../../store/key-snapshots.ts";
import { findTenantByUid } from "../../store/tenants.ts";
import { NEW_REPOSITORIES, type SchoolRepositories } from "../../tenant.ts";
import { repositoryUrl } from "../gather.ts";
import { type Attempt, runJob, write } from "../steps.ts";

const DEADLINE_MS = 4 * 3_600_000;
const KEYS_DEADLINE_MS = 600_000;

/** Where the school's backups go now: work may have gone on while that changed. */
async function repositoriesOf({ deps, hold }: Attempt): Promise<SchoolRepositories> {
  return (await findTenantByUid(deps.pool, hold.uid))?.repositories ?? NEW_REPOSITORIES;
}

/** What one backup adds to the repository. */
export type BackupOutcome = Parameters<typeof backups.completeBackup>[2];

/**
 * What a new backup holds far less than the newest one of which that was not said. Until somebody has said that it is right, each
 * further one is held against the same.
 */
async function shrinkSince(attempt: Attempt, size: BackupOutcome["size"]): Promise<string | undefined> {
  const all = await backups.completeBackups(attempt.deps.pool, attempt.hold.uid);
  return shrinkOf(size, all.find(({ shrunk, size: known }) => shrunk === undefined && known !== undefined)?.size);
}

/**
 * Runs since the newest complete one that did not come to their end: each may have left one snapshot without its other half, which
 * nothing else would ever forget. Pure.
 * @param all newest first
 */
export function abandonedRuns(all: readonly backups.Backup[]): readonly string[] {
  const newest = all.find((earlier) => earlier.state === "Complete");
  return all
    .filter((earlier) => newest === undefined || earlier.startedAt > newest.startedAt)
    .filter((earlier) => earlier.state !== "Complete")
    .map((earlier) => earlier.runId);
}

/** What a run that came to its end added. Undefined while there is no such run, or only its beginning. */
async function recordedOutcome({ deps }: Attempt, runId: string): Promise<BackupOutcome | undefined> {
  const { databaseSnapshot, filesSnapshot, bytesAdded, size, fingerprint, shrunk } =
    (await backups.findBackup(deps.pool, runId)) ?? {};
  if (databaseSnapshot === undefined || filesSnapshot === undefined || size === undefined) return undefined;
  return { databaseSnapshot, filesSnapshot, bytesAdded: bytesAdded ?? 0, size, fingerprint, shrunk };
}

/**
 * Makes one backup of a running school and records it: begun, and then complete or failed. Repeatable: one that is complete already
 * stays as it is, whatever else of its operation was cut off.
 * @param run.abandoned runs whose snapshots lack their other half and are to be forgotten first
 */
export async function makeBackup(
  attempt: Attempt,
  run: {
    readonly runId: string;
    readonly trigger: "manual" | "schedule";
    readonly abandoned: readonly string[];
  },
): Promise<BackupOutcome> {
  const { deps, gathered } = attempt;
  const { runId, trigger, abandoned } = run;
  const { uid } = gathered.tenant;
  const recorded = await recordedOutcome(attempt, runId);
  if (recorded !== undefined) return recorded;
  const startedAt = deps.clock.now();
  const { number: repository } = await repositoriesOf(attempt);
  await write(attempt, (db) => backups.startBackup(db, { runId, tenantUid: uid, trigger, startedAt, repository }));
  try {
    // A repository is made only for a school that never had a backup: a lost one must not be replaced in silence.
    const allowInit = !(await backups.everBackedUp(deps.pool, uid, repository));
    const made = await runJob(attempt, "backup", {
      command: "create",
      input: { runId, host: uid, allowInit, abandoned, repository: repositoryUrl(deps, uid, repository) },
      schema: createResult,
      deadline: DEADLINE_MS,
    });
    const { keysSnapshot: snapshot, ...snapshots } = made;
    const outcome = { ...snapshots, shrunk: await shrinkSince(attempt, made.size) };
    await write(attempt, async (db) => {
      await backups.completeBackup(db, runId, outcome);
      if (snapshot !== undefined) await recordKeys(db, uid, { runId, snapshot, repository }, startedAt);
    });
    return outcome;
  } catch (error) {
    if (!attempt.lost.aborted && !(error instanceof LeaseLostError))
      await write(attempt, (db) => backups.failBackup(db, runId, messageOf(error)));
    throw error;
  }
}

/**
 * Takes the keys of a school's people as they are now, before something older takes the school's place: who was erased since the last backup
 * stays erased. Each time another snapshot: what was on record stays until its time is over.
 * @returns undefined for a school whose app has no such keys
 */
export async function saveKeys(attempt: Attempt): Promise<KeySnapshot | undefined> {
  const { deps, gathered } = attempt;
  const { uid } = gathered.tenant;
  const runId = randomUUID();
  const takenAt = deps.clock.now();
  const { number: repository } = await repositoriesOf(attempt);
  const { keysSnapshot: snapshot } = await runJob(attempt, "backup", {
    command: "keys",
    input: { runId, host: uid, repository: repositoryUrl(deps, uid, repository) },
    schema: keysResult,
    deadline: KEYS_DEADLINE_MS,
  });
  if (snapshot === undefined) return undefined;
  const keys = { runId, snapshot, repository };
  await write(attempt, (db) => recordKeys(db, uid, keys, takenAt));
  return keys;
}
