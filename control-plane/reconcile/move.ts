import { randomUUID } from "node:crypto";
import { z } from "zod";
import { restoreResult } from "../backup/results.ts";
import { EngineError, type Manifest, type ObjectRef } from "../engine/engine.ts";
import { messageOf } from "../errors.ts";
import { findBackup, renameSnapshots } from "../store/backups.ts";
import { switchEngine, writeLeftEngine } from "../store/leases.ts";
import { type Operation, progressOperation } from "../store/operations.ts";
import { namespaceOf, REASONS } from "../tenant.ts";
import { makeBackup } from "./backup.ts";
import { CERTIFICATE } from "./certificate.ts";
import { dependenciesAt } from "./dependencies.ts";
import { fitnessOf, unfitFailure } from "./fitness.ts";
import { desiredManifests, desiredObjects, valuesOf } from "./gather.ts";
import { type CopiedBackup, copyHistory } from "./move-history.ts";
import { APP, DB, plan } from "./plan.ts";
import { type Attempt, closeRoute, executeStep, removeNamespace, restoreJob, runJob, startApp } from "./steps.ts";

/**
 * A school moves from one engine to another with its data, keys, certificate, host names and backups. It is open until everything
 * that can be is on the other side; then it is closed, backed up once more, restored over there, compared, started, and only then
 * does it live there: one statement, guarded by the lease. Until that everything can be undone by removing what was made on the
 * other side; after it the old copy stays, stopped and locked, until an operator confirms the move.
 */

/** The operation is recorded as far as it went; the next attempt, on the other engine, ends it. */
export const CONTINUES = Symbol("continues on the other engine");

const any = z.unknown();

/** The same attempt on another engine. */
async function attemptAt(attempt: Attempt, engineName: string): Promise<Attempt> {
  const { gathered } = attempt;
  const deps = dependenciesAt(attempt.deps, engineName);
  if (deps === undefined)
    throw new EngineError(REASONS.EngineUnknown, `The engine ${engineName} is not in the reconciler's configuration.`, {
      retryable: false,
    });
  const observed = await deps.engine.observe(namespaceOf(gathered.tenant.slug));
  return { ...attempt, deps, gathered: { ...gathered, observed } };
}

async function applyOnly(attempt: Attempt, manifests: readonly Manifest[], ref: ObjectRef): Promise<void> {
  const { deps, gathered, signal } = attempt;
  const wanted = manifests.filter(({ kind, metadata }) => kind === ref.kind && metadata.name === ref.name);
  if (wanted.length > 0) await deps.engine.apply(namespaceOf(gathered.tenant.slug), wanted, { signal });
}

const applyRendered = (attempt: Attempt, ref: ObjectRef): Promise<void> =>
  applyOnly(attempt, desiredManifests(attempt.deps, attempt.gathered, attempt.certificate), ref);

/** The school as it is wanted, but for the app, which does not run, and the way in. */
function withoutApp(attempt: Attempt): readonly Manifest[] {
  const { deps, gathered } = attempt;
  const stopped = deps.chart.renderTenant({ ...valuesOf(deps, gathered, attempt.certificate), replicas: 0 });
  return desiredManifests(deps, gathered, attempt.certificate)
    .filter(({ kind }) => kind !== "Ingress")
    .map((manifest) =>
      manifest.kind === APP.kind ? (stopped.find(({ kind }) => kind === APP.kind) ?? manifest) : manifest,
    );
}

async function stopApp(attempt: Attempt): Promise<void> {
  await applyOnly(attempt, withoutApp(attempt), APP);
}

/** Everything of the school on the engine it is going to, but for the app: walls, volume, secrets, an empty database. */
async function furnish(target: Attempt): Promise<void> {
  const { deps, gathered, signal } = target;
  await deps.engine.apply(namespaceOf(gathered.tenant.slug), withoutApp(target), { signal });
  await executeStep(target, { id: "await-db", kind: "await-ready", workload: DB, after: [] });
}

async function report(attempt: Attempt, operation: Operation, step: string, message?: string): Promise<void> {
  await progressOperation(attempt.deps.pool, operation.id, { step, ...(message === undefined ? {} : { message }) });
  attempt.deps.log.info({ slug: attempt.gathered.tenant.slug, step, message }, "move");
}

