import { resolve } from "node:path";
import { runProgram } from "../../control-plane/images/command.ts";

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
export async function run(
  command: string,
  args: readonly string[],
  options: { readonly environment?: Readonly<Record<string, string>>; readonly signal?: AbortSignal } = {},
): Promise<Finished> {
  const { environment: env = {}, signal } = options;
  signal?.throwIfAborted();
  const started = performance.now();
  const common = { env, cwd: REPOSITORY, detached: true };
  const stdout = await runProgram(command, args, signal === undefined ? common : { ...common, signal });
  return { stdout, milliseconds: performance.now() - started };
}
