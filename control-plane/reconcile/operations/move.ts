import { randomUUID } from "node:crypto";
import { EngineError, type Manifest } from "../../engine/engine.ts";
import { messageOf } from "../../errors.ts";
import { decidingBackups, failAbandoned, findBackup, renameSnapshots, tellLeftBehind } from "../../store/backups.ts";
import { keySnapshots, renameKeys } from "../../store/key-snapshots.ts";
import { switchEngine, writeLeftEngine } from "../../store/leases.ts";
import { holdFor, type Operation, progressOperation } from "../../store/operations.ts";
import { findTenantByUid } from "../../store/tenants.ts";
import { recordOnOtherEngine } from "../../store/volumes.ts";
import { namespaceOf, REASONS, type VolumeRecord } from "../../tenant.ts";
import { attemptAt, livesOn, removeLeft, stopElsewhere } from "../elsewhere.ts";
import { fitnessOf, unfitFailure } from "../fitness.ts";
import { desiredManifests, valuesOf } from "../gather.ts";
import { APP, DB } from "../plan.ts";
import { type Attempt, awaitReady, executeStep, removeNamespace, write } from "../steps.ts";
import { seenVolume } from "../volumes.ts";
import type { BegunOperation } from "./begun.ts";
import { abandonedRuns, makeBackup } from "./make-backup.ts";
import { type CopiedHistory, copyHistory, REPOSITORY_POLICY, shareRepository } from "./move-history.ts";
import { pauseApp } from "./pause.ts";
import { fillVolume } from "./restore.ts";

/**
 * A school moves from one engine to another with its data, keys, certificate, host names and backups. It is open until everything
 * that can be is on the other side; then it is closed, backed up once more, restored over there, compared, started, and only then
 * does it live there: one statement, guarded by the lease. Until that everything can be undone by removing what was made on the
 * other side; after it the old copy stays, stopped and locked, until an operator confirms the move.
 */

/** The operation is recorded as far as it went; the next attempt, on the other engine, ends it. */
export const CONTINUES = Symbol("continues on the other engine");

/** The school as it is wanted, but for what runs, which does not, and the way in. */
function atRest(attempt: Attempt): readonly Manifest[] {
  const { deps, gathered } = attempt;
  const stopped = deps.chart.renderTenant({ ...valuesOf(deps, gathered, attempt.certificate), replicas: 0 });
  const still = new Set([DB.kind, APP.kind]);
  return desiredManifests(deps, gathered, attempt.certificate)
    .filter(({ kind }) => kind !== "Ingress")
    .map((manifest) =>
      still.has(manifest.kind) ? (stopped.find(({ kind }) => kind === manifest.kind) ?? manifest) : manifest,
    );
}

/** Everything of the school on the engine it is going to, but nothing that runs: walls, secrets, an empty volume. */
async function furnish(target: Attempt): Promise<void> {
  const { deps, gathered, signal } = target;
  await deps.engine.apply(namespaceOf(gathered.tenant.slug), atRest(target), { signal });
}

/** The school is to stop, or to go: nobody wants it moved any more. */
class CalledOff extends EngineError {
  constructor(slug: string) {
    super(REASONS.StepFailed, `${slug} was suspended or deleted meanwhile; it stays where it is.`, {
      retryable: false,
    });
  }
}

/** A move may take hours: what became of the wish is looked at before each stage. */
async function heedWishes({ deps, gathered }: Attempt): Promise<void> {
  const { uid, slug } = gathered.tenant;
  const now = await findTenantByUid(deps.pool, uid);
  if (now === undefined || now.spec.suspended || now.deletion !== undefined) throw new CalledOff(slug);
}

async function report(attempt: Attempt, operation: Operation, step: string, message?: string): Promise<void> {
  attempt.signal.throwIfAborted();
  await heedWishes(attempt);
  await write(attempt, (db) =>
    progressOperation(db, operation.id, { step, ...(message === undefined ? {} : { message }) }),
  );
  attempt.deps.log.info({ slug: attempt.gathered.tenant.slug, step, message }, "move");
}

interface Moved {
  readonly copied: CopiedHistory;
  readonly volume: VolumeRecord;
  readonly message: string;
}

