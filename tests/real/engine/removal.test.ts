import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import Dockerode from "dockerode";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import type { Engine, ObjectRef } from "../../../control-plane/engine/engine.ts";
import { bridgeName, firewallTable } from "../../../control-plane/host/instance.ts";
import { smallJob, smallSchool } from "../../fixtures/engine-school.ts";
import { testInstance } from "../test-host.ts";
import { openTestEngine } from "./open.ts";

const run = promisify(execFile);
const instance = testInstance();
const FIRST = "school-removed";
const NEXT = "school-successor";
const WORKLOADS: readonly ObjectRef[] = [
  { kind: "StatefulSet", name: "db" },
  { kind: "Deployment", name: "app" },
];
let engine: Engine;

async function bring(namespace: string): Promise<void> {
  await engine.apply(namespace, smallSchool({ namespace, image: inject("images").app }));
  for (const workload of WORKLOADS) await engine.awaitReady(namespace, workload, 30_000);
}

async function rules(): Promise<string> {
  const table = firewallTable(instance);
  const listings = ["inet", "bridge"].map((family) => run("nft", ["list", "table", family, table]));
  return (await Promise.all(listings)).map(({ stdout }) => stdout).join("");
}

beforeAll(async () => {
  engine = await openTestEngine();
});
afterAll(async () => {
  for (const namespace of [FIRST, NEXT]) await engine.remove(namespace, [{ kind: "Namespace", name: namespace }]);
  await engine.close();
});

describe("removing a namespace", () => {
  it("leaves no container, network, rule, mount or file of it, also by an engine that took it over", async () => {
    await bring(FIRST);
    const job = { manifest: smallJob(FIRST, inject("images").app), input: { action: "echo" }, deadline: 30_000 };
    await engine.run(FIRST, job);
    const chain = new RegExp(`${bridgeName(instance, FIRST)}" : jump (school_[0-9a-f]+)`).exec(await rules())?.[1];
    if (chain === undefined) throw new Error("the school has no rules");
    await engine.close();
    engine = await openTestEngine();
    await engine.remove(FIRST, [{ kind: "Namespace", name: FIRST }]);
    const empty = await rules();
    expect(empty).not.toContain(bridgeName(instance, FIRST));
    expect(empty).not.toContain(chain);
    const docker = new Dockerode({ socketPath: inject("engineSocket") });
    const label = { filters: JSON.stringify({ label: [`classmind.namespace=${FIRST}`] }) };
    expect(await docker.listContainers({ all: true, ...label })).toEqual([]);
    expect(await docker.listNetworks(label)).toEqual([]);
    expect(await readFile("/proc/self/mounts", "utf8")).not.toContain(FIRST);
    for (const directory of [instance.stateDir, instance.runDir]) {
      // With types, or links would be followed: out of an image's /dev/fd into whatever this process has open.
      const entries = await readdir(directory, { recursive: true, withFileTypes: true });
      const named = entries.map((entry) => path.join(entry.parentPath, entry.name));
      expect(named.filter((entry) => entry.split(path.sep).includes(FIRST))).toEqual([]);
    }
  });

  it("lets the next one have its addresses", async () => {
    await bring(FIRST);
    const subnet = /(10\.\d+\.\d+\.\d+\/28) : jump/.exec(await rules())?.[1];
    await engine.remove(FIRST, [{ kind: "Namespace", name: FIRST }]);
    await bring(NEXT);
    expect(/(10\.\d+\.\d+\.\d+\/28) : jump/.exec(await rules())?.[1]).toBe(subnet);
  });
});