interface Moved {
  readonly copied: readonly CopiedBackup[];
  readonly message: string;
}

/** All that happens before the switch. The school is closed from the last backup on. */
async function bringOver(source: Attempt, target: Attempt, operation: Operation): Promise<Moved> {
  const { deps } = source;
  await report(source, operation, "furnish the other engine");
  await furnish(target);
  await report(source, operation, "copy the backups");
  await copyHistory(source, target, applyRendered);
  await report(source, operation, "close the school and back it up");
  const closed = performance.now();
  await closeRoute(source);
  await stopApp(source);
  // Another one each time: what was backed up before a cut is older than what people have entered since.
  const runId = randomUUID();
  await makeBackup(source, { runId, trigger: "manual", abandoned: [] });
  const copied = await copyHistory(source, target, applyRendered);
  await report(source, operation, "restore on the other engine");
  const backup = await findBackup(deps.pool, runId);
  const { databaseSnapshot, filesSnapshot } = copied.find((each) => each.runId === runId) ?? {
    databaseSnapshot: backup?.databaseSnapshot,
    filesSnapshot: backup?.filesSnapshot,
  };
  const input = { runId, databaseSnapshot, filesSnapshot, fingerprint: backup?.fingerprint };
  const restored = await runJob(target, "backup", restoreJob("restore", input, restoreResult));
  await runJob(target, "backup", restoreJob("settle", { runId }, any));
  await report(source, operation, "start on the other engine");
  await executeStep(target, { id: "apply-app", kind: "apply", objects: [APP], after: [] });
  await executeStep(target, { id: "await-app", kind: "await-ready", workload: APP, after: [] });
  const tables = Object.keys(z.record(z.string(), z.json()).catch({}).parse(restored.fingerprint)).length;
  const seconds = ((performance.now() - closed) / 1000).toFixed(1);
  return { copied, message: `${restored.rows} rows in ${tables} tables, equal on both sides; closed for ${seconds} s` };
}

/** From here on the school lives on the other engine. */
async function switchOver(source: Attempt, operation: Operation, to: string, { copied }: Moved): Promise<void> {
  const { deps, gathered, holder } = source;
  const client = await deps.pool.connect();
  try {
    await client.query("begin");
    const switched = await switchEngine(client, gathered.tenant, holder, to);
    if (switched) await renameSnapshots(client, copied);
    await client.query(switched ? "commit" : "rollback");
    if (!switched) throw new EngineError(REASONS.StepFailed, `the lease was lost before the switch of ${operation.id}`);
  } catch (error) {
    await client.query("rollback").catch(() => undefined);
    throw error;
  } finally {
    client.release();
  }
}

/** The school opens where it was, and what was made on the other engine goes. What cannot go now is noted, to be removed later. */
async function undo(source: Attempt, target: Attempt): Promise<void> {
  const { deps, gathered, holder } = source;
  const { tenant } = gathered;
  const tell = (what: string) => (failure: unknown) =>
    deps.log.error({ slug: tenant.slug, error: messageOf(failure) }, what);
  await startApp(source).catch(tell("the school does not start again where it was"));
  await removeNamespace(target).catch(async (failure: unknown) => {
    tell("what a move made on the other engine is still there")(failure);
    await writeLeftEngine(deps.pool, tenant, holder, target.deps.engineName);
  });
}

/** What an earlier move left behind there goes first, so that nothing old can come back. */
async function clearTarget(source: Attempt, target: Attempt): Promise<void> {
  const { tenant } = target.gathered;
  if (tenant.leftEngine !== target.deps.engineName) return;
  await removeLeft(source, tenant.leftEngine);
  await forgetLeft(source);
}

