import { type ApplyOptions, EngineError, isAnothers, type ObjectRef, type RemoveOptions } from "../engine.ts";
import type { KubernetesContext } from "./context.ts";
import { isStatus } from "./failure.ts";
import { follow } from "./follow.ts";
import { ensureGrant } from "./grant.ts";
import { collectionPath, type KindInfo, kindOf, MANAGED_BY, MARK, OTHERS, WORKLOADS } from "./kinds.ts";
import { type LiveObject, textAt } from "./live.ts";
import { blockersOf, readNamespace, refuseForeignRemoval } from "./namespaces.ts";
import { listPods, mounts, noneServed } from "./observe.ts";

const PERSISTENT_VOLUMES: Pick<KindInfo, "apiVersion" | "plural"> = { apiVersion: "v1", plural: "persistentvolumes" };

interface Waiting {
  readonly path: string;
  readonly fieldSelector?: string;
  readonly gone: (objects: readonly LiveObject[]) => boolean;
  /** Says what is in the way; asked for once it takes long, and when the deadline has passed. */
  readonly blocked: () => Promise<EngineError>;
}

/** Milliseconds between two looks at what is in the way, the first one included. */
const BLOCKED_MS = 2_500;

/** Tells what is in the way for as long as something is waited for. Never throws: who waits learns in the end. */
async function tellBlocked(context: KubernetesContext, waiting: Waiting, options: ApplyOptions, over: AbortSignal) {
  const pause = Math.min(BLOCKED_MS, context.patience / 4);
  for (let told = ""; ; ) {
    await context.clock.sleep(pause, over);
    if (over.aborted) return;
    const why = await waiting.blocked().catch(() => undefined);
    if (over.aborted) return;
    if (why !== undefined && why.message !== told) options.onProgress?.(why.message);
    told = why?.message ?? told;
  }
}

async function awaitGone(context: KubernetesContext, waiting: Waiting, options: ApplyOptions): Promise<void> {
  const over = new AbortController();
  const telling = options.onProgress === undefined ? undefined : tellBlocked(context, waiting, options, over.signal);
  const done = await follow(
    {
      ...context,
      path: waiting.path,
      query: waiting.fieldSelector === undefined ? {} : { fieldSelector: waiting.fieldSelector },
      deadline: context.patience,
      signal: options.signal,
    },
    (objects) => (waiting.gone(objects) ? true : undefined),
  ).finally(() => over.abort());
  await telling;
  options.signal?.throwIfAborted();
  if (done === undefined) throw await waiting.blocked();
}

function finalizersOf(object: LiveObject | undefined): string {
  const finalizers = object?.metadata.finalizers ?? [];
  return finalizers.length === 0 ? "" : ` (finalizers: ${finalizers.join(", ")})`;
}

async function blockedObject(context: KubernetesContext, namespace: string, ref: ObjectRef): Promise<EngineError> {
  const [live, pods] = await Promise.all([
    context.client.get(namespace, ref),
    listPods(context, namespace).catch(() => []),
  ]);
  const users = ref.kind === "PersistentVolumeClaim" ? pods.filter((pod) => mounts(pod, ref.name)) : [];
  const used = users.length === 0 ? "" : `, used by ${users.map((pod) => pod.metadata.name).join(", ")}`;
  return new EngineError("RemovalBlocked", `${ref.kind}/${ref.name} is not gone yet${finalizersOf(live)}${used}`);
}

/** Removes one object that we made and waits until it is gone. What is not ours stays. */
async function removeOne(
  context: KubernetesContext,
  namespace: string,
  ref: ObjectRef,
  options: ApplyOptions,
): Promise<void> {
  const live = await context.client.get(namespace, ref, options.signal);
  if (live === undefined) return;
  if (live.metadata.labels?.[MARK.managedBy] !== MANAGED_BY)
    throw new EngineError("NamespaceForeign", `${ref.kind}/${ref.name} was not made by Classmind: it is not removed`, {
      retryable: false,
    });
  const { uid } = live.metadata;
  // A workload's pods end first, so that nothing uses what is removed after it.
  const propagation = WORKLOADS.has(ref.kind) ? "Foreground" : "Background";
  await context.client.delete(namespace, ref, { uid, propagation, signal: options.signal });
  await awaitGone(
    context,
    {
      path: collectionPath(kindOf(ref.kind), namespace),
      fieldSelector: `metadata.name=${ref.name}`,
      gone: (objects) => !objects.some((object) => object.metadata.uid === uid),
      blocked: () => blockedObject(context, namespace, ref),
    },
    options,
  );
  if (ref.kind === "PersistentVolumeClaim") await awaitVolumeDeleted(context, live, options);
}

