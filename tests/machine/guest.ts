import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Disk } from "./disk.ts";
import { type Ended, run } from "./program.ts";

/** The machine that runs, and the way to root's account on it. */
export interface Guest {
  /** Runs a line of shell in the machine, as root, to its end. */
  run(line: string, seconds: number): Promise<Ended>;
  /** Standard output of one that must succeed. */
  must(line: string, seconds: number): Promise<string>;
  /** Port of 127.0.0.1 that leads to the machine's port 443. */
  readonly httpsPort: number;
  /** For people: how to come in. */
  readonly login: string;
}

/** What is needed to come into a machine that runs; kept as a file, so that another run can. */
export interface Way {
  readonly directory: string;
  readonly sshPort: number;
  readonly httpsPort: number;
}

export interface Machine extends AsyncDisposable {
  readonly process: ChildProcess;
  /** The last words on its console. */
  console(): Promise<string>;
}

const MEMORY_MIB = 6144;
const PROCESSORS = 2;

/** Starts the machine: emulated, so that it needs nothing of this host's hardware. It ends with us, however we end. */
export function startMachine(disk: Disk, way: Way): Machine {
  const consoleFile = join(way.directory, "console.log");
  const words = [
    "--pdeathsig=KILL",
    "nice",
    "-n",
    "5",
    "qemu-system-x86_64",
    ...["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max"],
    ...["-smp", String(PROCESSORS), "-m", String(MEMORY_MIB)],
    ...["-kernel", disk.kernel, "-initrd", disk.initrd, "-append", "root=/dev/vda rw console=ttyS0 quiet"],
    ...["-drive", `file=${disk.image},format=raw,if=virtio,cache=unsafe,discard=unmap`],
    ...["-netdev", `user,id=net,hostfwd=tcp:127.0.0.1:${way.sshPort}-:22,hostfwd=tcp:127.0.0.1:${way.httpsPort}-:443`],
    ...["-device", "virtio-net-pci,netdev=net", "-device", "virtio-rng-pci"],
    ...["-display", "none", "-monitor", "none", "-serial", `file:${consoleFile}`],
  ];
  const child = spawn("setpriv", words, { stdio: ["ignore", "ignore", "inherit"], detached: true });
  const ended = once(child, "exit");
  ended.catch(() => undefined);
  return {
    process: child,
    async console() {
      const text = await readFile(consoleFile, "utf8").catch(() => "");
      return text.split("\n").slice(-30).join("\n");
    },
    async [Symbol.asyncDispose]() {
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGTERM");
      await Promise.race([ended, sleep(5_000, undefined, { ref: false })]);
      child.kill("SIGKILL");
      await ended;
    },
  };
}

/** Comes in by ssh, to the host key that the disk was made with and no other. */
export async function openGuest(way: Way, hostKey: string, signal: AbortSignal): Promise<Guest> {
  const known = join(way.directory, "known_hosts");
  await writeFile(known, `[127.0.0.1]:${way.sshPort} ${hostKey.split(" ").slice(0, 2).join(" ")}\n`);
  const words = [
    ...["-F", "/dev/null", "-i", join(way.directory, "key"), "-p", String(way.sshPort)],
    ...["-o", `UserKnownHostsFile=${known}`, "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes"],
    ...["-o", "ConnectTimeout=30", "-o", "ServerAliveInterval=30", "-o", "ServerAliveCountMax=10"],
    ...["-o", "IdentitiesOnly=yes", "-o", "SendEnv=none", "root@127.0.0.1"],
  ];
  const guest: Guest = {
    run: (line, seconds) => run("ssh", [...words, line], { signal, seconds }),
    async must(line, seconds) {
      const { code, stdout, stderr } = await guest.run(line, seconds);
      if (code === 0) return stdout;
      throw new Error(`in the machine: ${line} ended with ${code}\n${`${stdout}${stderr}`.trim().slice(-4_000)}`);
    },
    httpsPort: way.httpsPort,
    login: `ssh ${words.join(" ")}`,
  };
  return guest;
}

/** Waits until root can come in. @throws Error when the machine ends, or after the time */
export async function untilReachable(
  guest: Guest,
  machine: Machine | undefined,
  seconds: number,
  signal: AbortSignal,
): Promise<void> {
  for (const end = Date.now() + seconds * 1000; ; ) {
    if (machine !== undefined && machine.process.exitCode !== null) throw new Error("the machine ended");
    const outcome = await guest.run("true", 120).catch((error: unknown) => error);
    if (outcome instanceof Object && "code" in outcome && outcome.code === 0) return;
    const words = outcome instanceof Error ? outcome.message : JSON.stringify(outcome);
    if (Date.now() > end) throw new Error(`nobody comes into the machine: ${words}\n${await machine?.console()}`);
    await sleep(1_000, undefined, { signal });
  }
}
