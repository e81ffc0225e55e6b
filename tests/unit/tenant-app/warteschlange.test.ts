import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Comer, fairQueue, type QueueSettings, TooBusy } from "../../../tenant-app/ground/queue.ts";

/** The line before costly work. */

interface Stage {
  /** Names of those that run now, in the order in which they began. */
  readonly running: string[];
  readonly begun: string[];
  come(name: string, comer: Comer): Promise<string>;
  /** Ends the one that has run longest. */
  finish(): Promise<void>;
}

function stage(settings: QueueSettings): Stage {
  const queue = fairQueue(settings);
  const [running, begun, ends]: [string[], string[], Array<() => void>] = [[], [], []];
  const settled = () => new Promise<void>((resolve) => setImmediate(resolve));
  return {
    running,
    begun,
    come: (name, comer) =>
      queue(comer, () => {
        running.push(name);
        begun.push(name);
        return new Promise<string>((resolve) => ends.push(() => resolve(name)));
      }).catch((error: unknown) => (error instanceof TooBusy ? `refused for ${error.retryAfter} s` : String(error))),
    finish: async () => {
      running.shift();
      ends.shift()?.();
      await settled();
    },
  };
}

describe("costly work", () => {
  it("runs a few at a time, lets some wait and refuses the rest at once, with a time to come back", async () => {
    const { come, finish, running, begun } = stage({ running: 2, waiting: 3 });
    const all = Array.from({ length: 8 }, (_, index) => come(`${index}`, { source: "one" }));
    await Promise.resolve();
    expect(running).toEqual(["0", "1"]);
    for (let served = 0; served < 5; served += 1) {
      await finish();
      expect(running.length).toBeLessThanOrEqual(2);
    }
    expect(begun).toEqual(["0", "1", "2", "3", "4"]);
    expect((await Promise.all(all)).slice(5)).toEqual(Array(3).fill("refused for 1 s"));
  });

  it("lets the sources take turns: one that sends three hundred delays another by one", async () => {
    const { come, finish, begun } = stage({ running: 1, waiting: 500 });
    for (let index = 0; index < 300; index += 1) void come(`many${index}`, { source: "many" });
    void come("other", { source: "other" });
    await finish();
    await finish();
    expect(begun).toContain("other");
  });

  it("lets those who are known come first, and the others not starve", async () => {
    const { come, finish, begun } = stage({ running: 1, waiting: 500 });
    void come("first", { source: "x" });
    for (let index = 0; index < 40; index += 1) {
      void come(`stranger${index}`, { source: `s${index}` });
      void come(`known${index}`, { source: "school", known: true });
    }
    for (let served = 0; served < 20; served += 1) await finish();
    expect(begun.filter((name) => name.startsWith("known"))).toHaveLength(15);
    expect(begun.filter((name) => name.startsWith("stranger"))).toHaveLength(5);
  });

  it("leaves places free for others: one source never runs more than its share, and goes on by itself", async () => {
    const { come, finish, running, begun } = stage({ running: 5, perSource: 3, waiting: 100 });
    for (let index = 0; index < 10; index += 1) void come(`many${index}`, { source: "many" });
    await Promise.resolve();
    expect(running).toHaveLength(3);
    void come("other", { source: "other" });
    await Promise.resolve();
    expect(running).toContain("other");
    while (running.length > 0) {
      await finish();
      expect(running.length).toBeLessThanOrEqual(3 + 1);
    }
    expect(begun).toHaveLength(11);
  });

  it("lets nobody wait longer than it has patience for, and whoever was sent away takes no turn", async () => {
    const { come, finish, begun } = stage({ running: 1, waiting: 10, patienceMs: 30 });
    void come("runs", { source: "a" });
    expect(await come("waits", { source: "b" })).toContain("refused");
    const late = come("late", { source: "c" });
    await finish();
    await finish();
    expect(await late).toBe("late");
    expect(begun).toEqual(["runs", "late"]);
  });

  it("when there is no room, the newest of the longest line gives way to a newcomer, never the other way round", async () => {
    const { come, finish } = stage({ running: 1, waiting: 10 });
    void come("runs", { source: "many" });
    const many = Array.from({ length: 10 }, (_, index) => come(`many${index}`, { source: "many" }));
    const other = come("other", { source: "other" });
    expect(await many[9]).toContain("refused");
    expect(await come("one more", { source: "many" })).toContain("refused");
    for (let served = 0; served < 3; served += 1) await finish();
    expect(await other).toBe("other");
    // Known ones are not pushed out by strangers.
    const school = stage({ running: 1, waiting: 5 });
    void school.come("runs", { source: "school", known: true });
    const known = Array.from({ length: 5 }, (_, index) => school.come(`k${index}`, { source: "school", known: true }));
    expect(await school.come("stranger", { source: "elsewhere" })).toContain("refused");
    for (let served = 0; served < 6; served += 1) await school.finish();
    expect(await Promise.all(known)).toEqual(["k0", "k1", "k2", "k3", "k4"]);
  });

  it("whoever comes in whatever order: never more at once than may run, everybody is served or refused, in the order of their line", async () => {
    const comers = fc.array(fc.record({ source: fc.constantFrom("a", "b", "c"), known: fc.boolean() }), {
      maxLength: 40,
    });
    await fc.assert(
      fc.asyncProperty(
        comers,
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 0, max: 12 }),
        async (list, running, waiting) => {
          const made = stage({ running, waiting });
          const all = list.map((comer, index) => made.come(`${index}`, comer));
          await Promise.resolve();
          while (made.running.length > 0) {
            expect(made.running.length).toBeLessThanOrEqual(running);
            await made.finish();
          }
          const results = await Promise.all(all);
          expect(results.filter((result) => !result.startsWith("refused")).length).toBe(made.begun.length);
          expect(made.begun.length).toBe(Math.min(list.length, running + waiting));
          for (const source of ["a", "b", "c"]) {
            for (const known of [true, false]) {
              const line = made.begun
                .map(Number)
                .filter((index) => list[index]?.source === source && list[index]?.known === known);
              expect(line).toEqual([...line].sort((x, y) => x - y));
            }
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});
