import { EngineError, type LogOptions, type ObjectRef } from "../engine.ts";
import type { KubernetesContext } from "./context.ts";
import { ApiFailure } from "./failure.ts";
import { follow } from "./follow.ts";
import { collectionPath, kindOf, MARK, OTHERS, RESTART_MANAGER, WORKLOADS } from "./kinds.ts";
import { isRecord, type LiveObject, listAt, textAt } from "./live.ts";
import { listPods, listWarnings } from "./observe.ts";
import { isRolledOut, observeWorkload, podsOf, replicasOf } from "./workloads.ts";

function missing(ref: ObjectRef): EngineError {
  return new EngineError("ContainerMissing", `${ref.kind}/${ref.name} was never applied`);
}

async function readWorkload(context: KubernetesContext, namespace: string, ref: ObjectRef): Promise<LiveObject> {
  const live = WORKLOADS.has(ref.kind) ? await context.client.get(namespace, ref) : undefined;
  if (live === undefined) throw missing(ref);
  return live;
}

/** Why a workload is not ready, with the newest warnings about it: what is not mounted, pulled or placed is said only there. */
async function explain(context: KubernetesContext, namespace: string, ref: ObjectRef): Promise<EngineError> {
  const live = await context.client.get(namespace, ref);
  if (live === undefined) return missing(ref);
  const [pods, warnings] = await Promise.all([listPods(context, namespace), listWarnings(context, namespace)]);
  const { reason, message } = observeWorkload(live, pods, warnings, context.clock.now().getTime());
  const names = new Set([ref.name, ...podsOf(live, pods).map((pod) => pod.metadata.name)]);
  const told = warnings
    .filter((event) => names.has(textAt(event, "involvedObject", "name") ?? ""))
    .map((event) => textAt(event, "message") ?? "")
    .filter((text) => text !== message);
  const [newest] = told;
  return new EngineError(reason, `${ref.name}: ${message}${newest === undefined ? "" : ` (${newest})`}`);
}

/** See Engine.awaitReady. */
export async function awaitReady(
  context: KubernetesContext,
  namespace: string,
  ref: ObjectRef,
  deadline: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (!WORKLOADS.has(ref.kind)) throw missing(ref);
  const found = await follow(
    {
      ...context,
      path: collectionPath(kindOf(ref.kind), namespace),
      query: { fieldSelector: `metadata.name=${ref.name}` },
      deadline,
      signal,
    },
    ([workload]) => {
      if (workload === undefined) return "missing" as const;
      const ready = replicasOf(workload) > 0 && isRolledOut({ ...workload, kind: ref.kind });
      return ready ? ("ready" as const) : undefined;
    },
  );
  if (found === "ready") return;
  throw await explain(context, namespace, ref);
}

/** See Engine.restart. A change of the pods' template that belongs to nobody's manifest: the cluster replaces pods as in a rollout. */
export async function restart(context: KubernetesContext, namespace: string, ref: ObjectRef): Promise<void> {
  const live = await readWorkload(context, namespace, ref);
  const annotations = { [MARK.restarted]: context.clock.now().toISOString() };
  const { name, uid } = live.metadata;
  const body = {
    apiVersion: kindOf(ref.kind).apiVersion,
    kind: ref.kind,
    // The uid: what was removed meanwhile is not made again, empty.
    metadata: { name, namespace, uid },
    spec: { template: { metadata: { annotations } } },
  };
  await context.client.apply(namespace, ref, body, { manager: RESTART_MANAGER, force: true });
}

/** See Engine.logs. */
export async function readLogs(
  context: KubernetesContext,
  namespace: string,
  ref: ObjectRef,
  options: LogOptions,
): Promise<readonly string[]> {
  const live = await context.client.get(namespace, ref, options.signal);
  const pod = live === undefined ? undefined : podsOf(live, await listPods(context, namespace, options.signal))[0];
  const container = listAt(pod, "spec", "containers").find(isRecord);
  if (pod === undefined || container === undefined) return [];
  try {
    const text = await context.client.transport.request({
      path: `${collectionPath(OTHERS.Pod, namespace)}/${pod.metadata.name}/log`,
      query: { container: textAt(container, "name"), tailLines: options.tail ?? 100 },
      accept: "*/*",
      text: true,
      signal: options.signal,
    });
    return String(text)
      .split("\n")
      .filter((line, index, all) => line !== "" || index < all.length - 1);
  } catch (error) {
    // A container that has not started has no log (400), nor has a pod that just went (404).
    if (error instanceof ApiFailure && (error.status === 400 || error.status === 404)) return [];
    throw error;
  }
}
