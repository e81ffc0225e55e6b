import { EngineError, type ObjectRef } from "../../engine/engine.ts";
import { renameSnapshots, settleRepository } from "../../store/backups.ts";
import { renameKeys } from "../../store/key-snapshots.ts";
import { holdFor, progressOperation } from "../../store/operations.ts";
import { REASONS } from "../../tenant.ts";
import { type Attempt, write } from "../steps.ts";
import type { BegunOperation } from "./begun.ts";
import { applyRendered, copyHistory, REPOSITORY_POLICY } from "./move-history.ts";

/**
 * A school's backups, all of them, are copied to where the platform keeps backups now. Until they are there, the school has its backups
 * where they were; from then on where they are. What was copied from stays as it is.
 */

/** What leads a job to a repository, or is one. */
const LEADING: readonly ObjectRef[] = [
  REPOSITORY_POLICY,
  { kind: "Secret", name: "backup-repository" },
  { kind: "PersistentVolumeClaim", name: "repository" },
];

/** The same attempt with the repository that the platform has now. */
function afterwards(attempt: Attempt): Attempt | undefined {
  const { afterwards: there, ...deps } = attempt.deps;
  if (there === undefined) return undefined;
  const { backup, ...access } = there;
  return { ...attempt, deps: { ...deps, ...access, platform: { ...deps.platform, backup } } };
}

/** Copies a school's backups and switches. Repeatable: what is there already is not copied again, and the switch happens once. */
export async function changeRepository(attempt: Attempt, operation: BegunOperation): Promise<unknown> {
  const { deps, hold } = attempt;
  const target = afterwards(attempt);
  const to = String(operation.params.to);
  const from = deps.platform.backup.repository;
  if (target === undefined) return { to: from, message: "its backups are there already" };
  if (target.deps.platform.backup.repository !== to)
    throw new EngineError(
      REASONS.StepFailed,
      `Backups are to lie in ${target.deps.platform.backup.repository} by now.`,
    );
  // Freed when this ends, they come to be as the school is to have them: here if this failed, there if not.
  await write(attempt, (db) => holdFor(db, hold, operation.id, { objects: LEADING }));
  await write(attempt, (db) => progressOperation(db, operation.id, { step: "copy the backups", message: `to ${to}` }));
  // The job that copies runs where one of the two is local: it finds that one as a school finds its own.
  const side = from === "local" ? attempt : target;
  await applyRendered(side, LEADING);
  const copied = await copyHistory(attempt, target);
  await write(attempt, async (db) => {
    await renameSnapshots(db, copied.backups);
    await renameKeys(db, hold.uid, copied.keys);
    await settleRepository(db, hold.uid, from);
    await holdFor(db, hold, operation.id, {});
  });
  return { from, to, message: `${copied.backups.length} backups are in ${to}; what is in ${from} stays there` };
}
