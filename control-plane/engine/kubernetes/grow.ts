import { type ApplyOptions, EngineError } from "../engine.ts";
import type { KubernetesContext } from "./context.ts";
import { follow } from "./follow.ts";
import { collectionPath, kindOf, OTHERS, RESTART_MANAGER, WORKLOADS } from "./kinds.ts";
import { at, conditionsOf, isRecord, type LiveObject, textAt } from "./live.ts";
import { claimsOf, listOwn, mounts } from "./observe.ts";
import { ownedValues } from "./owned.ts";
import { mayHold } from "./pods.ts";
import { bytesOf } from "./quantity.ts";
import { replicasOf } from "./workloads.ts";

/** A volume that can grow in use has done so by then; one that waits longer wants to be let go of. */
const IN_USE = 30_000;
const PENDING = "FileSystemResizePending";

/** Bytes that a claim asks for. */
export function storageOf(claim: unknown): number {
  return bytesOf(textAt(claim, "spec", "resources", "requests", "storage"));
}

/** A claim without a volume gets one of the right size; there is nothing to wait for. */
function hasGrown(claim: LiveObject): boolean {
  return (
    textAt(claim, "status", "phase") !== "Bound" ||
    bytesOf(textAt(claim, "status", "capacity", "storage")) >= storageOf(claim)
  );
}

function blocked(claim: LiveObject): string {
  return conditionsOf(claim)
    .map((condition) => `${condition.type} ${condition.message}`.trim())
    .join("; ");
}

/** Follows a claim until it has grown. @returns undefined once it has, what blocks it otherwise */
async function awaitGrown(
  context: KubernetesContext,
  namespace: string,
  name: string,
  deadline: number,
  options: ApplyOptions,
): Promise<{ readonly pending: boolean; readonly told: string } | undefined> {
  let left = { pending: false, told: "" };
  const done = await follow(
    {
      ...context,
      path: collectionPath(kindOf("PersistentVolumeClaim"), namespace),
      query: { fieldSelector: `metadata.name=${name}` },
      deadline,
      signal: options.signal,
    },
    ([claim]) => {
      if (claim === undefined || hasGrown(claim)) return true;
      const pending = conditionsOf(claim).some(
        (condition) => condition.type === PENDING && condition.status === "True",
      );
      left = { pending, told: blocked(claim) };
      return undefined;
    },
  );
  options.signal?.throwIfAborted();
  return done === true ? undefined : left;
}

/**
 * Lets the pods of a volume pause. The number of pods is taken over under another name; if this process dies, the next look finds
 * that it is no longer ours, and sets it back.
 */
async function pause(context: KubernetesContext, namespace: string, workload: LiveObject): Promise<void> {
  const { kind = "", apiVersion, metadata } = workload;
  const body = {
    apiVersion,
    kind,
    metadata: { name: metadata.name, namespace, uid: metadata.uid },
    spec: { replicas: 0 },
  };
  const ref = { kind, name: metadata.name };
  await context.client.apply(namespace, ref, body, { manager: RESTART_MANAGER, force: true });
}

/** Applies again what we had applied before the pause. */
async function resume(context: KubernetesContext, namespace: string, workload: LiveObject): Promise<void> {
  const { kind = "", apiVersion, metadata } = workload;
  const owned = ownedValues(workload) ?? {};
  const ownMetadata = isRecord(owned.metadata) ? owned.metadata : {};
  const body = { ...owned, apiVersion, kind, metadata: { ...ownMetadata, name: metadata.name, namespace } };
  await context.client.apply(namespace, { kind, name: metadata.name }, body, { force: true });
}

async function growAtRest(
  context: KubernetesContext,
  namespace: string,
  name: string,
  options: ApplyOptions,
): Promise<string | undefined> {
  const own = await listOwn(context, namespace, [...WORKLOADS], options.signal);
  const users = own.filter(
    (workload) => replicasOf(workload) > 0 && claimsOf(at(workload, "spec", "template", "spec")).includes(name),
  );
  options.onProgress?.(
    `pausing ${users.map((workload) => workload.metadata.name).join(", ")}: ${name} grows only at rest`,
  );
  try {
    await Promise.all(users.map((workload) => pause(context, namespace, workload)));
    await follow(
      {
        ...context,
        path: collectionPath(OTHERS.Pod, namespace),
        deadline: context.patience,
        signal: options.signal,
      },
      (pods) => (pods.some((pod) => mounts(pod, name) && mayHold(pod)) ? undefined : true),
    );
    return (await awaitGrown(context, namespace, name, context.patience, options))?.told;
  } finally {
    await Promise.all(users.map((workload) => resume(context, namespace, workload)));
  }
}

/**
 * Waits until a bound volume has grown to what its claim asks for. Where the storage cannot grow it in use, the pods that mount it
 * pause for the moment that takes.
 * @throws EngineError VolumePending with the storage's own words
 */
export async function growVolume(
  context: KubernetesContext,
  namespace: string,
  claim: LiveObject,
  options: ApplyOptions,
): Promise<void> {
  if (hasGrown(claim)) return;
  const { name } = claim.metadata;
  options.onProgress?.(`growing ${name}`);
  const left = await awaitGrown(context, namespace, name, Math.min(IN_USE, context.patience), options);
  if (left === undefined) return;
  const told = left.pending
    ? await growAtRest(context, namespace, name, options)
    : (await awaitGrown(context, namespace, name, context.patience, options))?.told;
  if (told !== undefined)
    throw new EngineError("VolumePending", `the volume ${name} has not grown yet${told === "" ? "" : `: ${told}`}`);
}
