import { spawn } from "node:child_process";
import { resolve } from "node:path";

export const REPOSITORY = resolve(import.meta.dirname, "../..");

/** What a program wrote, and how long it took from its start to its end. */
export interface Finished {
  readonly stdout: string;
  readonly milliseconds: number;
}

/**
 * Runs a program to its end, in a process group of its own so that an interruption at the terminal reaches only us.
 * @param signal ends the program with SIGTERM
 * @throws Error with its last words when it fails
 */
export function run(
  command: string,
  args: readonly string[],
  options: { readonly environment?: Readonly<Record<string, string>>; readonly signal?: AbortSignal } = {},
): Promise<Finished> {
  options.signal?.throwIfAborted();
  const started = performance.now();
  return new Promise((done, failed) => {
    const child = spawn(command, args, {
      cwd: REPOSITORY,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...options.environment },
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr = (stderr + text).slice(-4_000);
    });
    child.once("error", failed);
    child.once("close", (code) => {
      const milliseconds = performance.now() - started;
      if (code === 0) done({ stdout, milliseconds });
      else failed(new Error(`${[command, ...args].join(" ")} ended with code ${code}:\n${stderr}`));
    });
  });
}
