import { execFile } from "node:child_process";
import { cp, mkdir, open, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { digestOf } from "../../../control-plane/images/layers.ts";
import { saveImages } from "../../../control-plane/images/save.ts";
import { testInstance } from "../test-host.ts";

/** A cache of layers that a power cut has damaged, as `up` finds it: a copy of this host's. */

const execute = promisify(execFile);
const stage = path.join("/var/tmp/classmind-test", `${testInstance().name}-damaged`);
const cacheDir = path.join(stage, "cache");
const out = path.join(stage, "out");
const said: string[] = [];
const records = () => readdir(path.join(cacheDir, "keys"));
const save = () => saveImages({ cacheDir }, out, ["app", "control-plane"], { onProgress: (text) => said.push(text) });

/** Whether every layer of a saved image has the digest that its configuration names. */
async function isWhole(file: string): Promise<boolean> {
  const directory = path.join(stage, "unpacked");
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true });
  await execute("tar", ["-xf", file, "-C", directory]);
  const [manifest] = JSON.parse(await readFile(path.join(directory, "manifest.json"), "utf8"));
  const config = JSON.parse(await readFile(path.join(directory, manifest.Config), "utf8"));
  const digests = await Promise.all(manifest.Layers.map((name: string) => digestOf(path.join(directory, name))));
  return digests.map((digest) => `sha256:${digest}`).join() === config.rootfs.diff_ids.join();
}

beforeAll(async () => {
  await rm(stage, { recursive: true, force: true });
  await mkdir(path.join(cacheDir, "keys"), { recursive: true });
  await mkdir(path.join(cacheDir, "layers"), { recursive: true });
  const ours = testInstance().cacheDir;
  for (const name of await readdir(path.join(ours, "keys"))) {
    if (!/^(rootfs-app|node)-/.test(name)) continue;
    const { digest } = JSON.parse(await readFile(path.join(ours, "keys", name), "utf8")) as { digest: string };
    await cp(path.join(ours, "keys", name), path.join(cacheDir, "keys", name));
    await cp(path.join(ours, "layers", `${digest}.tar`), path.join(cacheDir, "layers", `${digest}.tar`));
  }
});
afterAll(() => rm(stage, { recursive: true, force: true }));

describe("images from a damaged cache", () => {
  it("are whole, and what was damaged is made again: records that hold nothing, files that hold nothing", async () => {
    const layers = await readdir(path.join(cacheDir, "layers"));
    for (const name of await records()) await writeFile(path.join(cacheDir, "keys", name), "");
    for (const name of layers) await truncate(path.join(cacheDir, "layers", name));
    const saved = await save();
    expect(saved).toHaveLength(2);
    for (const { file } of saved) expect(await isWhole(file)).toBe(true);
    expect(said).toContain("making the root file system of app from Debian packages");
  });

  it("are whole though a layer that both share has the right size and other content", async () => {
    const node = (await records()).find((name) => name.startsWith("node-")) ?? "";
    const { digest } = JSON.parse(await readFile(path.join(cacheDir, "keys", node), "utf8")) as { digest: string };
    const handle = await open(path.join(cacheDir, "layers", `${digest}.tar`), "r+");
    // As blocks that never reached the disk.
    await handle.write(Buffer.alloc(8192), 0, 8192, 1024 * 1024);
    await handle.close();
    said.length = 0;
    for (const { file } of await save()) expect(await isWhole(file)).toBe(true);
    expect(said.filter((text) => text.includes("is damaged"))).not.toHaveLength(0);
    said.length = 0;
    await save();
    expect(said.filter((text) => !text.startsWith("writing "))).toEqual([]);
  });
});
