import { readdir, readFile } from "node:fs/promises";

/**
 * Memory of processes as the kernel counts it: PSS (proportional set size) of /proc/<pid>/smaps_rollup, in which a page that
 * several processes share is divided among them, so that the sum over all of them is what they take together.
 */

interface Process {
  readonly pid: number;
  readonly parent: number;
  /** Its command line. */
  readonly words: readonly string[];
}

export interface Memory {
  /** Bytes of a container by its name: its monitor (conmon) and everything below it. */
  readonly containers: ReadonlyMap<string, number>;
  /** Bytes of processes that run outside containers, by what `nameOf` called them. */
  readonly others: ReadonlyMap<string, number>;
}

async function readProcess(pid: number): Promise<Process | undefined> {
  try {
    const [stat, commandLine] = await Promise.all([
      readFile(`/proc/${pid}/stat`, "utf8"),
      readFile(`/proc/${pid}/cmdline`, "utf8"),
    ]);
    // The name in brackets may hold anything; the state and the parent come after the last one.
    const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    return { pid, parent, words: commandLine.split("\0") };
  } catch {
    // It ended meanwhile.
    return undefined;
  }
}

async function pssOf(pid: number): Promise<number> {
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, "utf8").catch(() => "");
  return Number(/^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1] ?? 0) * 1024;
}

function containerOf({ words }: Process): string | undefined {
  if (words[0]?.endsWith("/conmon") !== true) return undefined;
  return words[words.indexOf("-n") + 1];
}

/** Measures every container on this host, and those other processes that `nameOf` names by their and their parent's command line. */
export async function measureMemory(
  nameOf: (words: readonly string[], parent: readonly string[]) => string | undefined,
): Promise<Memory> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const processes = (await Promise.all(pids.map(readProcess))).filter((process) => process !== undefined);
  const byPid = new Map(processes.map((process) => [process.pid, process]));
  const containers = new Map<string, number>();
  const others = new Map<string, number>();
  const add = (sums: Map<string, number>, name: string, bytes: number) => sums.set(name, (sums.get(name) ?? 0) + bytes);
  for (const process of processes) {
    let at: Process | undefined = process;
    while (at !== undefined && containerOf(at) === undefined) at = byPid.get(at.parent);
    const container = at === undefined ? undefined : containerOf(at);
    const other = container === undefined ? nameOf(process.words, byPid.get(process.parent)?.words ?? []) : undefined;
    if (container !== undefined) add(containers, container, await pssOf(process.pid));
    else if (other !== undefined) add(others, other, await pssOf(process.pid));
  }
  return { containers, others };
}

/** Sum over the containers whose name begins so. */
export function sumOf(memory: Memory, prefix: string): number {
  return [...memory.containers].reduce((sum, [name, bytes]) => sum + (name.startsWith(prefix) ? bytes : 0), 0);
}
