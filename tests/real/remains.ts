import { execFile } from "node:child_process";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type Dockerode from "dockerode";
import { firewallTable, type Instance } from "../../control-plane/host/instance.ts";

const run = promisify(execFile);

/**
 * Removes everything a test run left on the host but its images: containers, networks, firewall tables, mounts, loop devices,
 * volumes, run directories. Only things of this instance; absent things are fine.
 */
export async function removeInstanceRemains(docker: Dockerode, instance: Instance): Promise<void> {
  const label = { filters: JSON.stringify({ label: [`classmind.instance=${instance.name}`] }) };
  for (const container of await docker.listContainers({ all: true, ...label })) {
    await docker.getContainer(container.Id).remove({ force: true, v: true }).catch(ignoreAbsent);
  }
  for (const network of await docker.listNetworks(label)) {
    await docker.getNetwork(network.Id).remove().catch(ignoreAbsent);
  }
  for (const family of ["inet", "bridge"]) {
    await run("nft", ["delete", "table", family, firewallTable(instance)]).catch(() => undefined);
  }
  const mounts = (await readFile("/proc/self/mounts", "utf8")).split("\n").map((line) => line.split(" ")[1] ?? "");
  const ours = mounts.filter(
    (mount) => mount.startsWith(join(instance.stateDir, "mnt/")) || mount.startsWith(join(instance.runDir, "secrets")),
  );
  for (const mount of ours.reverse()) await run("umount", [mount]);
  const { stdout } = await run("losetup", ["--list", "--noheadings", "--output", "NAME,BACK-FILE"]);
  for (const line of stdout.split("\n")) {
    const [device, file] = line.trim().split(/\s+/);
    if (device && file?.startsWith(join(instance.stateDir, "volumes/"))) await run("losetup", ["--detach", device]);
  }
  for (const name of await readdir(instance.stateDir)) {
    if (!["containers", "containers.conf", "networks", "tmp"].includes(name)) {
      await rm(join(instance.stateDir, name), { recursive: true, force: true });
    }
  }
  await rm(join(instance.runDir, "test-postgres"), { recursive: true, force: true });
}

function ignoreAbsent(error: unknown): void {
  if (!(typeof error === "object" && error !== null && "statusCode" in error && error.statusCode === 404)) throw error;
}
