import { existsSync, readdirSync, readFileSync } from "node:fs";
import type { Instance } from "./instance.ts";
import { layoutOf } from "./layout.ts";

/** Whether a process is the supervisor of an instance, by its command line: an id alone may have been reused. */
function isSupervisor(instance: Instance, pid: number): boolean {
  const commandLine = `/proc/${pid}/cmdline`;
  if (!Number.isInteger(pid) || pid <= 1 || !existsSync(commandLine)) return false;
  const words = readFileSync(commandLine, "utf8").split("\0");
  // An older version ran out of its checkout.
  const isProgram = (word: string) => /\/supervisor-main\.(mjs|ts)$/.test(word);
  return words.some(isProgram) && words.includes(instance.name);
}

/** Among all processes: for those who may not read the file (an older version closed its directory to everybody else). */
function searched(instance: Instance): number | undefined {
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if (isSupervisor(instance, Number(name))) return Number(name);
    } catch {
      // It ended by itself meanwhile.
    }
  }
  return undefined;
}

/** Process id of the running supervisor of an instance, for every user of this machine; undefined when none runs. */
export function supervisorPid(instance: Instance): number | undefined {
  try {
    const pid = Number(readFileSync(layoutOf(instance).supervisorPidFile, "utf8"));
    return isSupervisor(instance, pid) ? pid : undefined;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT") return undefined;
    if (code === "EACCES") return searched(instance);
    throw error;
  }
}
