import { execFile } from "node:child_process";
import { mkdir, open, readdir, readFile, rm, stat, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, inject, it, vi } from "vitest";
import { type Engine, EngineError, type ObjectRef } from "../../../control-plane/engine/engine.ts";
import { type SmallSchool, smallJob, smallSchool } from "../../fixtures/engine-school.ts";
import { testInstance } from "../test-host.ts";
import { openTestEngine } from "./open.ts";

const run = promisify(execFile);
const SPACE = "school-vault";
const DB: ObjectRef = { kind: "StatefulSet", name: "db" };
const APP: ObjectRef = { kind: "Deployment", name: "app" };
const IMAGE_FILE = () => join(testInstance().stateDir, "volumes", SPACE, "data.img");
const MARKER = "Klassenbuch-Eintrag-7f3a-Juergen-Gross";

let engine: Engine;
const school = (overrides: Partial<SmallSchool> = {}) =>
  smallSchool({ namespace: SPACE, image: inject("images").app, ...overrides });

async function up(overrides: Partial<SmallSchool> = {}): Promise<void> {
  await engine.apply(SPACE, school(overrides));
  for (const workload of [DB, APP]) await engine.awaitReady(SPACE, workload, 30_000);
}

async function job<T>(input: object): Promise<T> {
  const result = await engine.run(SPACE, { manifest: smallJob(SPACE, inject("images").app), input, deadline: 60_000 });
  expect(result.exitCode, result.logTail.join("\n")).toBe(0);
  return result.output as T;
}

/** Searches a raw image; sparse parts are skipped by grep itself. */
async function contains(file: string, text: string): Promise<boolean> {
  return run("grep", ["--binary-files=text", "--quiet", "--fixed-strings", text, file]).then(
    () => true,
    () => false,
  );
}

beforeEach(async () => {
  engine = await openTestEngine();
  await engine.remove(SPACE, [{ kind: "Namespace", name: SPACE }]);
});
afterEach(async () => {
  await engine.remove(SPACE, [{ kind: "Namespace", name: SPACE }]);
  await engine.close();
});

