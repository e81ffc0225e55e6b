import { z } from "zod";
import { EngineError } from "../../engine/engine.ts";
import { type Backup, decideForgetting, markForgotten } from "../../store/backups.ts";
import { dropKeys, expiredKeys, keySnapshots } from "../../store/key-snapshots.ts";
import { type Operation, openRestoresFrom } from "../../store/operations.ts";
import { REASONS } from "../../tenant.ts";
import { expiredWithoutBackup, repositoryUrl } from "../gather.ts";
import { type Attempt, runJob, write } from "../steps.ts";
import { withRepository } from "./repository.ts";

/**
 * Backups that are past their time are forgotten: nothing older than a year (R61), whether the school still makes new ones or not. With
 * them go the keys of people that are older than 30 days, all but the newest.
 */

const FORGETTING_MS = 3_600_000;

/**
 * Forgets the snapshots of the given backups and frees their room. Decided first, all at once: what open work has named by then
 * stays. Repeatable: what is gone already is no error.
 * @throws EngineError while a school is being made from these backups: it reads without a lock
 */
export async function forget(
  attempt: Attempt,
  expired: readonly Backup[],
  template: "backup" | "retention",
): Promise<number> {
  const { deps, hold } = attempt;
  const tooOld = () => expiredKeys(deps.pool, hold.uid, deps.clock.now());
  if (expired.length === 0 && (await tooOld()).length === 0) return 0;
  const readers = await openRestoresFrom(deps.pool, hold.uid);
  if (readers.length > 0)
    throw new EngineError(REASONS.RetentionFailed, `${readers.join(", ")} is being made from these backups`);
  const ids = expired.map(({ runId }) => runId);
  const decided = new Set(await write(attempt, (db) => decideForgetting(db, hold.uid, ids)));
  const doomed = expired.filter(({ runId }) => decided.has(runId));
  // Asked now: with the last backup go the last keys.
  const keys = await tooOld();
  for (const number of new Set([...doomed, ...keys].map(({ repository }) => repository))) {
    const here = doomed.filter(({ repository }) => repository === number);
    const keysHere = keys.filter(({ repository }) => repository === number);
    const snapshots = [
      ...here.flatMap((backup) => [backup.databaseSnapshot, backup.filesSnapshot]),
      ...keysHere.map(({ snapshot }) => snapshot),
    ].filter((snapshot) => snapshot !== undefined);
    const input = {
      snapshots,
      repository: repositoryUrl(deps, hold.uid, number),
      ...(keysHere.length > 0 ? { thorough: true } : {}),
      keepKeys: (await keySnapshots(deps.pool, hold.uid))
        .filter((one) => one.repository === number && !keysHere.some(({ snapshot }) => snapshot === one.snapshot))
        .map(({ snapshot }) => snapshot),
    };
    await runJob(attempt, template, { command: "forget", input, schema: z.unknown(), deadline: FORGETTING_MS });
    await write(attempt, async (db) => {
      await markForgotten(
        db,
        here.map(({ runId }) => runId),
      );
      await dropKeys(db, hold.uid, keysHere);
    });
  }
  return doomed.length;
}

/** The same beside any new backup: for a school that makes none, or whose backups fail. */
export async function forgetBackups(attempt: Attempt, operation: Operation): Promise<unknown> {
  const { deps, gathered } = attempt;
  const { goal, tenant } = gathered;
  const makesBackups = goal === "run" && tenant.spec.backup.enabled;
  const expired = await expiredWithoutBackup(deps, tenant.uid, deps.clock.now(), makesBackups);
  return { forgotten: await withRepository(attempt, operation, () => forget(attempt, expired, "retention")) };
}
