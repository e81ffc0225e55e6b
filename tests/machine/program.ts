import { spawn } from "node:child_process";

export interface Ended {
  /** Exit code; 128 and more when a signal ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** Ends it, with all that it started. */
  readonly signal: AbortSignal;
  /** The same after so many seconds. */
  readonly seconds: number;
  readonly environment?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** What it reads. */
  readonly input?: string;
}

/** Time to end well before it is killed, in milliseconds: mmdebstrap takes its mounts away. */
const GRACE_MS = 20_000;
const MOST_OUTPUT = 4 * 1024 * 1024;

/** The process group of a child that was started as its leader. */
function endGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

/**
 * Runs a program to its end, in a process group of its own so that an interruption at the terminal reaches only us.
 * @returns how it ended, whatever its code
 * @throws Error when it cannot be started, is interrupted or takes too long
 */
export function run(command: string, args: readonly string[], options: RunOptions): Promise<Ended> {
  const { signal, seconds, environment, input, cwd } = options;
  signal.throwIfAborted();
  const late = AbortSignal.timeout(seconds * 1000);
  const ending = AbortSignal.any([signal, late]);
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
      env: { ...process.env, LC_ALL: "C.UTF-8", ...environment },
      detached: true,
      ...(cwd === undefined ? {} : { cwd }),
    });
    let stdout = "";
    let stderr = "";
    let kill: NodeJS.Timeout | undefined;
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      stdout = (stdout + text).slice(-MOST_OUTPUT);
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      stderr = (stderr + text).slice(-MOST_OUTPUT);
    });
    const end = () => {
      const { pid } = child;
      if (pid === undefined) return;
      endGroup(pid, "SIGTERM");
      kill = setTimeout(() => endGroup(pid, "SIGKILL"), GRACE_MS);
    };
    ending.addEventListener("abort", end, { once: true });
    child.once("error", reject);
    child.once("close", (code) => {
      clearTimeout(kill);
      ending.removeEventListener("abort", end);
      if (signal.aborted) reject(signal.reason);
      else if (late.aborted)
        reject(new Error(`${command} took longer than ${seconds} s\n${`${stdout}${stderr}`.trim().slice(-2_000)}`));
      else resolve({ code: code ?? 128, stdout, stderr });
    });
    child.stdin?.on("error", () => undefined);
    if (input !== undefined) child.stdin?.end(input);
  });
}

/** The same, for what must succeed. @returns its standard output @throws Error with its last words */
export async function must(command: string, args: readonly string[], options: RunOptions): Promise<string> {
  const { code, stdout, stderr } = await run(command, args, options);
  if (code === 0) return stdout;
  throw new Error(`${command} failed (${code}): ${`${stderr}`.trim().split("\n").slice(-12).join("\n")}`);
}
