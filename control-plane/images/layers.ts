import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { chmod, mkdir, open, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runProgram } from "./command.ts";
import { mirrorLines } from "./debian-mirror.ts";
import type { RootfsRecipe } from "./recipes.ts";

/** One layer of an image: an uncompressed tar, known by its digest. */
export interface Layer {
  readonly file: string;
  /** Hex SHA-256 of the tar. */
  readonly digest: string;
}

/** Makes tars reproducible: equal content gives an equal digest. */
export const DETERMINISTIC_TAR = [
  "--sort=name",
  "--mtime=@0",
  "--owner=0",
  "--group=0",
  "--numeric-owner",
  "--format=gnu",
];

const DAY_MS = 86_400_000;

/** Raise it when the way root file systems are made changes. */
const RECIPE_VERSION = 1;

/** Hex SHA-256 of a file's content. */
export function digestOf(file: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const hash = createHash("sha256");
    createReadStream(file, { highWaterMark: 1 << 20 })
      .on("data", (chunk) => hash.update(chunk))
      .on("error", reject)
      .on("end", () => resolve(hash.digest("hex")));
  });
}

/**
 * A layer out of the cache, made if it is not there. Safe against interruption and against a second builder: a layer gets its
 * name when it is whole and on disk.
 * @param key names everything the layer depends on
 * @param make writes the tar to the path it is given
 */
export async function cachedLayer(
  cacheDir: string,
  key: string,
  make: (file: string, scratch: string) => Promise<void>,
): Promise<Layer> {
  const layers = join(cacheDir, "layers");
  const record = join(cacheDir, "keys", `${key}.json`);
  const known = await readRecord(record);
  if (known) {
    const file = join(layers, `${known.digest}.tar`);
    const found = await stat(file).catch(() => undefined);
    if (found?.size === known.size) {
      const now = new Date();
      // That it is wanted is noted once a day: tar fails over a file that changes while it reads it, for another builder.
      if (now.getTime() - found.mtimeMs > DAY_MS) await utimes(file, now, now);
      return { file, digest: known.digest };
    }
  }
  await mkdir(layers, { recursive: true });
  await mkdir(join(cacheDir, "keys"), { recursive: true });
  await removeLeftOvers(cacheDir);
  const scratch = join(cacheDir, `making-${process.pid}-${key}`);
  await rm(scratch, { recursive: true, force: true });
  await mkdir(scratch, { recursive: true });
  await chmod(scratch, 0o755);
  try {
    const partial = join(scratch, "layer.tar");
    await make(partial, scratch);
    const digest = await digestOf(partial);
    const handle = await open(partial, "r");
    const { size } = await handle.stat();
    await handle.datasync();
    await handle.close();
    const file = join(layers, `${digest}.tar`);
    await rename(partial, file);
    await writeFile(join(scratch, "record.json"), JSON.stringify({ digest, size }), { flush: true });
    await rename(join(scratch, "record.json"), record);
    for (const directory of [layers, join(cacheDir, "keys")]) {
      const names = await open(directory, "r");
      await names.sync().finally(() => names.close());
    }
    return { file, digest };
  } finally {
    await runProgram("rm", ["-rf", "--one-file-system", scratch]);
  }
}

/** A layer in the cache that is not what its name says, or not there. */
export class DamagedLayerError extends Error {
  readonly layer: Layer;
  constructor(layer: Layer) {
    super(`the layer ${layer.file} is damaged`);
    this.name = "DamagedLayerError";
    this.layer = layer;
  }
}

/** Layers of this process that were read and found whole. */
const verified = new WeakSet<Layer>();

/**
 * Reads a layer whole, as a power cut or a disk may have damaged it where its size does not tell.
 * @throws DamagedLayerError
 */
export async function verifyLayer(layer: Layer): Promise<void> {
  if (verified.has(layer)) return;
  const digest = await digestOf(layer.file).catch(() => undefined);
  if (digest !== layer.digest) throw new DamagedLayerError(layer);
  verified.add(layer);
}

