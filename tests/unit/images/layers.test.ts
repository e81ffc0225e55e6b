import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { cachedLayer, DamagedLayerError, type Layer, verifyLayer } from "../../../control-plane/images/layers.ts";

let cache: string;
let made: number;
const layer = (): Promise<Layer> =>
  cachedLayer(cache, "key", async (file) => {
    made += 1;
    await writeFile(file, "a layer's content");
  });
const record = () => join(cache, "keys", "key.json");

beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), "classmind-cache-"));
  made = 0;
});
afterEach(() => rm(cache, { recursive: true, force: true }));

describe("a layer in the cache", () => {
  it("is made once, and leaves nothing else behind", async () => {
    const first = await layer();
    expect(await layer()).toEqual(first);
    expect(made).toBe(1);
    expect((await readdir(cache)).sort()).toEqual(["keys", "layers"]);
  });

  it.each([
    ["nothing", ""],
    ["zeros", "\0\0\0\0"],
    ["a part", '{"digest":"abc'],
    ["something else", '["a"]'],
    ["a digest that is none", '{"digest":"../../etc/passwd","size":17}'],
    ["no size", `{"digest":"${"a".repeat(64)}"}`],
  ])("whose record holds %s after a power cut is made again", async (_what, content) => {
    const first = await layer();
    await writeFile(record(), content);
    expect(await layer()).toEqual(first);
    expect(made).toBe(2);
    expect(JSON.parse(await readFile(record(), "utf8"))).toEqual({ digest: first.digest, size: 17 });
  });

  it.each([
    ["is empty", (file: string) => truncate(file)],
    ["is cut off", (file: string) => truncate(file, 5)],
    ["is gone", (file: string) => rm(file)],
  ])("whose file %s is made again", async (_what, harm) => {
    const { file } = await layer();
    await harm(file);
    await layer();
    expect(made).toBe(2);
    expect(await readFile(file, "utf8")).toBe("a layer's content");
  });

  it("whose size is right and whose content is not is found when it is read, not before", async () => {
    const first = await layer();
    await expect(verifyLayer(first)).resolves.toBeUndefined();
    await writeFile(first.file, "A layer's content");
    const second = await layer();
    expect(made).toBe(1);
    await expect(verifyLayer(second)).rejects.toBeInstanceOf(DamagedLayerError);
    await rm(first.file);
    await expect(verifyLayer({ ...first })).rejects.toBeInstanceOf(DamagedLayerError);
  });
});