async function begin(source: Attempt, operation: Operation, to: string): Promise<unknown> {
  const { deps, gathered, signal } = source;
  const target = await attemptAt(source, to);
  const fitness = await fitnessOf(target.deps, true, signal);
  if (fitness.unmet.length > 0) {
    const { reason, message } = unfitFailure(fitness);
    throw new EngineError(reason, message);
  }
  await report(source, operation, "clear the other engine");
  await clearTarget(source, target);
  let moved: Moved;
  try {
    moved = await bringOver(source, target, operation);
  } catch (error) {
    if (signal.aborted) throw error;
    await undo(source, target);
    throw error;
  }
  await report(source, operation, "switched", moved.message);
  await switchOver(source, operation, to, moved);
  deps.log.info({ slug: gathered.tenant.slug, from: deps.engineName, to }, "the school lives on another engine now");
  return CONTINUES;
}

async function forgetLeft({ deps, gathered, holder }: Attempt): Promise<void> {
  if (await writeLeftEngine(deps.pool, gathered.tenant, holder, undefined)) return;
  throw new EngineError(REASONS.StepFailed, "the lease was lost");
}

/** Stops what is left and takes its secrets away, so that its volume is locked; nobody is led there any more. */
async function stopLeft(left: Attempt): Promise<void> {
  const { deps, gathered } = left;
  const stopped: Attempt = { ...left, gathered: { ...gathered, goal: "stop" } };
  // Nobody is led there: a certificate for it would be ordered in vain, or twice.
  const manifests = desiredManifests(deps, stopped.gathered).filter(({ kind }) => kind !== CERTIFICATE.kind);
  const steps = plan({
    goal: "stop",
    desired: desiredObjects(manifests),
    observed: gathered.observed,
    initialised: true,
    elsewhere: [],
    restoreFailed: false,
    backupsExpired: false,
    certificate: "keep",
    gateway: undefined,
    operations: [],
  });
  for (const step of steps) {
    if (step.kind === "apply" || step.kind === "remove") await executeStep(stopped, step);
  }
}

/** On the new engine, which has opened the school already. */
async function end(attempt: Attempt, operation: Operation): Promise<unknown> {
  const { deps, gathered, signal } = attempt;
  const from = gathered.tenant.leftEngine;
  const result = { from, to: deps.engineName, message: operation.progress.message };
  if (from === undefined) return result;
  try {
    const left = await attemptAt(attempt, from);
    // One gateway may lead to both; then it leads to the new place already.
    if (left.deps.gateway !== deps.gateway) await closeRoute(left);
    await stopLeft(left);
    return result;
  } catch (error) {
    if (signal.aborted) throw error;
    deps.log.warn({ slug: gathered.tenant.slug, engine: from, error: messageOf(error) }, "the old copy is not stopped");
    return { ...result, left: `The copy on ${from} could not be stopped: ${messageOf(error)}` };
  }
}

/** Moves a school to the engine that the operation names, or goes on where an earlier attempt was cut off. */
export async function move(attempt: Attempt, operation: Operation): Promise<unknown> {
  const to = String(operation.params.to);
  return attempt.deps.engineName === to ? end(attempt, operation) : begin(attempt, operation, to);
}

/** Removes the stopped copy of a moved school: from here on there is no way back but another move. */
export async function confirmMove(attempt: Attempt): Promise<unknown> {
  const { deps, gathered } = attempt;
  const from = gathered.tenant.leftEngine;
  if (from === undefined) return { removed: false };
  await removeLeft(attempt, from);
  await forgetLeft(attempt);
  deps.log.info({ slug: gathered.tenant.slug, engine: from }, "the old copy of a moved school is removed");
  return { removed: true, from };
}

/**
 * Other engines that hold something of a school: the one it was moved from, and one that a move was cut off on its way to. Pure.
 */
export function otherEngines({ tenant, operations }: Attempt["gathered"]): readonly string[] {
  const targets = operations.filter(({ kind }) => kind === "move").map(({ params }) => String(params.to));
  const left = tenant.leftEngine === undefined ? [] : [tenant.leftEngine];
  return [...new Set([...left, ...targets])].filter((name) => name !== tenant.engine);
}

/** Removes everything of a school from an engine on which it does not live. Repeatable. */
export async function removeLeft(attempt: Attempt, from: string): Promise<void> {
  const left = await attemptAt(attempt, from);
  if (left.deps.gateway !== attempt.deps.gateway) await left.deps.gateway?.remove(attempt.gathered.tenant.slug);
  await removeNamespace(left);
}
