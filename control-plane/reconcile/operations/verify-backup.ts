import { verifyResult } from "../../backup/results.ts";
import { EngineError } from "../../engine/engine.ts";
import { messageOf } from "../../errors.ts";
import { type Backup, findBackup, recordVerification } from "../../store/backups.ts";
import type { Operation } from "../../store/operations.ts";
import { type Attempt, runJob, write } from "../steps.ts";

const DEADLINE_MS = 4 * 3_600_000;

/** What a job says of the backup itself. All else (a server that does not answer, a login refused) says nothing of it. */
const VERDICTS = new Set(["RepositoryDamaged", "ArchiveBroken", "RepositoryMissing", "WrongKey", "ResticFailed"]);

/** The backup that work names. @throws EngineError when it is gone */
export async function namedBackup(attempt: Attempt, params: Operation["params"]): Promise<Backup> {
  const found = await findBackup(attempt.deps.pool, String(params.runId));
  if (found === undefined || found.databaseSnapshot === undefined)
    throw new EngineError("BackupFailed", "The backup is gone.", { retryable: false });
  return found;
}

/** Reads a backup back. */
export async function verifyBackup(attempt: Attempt, operation: Operation): Promise<unknown> {
  const { runId, databaseSnapshot, filesSnapshot } = await namedBackup(attempt, operation.params);
  try {
    const result = await runJob(attempt, "backup", {
      command: "verify",
      input: { databaseSnapshot, filesSnapshot },
      schema: verifyResult,
      deadline: DEADLINE_MS,
    });
    await write(attempt, (db) => recordVerification(db, runId, undefined));
    return result;
  } catch (error) {
    const verdict = error instanceof EngineError && VERDICTS.has(error.reason);
    if (verdict && !attempt.signal.aborted)
      await write(attempt, (db) => recordVerification(db, runId, messageOf(error)));
    throw error;
  }
}
