import { EngineError, type Manifest } from "../engine.ts";
import type { KubernetesContext } from "./context.ts";
import { MANAGED_BY, MARK } from "./kinds.ts";
import { conditionsOf, type LiveObject } from "./live.ts";

/** Whether a namespace is one that we made. Others are never changed or removed. */
export function isOurs(namespace: LiveObject): boolean {
  return namespace.metadata.labels?.[MARK.managedBy] === MANAGED_BY;
}

export function readNamespace(
  context: KubernetesContext,
  namespace: string,
  signal?: AbortSignal,
): Promise<LiveObject | undefined> {
  return context.client.get(namespace, { kind: "Namespace", name: namespace }, signal);
}

function foreign(namespace: string): EngineError {
  return new EngineError(
    "NamespaceForeign",
    `the namespace ${namespace} was not made by Classmind (label ${MARK.managedBy}): it is neither changed nor removed`,
    { retryable: false },
  );
}

/**
 * Why a namespace does not end, in the API's own words: finalizers and what remains. Pure.
 */
export function blockersOf(namespace: LiveObject): string {
  const told = conditionsOf(namespace)
    .filter((condition) => condition.status === "True" && condition.message !== "")
    .map((condition) => condition.message);
  const finalizers = (namespace.metadata.finalizers ?? []).map(
    (finalizer) => `finalizer ${finalizer} of the namespace`,
  );
  const all = [...told, ...finalizers];
  return all.length === 0 ? "the cluster does not say what blocks it" : all.join("; ");
}

export function terminating(namespace: LiveObject): EngineError {
  return new EngineError(
    "NamespaceTerminating",
    `the namespace ${namespace.metadata.name} is being deleted since ${namespace.metadata.deletionTimestamp}: ${blockersOf(namespace)}`,
  );
}

/** @throws EngineError if this namespace is not ours to change, or is being deleted */
export function refuseForeign(namespace: LiveObject, manifest?: Manifest): void {
  if (!isOurs(namespace)) throw foreign(namespace.metadata.name);
  if (namespace.metadata.deletionTimestamp !== undefined) throw terminating(namespace);
  const live = namespace.metadata.annotations?.[MARK.tenantUid];
  const wanted = manifest?.metadata.annotations?.[MARK.tenantUid];
  if (live !== undefined && wanted !== undefined && live !== wanted)
    throw new EngineError(
      "NamespaceForeign",
      `the namespace ${namespace.metadata.name} belongs to an earlier school of this name: remove it first`,
      { retryable: false },
    );
}

/** @throws EngineError if this namespace is not ours to remove */
export function refuseForeignRemoval(namespace: LiveObject): void {
  if (!isOurs(namespace)) throw foreign(namespace.metadata.name);
}
