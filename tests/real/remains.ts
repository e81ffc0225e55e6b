import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type Dockerode from "dockerode";
import type { Instance } from "../../control-plane/host/instance.ts";
import {
  detachLoops,
  endMonitors,
  removeFirewall,
  removeLabelled,
  unmountBelow,
} from "../../control-plane/host/remove.ts";

/** What the next test run wants to find again: the images, and what the running engine itself uses. */
const KEPT = ["containers", "containers.conf", "networks", "tmp"];

/**
 * Removes everything a test run left on the host but its images: containers, networks, firewall tables, mounts, loop devices,
 * volumes, run directories. Only things of this instance; absent things are fine. The engine goes on.
 */
export async function removeInstanceRemains(docker: Dockerode, instance: Instance): Promise<void> {
  await removeLabelled(docker, instance, 0);
  await endMonitors(instance);
  await removeFirewall(instance);
  await unmountBelow([join(instance.stateDir, "mnt"), join(instance.runDir, "secrets")]);
  await detachLoops(instance);
  for (const name of await readdir(instance.stateDir)) {
    if (!KEPT.includes(name)) await rm(join(instance.stateDir, name), { recursive: true, force: true });
  }
  await rm(join(instance.runDir, "test-postgres"), { recursive: true, force: true });
}
