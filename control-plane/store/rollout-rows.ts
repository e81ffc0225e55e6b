import type { Version } from "../tenant.ts";

/** What the store has of rollouts. */

export const ROLLOUT_STATES = ["Running", "Paused", "Halted", "Complete", "Undoing", "Undone", "Superseded"] as const;
export type RolloutState = (typeof ROLLOUT_STATES)[number];

/** A version on its way to the schools of an engine. */
export interface Rollout {
  readonly number: number;
  readonly engine: string;
  readonly version: Version;
  /** The last one that was good; undefined for an engine's first. */
  readonly previous: Version | undefined;
  readonly state: RolloutState;
  readonly proven: boolean;
  /** Schools that stayed well with it before it was proven. */
  readonly well: number;
  readonly round: number;
  /** Why it stands still. */
  readonly reason: string | undefined;
  readonly startedAt: string;
  readonly changedAt: string;
}

/** As a school's row shows it. */
export interface CurrentRollout {
  readonly state: RolloutState;
  readonly version: Version;
  readonly reason: string | null;
  readonly changedAt: string;
}

/** How a school does with a version that it was given. */
export interface Trial {
  /** Number of the rollout. */
  readonly rollout: number;
  readonly round: number;
  /**
   * Updating: not well yet. Well: it is, and has to stay so. Proven: it did. Failed: it was well before and is not any more. Excused: it was not well
   * before either. Stopped: it was suspended or deleted meanwhile.
   */
  readonly state: "Updating" | "Well" | "Proven" | "Failed" | "Excused" | "Stopped";
  /** When it was given; RFC 3339. */
  readonly since: string;
  readonly wasWell: boolean;
  readonly wellSince?: string;
  /** What is wrong. */
  readonly message?: string;
}

/** A school that was given a version a moment ago. */
export interface TrialRow {
  readonly uid: string;
  readonly slug: string;
  readonly trial: Trial;
  readonly pinned: boolean;
  /** Whether what it was given is its rollout's version. */
  readonly onVersion: boolean;
}
