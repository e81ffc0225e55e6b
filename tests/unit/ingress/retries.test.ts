import { describe, expect, test } from "vitest";
import type { Clock } from "../../../control-plane/clock.ts";
import { createRetries } from "../../../control-plane/ingress/retries.ts";

/** A clock that a test moves. */
function manualClock(): Clock & { pass(milliseconds: number): Promise<void> } {
  let now = 0;
  const sleepers = new Set<{ readonly until: number; wake(): void }>();
  return {
    now: () => new Date(now),
    sleep: (milliseconds, signal) =>
      new Promise((resolve) => {
        const sleeper = {
          until: now + milliseconds,
          wake() {
            sleepers.delete(sleeper);
            resolve();
          },
        };
        sleepers.add(sleeper);
        signal?.addEventListener("abort", () => sleeper.wake(), { once: true });
      }),
    async pass(milliseconds) {
      now += milliseconds;
      for (const sleeper of [...sleepers]) if (sleeper.until <= now) sleeper.wake();
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

function start(carryOut: (name: string) => Promise<void>) {
  const clock = manualClock();
  const ending = new AbortController();
  const failures: string[] = [];
  const retries = createRetries({
    clock,
    signal: ending.signal,
    first: 1_000,
    longest: 8_000,
    carryOut,
    onFailure: (name, error, seconds) => failures.push(`${name}: ${error}: ${seconds}`),
  });
  const running = retries.run();
  const end = (): Promise<void> => {
    ending.abort();
    return running;
  };
  return { clock, retries, failures, end };
}

const soon = () => new Promise((resolve) => setImmediate(resolve));

describe("work on what changed", () => {
  test("is done once, however often it was asked for meanwhile, and again if it was asked for during the work", async () => {
    const done: string[] = [];
    let release: (() => void) | undefined;
    const { retries, end } = start(async (name) => {
      done.push(name);
      await new Promise<void>((resolve) => {
        release = resolve;
      });
    });
    for (const name of ["a", "a", "b", "a"]) retries.add(name);
    await soon();
    retries.add("a");
    for (let left = 3; left > 0; left -= 1) {
      release?.();
      await soon();
    }
    expect(done).toEqual(["a", "b", "a"]);
    release?.();
    await end();
  });

  test("that fails is done again, ever later, and said once as long as it fails in the same way", async () => {
    let tries = 0;
    const { clock, retries, failures, end } = start(async () => {
      tries += 1;
      throw new Error("no");
    });
    retries.add("a");
    await soon();
    const waits: number[] = [];
    for (let passed = 0; tries < 6; passed += 250) {
      const before = tries;
      await clock.pass(250);
      if (tries > before) {
        waits.push(passed);
        passed = 0;
      }
    }
    // Within a quarter of 1, 2, 4, 8, 8 seconds.
    for (const [index, wanted] of [1, 2, 4, 8, 8].entries()) {
      expect(waits[index]).toBeGreaterThanOrEqual(wanted * 750 - 500);
      expect(waits[index]).toBeLessThanOrEqual(wanted * 1250 + 500);
    }
    expect(failures).toEqual(["a: Error: no: 1"]);
    await end();
  });

  test("that failed is done at once when something changes, and begins anew after a success", async () => {
    let works = false;
    let tries = 0;
    const { retries, failures, end } = start(async () => {
      tries += 1;
      if (!works) throw new Error("no");
    });
    retries.add("a");
    await soon();
    works = true;
    retries.add("a");
    await soon();
    expect(tries).toBe(2);
    works = false;
    retries.add("a");
    await soon();
    expect(failures).toEqual(["a: Error: no: 1", "a: Error: no: 1"]);
    await end();
  });

  test("keeps nothing else from being done", async () => {
    const done: string[] = [];
    const { retries, end } = start(async (name) => {
      if (name === "a") throw new Error("no");
      done.push(name);
    });
    retries.add("a");
    retries.add("b");
    await soon();
    await soon();
    expect(done).toEqual(["b"]);
    await end();
  });
});
