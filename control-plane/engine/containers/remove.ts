import { type ApplyOptions, isAnothers, type ObjectRef, type RemoveOptions } from "../engine.ts";
import type { EngineContext } from "./context.ts";
import { labelsOf, objectsOf, readNamespace } from "./namespace.ts";

/** What removing needs of the running engine. */
export interface Removing {
  readonly context: EngineContext;
  /** Stops a workload for good. */
  forget(namespace: string, ref: ObjectRef): Promise<void>;
  loadFirewall(namespace: string): Promise<void>;
}

function isWorkload(ref: ObjectRef): boolean {
  return ref.kind === "Deployment" || ref.kind === "StatefulSet";
}

/** Everything of a namespace, in an order that can be repeated after a crash: the records go last, so that it is still listed. */
async function removeNamespace(removing: Removing, namespace: string, options: ApplyOptions): Promise<void> {
  const { context } = removing;
  const state = await readNamespace(context, namespace);
  options.onProgress?.("stopping containers");
  for (const workload of state.workloads) await removing.forget(namespace, workload);
  for (const container of await context.api.list(labelsOf(context, namespace))) {
    await context.api.stop(container.id, 5);
    await context.api.remove(container.id);
  }
  options.signal?.throwIfAborted();
  options.onProgress?.("removing volumes, secrets and network");
  for (const claim of objectsOf(state, "PersistentVolumeClaim")) await context.claims.remove(claim);
  await context.claims.removeNamespace(namespace);
  await context.secrets.removeNamespace(namespace);
  const network = await context.networks.find(namespace);
  if (network !== undefined) await context.firewall.remove(namespace, network);
  await context.networks.remove(namespace);
  await context.objects.removeNamespace(namespace);
  context.wake(namespace);
}

async function removeOne(removing: Removing, namespace: string, ref: ObjectRef): Promise<void> {
  const { context } = removing;
  if (isWorkload(ref)) {
    await removing.forget(namespace, ref);
    await context.networks.forget(namespace, ref);
  } else if (ref.kind === "Secret") {
    await context.secrets.remove(namespace, ref.name);
  } else if (ref.kind === "PersistentVolumeClaim") {
    const state = await readNamespace(context, namespace);
    const claim = objectsOf(state, "PersistentVolumeClaim").find((entry) => entry.metadata.name === ref.name);
    if (claim !== undefined) await context.claims.remove(claim);
  }
  await context.objects.remove(namespace, ref);
}

/** See Engine.remove. */
export async function removeObjects(
  removing: Removing,
  namespace: string,
  refs: readonly ObjectRef[],
  options: RemoveOptions,
): Promise<void> {
  if (options.tenantUid !== undefined) {
    const [space] = objectsOf(await readNamespace(removing.context, namespace), "Namespace");
    if (isAnothers(space?.metadata.annotations, options.tenantUid)) return;
  }
  if (refs.some((ref) => ref.kind === "Namespace" && ref.name === namespace)) {
    return removeNamespace(removing, namespace, options);
  }
  const ordered = [...refs.filter(isWorkload), ...refs.filter((ref) => !isWorkload(ref))];
  for (const ref of ordered) {
    options.signal?.throwIfAborted();
    await removeOne(removing, namespace, ref);
  }
  // Rules follow from policies and from the workloads they select.
  if (ordered.some((ref) => isWorkload(ref) || ref.kind === "NetworkPolicy")) await removing.loadFirewall(namespace);
}
