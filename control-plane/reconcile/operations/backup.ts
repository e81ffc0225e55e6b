import { messageOf } from "../../errors.ts";
import { decidingBackups } from "../../store/backups.ts";
import type { Operation } from "../../store/operations.ts";
import { askClock } from "../clock-guard.ts";
import { expiredBackupsOf } from "../gather.ts";
import type { Attempt } from "../steps.ts";
import { forget } from "./forget-backups.ts";
import { abandonedRuns, makeBackup } from "./make-backup.ts";

/** Backs a school up; old backups are forgotten after that. */
export async function backup(attempt: Attempt, operation: Operation): Promise<unknown> {
  const runId = operation.id;
  const trigger = operation.params.trigger === "manual" ? "manual" : "schedule";
  // This one's own earlier beginning included, if it was begun before.
  const abandoned = abandonedRuns(await decidingBackups(attempt.deps.pool, attempt.hold.uid));
  const { databaseSnapshot, filesSnapshot, bytesAdded } = await makeBackup(attempt, { runId, trigger, abandoned });
  return { runId, databaseSnapshot, filesSnapshot, bytesAdded, ...(await forgetAfter(attempt)) };
}

/** Old backups make room for the new one, unless the clock is not believed. */
async function forgetOld(attempt: Attempt): Promise<void> {
  const { deps, hold } = attempt;
  if (!(await askClock(deps)).trusted) return;
  await forget(attempt, await expiredBackupsOf(deps, hold.uid, deps.clock.now()), "backup");
}

/** The backup just made is good whatever becomes of the old ones; the next one's forgetting makes up for this. */
async function forgetAfter(attempt: Attempt): Promise<{ readonly forgetting?: string }> {
  const { deps, gathered, signal } = attempt;
  try {
    await forgetOld(attempt);
    return {};
  } catch (error) {
    if (signal.aborted) throw error;
    deps.log.warn({ slug: gathered.tenant.slug, error: messageOf(error) }, "old backups could not be forgotten");
    return { forgetting: messageOf(error) };
  }
}
