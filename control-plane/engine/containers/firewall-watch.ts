import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Clock } from "../../clock.ts";

const LONGEST_PAUSE = 5_000;
/** From its start until `nft monitor` surely hears: what happened meanwhile is looked for once more. */
const DEAF_MS = 1_000;

/** Runs `nft monitor` until it ends or the signal aborts; calls back for each line about the table. */
function monitor(table: string, signal: AbortSignal, onLine: () => void): Promise<void> {
  return new Promise((resolve) => {
    // It ends with this process, however that ends. Not by a signal of `spawn`: an aborted one would be an error to catch.
    const child = spawn("setpriv", ["--pdeathsig", "KILL", "nft", "monitor"], { stdio: ["ignore", "pipe", "ignore"] });
    const end = () => child.kill("SIGKILL");
    const ours = new RegExp(`\\b(inet|bridge) ${table}\\b`);
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (ours.test(line)) onLine();
    });
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
 * Tells of each change of a table, our own ones included, until the signal aborts; and whenever some may have been missed.
 * `nft monitor` ends when the kernel had more to tell than it could take, and is started again.
 */
export async function watchTable(
  table: string,
  clock: Clock,
  signal: AbortSignal,
  onChange: () => void,
): Promise<void> {
  let pause = 100;
  while (!signal.aborted) {
    const began = clock.now().getTime();
    void clock.sleep(DEAF_MS, signal).then(() => {
      if (!signal.aborted) onChange();
    });
    await monitor(table, signal, onChange);
    if (signal.aborted) return;
    onChange();
    pause = clock.now().getTime() - began > LONGEST_PAUSE ? 100 : Math.min(pause * 2, LONGEST_PAUSE);
    await clock.sleep(pause, signal);
  }
}
