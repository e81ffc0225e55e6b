import { z } from "zod";
import { restoreResult } from "../../backup/results.ts";
import { EngineError } from "../../engine/engine.ts";
import { messageOf } from "../../errors.ts";
import { recordInitialised } from "../../store/leases.ts";
import { type Operation, progressOperation } from "../../store/operations.ts";
import { namespaceOf } from "../../tenant.ts";
import { repositoryUrl } from "../gather.ts";
import { type Attempt, runJob, write } from "../steps.ts";
import { pauseApp, resumeApp } from "./pause.ts";
import { namedBackup } from "./verify-backup.ts";

/** The input that opens another school's repository to a restore: its address and password. */
async function foreignSource(
  attempt: Attempt,
  sourceUid: string,
  sourceSlug: string,
): Promise<{ readonly source?: unknown; readonly repositoryOf?: string }> {
  const { deps, gathered } = attempt;
  if (sourceUid === gathered.tenant.uid) return {};
  const keys = await deps.keyring.readSchoolKeys(sourceUid);
  if (keys === undefined)
    throw new EngineError(
      "KeysDestroyed",
      "The source school's keys are destroyed; its backups cannot be read any more.",
      { retryable: false },
    );
  const source = { url: repositoryUrl(deps, sourceUid), password: keys.repository.toString("utf8") };
  if (deps.platform.backup.repository !== "local") return { source };
  return { source, repositoryOf: namespaceOf(sourceSlug) };
}

const SETTLING = "settle";
const any = z.unknown();
const RESTORE_DEADLINE_MS = 4 * 3_600_000;

/** A job of a restore: with the database superuser's password, and time for a large school. */
export function restoreJob<T>(command: "restore" | "settle" | "rollback", input: unknown, schema: z.ZodType<T>) {
  return { command, input, schema, superuser: true, deadline: RESTORE_DEADLINE_MS };
}

/**
 * Drops what a restore has replaced. From here on the school is open again with the restored data: recorded first, so that a
 * restore that is resumed after this never restores over what people have entered since.
 */
async function settleRestore(attempt: Attempt, operation: Operation, message: string | undefined): Promise<unknown> {
  const { deps, gathered, hold, signal } = attempt;
  await write(attempt, async (db) => {
    await progressOperation(db, operation.id, { step: SETTLING, ...(message === undefined ? {} : { message }) });
    await recordInitialised(db, hold, deps.clock.now());
  });
  const result = { runId: operation.params.runId, ...(message === undefined ? {} : { message }) };
  try {
    await runJob(attempt, "backup", restoreJob("settle", { runId: operation.id }, any));
    return result;
  } catch (error) {
    if (signal.aborted) throw error;
    deps.log.warn({ slug: gathered.tenant.slug, error: messageOf(error) }, "what a restore replaced is still there");
    return { ...result, left: "What was replaced is still on the volume and takes room there." };
  }
}

/** Restores a backup into place, or into a new school. */
export async function restore(attempt: Attempt, operation: Operation): Promise<unknown> {
  const { lost } = attempt;
  if (operation.progress.step === SETTLING) return settleRestore(attempt, operation, operation.progress.message);
  const found = await namedBackup(attempt, operation.params);
  const { source, ...foreign } = await foreignSource(
    attempt,
    String(operation.params.sourceUid),
    String(operation.params.sourceSlug),
  );
  const input = {
    runId: operation.id,
    databaseSnapshot: found.databaseSnapshot,
    filesSnapshot: found.filesSnapshot,
    fingerprint: found.fingerprint,
    ...(source === undefined ? {} : { source }),
  };
  let restored: z.infer<typeof restoreResult>;
  try {
    await pauseApp(attempt, operation);
    restored = await runJob(attempt, "backup", { ...restoreJob("restore", input, restoreResult), ...foreign });
    await resumeApp(attempt, operation);
  } catch (error) {
    if (lost.aborted) throw error;
    const clearing: Attempt = { ...attempt, signal: lost };
    // Back to what was there: the swap is undone if it had happened, and the school opens again.
    await runJob(clearing, "backup", restoreJob("rollback", { runId: operation.id }, any));
    throw error;
  }
  const tables = Object.keys(z.record(z.string(), z.json()).catch({}).parse(restored.fingerprint)).length;
  return settleRestore(attempt, operation, `${restored.rows} rows in ${tables} tables`);
}
