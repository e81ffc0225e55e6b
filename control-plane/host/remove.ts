import { existsSync } from "node:fs";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type Dockerode from "dockerode";
import { createSemaphore } from "../semaphore.ts";
import { statusOf } from "./docker-errors.ts";
import { firewallTable, type Instance } from "./instance.ts";
import { endLeftovers, type Leftover } from "./leftovers.ts";
import { withEngine } from "./podman.ts";
import { runHost } from "./program.ts";
import { requireRoot } from "./require-root.ts";
import { disableUnit, hostSystemd, removeUnit } from "./systemd.ts";
import { stopSupervisor } from "./up.ts";

/** Seconds a container gets to end well. */
const GRACE_SECONDS = 30;

/** What is fine when something is stopped or removed: it was stopped already, or is not there. */
function absentIsFine(error: unknown): void {
  const status = statusOf(error);
  if (status !== 304 && status !== 404) throw error;
}

/** Containers ended at once: Podman is not made for many. */
const AT_ONCE = 4;

/**
 * Removes the containers and networks that carry the instance's label: first those that use a database, then the databases.
 * @param graceSeconds time each container gets to end well; 0 ends it at once
 * @returns how many containers there were
 */
export async function removeLabelled(docker: Dockerode, instance: Instance, graceSeconds: number): Promise<number> {
  const label = { filters: JSON.stringify({ label: [`classmind.instance=${instance.name}`] }) };
  const containers = await docker.listContainers({ all: true, ...label });
  const room = createSemaphore(AT_ONCE);
  const remove = ({ Id }: Dockerode.ContainerInfo): Promise<void> =>
    room.run(async () => {
      const container = docker.getContainer(Id);
      if (graceSeconds > 0) await container.stop({ t: graceSeconds }).catch(absentIsFine);
      await container.remove({ force: true, v: true }).catch(absentIsFine);
    });
  const isDatabase = ({ Labels }: Dockerode.ContainerInfo) => Labels["classmind.workload"]?.startsWith("StatefulSet/");
  await Promise.all(containers.filter((each) => !isDatabase(each)).map(remove));
  await Promise.all(containers.filter(isDatabase).map(remove));
  for (const network of await docker.listNetworks(label)) {
    await docker.getNetwork(network.Id).remove().catch(absentIsFine);
  }
  return containers.length;
}

async function removeContainers(instance: Instance): Promise<number> {
  return withEngine(instance, (docker) => removeLabelled(docker, instance, GRACE_SECONDS));
}

/** Podman's monitors of ended probes outlive their containers for some seconds; recognised by the paths of this instance. */
export async function endMonitors(instance: Instance): Promise<void> {
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

/** Unmounts whatever is mounted at or below the directories, innermost first. */
export async function unmountBelow(directories: readonly string[]): Promise<void> {
  const mounts = (await readFile("/proc/self/mounts", "utf8")).split("\n").map((line) => line.split(" ")[1] ?? "");
  const ours = mounts.filter((mount) =>
    directories.some((directory) => mount === directory || mount.startsWith(`${directory}/`)),
  );
  for (const mount of ours.sort((a, b) => b.length - a.length)) await runHost("umount", [mount]);
}

/** Detaches the loop devices that carry files of the instance. */
export async function detachLoops(instance: Instance): Promise<void> {
  const listed = await runHost("losetup", ["--list", "--noheadings", "--output", "NAME,BACK-FILE"]);
  for (const line of listed.split("\n")) {
    const [device, file] = line.trim().split(/\s+/);
    if (device !== undefined && file?.startsWith(`${instance.stateDir}/`))
      await runHost("losetup", ["--detach", device]);
  }
}

/** Removes the instance's firewall tables. */
export async function removeFirewall(instance: Instance): Promise<void> {
  for (const family of ["inet", "bridge"]) {
    // A table that is not there is what we want.
    await runHost("nft", ["delete", "table", family, firewallTable(instance)]).catch(() => undefined);
  }
}

/** What a stopped platform had. */
export interface Stopped {
  readonly wasRunning: boolean;
  readonly containers: number;
  /** Processes that an earlier, failed command had left running. */
  readonly leftovers: readonly Leftover[];
}

/**
 * Removes what an instance has that a reboot would remove too: containers, networks, processes, mounts, loop devices, firewall
 * tables. Data stays.
 */
export async function removeVolatile(instance: Instance): Promise<Pick<Stopped, "containers" | "leftovers">> {
  const containers = existsSync(join(instance.stateDir, "containers")) ? await removeContainers(instance) : 0;
  // Monitors of probes that ended some seconds ago are nothing that was left: they go without a word.
  const leftovers = (await endLeftovers(instance)).filter(({ program }) => program !== "conmon");
  await unmountBelow([instance.stateDir, instance.runDir]);
  await detachLoops(instance);
  await removeFirewall(instance);
  return { containers, leftovers };
}

/** Stops the platform and all its schools; their data stays, locked. */
export async function down(instance: Instance): Promise<Stopped> {
  requireRoot("it stops containers, locks volumes and removes firewall rules");
  const wasRunning = await stopSupervisor(instance);
  const systemd = hostSystemd();
  if (systemd !== undefined) await disableUnit(systemd, instance);
  return { wasRunning, ...(await removeVolatile(instance)) };
}

/** Removes every trace of an instance: schools, backups, keys, images, configuration. With the last instance, the caches too. */
export async function uninstall(instance: Instance): Promise<readonly string[]> {
  requireRoot("it removes containers, volumes and keys");
  const { leftovers } = await down(instance);
  const systemd = hostSystemd();
  const unit = systemd === undefined ? undefined : await removeUnit(systemd, instance);
  const removed: string[] = unit === undefined ? [] : [unit];
  removed.push(...leftovers.map(({ program, pid }) => `process ${pid} (${program}), left by an earlier command`));
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
