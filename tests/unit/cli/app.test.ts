import { describe, expect, it } from "vitest";
import { describeRollout, describeUnfinished, nextStep, remedyOf } from "../../../cli/commands/app.ts";
import { haltedLine } from "../../../cli/dashboard/rows.ts";
import type { Rollout, Tenant } from "../../../cli/types.ts";

const rollout = (overrides: Partial<Rollout> = {}): Rollout => ({
  engine: "containers",
  version: { app: "localhost/classmind/app:new", postgres: "localhost/classmind/postgres:1" },
  previous: { app: "localhost/classmind/app:old", postgres: "localhost/classmind/postgres:1" },
  state: "Running",
  proven: false,
  provenBy: 0,
  startedAt: "2026-11-26T08:00:00Z",
  changedAt: "2026-11-26T08:00:00Z",
  policy: { first: 3, atOnce: 4, healthySeconds: 60, deadlineSeconds: 600 },
  schools: { updated: 3, waiting: 17, pinned: 0, onTrial: 3 },
  trials: [],
  ...overrides,
});
const HALTED = rollout({
  state: "Halted",
  reason: "goethe: It did not become well within 600 s: exits again and again",
  trials: [{ slug: "goethe", state: "Failed", since: "2026-11-26T08:00:00Z", message: "exits again and again" }],
});

describe("what is said of a rollout", () => {
  it("names the school that halted it, why, and both ways out as commands", () => {
    const text = describeRollout(HALTED, 200);
    expect(text).toContain("goethe: It did not become well within 600 s");
    expect(text).toContain("classmind app rollout undo --engine containers");
    expect(text).toContain("classmind app rollout resume --engine containers");
    expect(text).toContain("3 have it, 17 do not");
    expect(describeUnfinished(HALTED)).toBe(
      "app:new on containers is Halted: goethe: It did not become well within 600 s: exits again and again (3 schools have it, 17 do not)",
    );
    expect(remedyOf([rollout(), HALTED])).toBe(nextStep(HALTED));
  });

  it("says what it waits for", () => {
    expect(describeRollout(rollout(), 80)).toContain("0 of the first 3 stayed well for 60 s");
    const waiting = rollout({ schools: { updated: 0, waiting: 0, pinned: 2, onTrial: 0 } });
    expect(describeRollout(waiting, 80)).toContain("waits for a school that is well and not pinned");
    expect(remedyOf([waiting])).toBeUndefined();
  });

  it("offers to go back only where there is something to go back to", () => {
    const { previous: _previous, ...first } = HALTED;
    expect(nextStep(first)).not.toContain("undo");
  });

  it("stands above the schools on the dashboard while it has halted", () => {
    const condition = {
      type: "VersionCurrent",
      status: "False",
      message: "",
      lastTransitionTime: "2026-11-26T08:00:00Z",
    };
    const tenant = (reason: string) =>
      ({ engine: "berlin", conditions: [{ ...condition, reason }] }) as unknown as Tenant;
    expect(haltedLine([tenant("AsDesired"), tenant("RolloutHalted")])).toContain("RolloutHalted on berlin");
    expect(haltedLine([tenant("RolloutRunning")])).toBeUndefined();
  });
});
