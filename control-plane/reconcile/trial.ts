import type { RolloutSettings } from "../config.ts";
import type { Trial } from "../store/rollout-rows.ts";

/** How a school does with a version that it was given a moment ago. Pure. */

export interface TrialEvidence {
  readonly goal: "run" | "stop" | "purge";
  /** Whether work keeps the app or the database stopped: that says nothing about a version. */
  readonly resting: boolean;
  /** Whether app and database are made from the version, run and answer. */
  readonly well: boolean;
  /** What is wrong if they are not. */
  readonly why: string;
  readonly now: Date;
  readonly clockTrusted: boolean;
}

const after = (time: string, seconds: number): number => Date.parse(time) + seconds * 1000;

/** The same trial when nothing has changed. What has come to its end stays so until the rollout has taken note. */
export function trialAfter(trial: Trial, seen: TrialEvidence, policy: RolloutSettings): Trial {
  if (trial.state === "Proven" || trial.state === "Stopped") return trial;
  if (seen.goal !== "run") return { ...trial, state: "Stopped" };
  if (seen.resting) return trial.state === "Updating" ? { ...trial, since: seen.now.toISOString() } : trial;
  // A person is to look at what failed, whatever became of it since.
  if (trial.state === "Failed") return trial;
  return seen.well ? afterWell(trial, seen, policy) : afterUnwell(trial, seen, policy);
}

function afterWell(trial: Trial, { now }: TrialEvidence, { healthySeconds }: RolloutSettings): Trial {
  const { wellSince, message: _message, ...rest } = trial;
  if (trial.state !== "Well" || wellSince === undefined)
    return { ...rest, state: "Well", wellSince: now.toISOString() };
  return now.getTime() >= after(wellSince, healthySeconds) ? { ...trial, state: "Proven" } : trial;
}

function afterUnwell(trial: Trial, seen: TrialEvidence, { deadlineSeconds }: RolloutSettings): Trial {
  const { wellSince: _wellSince, message: _message, ...rest } = trial;
  if (trial.state === "Excused") return trial;
  if (trial.state === "Well" && trial.wasWell)
    return {
      ...rest,
      state: "Failed",
      message: `It was well with the new version, and then not any more: ${seen.why}`,
    };
  if (!seen.clockTrusted || seen.now.getTime() < after(trial.since, deadlineSeconds))
    return trial.state === "Updating" ? trial : { ...rest, state: "Updating" };
  const message = `It did not become well within ${deadlineSeconds} s: ${seen.why}`;
  return { ...rest, state: trial.wasWell ? "Failed" : "Excused", message };
}

/** When a trial's next state is due by the clock alone; undefined if it waits for something else. */
export function trialDueAt(trial: Trial | undefined, policy: RolloutSettings): Date | undefined {
  if (trial?.state === "Updating") return new Date(after(trial.since, policy.deadlineSeconds));
  if (trial?.state === "Well" && trial.wellSince !== undefined)
    return new Date(after(trial.wellSince, policy.healthySeconds));
  return undefined;
}
