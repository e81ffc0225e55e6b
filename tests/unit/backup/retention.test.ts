import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CLASSES, isBetter, KEEP, type Kept, shrinkOf, toForget } from "../../../control-plane/backup/retention.ts";
import { nextBackup, slotOffset } from "../../../control-plane/backup/schedule.ts";

const DAY = 86_400_000;
const now = new Date("2026-11-23T12:00:00Z");
const daily = (days: number): Kept[] =>
  Array.from({ length: days }, (_, age) => ({
    runId: String(age),
    trigger: "schedule",
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
          trigger: "schedule",
          startedAt: new Date(now.getTime() - age * 3_600_000).toISOString(),
        }));
        const forgotten = new Set(toForget(backups, now));
        const newest = Math.min(...hours);
        expect(forgotten.has(String(newest))).toBe(newest > 365 * 24);
        for (const age of hours) if (age > 365 * 24) expect(forgotten.has(String(age))).toBe(true);
      }),
    );
  });

  const ago = (hours: number): string => new Date(now.getTime() - hours * 3_600_000).toISOString();
  const some: fc.Arbitrary<readonly Kept[]> = fc
    .uniqueArray(
      fc.record({
        hours: fc.integer({ min: 0, max: 420 * 24 }),
        trigger: fc.constantFrom("schedule", "manual"),
        read: fc.constantFrom("not", "well", "broken"),
        kept: fc.boolean(),
      }),
      { selector: ({ hours }) => hours, minLength: 1, maxLength: 120 },
    )
    .map((all) =>
      all.map(({ hours, trigger, read, kept }) => ({
        runId: String(hours),
        startedAt: ago(hours),
        trigger,
        ...(read === "not" ? {} : { verifiedAt: ago(Math.max(0, hours - 1)) }),
        ...(read === "broken" ? { verifyError: "pack 4f is damaged" } : {}),
        ...(kept ? { keepUntil: ago(-24) } : {}),
      })),
    );

  it("never forgets what is better than all that stays in its class, but for its age", () => {
    fc.assert(
      fc.property(some, (backups) => {
        const forgotten = new Set(toForget(backups, now));
        const young = backups.filter(({ startedAt }) => Date.parse(startedAt) >= now.getTime() - 365 * DAY);
        const stay = young.filter(({ runId }) => !forgotten.has(runId));
        for (const gone of young.filter(({ runId }) => forgotten.has(runId)))
          for (const { periodOf } of CLASSES) {
            const period = periodOf(new Date(gone.startedAt));
            const same = stay.filter(({ startedAt }) => periodOf(new Date(startedAt)) === period);
            if (same.length > 0) expect(same.some((each) => isBetter(each, gone))).toBe(true);
          }
      }),
    );
  });

  it("keeps for a week what was made by hand, for as long as it was set aside what was, and always the newest that was read back", () => {
    fc.assert(
      fc.property(some, (backups) => {
        const forgotten = new Set(toForget(backups, now));
        const age = ({ startedAt }: Kept): number => now.getTime() - Date.parse(startedAt);
        for (const backup of backups.filter((each) => age(each) < 365 * DAY)) {
          if (backup.trigger === "manual" && age(backup) < 7 * DAY) expect(forgotten.has(backup.runId)).toBe(false);
          if (backup.keepUntil !== undefined) expect(forgotten.has(backup.runId)).toBe(false);
        }
        const [read] = backups
          .filter((each) => each.verifiedAt !== undefined && each.verifyError === undefined)
          .sort((a, b) => age(a) - age(b));
        if (read !== undefined && age(read) < 365 * DAY) expect(forgotten.has(read.runId)).toBe(false);
      }),
    );
  });

  it("keeps whatever open work names, even past its time", () => {
    fc.assert(
      fc.property(some, fc.nat(), (backups, index) => {
        const named = backups[index % backups.length]?.runId ?? "";
        expect(toForget(backups, now, new Set([named]))).not.toContain(named);
      }),
    );
  });

  it("prefers the day's backup that was read back to a later one that was not, and keeps the newest beside it", () => {
    const early = { runId: "read", startedAt: ago(11), trigger: "schedule", verifiedAt: ago(10) };
    const late = { runId: "not read", startedAt: ago(5), trigger: "schedule" };
    const newest = { runId: "newest", startedAt: ago(1), trigger: "schedule" };
    expect(toForget([early, late, newest], now)).toEqual(["not read"]);
  });

  it("forgets nothing but what is past its time while a backup has shrunk beyond reason", () => {
    const old = daily(500);
    const empty = { runId: "empty", startedAt: ago(1), trigger: "schedule", shrunk: "12 rows, and 5000 before" };
    const forgotten = toForget([empty, ...old], now);
    expect(forgotten.every((runId) => Number(runId) > 364)).toBe(true);
    expect(shrinkOf({ rows: 12, filesBytes: 0 }, { rows: 5_000, filesBytes: 0 })).toMatch(/12 rows.*5000/);
    expect(shrinkOf({ rows: 5_000, filesBytes: 1 }, { rows: 5_000, filesBytes: 9e6 })).toMatch(/bytes of files/);
    // A young school's numbers say nothing, and a school year that ends takes some of them away.
    expect(shrinkOf({ rows: 12, filesBytes: 0 }, { rows: 60, filesBytes: 0 })).toBeUndefined();
    expect(shrinkOf({ rows: 3_000, filesBytes: 6e6 }, { rows: 5_000, filesBytes: 9e6 })).toBeUndefined();
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
