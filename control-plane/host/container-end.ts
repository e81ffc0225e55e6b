import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type Docker from "dockerode";

const PULSE_MS = 250;

/** When a process began, in the kernel's ticks (proc(5), field 22 of stat); undefined when there is none. */
async function beginningOf(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  // The name in brackets may hold anything; after the last one comes field 3.
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
}

/**
 * Waits until a container on this host has ended, however it did. Looks at its first process, because asking Podman to wait
 * makes its service look for the end some thousand times a second: three waits took more than half a processor.
 */
export async function containerEnd(container: Docker.Container): Promise<void> {
  const { State } = await container.inspect();
  if (!State.Running || State.Pid === 0) return;
  const began = await beginningOf(State.Pid);
  while (began !== undefined && (await beginningOf(State.Pid)) === began) await sleep(PULSE_MS);
}
