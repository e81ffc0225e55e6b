import { readFileSync } from "node:fs";

/** Bounds per process; the host's own hard limits cannot be raised without CAP_SYS_RESOURCE. */
export interface ProcessLimits {
  readonly openFiles: number;
  readonly processes: number;
}

/**
 * A hard limit of a process; what is called unlimited is a number that is never reached.
 * @param text what proc_pid_limits(5) says
 */
export function hardLimit(name: string, text: string): number {
  const value = new RegExp(`^${name}\\s+\\S+\\s+(\\S+)`, "m").exec(text)?.[1];
  return value === undefined || value === "unlimited" ? 1_048_576 : Number(value);
}

/**
 * Limits for containers that this host can grant, read from this process's own.
 * @param files open files that are wanted
 */
export function processLimits(text: string = readFileSync("/proc/self/limits", "utf8"), files = 4096): ProcessLimits {
  return {
    openFiles: Math.min(files, hardLimit("Max open files", text)),
    // The kernel counts processes per user over all containers, so this only has to fit below the host's limit (Podman
    // lowers its own to 32768); the number in each container is bounded by its cgroup.
    processes: Math.min(30_000, Math.floor(hardLimit("Max processes", text) * 0.75)),
  };
}
