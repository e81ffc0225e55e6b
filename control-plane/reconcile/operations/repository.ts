import type { ObjectRef } from "../../engine/engine.ts";
import { holdFor, type Operation } from "../../store/operations.ts";
import { namespaceOf } from "../../tenant.ts";
import { secretValues, valuesOf } from "../gather.ts";
import { type Attempt, write } from "../steps.ts";

const REPOSITORY_SECRET: ObjectRef = { kind: "Secret", name: "backup-repository" };

/**
 * Does work on a school's repository. While the school is stopped it has no secrets: what opens its repository is there for as long
 * as this takes. If that is cut off, the next plan removes it as it removes whatever should not be.
 */
export async function withRepository<T>(attempt: Attempt, operation: Operation, work: () => Promise<T>): Promise<T> {
  const { deps, gathered, hold, lost, signal } = attempt;
  const { goal, keys, tenant } = gathered;
  const opening = goal === "purge" ? await deps.keyring.readSchoolKeys(tenant.uid) : keys;
  if (goal === "run" || opening === undefined) return work();
  const namespace = namespaceOf(tenant.slug);
  const values = { ...valuesOf(deps, gathered), secrets: secretValues(deps, tenant.uid, opening) };
  const secret = deps.chart
    .renderTenant(values)
    .filter(({ kind, metadata }) => kind === REPOSITORY_SECRET.kind && metadata.name === REPOSITORY_SECRET.name);
  await write(attempt, (db) => holdFor(db, hold, operation.id, { objects: [REPOSITORY_SECRET] }));
  await deps.engine.apply(namespace, secret, { signal });
  try {
    return await work();
  } finally {
    if (!lost.aborted) await deps.engine.remove(namespace, [REPOSITORY_SECRET], { signal: lost });
  }
}
