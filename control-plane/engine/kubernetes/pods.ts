import { REASONS, type Reason } from "../../tenant.ts";
import type { WorkloadState } from "../engine.ts";
import { at, conditionsOf, type LiveObject, listAt, numberAt, textAt } from "./live.ts";

/** What a pod's recorded state says. Pure, so that it is tested on recorded histories. */
export interface PodJudgement {
  readonly state: Exclude<WorkloadState, "Stopped" | "Missing">;
  readonly reason: Reason;
  readonly message: string;
}

/** A state that usually passes is a fault once it has lasted this long. */
const PATIENCE = 60_000;

const NO_IMAGE = new Set([
  "ErrImagePull",
  "ImagePullBackOff",
  "InvalidImageName",
  "ErrImageNeverPull",
  "ImageInspectError",
]);
const REFUSED = new Set(["CreateContainerConfigError", "CreateContainerError", "RunContainerError", "StartError"]);

interface Container {
  readonly name: string;
  readonly init: boolean;
  readonly ready: boolean;
  readonly started: boolean;
  readonly restarts: number;
  readonly waiting: { readonly reason: string; readonly message: string } | undefined;
  readonly runningSince: number | undefined;
  /** How it ended: now, or before its present start. */
  readonly ended: { readonly code: number; readonly reason: string } | undefined;
}

function endOf(state: unknown): Container["ended"] {
  const code = numberAt(state, "terminated", "exitCode");
  return code === undefined ? undefined : { code, reason: textAt(state, "terminated", "reason") ?? "" };
}

function containerOf(status: unknown, init: boolean): Container {
  const waiting = textAt(status, "state", "waiting", "reason");
  const since = Date.parse(textAt(status, "state", "running", "startedAt") ?? "");
  return {
    name: textAt(status, "name") ?? "",
    init,
    ready: at(status, "ready") === true,
    started: at(status, "started") === true,
    restarts: numberAt(status, "restartCount") ?? 0,
    waiting:
      waiting === undefined
        ? undefined
        : { reason: waiting, message: textAt(status, "state", "waiting", "message") ?? "" },
    runningSince: Number.isNaN(since) ? undefined : since,
    ended: endOf(at(status, "state")) ?? endOf(at(status, "lastState")),
  };
}

function containersOf(pod: LiveObject): readonly Container[] {
  return [
    ...listAt(pod, "status", "initContainerStatuses").map((status) => containerOf(status, true)),
    ...listAt(pod, "status", "containerStatuses").map((status) => containerOf(status, false)),
  ];
}

/** Starts of a pod's containers beyond the first. */
export function restartsOf(pod: LiveObject): number {
  return containersOf(pod).reduce((sum, container) => sum + container.restarts, 0);
}

export function isReady(pod: LiveObject): boolean {
  return conditionsOf(pod).some((condition) => condition.type === "Ready" && condition.status === "True");
}

/** Ended pods stay listed for a while; they hold nothing any more. */
export function hasEnded(pod: LiveObject): boolean {
  const phase = textAt(pod, "status", "phase");
  return phase === "Succeeded" || phase === "Failed";
}

/** Whether a pod may still have its volumes: one that is being deleted stays listed until its node has let go of them. */
export function mayHold(pod: LiveObject): boolean {
  return !hasEnded(pod) || pod.metadata.deletionTimestamp !== undefined;
}

/** Whether a pod runs, but its readiness probe fails: what the probe says is then in an event. */
export function isUnready(pod: LiveObject): boolean {
  return (
    !hasEnded(pod) &&
    !isReady(pod) &&
    containersOf(pod).some(
      ({ init, ready, started, runningSince }) => !init && !ready && started && runningSince !== undefined,
    )
  );
}

function explainEnd(container: Container): string {
  if (container.ended === undefined) return `${container.name} ended`;
  if (container.ended.reason === "OOMKilled") return `${container.name} ran out of memory`;
  return `${container.name} ended with code ${container.ended.code}`;
}

