import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import Dockerode from "dockerode";
import { firewallTable, type Instance } from "./instance.ts";
import { answers, startEngineService } from "./podman.ts";
import { stopSupervisor } from "./up.ts";

const run = promisify(execFile);

/** Seconds a container gets to end well. */
const GRACE_SECONDS = 30;

function isAbsent(error: unknown): boolean {
  return (
    typeof error === "object" &&
    error !== null &&
    "statusCode" in error &&
    (error.statusCode === 404 || error.statusCode === 304)
  );
}

async function removeContainers(instance: Instance): Promise<number> {
  const socket = join(instance.runDir, "engine.sock");
  const service = (await answers(socket)) ? undefined : await startEngineService(instance);
  try {
    const docker = new Dockerode({ socketPath: socket });
    const label = { filters: JSON.stringify({ label: [`classmind.instance=${instance.name}`] }) };
    const containers = await docker.listContainers({ all: true, ...label });
    for (const { Id } of containers) {
      const container = docker.getContainer(Id);
      await container.stop({ t: GRACE_SECONDS }).catch((error: unknown) => {
        if (!isAbsent(error)) throw error;
      });
      await container.remove({ force: true, v: true }).catch((error: unknown) => {
        if (!isAbsent(error)) throw error;
      });
    }
    for (const network of await docker.listNetworks(label)) await docker.getNetwork(network.Id).remove();
    return containers.length;
  } finally {
    await service?.stop();
  }
}

/** Podman's monitors of ended probes outlive their containers for some seconds; recognised by the paths of this instance. */
async function endMonitors(instance: Instance): Promise<void> {
  const root = join(instance.stateDir, "containers");
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const words = (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).split("\0");
    if (words[0]?.endsWith("/conmon") !== true || !words.some((word) => word.startsWith(`${root}/`))) continue;
    try {
      process.kill(Number(pid), "SIGKILL");
    } catch {
      // It ended by itself meanwhile.
    }
  }
}

async function unmountBelow(directories: readonly string[]): Promise<void> {
  const mounts = (await readFile("/proc/self/mounts", "utf8")).split("\n").map((line) => line.split(" ")[1] ?? "");
  const ours = mounts.filter((mount) =>
    directories.some((directory) => mount === directory || mount.startsWith(`${directory}/`)),
  );
  for (const mount of ours.sort((a, b) => b.length - a.length)) await run("umount", [mount]);
}

async function detachLoops(instance: Instance): Promise<void> {
  const { stdout } = await run("losetup", ["--list", "--noheadings", "--output", "NAME,BACK-FILE"]);
  for (const line of stdout.split("\n")) {
    const [device, file] = line.trim().split(/\s+/);
    if (device !== undefined && file?.startsWith(`${instance.stateDir}/`)) await run("losetup", ["--detach", device]);
  }
}

/** Removes what an instance has that a reboot would remove too: containers, networks, mounts, loop devices, firewall tables. Data stays. */
export async function removeVolatile(instance: Instance): Promise<number> {
  const count = existsSync(join(instance.stateDir, "containers")) ? await removeContainers(instance) : 0;
  await endMonitors(instance);
  await unmountBelow([instance.stateDir, instance.runDir]);
  await detachLoops(instance);
  for (const family of ["inet", "bridge"]) {
    // A table that is not there is what we want.
    await run("nft", ["delete", "table", family, firewallTable(instance)]).catch(() => undefined);
  }
  return count;
}

/** Stops the platform and all its schools; their data stays, locked. */
export async function down(instance: Instance): Promise<{ readonly wasRunning: boolean; readonly containers: number }> {
  const wasRunning = await stopSupervisor(instance);
  return { wasRunning, containers: await removeVolatile(instance) };
}

/** Removes every trace of an instance: schools, backups, keys, images, configuration. With the last instance, the caches too. */
export async function uninstall(instance: Instance): Promise<readonly string[]> {
  await down(instance);
  const removed: string[] = [];
  for (const directory of [instance.runDir, instance.stateDir, instance.configDir]) {
    if (!existsSync(directory)) continue;
    await rm(directory, { recursive: true, force: true });
    removed.push(directory);
  }
  const parents = ["/var/lib/classmind", "/etc/classmind", "/run/classmind"];
  const left = await Promise.all(parents.map((parent) => readdir(parent).catch(() => [])));
  if (left.every((entries) => entries.length === 0)) {
    for (const directory of [...parents, instance.cacheDir]) await rm(directory, { recursive: true, force: true });
    removed.push(instance.cacheDir);
  }
  return removed;
}
