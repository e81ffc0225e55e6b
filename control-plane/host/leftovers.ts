import { readdir, readFile, readlink } from "node:fs/promises";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Instance } from "./instance.ts";

/** Processes of an installation that outlived what started them: they hold its directories, and nobody looks after them. */

export interface Leftover {
  readonly pid: number;
  /** Name of its program, as people know it. */
  readonly program: string;
}

/** What Podman starts, and itself. Others that name our directories (a pager, an editor) are people's own. */
const PROGRAMS: ReadonlySet<string> = new Set([
  "podman",
  "conmon",
  "runc",
  "crun",
  "netavark",
  "aardvark-dns",
  "catatonit",
]);
const GRACE_MS = 5_000;
const PULSE_MS = 20;

/** Whether a word of a command line names a directory or something below it. Pure. */
export function namesDirectory(word: string, directory: string): boolean {
  for (let at = word.indexOf(directory); at >= 0; at = word.indexOf(directory, at + 1)) {
    const next = word[at + directory.length];
    // Not the directory of an instance whose name begins in the same way.
    if (next === undefined || next === "/" || next === ":" || next === ",") return true;
  }
  return false;
}

async function look(instance: Instance, pid: number): Promise<Leftover | undefined> {
  const words = (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).split("\0");
  const executable = await readlink(`/proc/${pid}/exe`).catch(() => "");
  const isCopy = executable.startsWith(`${join(instance.stateDir, "program")}/`);
  const program = basename(words[0] ?? "");
  if (isCopy) return { pid, program: "classmind" };
  if (!PROGRAMS.has(program)) return undefined;
  const directories = [instance.stateDir, instance.runDir, instance.configDir];
  const isOurs = words.some((word) => directories.some((directory) => namesDirectory(word, directory)));
  return isOurs ? { pid, program } : undefined;
}

/** Processes of the instance, told by the directories that their command lines name; never this one. */
export async function findLeftovers(instance: Instance): Promise<readonly Leftover[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(pids.filter((pid) => pid !== process.pid).map((pid) => look(instance, pid)));
  return found.filter((each) => each !== undefined);
}

function signal({ pid }: Leftover, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It ended by itself meanwhile.
  }
}

/** Ends what is left running of an instance that is down: asked first, then by force. @returns what there was */
export async function endLeftovers(instance: Instance): Promise<readonly Leftover[]> {
  const found = await findLeftovers(instance);
  // Monitors of ended probes do nothing any more and take no notice.
  for (const each of found) signal(each, each.program === "conmon" ? "SIGKILL" : "SIGTERM");
  let left: readonly Leftover[] = found;
  for (const end = Date.now() + GRACE_MS; left.length > 0 && Date.now() < end; left = await findLeftovers(instance))
    await sleep(PULSE_MS);
  for (const each of left) signal(each, "SIGKILL");
  return found;
}
