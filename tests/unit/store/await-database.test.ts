import { expect, it } from "vitest";
import type { Clock } from "../../../control-plane/clock.ts";
import { silentLog } from "../../../control-plane/log.ts";
import { awaitDatabase } from "../../../control-plane/store/await-database.ts";

/** Answers with these failures, one after the other, and then well. */
function database(...failures: readonly Error[]) {
  const left = [...failures];
  return {
    asked: 0,
    async query(): Promise<unknown> {
      this.asked += 1;
      const failure = left.shift();
      if (failure !== undefined) throw failure;
      return undefined;
    },
  };
}
const failure = (code: string, message = code): Error => Object.assign(new Error(message), { code });
function stoppedClock(): Clock & { readonly pauses: number[] } {
  const pauses: number[] = [];
  return {
    pauses,
    now: () => new Date(0),
    async sleep(milliseconds) {
      pauses.push(milliseconds);
    },
  };
}

it("a database that is not there yet, or still starts, is waited for, ever more patiently", async () => {
  const clock = stoppedClock();
  const starting = database(failure("ENOTFOUND"), failure("ECONNREFUSED"), failure("57P03"), new Error("timeout"));
  await awaitDatabase(starting, clock, silentLog);
  expect(starting.asked).toBe(5);
  expect(clock.pauses).toEqual([500, 1000, 2000, 4000]);
});

it("a database that refuses us is not waited for", async () => {
  const refusing = database(failure("28P01", "password authentication failed"));
  await expect(awaitDatabase(refusing, stoppedClock(), silentLog)).rejects.toThrow("password authentication");
  expect(refusing.asked).toBe(1);
});
