import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Clock } from "../../clock.ts";

const LONGEST_PAUSE = 5_000;
/** From its start until `nft monitor` surely hears: what happened meanwhile is looked for once more. */
const DEAF_MS = 1_000;

/** What a watch asks and tells. */
export interface Watching {
  /** Whether a process of ours made a change: those are not told. */
  isOurs(pid: number): boolean;
  /** From now on every change is heard of; or no longer. */
  hearing(on: boolean): void;
  /** Someone else changed the table, or may have. */
  changed(): void;
}

/** A change whose author is not told within this many milliseconds was made by someone else. */
const AUTHOR_WITHIN = 50;

/**
 * Reads what `nft monitor` writes: the changes of one transaction, then who made it. Pure but for `later`.
 * @param later calls back once if the author's line does not come; yields how to call that off
 */
export function changeReader(
  table: string,
  watching: Pick<Watching, "isOurs" | "changed">,
  later: (then: () => void) => () => void,
): (line: string) => void {
  const about = new RegExp(`\\b(inet|bridge) ${table}\\b`);
  let callOff: (() => void) | undefined;
  return (line) => {
    const author = /^# new generation \d+ by process (\d+)/.exec(line)?.[1];
    if (author !== undefined) {
      if (callOff === undefined) return;
      callOff();
      callOff = undefined;
      if (!watching.isOurs(Number(author))) watching.changed();
      return;
    }
    if (!about.test(line)) return;
    callOff ??= later(() => {
      callOff = undefined;
      watching.changed();
    });
  };
}

function inAWhile(then: () => void): () => void {
  const timer = setTimeout(then, AUTHOR_WITHIN);
  return () => clearTimeout(timer);
}

/** Runs `nft monitor` until it ends or the signal aborts. */
function monitor(signal: AbortSignal, onLine: (line: string) => void): Promise<void> {
  return new Promise((resolve) => {
    // It ends with this process, however that ends. Not by a signal of `spawn`: an aborted one would be an error to catch.
    const child = spawn("setpriv", ["--pdeathsig", "KILL", "nft", "monitor"], { stdio: ["ignore", "pipe", "ignore"] });
    const end = () => child.kill("SIGKILL");
    createInterface({ input: child.stdout }).on("line", onLine);
    const over = () => {
      signal.removeEventListener("abort", end);
      resolve();
    };
    child.on("error", over).on("close", over);
    signal.addEventListener("abort", end, { once: true });
    if (signal.aborted) end();
  });
}

/**
 * Tells of each change of a table that someone else made, until the signal aborts; and whenever some may have been missed.
 * `nft monitor` ends when the kernel had more to tell than it could take, and is started again.
 */
export async function watchTable(table: string, clock: Clock, signal: AbortSignal, watching: Watching): Promise<void> {
  let pause = 100;
  while (!signal.aborted) {
    const began = clock.now().getTime();
    const run = new AbortController();
    const over = AbortSignal.any([signal, run.signal]);
    void clock.sleep(DEAF_MS, over).then(() => {
      if (over.aborted) return;
      watching.hearing(true);
      watching.changed();
    });
    await monitor(signal, changeReader(table, watching, inAWhile));
    run.abort();
    watching.hearing(false);
    if (signal.aborted) return;
    watching.changed();
    pause = clock.now().getTime() - began > LONGEST_PAUSE ? 100 : Math.min(pause * 2, LONGEST_PAUSE);
    await clock.sleep(pause, signal);
  }
}
