import { z } from "zod";
import type { ObjectRef } from "../../engine/engine.ts";
import { type Backup, markForgotten } from "../../store/backups.ts";
import { holdFor, type Operation } from "../../store/operations.ts";
import { namespaceOf } from "../../tenant.ts";
import { expiredWithoutBackup, secretValues, valuesOf } from "../gather.ts";
import { type Attempt, runJob, write } from "../steps.ts";

/** Backups that are past their time are forgotten: nothing older than a year (R61), whether the school still makes new ones or not. */

const FORGETTING_MS = 3_600_000;
const REPOSITORY_SECRET: ObjectRef = { kind: "Secret", name: "backup-repository" };

/** Forgets the snapshots of the given backups and frees their room. Repeatable: what is gone already is no error. */
export async function forget(
  attempt: Attempt,
  expired: readonly Backup[],
  template: "backup" | "retention",
): Promise<void> {
  if (expired.length === 0) return;
  const snapshots = expired
    .flatMap((backup) => [backup.databaseSnapshot, backup.filesSnapshot])
    .filter((snapshot) => snapshot !== undefined);
  const job = { command: "forget", input: { snapshots }, schema: z.unknown(), deadline: FORGETTING_MS };
  await runJob(attempt, template, job);
  await write(attempt, (db) =>
    markForgotten(
      db,
      expired.map((backup) => backup.runId),
    ),
  );
}

/**
 * The same beside any new backup: for a school that makes none, or whose backups fail. While one is stopped it has no secrets:
 * what opens its repository is there for as long as this takes. If it is cut off, the next plan removes that as it removes
 * whatever should not be.
 */
export async function forgetBackups(attempt: Attempt, operation: Operation): Promise<unknown> {
  const { deps, gathered, hold, lost } = attempt;
  const { goal, keys, tenant } = gathered;
  const makesBackups = goal === "run" && tenant.spec.backup.enabled;
  const expired = await expiredWithoutBackup(deps, tenant.uid, deps.clock.now(), makesBackups);
  const result = { forgotten: expired.length };
  if (goal === "run" || keys === undefined) {
    await forget(attempt, expired, "retention");
    return result;
  }
  const namespace = namespaceOf(tenant.slug);
  const values = { ...valuesOf(deps, gathered), secrets: secretValues(deps, tenant.uid, keys) };
  const secret = deps.chart
    .renderTenant(values)
    .filter(({ kind, metadata }) => kind === REPOSITORY_SECRET.kind && metadata.name === REPOSITORY_SECRET.name);
  await write(attempt, (db) => holdFor(db, hold, operation.id, { objects: [REPOSITORY_SECRET] }));
  await deps.engine.apply(namespace, secret, { signal: attempt.signal });
  try {
    await forget(attempt, expired, "retention");
  } finally {
    if (!lost.aborted) await deps.engine.remove(namespace, [REPOSITORY_SECRET], { signal: lost });
  }
  return result;
}
