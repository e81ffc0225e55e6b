import { describe, expect, it } from "vitest";
import { type TrialEvidence, trialAfter, trialDueAt } from "../../../control-plane/reconcile/trial.ts";
import type { Trial } from "../../../control-plane/store/rollout-rows.ts";

const POLICY = { first: 3, atOnce: 4, healthySeconds: 60, deadlineSeconds: 600 };
const START = Date.parse("2026-11-26T08:00:00Z");
const at = (seconds: number): Date => new Date(START + seconds * 1000);

const GIVEN: Trial = { rollout: 2, round: 1, state: "Updating", since: at(0).toISOString(), wasWell: true };
const WELL: Trial = { ...GIVEN, state: "Well", wellSince: at(100).toISOString() };
const seen = (seconds: number, overrides: Partial<TrialEvidence> = {}): TrialEvidence => ({
  goal: "run",
  resting: false,
  well: false,
  why: "exits again and again",
  now: at(seconds),
  clockTrusted: true,
  ...overrides,
});
const next = (trial: Trial, evidence: TrialEvidence): Trial => trialAfter(trial, evidence, POLICY);

describe("a school that was given another version", () => {
  it("is well when app and database answer, and proof when they still do after a while", () => {
    const well = next(GIVEN, seen(100, { well: true }));
    expect(well).toMatchObject({ state: "Well", wellSince: at(100).toISOString() });
    expect(next(well, seen(159, { well: true }))).toBe(well);
    expect(next(well, seen(160, { well: true })).state).toBe("Proven");
    expect(trialDueAt(well, POLICY)).toEqual(at(160));
  });

  it("has failed when it is not well in time, or not any more", () => {
    expect(next(GIVEN, seen(599))).toBe(GIVEN);
    expect(trialDueAt(GIVEN, POLICY)).toEqual(at(600));
    expect(next(GIVEN, seen(600))).toMatchObject({
      state: "Failed",
      message: "It did not become well within 600 s: exits again and again",
    });
    expect(next(WELL, seen(110))).toMatchObject({ state: "Failed", message: expect.stringContaining("not any more") });
  });

  it("stays failed until a person has looked, even when it is well again", () => {
    const failed = next(WELL, seen(110));
    expect(next(failed, seen(200, { well: true }))).toBe(failed);
  });

  it("is excused when it was not well before, and still counts when it becomes so", () => {
    const sick: Trial = { ...GIVEN, wasWell: false };
    const excused = next(sick, seen(600));
    expect(excused.state).toBe("Excused");
    expect(next(excused, seen(700, { well: true })).state).toBe("Well");
    expect(next({ ...WELL, wasWell: false }, seen(110)).state).toBe("Updating");
  });

  it("proves nothing and fails nothing while it is suspended, or at rest for other work", () => {
    expect(next(GIVEN, seen(700, { goal: "stop" })).state).toBe("Stopped");
    // The time that a restore takes is not the version's.
    expect(next(GIVEN, seen(700, { resting: true }))).toMatchObject({
      state: "Updating",
      since: at(700).toISOString(),
    });
    expect(next(WELL, seen(110, { resting: true }))).toBe(WELL);
  });

  it("is not judged by a clock that nobody believes", () => {
    expect(next(GIVEN, seen(40_000_000, { clockTrusted: false }))).toBe(GIVEN);
  });
});
