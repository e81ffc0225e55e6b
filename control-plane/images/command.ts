import { spawn } from "node:child_process";

export interface ProgramOptions {
  /** Beside this process's own. */
  readonly env?: Readonly<Record<string, string>>;
  /** Ends it with SIGTERM. */
  readonly signal?: AbortSignal;
  readonly cwd?: string;
  /** In a process group of its own, so that an interruption at the terminal reaches only us. */
  readonly detached?: boolean;
}

/** Runs a program to its end. Rejects with its last words when it fails or the signal aborts. Returns standard output. */
export function runProgram(command: string, args: readonly string[], options: ProgramOptions = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const { env, ...rest } = options;
    const child = spawn(command, args, {
      ...rest,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, LC_ALL: "C.UTF-8", ...env },
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr = (stderr + text).slice(-4_000);
    });
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve(stdout);
      else reject(new Error(`${command} failed (${code}): ${stderr.trim().split("\n").slice(-8).join("\n")}`));
    });
  });
}
