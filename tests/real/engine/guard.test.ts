import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import type { Engine, ObjectRef } from "../../../control-plane/engine/engine.ts";
import { type SmallSchool, smallJob, smallSchool } from "../../fixtures/engine-school.ts";
import { testInstance } from "../test-host.ts";
import { openTestEngine } from "./open.ts";

/** Mounts that somebody takes away under a running school. */

const run = promisify(execFile);
const SPACE = "school-guard";
const DB: ObjectRef = { kind: "StatefulSet", name: "db" };
const APP: ObjectRef = { kind: "Deployment", name: "app" };
const FOUND_WITHIN = 10_000;
const { stateDir, runDir } = testInstance();
const VOLUME = join(stateDir, "mnt", SPACE, "data");
const SECRETS = join(runDir, "secrets");
let engine: Engine;

const school = (overrides: Partial<SmallSchool> = {}) =>
  smallSchool({ namespace: SPACE, image: inject("images").app, ...overrides });
const targets = async () => (await readFile("/proc/self/mounts", "utf8")).split("\n").map((line) => line.split(" ")[1]);

async function job<T>(input: object): Promise<T> {
  const result = await engine.run(SPACE, { manifest: smallJob(SPACE, inject("images").app), input, deadline: 60_000 });
  expect(result.exitCode, result.logTail.join("\n")).toBe(0);
  return result.output as T;
}

async function within(what: () => Promise<boolean>): Promise<number> {
  const began = Date.now();
  while (!(await what())) {
    if (Date.now() - began > 30_000) throw new Error("not within 30 s");
    await wait(50);
  }
  return Date.now() - began;
}

async function woken(task: () => Promise<void>): Promise<boolean> {
  const ended = new AbortController();
  let found = false;
  const watching = (async () => {
    for await (const { namespace } of engine.watch(ended.signal)) found ||= namespace === SPACE;
  })();
  await wait(50);
  await task();
  ended.abort();
  await watching;
  return found;
}

async function loopsOfSchool(): Promise<readonly string[]> {
  const { stdout } = await run("losetup", ["--list", "--noheadings", "--output", "NAME,BACK-FILE"]);
  return stdout.split("\n").filter((line) => line.includes(SPACE));
}

beforeAll(async () => {
  engine = await openTestEngine();
  await engine.remove(SPACE, [{ kind: "Namespace", name: SPACE }]);
  await engine.apply(SPACE, school());
  for (const workload of [DB, APP]) await engine.awaitReady(SPACE, workload, 30_000);
});
afterAll(async () => {
  await engine.remove(SPACE, [{ kind: "Namespace", name: SPACE }]);
  await engine.close();
});

describe.each(["umount", "umount --lazy"])("a volume taken away with %s while the school runs", (command) => {
  const [program = "", ...options] = command.split(" ");

  it("is mounted again within seconds, from the same device, and its pods noticed nothing", async () => {
    await job({ action: "write", name: "vorher.txt", text: command });
    const before = (await engine.observe(SPACE)).workloads.map(({ ref, restarts }) => [ref.name, restarts]);
    const device = await loopsOfSchool();
    expect(device).toHaveLength(1);
    const told = await woken(async () => {
      await run(program, [...options, VOLUME]);
      expect((await engine.observe(SPACE)).volumes[0]?.locked).toBe(true);
      const took = await within(async () => (await engine.observe(SPACE)).volumes[0]?.locked === false);
      expect(took).toBeLessThan(FOUND_WITHIN);
    });
    expect(told).toBe(true);
    expect(await loopsOfSchool()).toEqual(device);
    expect(await job({ action: "read", name: "vorher.txt" })).toBe(command);
    expect((await engine.observe(SPACE)).workloads.map(({ ref, restarts }) => [ref.name, restarts])).toEqual(before);
  });

  it("is opened by whoever needs it before that, and neither checked nor grown from outside", async () => {
    await run(program, [...options, VOLUME]);
    expect(await job({ action: "read", name: "vorher.txt" })).toBe(command);
    expect(await loopsOfSchool()).toHaveLength(1);
  });

  it("and the school suspended at once: locked, with no device left", async () => {
    await run(program, [...options, VOLUME]);
    await engine.apply(SPACE, school({ replicas: 0 }));
    expect((await engine.observe(SPACE)).volumes[0]?.locked).toBe(true);
    await within(async () => (await loopsOfSchool()).length === 0);
    expect(await targets()).not.toContain(VOLUME);
    await engine.apply(SPACE, school());
    for (const workload of [DB, APP]) await engine.awaitReady(SPACE, workload, 30_000);
    expect(await job({ action: "read", name: "vorher.txt" })).toBe(command);
  });
});

describe("the secrets' file system taken away", () => {
  it("is mounted again within seconds, the secrets are seen as lost, and whoever watches is woken", async () => {
    const told = await woken(async () => {
      await run("umount", ["--lazy", SECRETS]);
      expect(await within(async () => (await targets()).includes(SECRETS))).toBeLessThan(FOUND_WITHIN);
      await wait(200);
    });
    expect(told).toBe(true);
    const kinds = (await engine.observe(SPACE)).objects.map(({ kind }) => kind);
    expect(kinds).not.toContain("Secret");
    await engine.apply(SPACE, school());
    expect((await engine.observe(SPACE)).objects).toHaveLength(school().length);
  });

  it("never has a secret written to what lies below it", async () => {
    await run("umount", ["--lazy", SECRETS]);
    // At once: nobody has looked yet.
    await engine.apply(SPACE, school());
    expect(await targets()).toContain(SECRETS);
    await run("umount", ["--lazy", SECRETS]);
    expect(existsSync(join(SECRETS, SPACE))).toBe(false);
    await engine.apply(SPACE, school());
    expect((await engine.observe(SPACE)).objects).toHaveLength(school().length);
  });
});

describe("an examination of the walls", () => {
  it("is no alarm while jobs come and go: their rules are our own", async () => {
    let coming = true;
    const jobs = (async () => {
      for (let turn = 0; turn < 4; turn += 1) await job({ action: "read", name: "vorher.txt" });
      coming = false;
    })();
    const found: unknown[] = [];
    let examined = 0;
    while (coming) {
      found.push(...((await engine.examineIsolation?.(SPACE)) ?? []));
      examined += 1;
    }
    await jobs;
    expect(examined).toBeGreaterThan(10);
    expect(found).toEqual([]);
  });
});
