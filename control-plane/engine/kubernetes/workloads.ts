import { REASONS, type Reason } from "../../tenant.ts";
import type { WorkloadObservation } from "../engine.ts";
import { MARK } from "./kinds.ts";
import { at, conditionsOf, type LiveObject, numberAt, selects, textAt } from "./live.ts";
import { hasEnded, isReady, isUnready, judgePod, mayHold, type PodJudgement, restartsOf } from "./pods.ts";

/** Judging Deployments and StatefulSets from what the API recorded of them and their pods. Pure. */

export function replicasOf(workload: LiveObject): number {
  return numberAt(workload, "spec", "replicas") ?? 1;
}

/** Pods of a workload that have not ended, the newest first. */
export function podsOf(workload: LiveObject, pods: readonly LiveObject[]): readonly LiveObject[] {
  const selector = at(workload, "spec", "selector", "matchLabels");
  return pods
    .filter((pod) => selects(selector, pod.metadata.labels) && !hasEnded(pod))
    .sort((a, b) => ((a.metadata.creationTimestamp ?? "") < (b.metadata.creationTimestamp ?? "") ? 1 : -1));
}

/** Names of pods of these workloads that may still have their volumes. */
export function holdersOf(workloads: readonly LiveObject[], pods: readonly LiveObject[]): readonly string[] {
  const selectors = workloads.map((workload) => at(workload, "spec", "selector", "matchLabels"));
  return pods
    .filter((pod) => mayHold(pod) && selectors.some((selector) => selects(selector, pod.metadata.labels)))
    .map((pod) => pod.metadata.name);
}

function isSeen(workload: LiveObject): boolean {
  return (numberAt(workload, "status", "observedGeneration") ?? 0) >= (workload.metadata.generation ?? 0);
}

/** Whether the rollout is over: every pod is of the present template and ready, and no older one is left. */
export function isRolledOut(workload: LiveObject): boolean {
  const wanted = replicasOf(workload);
  const count = (field: string): number => numberAt(workload, "status", field) ?? 0;
  if (!isSeen(workload) || count("updatedReplicas") < wanted) return false;
  if (workload.kind === "StatefulSet")
    return (
      count("readyReplicas") >= wanted &&
      at(workload, "status", "currentRevision") === at(workload, "status", "updateRevision")
    );
  return count("availableReplicas") >= wanted && count("replicas") <= wanted;
}

/** Why the cluster refuses to make a pod, from the words of the API. */
export function refusalOf(message: string): Reason {
  if (/exceeded quota/i.test(message)) return REASONS.QuotaExceeded;
  if (/violates PodSecurity/i.test(message)) return REASONS.ManifestRefused;
  return REASONS.ContainerMissing;
}

function refusedPods(workload: LiveObject, warnings: readonly LiveObject[]): PodJudgement | undefined {
  const condition = conditionsOf(workload).find(
    (candidate) => candidate.type === "ReplicaFailure" && candidate.status === "True",
  );
  const event = warnings.find(
    (candidate) =>
      at(candidate, "reason") === "FailedCreate" &&
      textAt(candidate, "involvedObject", "name")?.startsWith(workload.metadata.name),
  );
  const message = condition?.message ?? textAt(event, "message");
  return message === undefined ? undefined : { state: "Failing", reason: refusalOf(message), message };
}

/** A kubelet tells of a probe that goes on failing at least every five minutes; what is older is about something else. */
const TOLD_LATELY = 600_000;
const UNREADY = "Readiness probe failed: ";
/** Words of images/postgres/postgres-probe: a volume's room is known inside the pod alone. */
const VOLUME_FULL = /^volume full: /;

/** What a pod's readiness probe said last, out of the kubelet's events. */
function wordsOfProbe(pod: LiveObject, warnings: readonly LiveObject[], now: number): string | undefined {
  const { name, uid } = pod.metadata;
  const event = warnings.find((candidate) => {
    const about = at(candidate, "involvedObject");
    const told = Date.parse(textAt(candidate, "lastTimestamp") ?? textAt(candidate, "eventTime") ?? "");
    return (
      textAt(candidate, "reason") === "Unhealthy" &&
      textAt(candidate, "message")?.startsWith(UNREADY) === true &&
      textAt(about, "name") === name &&
      (textAt(about, "uid") ?? uid) === uid &&
      !(now - told > TOLD_LATELY)
    );
  });
  return textAt(event, "message")?.slice(UNREADY.length).trim();
}

/** A pod whose readiness probe fails, in the probe's own words where the events have them. */
function judgeWithWords(pod: LiveObject, warnings: readonly LiveObject[], now: number): PodJudgement {
  const judgement = judgePod(pod, now);
  const words = isUnready(pod) ? wordsOfProbe(pod, warnings, now) : undefined;
  if (words === undefined || words === "") return judgement;
  // Nothing that time mends.
  if (VOLUME_FULL.test(words)) return { state: "Failing", reason: REASONS.VolumeFull, message: words };
  return { ...judgement, message: `${judgement.message}: ${words}` };
}

function runningHash(workload: LiveObject, pods: readonly LiveObject[]): string | undefined {
  const running = pods.filter(
    (pod) => pod.metadata.deletionTimestamp === undefined && textAt(pod, "status", "phase") === "Running",
  );
  const pod = running.find(isReady) ?? running[0];
  const mark = pod?.metadata.annotations?.[MARK.template];
  if (pod === undefined) return undefined;
  const present = textAt(workload, "spec", "template", "metadata", "annotations", MARK.template);
  return mark === present ? workload.metadata.annotations?.[MARK.hash] : `template:${mark ?? "unknown"}`;
}

/**
 * One workload as it is.
 * @param pods all pods of the namespace
 * @param warnings Warning events of the namespace, as far as they were asked for
 * @param now milliseconds since the epoch
 */
export function observeWorkload(
  workload: LiveObject,
  pods: readonly LiveObject[],
  warnings: readonly LiveObject[],
  now: number,
): WorkloadObservation {
  const own = podsOf(workload, pods);
  const base = {
    ref: { kind: workload.kind ?? "", name: workload.metadata.name },
    runningHash: runningHash(workload, own),
    restarts: own[0] === undefined ? 0 : restartsOf(own[0]),
  };
  if (replicasOf(workload) === 0) {
    if (own.length === 0) return { ...base, state: "Stopped", reason: REASONS.Suspended, message: "stopped" };
    return { ...base, state: "Starting", reason: REASONS.Suspended, message: "is being stopped" };
  }
  if (isRolledOut(workload)) return { ...base, state: "Ready", reason: REASONS.AsDesired, message: "ready" };
  const newest = own.find((pod) => pod.metadata.deletionTimestamp === undefined);
  const judgement = newest === undefined ? refusedPods(workload, warnings) : judgeWithWords(newest, warnings, now);
  if (judgement === undefined)
    return isSeen(workload) && own.length === 0
      ? { ...base, state: "Missing", reason: REASONS.ContainerMissing, message: "no pod" }
      : { ...base, state: "Starting", reason: REASONS.ContainerStarting, message: "the pod is being made" };
  // The newest pod is ready, but the rollout is not over: an older one still ends, or the next one is to come.
  if (judgement.state === "Ready")
    return { ...base, state: "Starting", reason: REASONS.Updating, message: "pods are being replaced" };
  return { ...base, ...judgement };
}