/** Anything but a whole record is none: what a power cut leaves (nothing, zeros, a part) is made again. */
async function readRecord(file: string): Promise<{ digest: string; size: number } | undefined> {
  const text = await readFile(file, "utf8").catch(() => "");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null || !("digest" in value) || !("size" in value)) return undefined;
  return typeof value.digest === "string" && /^[0-9a-f]{64}$/.test(value.digest) && typeof value.size === "number"
    ? { digest: value.digest, size: value.size }
    : undefined;
}

/** Removes what builders that were killed left behind. Root file systems may hold mounts: never cross into one. */
async function removeLeftOvers(cacheDir: string): Promise<void> {
  for (const name of await readdir(cacheDir)) {
    const pid = /^making-(\d+)-/.exec(name)?.[1];
    if (pid === undefined) continue;
    const alive = await stat(`/proc/${pid}`).then(
      () => true,
      () => false,
    );
    if (!alive) await runProgram("rm", ["-rf", "--one-file-system", join(cacheDir, name)]);
  }
}

/** Where Debian packages come from and when they were last wanted fresh. */
export interface DebianSource {
  /** Apt source lines ("deb uri suite main"); default: the host's own mirrors. */
  readonly lines?: readonly string[];
  /** Any text; another text fetches the packages anew (security updates). */
  readonly freshness?: string;
}

/** The Debian root file system of a recipe; `onMake` is told when it is not in the cache. */
export async function rootfsLayer(
  cacheDir: string,
  recipe: RootfsRecipe,
  source: DebianSource,
  onMake: () => void,
): Promise<Layer> {
  const hooks = await Promise.all(
    [...recipe.extractHooks, ...recipe.customizeHooks].map((file) => readFile(file, "utf8")),
  );
  const inputs = { ...recipe, extractHooks: [], customizeHooks: hooks, version: RECIPE_VERSION, arch: process.arch };
  const key = createHash("sha256")
    .update(JSON.stringify([inputs, source.lines ?? "host", source.freshness ?? ""]))
    .digest("hex");
  return cachedLayer(cacheDir, `rootfs-${recipe.name}-${key.slice(0, 16)}`, async (file, scratch) => {
    onMake();
    const lines = source.lines ?? (await mirrorLines(recipe.suite));
    await runProgram(
      "mmdebstrap",
      [
        "--mode=root",
        "--variant=essential",
        "--quiet",
        `--include=${recipe.packages.join(",")}`,
        "--dpkgopt=force-unsafe-io",
        ...recipe.excludes.map((pattern) => `--dpkgopt=path-exclude=${pattern}`),
        ...(await proxyOptions()),
        ...recipe.extractHooks.map((hook) => `--extract-hook=${hook}`),
        ...recipe.customizeHooks.map((hook) => `--customize-hook=${hook}`),
        recipe.suite,
        file,
        ...lines,
      ],
      { env: { TMPDIR: scratch, SOURCE_DATE_EPOCH: "0" } },
    );
  });
}

/** The host's apt proxy, if it has one; mmdebstrap starts from an empty apt configuration. */
export async function proxyOptions(): Promise<readonly string[]> {
  const dump = await runProgram("apt-config", ["dump", "--no-empty"]);
  return dump
    .split("\n")
    .filter((line) => /^Acquire::https?::Proxy "/i.test(line))
    .map((line) => `--aptopt=${line}`);
}

/** The project's own Node binary, as /usr/local/bin/node. */
export async function nodeLayer(cacheDir: string, repository: string): Promise<Layer> {
  const home = join(repository, "node_modules", `node-linux-${process.arch}`);
  const { version }: { version: string } = JSON.parse(await readFile(join(home, "package.json"), "utf8"));
  const binary = join(home, "bin", "node");
  const { size } = await stat(binary);
  return cachedLayer(cacheDir, `node-${version}-${process.arch}-${size}`, async (file, scratch) => {
    await runProgram("install", ["-D", "--mode=0755", binary, join(scratch, "tree/usr/local/bin/node")]);
    await runProgram("tar", [...DETERMINISTIC_TAR, "-C", join(scratch, "tree"), "-cf", file, "usr"]);
  });
}