describe("the encrypted volume", () => {
  it("holds a hard quota: ENOSPC inside, the host unaffected", async () => {
    await up();
    const host = await statfs("/");
    const { code, written } = await job<{ code: string; written: number }>({ action: "fill" });
    expect(code).toBe("ENOSPC");
    expect(written).toBeLessThan(64 * 1024 * 1024);
    const after = await statfs("/");
    expect(Math.abs(after.bavail - host.bavail) * host.bsize).toBeLessThan(2 * 1024 ** 3);
  });

  it("a known text is not found in the raw image while the school runs", async () => {
    await up();
    await job({ action: "write", name: "eintrag.txt", text: MARKER.repeat(2_000) });
    await run("sync", []);
    expect(await contains(IMAGE_FILE(), MARKER)).toBe(false);
    expect(await contains(IMAGE_FILE(), "eintrag.txt")).toBe(false);
    expect(await job({ action: "read", name: "eintrag.txt" })).toBe(MARKER.repeat(2_000));
  });

  it("of a suspended school only ciphertext names can be read, even from its mounted image", async () => {
    await up();
    await job({ action: "write", name: "geheim.txt", text: MARKER });
    await engine.apply(SPACE, school({ replicas: 0 }));
    const mount = "/run/classmind/raw-look";
    await mkdir(mount, { recursive: true });
    await run("mount", ["-o", "loop,ro,noload", IMAGE_FILE(), mount]);
    try {
      const names = await readdir(join(mount, "data"));
      expect(names).toHaveLength(2);
      expect(names).not.toContain("files");
      for (const name of names)
        await expect(readdir(join(mount, "data", name)).then((inner) => inner.includes("geheim.txt"))).resolves.toBe(
          false,
        );
      await expect(writeFile(join(mount, "data", "x"), "")).rejects.toThrow();
    } finally {
      await run("umount", [mount]);
      await rm(mount, { recursive: true });
    }
    await up();
    expect(await job({ action: "read", name: "geheim.txt" })).toBe(MARKER);
  });

  it("that something on the host held while its school stopped is locked as soon as it is let go", async () => {
    await up();
    const mount = join(testInstance().stateDir, "mnt", SPACE, "data");
    const isOpen = async () => (await readFile("/proc/self/mounts", "utf8")).includes(` ${mount} `);
    const reader = await open(mount);
    try {
      await engine.apply(SPACE, school({ replicas: 0 }));
      expect(await isOpen()).toBe(true);
    } finally {
      await reader.close();
    }
    await vi.waitFor(async () => expect(await isOpen()).toBe(false), { timeout: 20_000, interval: 100 });
    expect((await engine.observe(SPACE)).volumes[0]?.locked).toBe(true);
    await up();
  });

  it("never formats over data: after everything volatile is lost, the data is there again", async () => {
    await up();
    await job({ action: "write", name: "bleibt.txt", text: MARKER });
    await engine.close();
    await loseEverythingVolatile();
    engine = await openTestEngine();
    const seen = await engine.observe(SPACE);
    const lost = (kind: string) => !seen.objects.some((object) => object.kind === kind);
    expect([lost("Secret"), lost("StatefulSet"), lost("Deployment")]).toEqual([true, true, true]);
    expect(seen.workloads.map((workload) => workload.state)).toEqual(["Missing", "Missing"]);
    expect(seen.volumes[0]?.locked).toBe(true);
    await up();
    expect(await job({ action: "read", name: "bleibt.txt" })).toBe(MARKER);
    const observed = await engine.observe(SPACE);
    expect(observed.objects).toHaveLength(school().length);
  });

  it("a wrong key is an error of its own and changes nothing", async () => {
    await up();
    await job({ action: "write", name: "bleibt.txt", text: MARKER });
    await engine.apply(SPACE, school({ replicas: 0 }));
    const before = await stat(IMAGE_FILE());
    await engine.apply(SPACE, school({ volumeKey: "another key, quite wrong 0123" }));
    await expect(engine.awaitReady(SPACE, DB, 20_000)).rejects.toMatchObject({
      reason: "VolumeKeyWrong",
      retryable: false,
    });
    expect((await stat(IMAGE_FILE())).ino).toBe(before.ino);
    await up();
    expect(await job({ action: "read", name: "bleibt.txt" })).toBe(MARKER);
  });

  it("without its key a school never starts, least of all in the clear", async () => {
    await engine.apply(SPACE, school({ secrets: false }));
    const refused = engine.awaitReady(SPACE, DB, 3_000);
    await expect(refused).rejects.toBeInstanceOf(EngineError);
    await expect(refused).rejects.toThrow(/key/);
    expect((await engine.observe(SPACE)).volumes[0]?.locked).toBe(true);
  });

  it("a half-made image is made again", async () => {
    await engine.apply(SPACE, school({ replicas: 0 }));
    await writeFile(`${IMAGE_FILE()}.new`, Buffer.alloc(64 * 1024 * 1024, 7));
    await up();
    expect(await job({ action: "write", name: "x", text: "y" })).toBe("written");
  });

  it("one whose making was cut off before it had an image is the one to be, and is made", async () => {
    await engine.apply(SPACE, school({ replicas: 0 }));
    const toBe = (await engine.observe(SPACE)).volumes[0];
    await rm(`${IMAGE_FILE()}.new`);
    expect((await engine.observe(SPACE)).volumes[0]).toMatchObject({ state: "Present", identity: toBe?.identity });
    await up();
    expect((await engine.observe(SPACE)).volumes[0]).toMatchObject({ state: "Present", identity: toBe?.identity });
    await engine.apply(SPACE, school({ replicas: 0 }));
    await rm(IMAGE_FILE());
    expect((await engine.observe(SPACE)).volumes[0]).toMatchObject({ state: "Lost" });
  });

  it("an image that vanished is never replaced by an empty one", async () => {
    await up();
    await engine.apply(SPACE, school({ replicas: 0 }));
    await rm(IMAGE_FILE());
    expect((await engine.observe(SPACE)).objects.some((object) => object.kind === "PersistentVolumeClaim")).toBe(false);
    await expect(engine.apply(SPACE, school())).rejects.toMatchObject({ reason: "VolumeMissing", retryable: false });
    await expect(stat(IMAGE_FILE())).rejects.toThrow();
  });

  it("the school's directories belong to its user alone", async () => {
    await up();
    const data = join(testInstance().stateDir, "mnt", SPACE, "data", "data");
    const info = await stat(join(data, "db"));
    const { uid } = await job<{ uid: number }>({ action: "facts" });
    expect([info.uid, info.gid, info.mode & 0o777]).toEqual([uid, 10001, 0o700]);
  });

  it("a purged school leaves no image, mount, loop device, secret, network or record", async () => {
    await up();
    await engine.remove(SPACE, [{ kind: "Namespace", name: SPACE }]);
    const { stateDir, runDir } = testInstance();
    for (const path of [
      IMAGE_FILE(),
      join(stateDir, "mnt", SPACE),
      join(stateDir, "engine", SPACE),
      join(runDir, "secrets", SPACE),
    ]) {
      await expect(stat(path), path).rejects.toThrow();
    }
    expect(await readFile("/proc/self/mounts", "utf8")).not.toContain(SPACE);
    expect((await run("losetup", ["--list", "--noheadings", "--output", "BACK-FILE"])).stdout).not.toContain(SPACE);
    expect((await run("nft", ["list", "ruleset"])).stdout).not.toContain(`school_${SPACE}`);
  });
});

/** What a reboot does: containers, mounts, loop devices, rules and the run directory are gone. */
async function loseEverythingVolatile(): Promise<void> {
  const instance = testInstance();
  const { default: Dockerode } = await import("dockerode");
  const docker = new Dockerode({ socketPath: inject("engineSocket") });
  const label = { filters: JSON.stringify({ label: [`classmind.namespace=${SPACE}`] }) };
  for (const container of await docker.listContainers({ all: true, ...label })) {
    await docker
      .getContainer(container.Id)
      .kill()
      .catch(() => undefined);
  }
  for (const family of ["inet", "bridge"]) {
    await run("nft", ["delete", "table", family, `classmind_${instance.name}`]);
  }
  await run("umount", [join(instance.stateDir, "mnt", SPACE, "data")]);
  await run("umount", [join(instance.runDir, "secrets")]);
  await rm(join(instance.runDir, "secrets"), { recursive: true });
  await rm(join(instance.runDir, "empty"));
}
