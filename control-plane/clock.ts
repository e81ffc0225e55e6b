import { readFileSync } from "node:fs";

/** How long a machine has run since it was started, and which start that was. Does not move when someone sets the clock. */
export interface BootTime {
  /** Differs from start to start. */
  readonly id: string;
  /** Seconds since that start, those asleep included. */
  readonly seconds: number;
}

/** Time comes in as an argument everywhere, so that tests can set it. */
export interface Clock {
  now(): Date;
  /** Resolves after `milliseconds`, or at once when the signal aborts. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
  /** Undefined where the system does not tell. */
  boot?(): BootTime | undefined;
}

/** Reads Linux' own count (CLOCK_BOOTTIME). */
function linuxBoot(): BootTime | undefined {
  try {
    const id = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    const seconds = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
    return Number.isFinite(seconds) ? { id, seconds } : undefined;
  } catch {
    return undefined;
  }
}

export const systemClock: Clock = {
  now: () => new Date(),
  boot: linuxBoot,
  sleep: (milliseconds, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const timer = setTimeout(done, milliseconds);
      function done(): void {
        clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      }
      signal?.addEventListener("abort", done, { once: true });
    }),
};