/** All that happens before the switch. The school is closed from the last backup on. */
async function bringOver(source: Attempt, target: Attempt, operation: Operation): Promise<Moved> {
  const { deps } = source;
  await report(source, operation, "furnish the other engine");
  await furnish(target);
  await report(source, operation, "copy the backups");
  await copyHistory(source, target);
  await report(source, operation, "close the school and back it up");
  const closed = performance.now();
  await pauseApp(source, operation, [REPOSITORY_POLICY]);
  // Another one each time: what was backed up before a cut is older than what people have entered since.
  const runId = randomUUID();
  const abandoned = abandonedRuns(await decidingBackups(deps.pool, source.hold.uid));
  await makeBackup(source, { runId, trigger: "manual", abandoned });
  await write(source, (db) => failAbandoned(db, abandoned));
  const copied = await copyHistory(source, target);
  await report(source, operation, "restore on the other engine");
  const backup = await findBackup(deps.pool, runId);
  const { databaseSnapshot, filesSnapshot } = copied.backups.find((each) => each.runId === runId) ?? {
    databaseSnapshot: backup?.databaseSnapshot,
    filesSnapshot: backup?.filesSnapshot,
  };
  const { claim } = source.gathered.tenant.volumes.own;
  const [newest] = await keySnapshots(deps.pool, source.hold.uid);
  const keysThere = copied.keys.find((each) => each.runId === newest?.runId) ?? newest;
  const restored = await fillVolume(target, runId, claim, {
    databaseSnapshot,
    filesSnapshot,
    keys: keysThere && newest && { snapshot: keysThere.snapshot, repository: newest.repository },
    fingerprint: backup?.fingerprint,
    size: backup?.size,
    repository: backup?.repository ?? 1,
  });
  await report(source, operation, "start on the other engine");
  await executeStep(target, { id: "apply-db", kind: "apply", objects: [DB, APP], after: [] });
  await awaitReady(target, APP);
  const { volumes } = await target.deps.engine.observe(namespaceOf(source.gathered.tenant.slug));
  const identity = seenVolume({ volumes }, claim)?.identity;
  const volume = { claim, ...(identity === undefined ? {} : { identity }) };
  const seconds = ((performance.now() - closed) / 1000).toFixed(1);
  return { copied, volume, message: `${restored}, equal on both sides; closed for ${seconds} s` };
}

/** From here on the school lives on the other engine, and nothing of this move holds it up there. */
async function switchEngineOf(source: Attempt, target: Attempt, operation: Operation, moved: Moved): Promise<void> {
  const { hold } = source;
  const to = target.deps.engineName;
  const from = source.deps.engineName;
  await write(source, async (db) => {
    await renameSnapshots(db, moved.copied.backups);
    if (!shareRepository(source, target)) {
      await renameKeys(db, hold.uid, moved.copied.keys);
      await tellLeftBehind(db, hold.uid, `the repositories of ${from}`);
    }
    await recordOnOtherEngine(db, hold, moved.volume);
    await holdFor(db, hold, operation.id, {});
    await switchEngine(db, hold, { from, to });
  });
}

/** The same attempt for clearing up: work that was called off still does that. */
const clearing = (attempt: Attempt): Attempt => ({ ...attempt, signal: attempt.lost });

/**
 * The school opens where it was, and what was made on the other engine goes. What cannot go now is noted, to be removed later.
 * Each of the two only while the store says that the school lives here and is ours: another reconciler may have moved it since.
 * @throws EngineError when that cannot be said; then whoever holds the school begins again
 */
async function undo(source: Attempt, target: Attempt, operation: Operation): Promise<void> {
  const { deps, gathered, hold } = source;
  const { tenant } = gathered;
  const here = async (): Promise<void> => {
    if ((await livesOn(source)) !== deps.engineName)
      throw new EngineError(REASONS.StepFailed, `${tenant.slug} does not live on ${deps.engineName} any more`);
  };
  await here();
  // The next attempt starts it again, if it is still to run.
  await write(source, (db) => holdFor(db, hold, operation.id, {}));
  await here();
  await removeNamespace(clearing(target)).catch(async (failure: unknown) => {
    deps.log.error(
      { slug: tenant.slug, error: messageOf(failure) },
      "what a move made on the other engine is still there",
    );
    await write(source, (db) => writeLeftEngine(db, hold, target.deps.engineName));
  });
}

/**
 * Switches, or finds out what became of it: the answer to a commit may be lost.
 * @throws EngineError when the school still lives here; what was made over there has been undone
 */
async function switchOver(source: Attempt, target: Attempt, operation: Operation, moved: Moved): Promise<void> {
  const to = target.deps.engineName;
  try {
    await switchEngineOf(source, target, operation, moved);
  } catch (error) {
    if (source.lost.aborted) throw error;
    if ((await livesOn(source)) === to) return;
    await undo(source, target, operation);
    throw error;
  }
}