const failing = (reason: Reason, message: string): PodJudgement => ({ state: "Failing", reason, message });
const starting = (reason: Reason, message: string): PodJudgement => ({ state: "Starting", reason, message });

function cannotBePlaced(pod: LiveObject, now: number): PodJudgement | undefined {
  const condition = conditionsOf(pod).find((candidate) => candidate.type === "PodScheduled");
  if (condition?.status !== "False") return undefined;
  const volume = /persistentvolumeclaim|volume node affinity|\bPVC\b/i.test(condition.message);
  const reason = volume ? REASONS.VolumePending : REASONS.Unschedulable;
  const message = `no node takes the pod: ${condition.message}`;
  return now - (condition.since ?? now) > PATIENCE ? failing(reason, message) : starting(reason, message);
}

function hasNoImage(containers: readonly Container[]): PodJudgement | undefined {
  const found = containers.find((container) => NO_IMAGE.has(container.waiting?.reason ?? ""));
  if (found?.waiting === undefined) return undefined;
  return failing(REASONS.ImageMissing, `${found.name}: ${found.waiting.message || found.waiting.reason}`);
}

function isRefused(containers: readonly Container[]): PodJudgement | undefined {
  const found = containers.find((container) => REFUSED.has(container.waiting?.reason ?? ""));
  if (found?.waiting === undefined) return undefined;
  return failing(REASONS.ContainerRefused, `${found.name}: ${found.waiting.message || found.waiting.reason}`);
}

function crashes(containers: readonly Container[]): PodJudgement | undefined {
  const found = containers.find(
    (container) =>
      container.waiting?.reason === "CrashLoopBackOff" ||
      (container.restarts > 0 && !container.ready && container.ended !== undefined && !container.started),
  );
  if (found === undefined) return undefined;
  return failing(REASONS.ContainerCrashing, `${explainEnd(found)}, ${found.restarts} restarts`);
}

function waitsForVolumes(pod: LiveObject, containers: readonly Container[], now: number): PodJudgement | undefined {
  const creating = containers.some(
    (container) => container.waiting?.reason === "ContainerCreating" || container.waiting?.reason === "PodInitializing",
  );
  const placed = conditionsOf(pod).find(
    (candidate) => candidate.type === "PodScheduled" && candidate.status === "True",
  );
  const sandbox = conditionsOf(pod).find((candidate) => candidate.type === "PodReadyToStartContainers");
  if (!creating || placed === undefined || sandbox?.status === "True") return undefined;
  if (now - (placed.since ?? now) <= PATIENCE) return undefined;
  return failing(REASONS.VolumePending, "the pod has a node, but its volumes or secrets are not mounted yet");
}

function doesNotAnswer(containers: readonly Container[], now: number): PodJudgement | undefined {
  const found = containers.find(
    (container) => !container.init && !container.ready && container.runningSince !== undefined,
  );
  if (found?.runningSince === undefined) return undefined;
  const seconds = Math.round((now - found.runningSince) / 1000);
  if (now - found.runningSince <= PATIENCE)
    return starting(
      REASONS.ContainerStarting,
      `${found.name} does not answer its ${found.started ? "readiness" : "startup"} probe yet`,
    );
  return failing(
    REASONS.ProbeFailing,
    `${found.name} runs for ${seconds} s and does not answer its ${found.started ? "readiness" : "startup"} probe`,
  );
}

/**
 * Judges one pod that has not ended: ordered checks, each named after the fault it finds.
 * @param now milliseconds since the epoch
 */
export function judgePod(pod: LiveObject, now: number): PodJudgement {
  if (isReady(pod)) return { state: "Ready", reason: REASONS.AsDesired, message: "ready" };
  const containers = containersOf(pod);
  return (
    cannotBePlaced(pod, now) ??
    hasNoImage(containers) ??
    isRefused(containers) ??
    crashes(containers) ??
    waitsForVolumes(pod, containers, now) ??
    doesNotAnswer(containers, now) ??
    starting(REASONS.ContainerStarting, "the pod is starting")
  );
}
