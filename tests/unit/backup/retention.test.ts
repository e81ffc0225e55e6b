import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { KEEP, toForget } from "../../../control-plane/backup/retention.ts";
import { nextBackup, slotOffset } from "../../../control-plane/backup/schedule.ts";

const DAY = 86_400_000;
const now = new Date("2026-11-23T12:00:00Z");
const daily = (days: number): { runId: string; startedAt: string }[] =>
  Array.from({ length: days }, (_, age) => ({
    runId: String(age),
    startedAt: new Date(now.getTime() - age * DAY).toISOString(),
  }));

describe("retention", () => {
  it("R61 keeps 30 days, 12 weeks and 12 months of daily backups, and nothing older than 365 days", () => {
    const forgotten = new Set(toForget(daily(500), now));
    const kept = daily(500).filter((backup) => !forgotten.has(backup.runId));
    const ages = kept.map((backup) => Number(backup.runId));
    expect(ages.filter((age) => age < KEEP.daily)).toHaveLength(30);
    expect(Math.max(...ages)).toBeLessThanOrEqual(365);
    expect(kept.length).toBeGreaterThan(44);
    expect(kept.length).toBeLessThan(54);
  });

  it("never forgets the newest backup while it is younger than a year, nor any of the newest 30 days' newest", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 0, max: 400 * 24 }), { minLength: 1, maxLength: 80 }), (hours) => {
        const backups = hours.map((age) => ({
          runId: String(age),
          startedAt: new Date(now.getTime() - age * 3_600_000).toISOString(),
        }));
        const forgotten = new Set(toForget(backups, now));
        const newest = Math.min(...hours);
        expect(forgotten.has(String(newest))).toBe(newest > 365 * 24);
        for (const age of hours) if (age > 365 * 24) expect(forgotten.has(String(age))).toBe(true);
      }),
    );
  });

  it("forgets nothing when run again after it has forgotten", () => {
    const once = new Set(toForget(daily(500), now));
    expect(
      toForget(
        daily(500).filter((backup) => !once.has(backup.runId)),
        now,
      ),
    ).toEqual([]);
  });
});

describe("the schedule of backups", () => {
  const window = { startHour: 0, hours: 5 };

  it("R41 never lets more than 24 hours pass between two backups", () => {
    fc.assert(
      fc.property(
        fc.uuid(),
        fc.date({ min: new Date("2026-01-01"), max: new Date("2027-01-01"), noInvalidDate: true }),
        (uid, newest) => {
          const next = nextBackup(uid, window, newest, undefined, newest);
          expect(next.getTime()).toBeGreaterThan(newest.getTime());
          expect(next.getTime() - newest.getTime()).toBeLessThanOrEqual(24 * 3_600_000);
        },
      ),
    );
  });

  it("spreads schools over the whole window and leaves each at its place", () => {
    const slots = Array.from({ length: 1000 }, (_, index) => slotOffset(`school-${index}`, window) / 3_600_000);
    for (let hour = 0; hour < 5; hour += 1)
      expect(slots.filter((slot) => Math.floor(slot) === hour).length).toBeGreaterThan(140);
    expect(slotOffset("school-1", window)).toBe(slotOffset("school-1", window));
  });

  it("makes a new school's first backup at once and waits half an hour after a failure", () => {
    const created = new Date("2026-11-23T08:00:00Z");
    expect(nextBackup("x", window, undefined, undefined, created)).toEqual(created);
    expect(nextBackup("x", window, undefined, now, created)).toEqual(new Date(now.getTime() + 1_800_000));
  });
});
