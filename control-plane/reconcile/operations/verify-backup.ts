import { verifyResult } from "../../backup/results.ts";
import { EngineError } from "../../engine/engine.ts";
import { messageOf } from "../../errors.ts";
import { type Backup, findBackup, leaveRepository, recordVerification } from "../../store/backups.ts";
import { keySnapshots } from "../../store/key-snapshots.ts";
import type { Operation } from "../../store/operations.ts";
import { repositoryUrl } from "../gather.ts";
import { type Attempt, runJob, write } from "../steps.ts";
import { withRepository } from "./repository.ts";

const DEADLINE_MS = 4 * 3_600_000;

/** What a job says of the backup itself. All else (a server that does not answer, a login refused) says nothing of it. */
const VERDICTS = new Set(["RepositoryDamaged", "ArchiveBroken", "RepositoryMissing", "WrongKey", "ResticFailed"]);
/** Of these, what says that the whole repository cannot be trusted: the next backup begins a fresh one beside it. */
const DAMAGED = new Set(["RepositoryDamaged", "RepositoryMissing"]);

/** The backup that work names. @throws EngineError when it is gone */
export async function namedBackup(attempt: Attempt, params: Operation["params"]): Promise<Backup> {
  const found = await findBackup(attempt.deps.pool, String(params.runId));
  if (found === undefined || found.databaseSnapshot === undefined || found.state !== "Complete")
    throw new EngineError("BackupFailed", "The backup is gone.", { retryable: false });
  return found;
}

/** Reads a backup back: its database's archive whole, and the repository's data, all of it or the part that is named. */
export async function verifyBackup(attempt: Attempt, operation: Operation): Promise<unknown> {
  const { deps, hold } = attempt;
  const { runId, databaseSnapshot, filesSnapshot, repository } = await namedBackup(attempt, operation.params);
  const part = typeof operation.params.part === "string" ? operation.params.part : undefined;
  const [keys] = await keySnapshots(deps.pool, hold.uid);
  const extent = part ?? "whole";
  try {
    const result = await withRepository(attempt, operation, () =>
      runJob(attempt, "retention", {
        command: "verify",
        input: {
          databaseSnapshot,
          filesSnapshot,
          ...(keys?.repository === repository ? { keys: { snapshot: keys.snapshot } } : {}),
          repository: repositoryUrl(deps, hold.uid, repository),
          ...(part === undefined ? {} : { part }),
        },
        schema: verifyResult,
        deadline: DEADLINE_MS,
      }),
    );
    await write(attempt, (db) => recordVerification(db, runId, { extent, fault: undefined }));
    return { ...result, extent };
  } catch (error) {
    if (!(error instanceof EngineError) || !VERDICTS.has(error.reason) || attempt.signal.aborted) throw error;
    const fault = { code: error.reason, message: messageOf(error) };
    await write(attempt, async (db) => {
      await recordVerification(db, runId, { extent, fault });
      if (DAMAGED.has(fault.code)) await leaveRepository(db, hold.uid, repository, fault.message);
    });
    throw error;
  }
}
