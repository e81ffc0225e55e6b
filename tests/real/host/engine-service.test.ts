import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createInstance, engineSocket, type Instance } from "../../../control-plane/host/instance.ts";
import { endLeftovers, namesDirectory } from "../../../control-plane/host/leftovers.ts";
import { podmanEnvironment, podmanFlags } from "../../../control-plane/host/podman.ts";
import { unmountBelow } from "../../../control-plane/host/remove.ts";
import { testInstance } from "../test-host.ts";

/** The container engine's service of an installation, when whoever started it is gone. */

/** Instances of this test alone, of which the name of one is the beginning of the other's. */
function ownInstance(name: string): Instance {
  const { name: prefix } = testInstance();
  return createInstance(`${prefix}${name}`, {
    stateDir: `/var/tmp/classmind-test/${prefix}${name}`,
    runDir: `/run/classmind/${prefix}${name}`,
    configDir: `/var/tmp/classmind-test/${prefix}${name}-config`,
  });
}
const instance = ownInstance("s");
const other = ownInstance("s2");
const started: number[] = [];

async function services(socket: string): Promise<readonly number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
  return pids.filter((_pid, index) => {
    const words = lines[index]?.split("\0") ?? [];
    return words.includes(`unix://${socket}`) && words.includes("service");
  });
}

/** As an older version left it: its starter is gone, and nobody ends it. */
async function leaveService(of: Instance): Promise<number> {
  await mkdir(path.join(of.stateDir, "tmp"), { recursive: true });
  await mkdir(of.runDir, { recursive: true });
  await writeFile(path.join(of.stateDir, "containers.conf"), "");
  const words = [...podmanFlags(of), "system", "service", "--time", "0", `unix://${engineSocket(of)}`];
  const child = spawn("podman", words, { detached: true, stdio: "ignore", env: podmanEnvironment(of) });
  child.unref();
  await expect.poll(() => existsSync(engineSocket(of)), { timeout: 30_000 }).toBe(true);
  const pid = child.pid ?? 0;
  started.push(pid);
  return pid;
}

async function clear(): Promise<void> {
  for (const pid of started.splice(0)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It is gone, as it should be.
    }
  }
  for (const { stateDir, runDir, configDir } of [instance, other]) {
    // Podman mounts its own storage.
    await unmountBelow([stateDir, runDir]);
    for (const directory of [stateDir, runDir, configDir]) await rm(directory, { recursive: true, force: true });
  }
}

describe("the container engine's service", () => {
  beforeEach(clear);
  afterEach(clear);

  it("ends with its starter, though that is killed", async () => {
    const program = `
      import { startEngineService } from ${JSON.stringify(path.join(import.meta.dirname, "../../../control-plane/host/podman.ts"))};
      await startEngineService(${JSON.stringify(instance)});
      process.stdout.write("up\\n");
      setInterval(() => undefined, 1000);`;
    const words = ["--disable-warning=ExperimentalWarning", "--input-type=module-typescript", "--eval", program];
    const starter = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "inherit"] });
    await once(starter.stdout, "data");
    expect(await services(engineSocket(instance))).toHaveLength(1);
    starter.kill("SIGKILL");
    await expect.poll(() => services(engineSocket(instance)), { timeout: 10_000 }).toEqual([]);
  });

  it("that an older version left running is found by the directories it names, ended and named; no other's is", async () => {
    const pid = await leaveService(instance);
    const neighbours = await leaveService(other);
    const log = path.join(instance.stateDir, "log");
    await writeFile(log, "");
    // A person who reads.
    const reader = spawn("tail", ["--follow", log], { stdio: "ignore" });
    started.push(reader.pid ?? 0);
    expect(await endLeftovers(instance)).toEqual([{ pid, program: "podman" }]);
    expect(await services(engineSocket(instance))).toEqual([]);
    expect(await services(engineSocket(other))).toEqual([neighbours]);
    expect(reader.exitCode).toBeNull();
    expect(await endLeftovers(instance)).toEqual([]);
  });
});

it.each([
  ["/var/lib/cm", true],
  ["/var/lib/cm/containers", true],
  ["unix:///var/lib/cm/engine.sock", true],
  ["--root=/var/lib/cm", true],
  ["/var/lib/cm2", false],
  ["/var/lib/cm2:/var/lib/cm/x", true],
  ["/var/lib", false],
  ["", false],
])("whether %j names the directory /var/lib/cm: %s", (word, names) => {
  expect(namesDirectory(word, "/var/lib/cm")).toBe(names);
});