/** The data is gone only with the volume behind the claim, where the cluster deletes it (reclaim policy Delete). */
async function awaitVolumeDeleted(context: KubernetesContext, claim: LiveObject, options: ApplyOptions): Promise<void> {
  const name = textAt(claim, "spec", "volumeName");
  if (name === undefined || name === "") return;
  const fieldSelector = `metadata.name=${name}`;
  const path = collectionPath(PERSISTENT_VOLUMES);
  try {
    await awaitGone(
      context,
      {
        path,
        fieldSelector,
        gone: ([volume]) =>
          volume === undefined ||
          textAt(volume, "spec", "claimRef", "uid") !== claim.metadata.uid ||
          textAt(volume, "spec", "persistentVolumeReclaimPolicy") !== "Delete",
        blocked: async () => {
          const [volume] = (await context.client.list(path, { fieldSelector })).items;
          const told = textAt(volume, "status", "message") ?? "";
          return new EngineError(
            "RemovalBlocked",
            `the storage has not deleted the volume ${name} yet${finalizersOf(volume)}${told === "" ? "" : `: ${told}`}`,
          );
        },
      },
      options,
    );
  } catch (error) {
    // Without the right to read volumes the claim's end is all that can be known.
    if (!isStatus(error, 403)) throw error;
  }
}

function inRemovalOrder(refs: readonly ObjectRef[]): readonly (readonly ObjectRef[])[] {
  const ranks = [...new Set(refs.map((ref) => kindOf(ref.kind).rank))].sort().reverse();
  return ranks.map((rank) => refs.filter((ref) => kindOf(ref.kind).rank === rank));
}

async function removeAll(
  context: KubernetesContext,
  namespace: string,
  refs: readonly ObjectRef[],
  options: ApplyOptions,
): Promise<void> {
  for (const round of inRemovalOrder(refs)) {
    options.signal?.throwIfAborted();
    options.onProgress?.(`removing ${round.map((ref) => `${ref.kind}/${ref.name}`).join(", ")}`);
    await Promise.all(round.map((ref) => removeOne(context, namespace, ref, options)));
  }
}

/**
 * Removes a namespace and all in it. Workloads and volumes go first: an encrypting storage may need the volume's key, a Secret
 * of the namespace, to give the volume back.
 */
async function removeNamespace(context: KubernetesContext, namespace: string, options: RemoveOptions): Promise<void> {
  const space = await readNamespace(context, namespace, options.signal);
  if (space === undefined || isAnothers(space.metadata.annotations, options.tenantUid)) return;
  refuseForeignRemoval(space);
  if (space.metadata.deletionTimestamp === undefined) {
    await ensureGrant(context, namespace, options.signal);
    // A certificate's maker clears its own things away while it still may; what it holds back would hold the namespace.
    const first = ["Certificate", "Ingress", "Deployment", "StatefulSet", "PersistentVolumeClaim"];
    await removeJobs(context, namespace, options);
    await removeAll(context, namespace, await refsOf(context, namespace, first, options), options);
    options.onProgress?.(`removing the namespace ${namespace}`);
    const ref = { kind: "Namespace", name: namespace };
    await context.client.delete(namespace, ref, { uid: space.metadata.uid, signal: options.signal });
  }
  await awaitGone(
    context,
    {
      path: collectionPath(kindOf("Namespace")),
      fieldSelector: `metadata.name=${namespace}`,
      gone: (objects) => !objects.some((object) => object.metadata.uid === space.metadata.uid),
      blocked: async () => {
        const now = await readNamespace(context, namespace);
        return new EngineError(
          "NamespaceTerminating",
          `the namespace ${namespace} is not gone yet: ${now === undefined ? "it just ended" : blockersOf(now)}`,
        );
      },
    },
    options,
  );
}

async function removeJobs(context: KubernetesContext, namespace: string, options: ApplyOptions): Promise<void> {
  const { items } = await context.client.list(collectionPath(OTHERS.Job, namespace), {}, options.signal);
  for (const job of items)
    await context.client.delete(
      namespace,
      { kind: "Job", name: job.metadata.name },
      { uid: job.metadata.uid, propagation: "Background", signal: options.signal },
    );
}

/** Everything of some kinds in a namespace that is going to be removed with all it holds. */
async function refsOf(
  context: KubernetesContext,
  namespace: string,
  kinds: readonly string[],
  options: ApplyOptions,
): Promise<readonly ObjectRef[]> {
  const found = await Promise.all(
    kinds.map(async (kind) => {
      const info = context.kinds[kind];
      if (info === undefined) return [];
      const query = { labelSelector: `${MARK.managedBy}=${MANAGED_BY}`, metadataOnly: true };
      const { items } = await context.client
        .list(collectionPath(info, namespace), query, options.signal)
        .catch((error: unknown) => noneServed(kind, error));
      return items.map((item) => ({ kind, name: item.metadata.name }));
    }),
  );
  return found.flat();
}

/** See Engine.remove. */
export async function removeObjects(
  context: KubernetesContext,
  namespace: string,
  refs: readonly ObjectRef[],
  options: RemoveOptions,
): Promise<void> {
  if (refs.some((ref) => ref.kind === "Namespace" && ref.name === namespace))
    return removeNamespace(context, namespace, options);
  const space = await readNamespace(context, namespace, options.signal);
  if (space === undefined || isAnothers(space.metadata.annotations, options.tenantUid)) return;
  refuseForeignRemoval(space);
  if (space.metadata.deletionTimestamp === undefined) await ensureGrant(context, namespace, options.signal);
  await removeAll(context, namespace, refs, options);
}
