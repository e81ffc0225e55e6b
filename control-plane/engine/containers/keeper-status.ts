import { REASONS } from "../../tenant.ts";
import type { WorkloadState } from "../engine.ts";

/** What a keeper knows of its workload at one moment. */
export interface KeeperSnapshot {
  /** Whether a pod is to run at all. */
  readonly wanted: boolean;
  readonly present: boolean;
  /** An attempt is under way. */
  readonly busy: boolean;
  /** The pod is made from what is wanted now, and nobody asked for a fresh one. */
  readonly asWanted: boolean;
  readonly started: boolean;
  /** It was started a moment ago and has not been ready yet: a database may be recovering. */
  readonly young: boolean;
  readonly ready: boolean;
  /** What the readiness probe finds wrong. */
  readonly unreadyWhy: string | undefined;
  /** What a probe found that it is to be replaced for. */
  readonly dead: string | undefined;
  readonly failure: { readonly reason: string; readonly message: string } | undefined;
}

function unready({ unreadyWhy, dead }: KeeperSnapshot): string {
  if (dead !== undefined) return dead;
  return unreadyWhy === undefined ? "the readiness probe fails" : `the readiness probe fails: ${unreadyWhy}`;
}

/** State, reason and message of a workload. Pure. */
export function describeWorkload(snapshot: KeeperSnapshot): readonly [WorkloadState, string, string] {
  const { failure } = snapshot;
  if (!snapshot.wanted) {
    return snapshot.present || snapshot.busy
      ? ["Starting", REASONS.Updating, "stopping"]
      : ["Stopped", REASONS.AsDesired, "stopped"];
  }
  if (snapshot.ready && snapshot.asWanted) return ["Ready", REASONS.AsDesired, "ready"];
  // Lost at a reboot, or never given: the caller has to apply it (again).
  if ((failure?.reason === "SecretMissing" || failure?.reason === "VolumeKeyMissing") && !snapshot.present) {
    return ["Missing", REASONS.ContainerMissing, failure.message];
  }
  if (failure !== undefined) return ["Failing", failure.reason, failure.message];
  if (snapshot.started && snapshot.asWanted && snapshot.young)
    return ["Starting", REASONS.ContainerStarting, snapshot.unreadyWhy ?? "starting"];
  if (snapshot.started && snapshot.asWanted) return ["Failing", REASONS.ProbeFailing, unready(snapshot)];
  return snapshot.present
    ? ["Starting", REASONS.Updating, "the next pod is starting"]
    : ["Starting", REASONS.ContainerStarting, "starting"];
}