/** What an earlier move left behind there goes first, so that nothing old can come back. */
async function clearTarget(source: Attempt, target: Attempt): Promise<void> {
  const { tenant } = target.gathered;
  if (tenant.leftEngine !== target.deps.engineName) return;
  await removeLeft(source, tenant.leftEngine);
  await forgetLeft(source);
}

/** The engine it is to go to, once that may be gone to. */
async function prepare(source: Attempt, operation: Operation, to: string): Promise<Attempt> {
  await write(source, (db) => holdFor(db, source.hold, operation.id, { objects: [REPOSITORY_POLICY] }));
  const { aside, next } = source.gathered.tenant.volumes;
  if (aside.length > 0 || next !== undefined)
    throw new EngineError(
      REASONS.StepFailed,
      `What a restore replaced is kept beside the school and would not move with it: classmind backup confirm ${source.gathered.tenant.slug}`,
      { retryable: false },
    );
  const target = await attemptAt(source, to);
  const fitness = await fitnessOf(target.deps, true, source.signal);
  if (fitness.unmet.length > 0) {
    const { reason, message } = unfitFailure(fitness);
    throw new EngineError(reason, message);
  }
  await report(source, operation, "clear the other engine");
  await clearTarget(source, target);
  return target;
}

async function begin(source: Attempt, operation: BegunOperation, to: string): Promise<unknown> {
  const { deps, gathered, hold, lost } = source;
  let target: Attempt;
  try {
    target = await prepare(source, operation, to);
  } catch (error) {
    // An attempt that was cut off may have left something there, which nobody else would know of.
    if (!lost.aborted && operation.resumed) await write(source, (db) => writeLeftEngine(db, hold, to));
    throw error;
  }
  let moved: Moved;
  try {
    moved = await bringOver(source, target, operation);
    await report(source, operation, "switched", moved.message);
  } catch (error) {
    if (lost.aborted) throw error;
    await undo(source, target, operation);
    throw error;
  }
  await switchOver(source, target, operation, moved);
  deps.log.info({ slug: gathered.tenant.slug, from: deps.engineName, to }, "the school lives on another engine now");
  return CONTINUES;
}

const forgetLeft = (attempt: Attempt): Promise<void> =>
  write(attempt, (db) => writeLeftEngine(db, attempt.hold, undefined));

/** On the new engine, which has opened the school already. */
async function end(attempt: Attempt, operation: Operation): Promise<unknown> {
  const { deps, gathered, lost } = attempt;
  const from = gathered.tenant.leftEngine;
  const result = { from, to: deps.engineName, message: operation.progress.message };
  if (from === undefined) return result;
  try {
    await stopElsewhere(clearing(attempt), from);
    return result;
  } catch (error) {
    if (lost.aborted) throw error;
    // The next attempts go on with it.
    deps.log.warn({ slug: gathered.tenant.slug, engine: from, error: messageOf(error) }, "the old copy is not stopped");
    return { ...result, left: `The copy on ${from} could not be stopped yet: ${messageOf(error)}` };
  }
}

/** Of a school that is to stop: what a move that was cut off made over there goes, and the move has failed. */
async function callOff(attempt: Attempt, to: string): Promise<never> {
  await removeLeft(clearing(attempt), to);
  throw new CalledOff(attempt.gathered.tenant.slug);
}

/** Moves a school to the engine that the operation names, or goes on where an earlier attempt was cut off. */
export async function move(attempt: Attempt, operation: BegunOperation): Promise<unknown> {
  const to = String(operation.params.to);
  if (attempt.deps.engineName === to) return end(attempt, operation);
  const wanted = attempt.gathered.goal === "run" && !attempt.signal.aborted;
  return wanted ? begin(attempt, operation, to) : callOff(attempt, to);
}

/**
 * Removes the stopped copy of a moved school: from here on there is no way back but another move. Only the copy that the operator
 * was shown: the school may have moved since.
 */
export async function confirmMove(attempt: Attempt, operation: Operation): Promise<unknown> {
  const { deps, gathered } = attempt;
  const { from, abandon } = operation.params;
  const { leftEngine } = (await findTenantByUid(deps.pool, gathered.tenant.uid)) ?? {};
  if (leftEngine === undefined || leftEngine !== from) return { removed: false, from };
  if (abandon !== true) await removeLeft(attempt, leftEngine);
  await forgetLeft(attempt);
  if (abandon === true) return { removed: false, abandoned: true, from };
  deps.log.info({ slug: gathered.tenant.slug, engine: from }, "the old copy of a moved school is removed");
  return { removed: true, from };
}
