import { EngineError, type ObjectRef, type Observation } from "../engine/engine.ts";
import { LeaseLostError } from "../store/held.ts";
import { renewLease } from "../store/leases.ts";
import { findTenantByUid, type StoredTenant } from "../store/tenants.ts";
import { NEW_VOLUMES, namespaceOf, REASONS } from "../tenant.ts";
import { CERTIFICATE } from "./certificate.ts";
import { type Dependencies, dependenciesAt } from "./dependencies.ts";
import { desiredManifests, desiredObjects, type Gathered } from "./gather.ts";
import { plan, TLS } from "./plan.ts";
import { withOfferedVersion } from "./rollouts.ts";
import { type Attempt, closeRoute, executeStep, removeNamespace, type Tell } from "./steps.ts";

/**
 * What a school has on engines on which it does not live: the copy that a move left behind, or what one that was cut off had
 * made. It is stopped, and removed when an operator confirms the move or the school is purged.
 */

/** The same attempt on another engine. */
export async function attemptAt(attempt: Attempt, engineName: string): Promise<Attempt> {
  const { gathered } = attempt;
  const there = dependenciesAt(attempt.deps, engineName);
  if (there === undefined)
    throw new EngineError(REASONS.EngineUnknown, `The engine ${engineName} is not in the reconciler's configuration.`, {
      retryable: false,
    });
  const deps = await withOfferedVersion(there);
  const observed = await deps.engine.observe(namespaceOf(gathered.tenant.slug));
  // What work has taken charge of, it has where the school lives.
  return { ...attempt, deps, gathered: { ...gathered, observed, operations: [] } };
}

/** The engine on which the school lives by the store's word, if the lease is still ours. */
export async function livesOn({ deps, hold }: Attempt): Promise<string> {
  if (!(await renewLease(deps.pool, hold))) throw new LeaseLostError();
  const tenant = await findTenantByUid(deps.pool, hold.uid);
  return tenant?.engine ?? "";
}

/** Throws if the school lives there by the store's word, whatever this attempt has seen. */
async function refuseHome(attempt: Attempt, engine: string): Promise<void> {
  if ((await livesOn(attempt)) !== engine) return;
  const { slug } = attempt.gathered.tenant;
  throw new EngineError(REASONS.StepFailed, `${slug} lives on ${engine}; nothing of it is stopped or removed there`);
}

/** Stops what is left and takes its secrets away, so that its volume is locked. */
async function stopLeft(left: Attempt): Promise<void> {
  const { deps, gathered } = left;
  const stopped: Attempt = { ...left, gathered: { ...gathered, goal: "stop" } };
  // Its name leads elsewhere: a certificate would be ordered in vain, or twice. The pair that it has shows, until every resolver has
  // learned the new address, that the school is closed there.
  const manifests = desiredManifests(deps, stopped.gathered).filter(({ kind }) => kind !== CERTIFICATE.kind);
  const steps = plan({
    goal: "stop",
    desired: desiredObjects(manifests),
    observed: gathered.observed,
    initialised: true,
    // What identity it has there is on nobody's record.
    volumes: { ...NEW_VOLUMES, own: { claim: gathered.tenant.volumes.own.claim } },
    elsewhere: [],
    runsElsewhere: undefined,
    restoreFailed: false,
    certificate: "keep",
    gateway: undefined,
    operations: [],
    due: [],
    lastBackup: { state: "none" },
  });
  for (const step of steps) {
    if (step.kind === "apply" || step.kind === "remove") await executeStep(stopped, step);
  }
}

/** Whether what is there does not run, has no secret but the pair that shows it as closed, and orders nothing. Pure. */
export function isLeftAtRest({ exists, objects, workloads }: Observation): boolean {
  const active = ({ kind, name }: ObjectRef) => kind === CERTIFICATE.kind || (kind === "Secret" && name !== TLS.name);
  return !exists || (workloads.every(({ state }) => state === "Stopped") && !objects.some(active));
}

/** The engine on which the copy that a move left behind is not at rest, or does not say so; undefined when all is as it should be. */
export async function leftRunning(deps: Dependencies, tenant: StoredTenant): Promise<string | undefined> {
  const { leftEngine } = tenant;
  if (leftEngine === undefined) return undefined;
  const there = dependenciesAt(deps, leftEngine);
  const observed = await there?.engine.observe(namespaceOf(tenant.slug)).catch(() => undefined);
  return observed !== undefined && isLeftAtRest(observed) ? undefined : leftEngine;
}

/** The same, where something is to be done about it: not while the school is purged, nor while a move or its confirmation is open. */
export async function leftToStop(deps: Dependencies, gathered: Gathered): Promise<string | undefined> {
  const cared = gathered.operations.some(({ kind }) => kind === "move" || kind === "confirm-move");
  return gathered.goal === "purge" || cared ? undefined : leftRunning(deps, gathered.tenant);
}

/**
 * Stops the copy of a school that a move left behind. Repeatable.
 * @throws EngineError if the school lives there, or when its engine is not configured or does not answer
 */
export async function stopElsewhere(attempt: Attempt, engine: string): Promise<void> {
  await refuseHome(attempt, engine);
  const left = await attemptAt(attempt, engine);
  // One gateway may lead to both; then it leads to the new place already.
  if (left.deps.gateway !== attempt.deps.gateway) await closeRoute(left);
  await stopLeft(left);
}

/**
 * Other engines that hold something of a school: the one it was moved from, and one that a move was cut off on its way to. Pure.
 */
export function otherEngines({ tenant, operations }: Attempt["gathered"]): readonly string[] {
  const targets = operations.filter(({ kind }) => kind === "move").map(({ params }) => String(params.to));
  const left = tenant.leftEngine === undefined ? [] : [tenant.leftEngine];
  return [...new Set([...left, ...targets])].filter((name) => name !== tenant.engine);
}

/**
 * Removes everything of a school from an engine on which it does not live. Repeatable.
 * @throws EngineError if it does live there by the store's word, whatever this attempt has seen
 */
export async function removeLeft(attempt: Attempt, from: string, tell?: Tell): Promise<void> {
  await refuseHome(attempt, from);
  const left = await attemptAt(attempt, from);
  if (left.deps.gateway !== attempt.deps.gateway) await left.deps.gateway?.remove(attempt.gathered.tenant.slug);
  await removeNamespace(left, tell);
}
