import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { hardLimit } from "./process-limits.ts";

/** What the platform cannot do without, of what a host may have bounded: named before anything starts. */

export interface Shortage {
  readonly check: "open-files" | "processes" | "memory-limit";
  readonly message: string;
  readonly remedy: string;
}

/** Hard limits of a process, and the memory that its control group may take in bytes; undefined where nothing bounds it. */
export interface GivenLimits {
  readonly openFiles: number;
  readonly processes: number;
  readonly memory: number | undefined;
}

/** Each container gets as many open files (process-limits.ts, gateway/container.ts); a host may not give what it has not. */
const LEAST_FILES = 4_096;
/** The kernel counts them per user over all containers: the platform's database and API, and two pods for each of a few schools. */
const LEAST_PROCESSES = 4_096;
/** The platform takes about half of it, the first school the rest. */
const LEAST_MEMORY = 1024 ** 3;
const MIB = 1024 ** 2;

function raised(name: string, flag: string, least: number): string {
  return `Raise it: in a shell as root, ulimit -H${flag} 65536; for good, "root hard ${name} 65536" in /etc/security/limits.conf; of a container around this, --ulimit ${name}=65536. At least ${least} are needed.`;
}

/** What is too little, each with what to do. Pure. */
export function shortages({ openFiles, processes, memory }: GivenLimits): readonly Shortage[] {
  const found: Shortage[] = [];
  if (openFiles < LEAST_FILES)
    found.push({
      check: "open-files",
      message: `a process may open ${openFiles} files at most (hard limit); containers do not start with less than ${LEAST_FILES}`,
      remedy: raised("nofile", "n", LEAST_FILES),
    });
  if (processes < LEAST_PROCESSES)
    found.push({
      check: "processes",
      message: `a user may have ${processes} processes at most (hard limit), over all containers; the platform needs ${LEAST_PROCESSES}`,
      remedy: raised("nproc", "u", LEAST_PROCESSES),
    });
  if (memory !== undefined && memory < LEAST_MEMORY)
    found.push({
      check: "memory-limit",
      message: `the control group around this may take ${Math.floor(memory / MIB)} MiB of memory; the platform and a school need ${LEAST_MEMORY / MIB}`,
      remedy: "Raise MemoryMax of the unit or slice this runs in, or --memory of the container around it.",
    });
  return found;
}

const CGROUPS = "/sys/fs/cgroup";

/** The limits in a directory of control groups and all above it; the least of them holds. */
function leastAbove(root: string, path: string, file: string): number | undefined {
  let least: number | undefined;
  for (let here = path; ; here = join(here, "..")) {
    const limit = join(root, here, file);
    const value = existsSync(limit) ? Number(readFileSync(limit, "utf8")) : Number.NaN;
    // "max" is no number; without a limit version 1 says one beyond any memory.
    if (value < Number.MAX_SAFE_INTEGER) least = Math.min(least ?? value, value);
    if (here === "/" || here === ".") return least;
  }
}

/** Memory that a process may take by its control groups, of either version (proc_pid_cgroup(5)), in bytes. */
export function cgroupMemory(groups: string, root: string = CGROUPS): number | undefined {
  const limits = groups.split("\n").flatMap((line) => {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (path === undefined) return [];
    if (controllers === "") return leastAbove(root, path, "memory.max") ?? [];
    if (controllers?.split(",").includes("memory"))
      return leastAbove(join(root, "memory"), path, "memory.limit_in_bytes") ?? [];
    return [];
  });
  return limits.length === 0 ? undefined : Math.min(...limits);
}

/** What a process of this host has been given. @param pid a process id, or `self` */
export function givenLimits(pid: number | "self"): GivenLimits {
  const limits = readFileSync(`/proc/${pid}/limits`, "utf8");
  return {
    openFiles: hardLimit("Max open files", limits),
    processes: hardLimit("Max processes", limits),
    memory: cgroupMemory(readFileSync(`/proc/${pid}/cgroup`, "utf8")),
  };
}
