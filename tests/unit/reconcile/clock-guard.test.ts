import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toForget } from "../../../control-plane/backup/retention.ts";
import { isSteady } from "../../../control-plane/reconcile/clock-guard.ts";
import { goalOf } from "../../../control-plane/reconcile/goal.ts";
import type { Condition, Phase, Terms } from "../../../control-plane/tenant.ts";
import { tenantSpec } from "../../fixtures/platform.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const SEEN = new Date("2026-11-23T12:00:00Z");
const later = (milliseconds: number): Date => new Date(SEEN.getTime() + milliseconds);
const record = { seen: SEEN.toISOString(), boot: { id: "a", seconds: 1000 } };

describe("the clock", () => {
  it("is believed while it stays within two days of the last time seen, either way, and not beyond", () => {
    fc.assert(
      fc.property(fc.integer({ min: -400 * 24, max: 400 * 24 }), (hours) => {
        expect(isSteady({ seen: record.seen }, later(hours * HOUR), undefined)).toBe(Math.abs(hours) <= 48);
      }),
    );
  });

  it("is believed after any pause of the platform while the machine ran: its own count of seconds tells how long", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1000 }), fc.integer({ min: -60, max: 60 }), (days, off) => {
        const boot = { id: "a", seconds: 1000 + days * 86_400 };
        expect(isSteady(record, later(days * DAY + off * HOUR), boot)).toBe(Math.abs(off) <= 48);
      }),
    );
  });

  it("is not believed when it jumped while the machine ran, however long the platform paused", () => {
    const boot = { id: "a", seconds: 1000 + 3 * 86_400 };
    expect(isSteady(record, later(3 * DAY + 365 * DAY), boot)).toBe(false);
    expect(isSteady(record, later(3 * DAY - 365 * DAY), boot)).toBe(false);
    expect(isSteady(record, SEEN, boot)).toBe(false);
  });

  it("waits for a word when the machine was off for more than two days: nothing here tells how long it was", () => {
    expect(isSteady(record, later(7 * DAY), { id: "b", seconds: 60 })).toBe(false);
    expect(isSteady(record, later(1 * DAY), { id: "b", seconds: 60 })).toBe(true);
  });

  it("is compared with the recorded time alone when the machine's count went back without a new start", () => {
    expect(isSteady(record, later(HOUR), { id: "a", seconds: 10 })).toBe(true);
    expect(isSteady(record, later(7 * DAY), { id: "a", seconds: 10 })).toBe(false);
  });
});

interface Wish {
  readonly terms?: Terms;
  readonly suspended?: boolean;
  readonly phase?: Phase;
  readonly conditions?: readonly Condition[];
  readonly deletion?: { readonly requestedAt: string; readonly purgeAfter: string };
}

const school = ({ terms, suspended = false, phase = "Ready", conditions = [], deletion }: Wish) => ({
  spec: tenantSpec({ suspended, ...(terms === undefined ? {} : { terms }) }),
  status: { observedGeneration: 1, phase, conditions, steps: [] },
  ...(deletion === undefined ? {} : { deletion }),
});
const demo = (expiresAt: Date): Terms => ({ kind: "demo", expiresAt: expiresAt.toISOString() });
const expired: Condition = {
  type: "Ready",
  status: "False",
  reason: "DemoExpired",
  message: "",
  lastTransitionTime: SEEN.toISOString(),
};

describe("what a school is to become", () => {
  it("closes a demo on its day, but leaves it as it is while the clock is not believed", () => {
    const running = school({ terms: demo(later(30 * DAY)) });
    expect(goalOf(running, later(29 * DAY), true)).toBe("run");
    expect(goalOf(running, later(31 * DAY), true)).toBe("stop");
    expect(goalOf(running, later(365 * DAY), false)).toBe("run");
    const closed = school({ terms: demo(later(-DAY)), phase: "Suspended", conditions: [expired] });
    expect(goalOf(closed, later(-365 * DAY), false)).toBe("stop");
    expect(goalOf(closed, SEEN, true)).toBe("stop");
  });

  it("purges after the grace period by a clock that is believed alone", () => {
    const deletion = { requestedAt: SEEN.toISOString(), purgeAfter: later(30 * DAY).toISOString() };
    const deleted = school({ phase: "Deleted", deletion });
    expect(goalOf(deleted, later(29 * DAY), true)).toBe("stop");
    expect(goalOf(deleted, later(30 * DAY), true)).toBe("purge");
    expect(goalOf(deleted, later(365 * DAY), false)).toBe("stop");
  });

  it("purges what an operator asked for by name, and what has begun, whatever the clock says", () => {
    const at = SEEN.toISOString();
    expect(goalOf(school({ deletion: { requestedAt: at, purgeAfter: at } }), later(-365 * DAY), false)).toBe("purge");
    const begun = { requestedAt: at, purgeAfter: later(30 * DAY).toISOString() };
    expect(goalOf(school({ phase: "Purging", deletion: begun }), SEEN, false)).toBe("purge");
  });

  it("suspends and resumes by wish, whatever the clock says", () => {
    expect(goalOf(school({ suspended: true }), SEEN, false)).toBe("stop");
    expect(goalOf(school({}), SEEN, false)).toBe("run");
  });
});

describe("backups with a date to come", () => {
  it("take no other backup's place in retention and are kept until their day", () => {
    const ahead = Array.from({ length: 40 }, (_, day) => ({
      runId: `ahead-${day}`,
      trigger: "schedule",
      startedAt: later((300 + day) * DAY).toISOString(),
    }));
    const real = Array.from({ length: 20 }, (_, day) => ({
      runId: `real-${day}`,
      trigger: "schedule",
      startedAt: later(-day * DAY).toISOString(),
    }));
    expect(toForget([...ahead, ...real], SEEN)).toEqual([]);
  });
});
