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
const save = () => saveImages({ cacheDir }, out, ["app", "control-plane"]);

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

/** The layer that is made again in no time; those of Debian packages come out of the same cache by the same way. */
async function nodeLayer(): Promise<{ readonly record: string; readonly file: string }> {
  const name = (await readdir(path.join(cacheDir, "keys"))).find((each) => each.startsWith("node-")) ?? "";
  const record = path.join(cacheDir, "keys", name);
  const { digest } = JSON.parse(await readFile(record, "utf8")) as { digest: string };
  return { record, file: path.join(cacheDir, "layers", `${digest}.tar`) };
}

describe("images from a cache that a power cut damaged", () => {
  it.each([
    ["record holds nothing", async () => writeFile((await nodeLayer()).record, "")],
    ["file holds nothing", async () => truncate((await nodeLayer()).file)],
    [
      "record and file hold nothing",
      async () => {
        const { record, file } = await nodeLayer();
        await Promise.all([writeFile(record, ""), truncate(file)]);
      },
    ],
    [
      "file has the right size, and blocks that never reached the disk",
      async () => {
        const handle = await open((await nodeLayer()).file, "r+");
        await handle.write(Buffer.alloc(8192), 0, 8192, 1024 * 1024);
        await handle.close();
      },
    ],
  ])("are whole, though a layer's %s: it is made again", async (_what, harm) => {
    await harm();
    const saved = await save();
    expect(saved).toHaveLength(2);
    for (const { file } of saved) expect(await isWhole(file)).toBe(true);
    expect(await digestOf((await nodeLayer()).file)).toBe(path.basename((await nodeLayer()).file, ".tar"));
  });
});
