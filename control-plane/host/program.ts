import { spawn } from "node:child_process";

/** A program that failed, with its last words. */
export class ProgramError extends Error {
  readonly code: number;
  readonly stderr: string;
  constructor(command: string, code: number, stderr: string) {
    super(`${command} failed (${code}): ${stderr.trim().split("\n").slice(-4).join("; ")}`);
    this.name = "ProgramError";
    this.code = code;
    this.stderr = stderr;
  }
}

/**
 * Runs a host program to its end and returns what it wrote. Arguments hold no secrets (they are visible to everybody on the
 * host); `input` goes to standard input.
 * @param started is told the process id before the program can have done anything that another process sees
 */
export function runHost(
  command: string,
  args: readonly string[],
  input?: string | Uint8Array,
  environment: Readonly<Record<string, string>> = {},
  started: (pid: number) => void = () => undefined,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: ["pipe", "pipe", "pipe"],
      env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C.UTF-8", ...environment },
    });
    if (child.pid !== undefined) started(child.pid);
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve(stdout);
      else reject(new ProgramError(command, code ?? 1, stderr || stdout));
    });
    // A program that ends before reading its input is reported by its exit code.
    child.stdin.on("error", () => undefined);
    child.stdin.end(input ?? "");
  });
}
