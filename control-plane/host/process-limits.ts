import { readFileSync } from "node:fs";

/** Bounds per process; the host's own hard limits cannot be raised without CAP_SYS_RESOURCE. */
export interface ProcessLimits {
  readonly openFiles: number;
  readonly processes: number;
}

/**
 * Limits for containers that this host can grant, read from this process's own.
 * @param files open files that are wanted
 */
export function processLimits(text: string = readFileSync("/proc/self/limits", "utf8"), files = 4096): ProcessLimits {
  const hard = (name: string) => {
    const value = new RegExp(`^${name}\\s+\\S+\\s+(\\S+)`, "m").exec(text)?.[1];
    return value === undefined || value === "unlimited" ? 1_048_576 : Number(value);
  };
  return {
    openFiles: Math.min(files, hard("Max open files")),
    // The kernel counts processes per user over all containers, so this only has to fit below the host's limit (Podman
    // lowers its own to 32768); the number in each container is bounded by its cgroup.
    processes: Math.min(30_000, Math.floor(hard("Max processes") * 0.75)),
  };
}
