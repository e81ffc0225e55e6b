import { existsSync } from "node:fs";
import { chmod, cp, mkdir, mkdtemp, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import type Dockerode from "dockerode";
import { statusOf } from "../host/docker-errors.ts";
import type { Instance } from "../host/instance.ts";
import { createSemaphore } from "../semaphore.ts";
import { describeImage, type ImageArchive, streamArchive } from "./archive.ts";
import { bundlePrograms, REPOSITORY } from "./bundle.ts";
import { runProgram } from "./command.ts";
import {
  DamagedLayerError,
  DETERMINISTIC_TAR,
  type DebianSource,
  digestOf,
  type Layer,
  nodeLayer,
  rootfsLayer,
} from "./layers.ts";
import { IMAGE_RECIPES, type ImageName, type ImageRecipe } from "./recipes.ts";

/** References of the images the platform runs, e.g. "localhost/classmind/app:0123456789abcdef". */
export interface ImageReferences {
  readonly postgres: string;
  readonly app: string;
  readonly controlPlane: string;
  readonly gateway: string;
}

export interface BuildOptions {
  readonly onProgress?: (message: string) => void;
  readonly debian?: DebianSource;
}

/**
 * Makes the four images and loads them into the engine, unless they are there. Tags follow from content: nothing happens when
 * nothing changed. At most two root file systems are made at once.
 * @throws Error with the words of the program that failed; what was finished is kept and not made again.
 */
export async function buildImages(
  docker: Dockerode,
  instance: Instance,
  options: BuildOptions = {},
): Promise<ImageReferences> {
  let loaded = false;
  const references = await assembleImages(instance, IMAGE_RECIPES, options, async (image, name, scratch) => {
    if (await hasImage(docker, image.reference)) return;
    options.onProgress?.(`loading the image ${name}`);
    await loadImage(docker, image, scratch);
    loaded = true;
  });
  // The engine writes without waiting for the disk: a power cut now would leave images with empty files, which it takes for whole.
  if (loaded && existsSync(instance.stateDir)) await runProgram("sync", ["--file-system", instance.stateDir]);
  const reference = (name: ImageName) => {
    const found = references.get(name);
    if (found === undefined) throw new Error(`image ${name} has no recipe`);
    return found;
  };
  return {
    postgres: reference("postgres"),
    app: reference("app"),
    controlPlane: reference("control-plane"),
    gateway: reference("gateway"),
  };
}

/**
 * Puts images together and hands them to `take`, one at a time, with a directory for small files.
 * @returns their references
 */
export async function assembleImages<Name extends string>(
  instance: Pick<Instance, "cacheDir">,
  recipes: ReadonlyArray<ImageRecipe<Name>>,
  options: BuildOptions,
  take: (image: ImageArchive, name: Name, scratch: string) => Promise<void>,
): Promise<ReadonlyMap<Name, string>> {
  await mkdir(instance.cacheDir, { recursive: true });
  // What fetches Debian packages works below it as a user of its own.
  await chmod(instance.cacheDir, 0o755);
  const base = baseLayers(instance, options);
  const references = new Map<Name, string>();
  // One after the other: an engine that takes two archives with the same layers at once stores them twice.
  const turns = createSemaphore(1);
  const makeOne = async (recipe: ImageRecipe<Name>) => {
    const scratch = await mkdtemp(join(instance.cacheDir, `making-${process.pid}-image-`));
    try {
      const layers: Layer[] = [...(await base.of(recipe))];
      const own = await ownLayer(recipe, scratch);
      if (own) layers.push(own);
      const image = describeImage(recipe, layers);
      references.set(recipe.name, image.reference);
      await turns.run(() => take(image, recipe.name, scratch));
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  };
  /** Again, without what was found damaged in the cache. The layers below are two at most. */
  const makeWhole = async (recipe: ImageRecipe<Name>, tries = 3): Promise<void> => {
    try {
      await makeOne(recipe);
    } catch (error) {
      if (!(error instanceof DamagedLayerError) || tries === 1) throw error;
      options.onProgress?.(`${error.message} and made again`);
      await base.remove(error.layer);
      await makeWhole(recipe, tries - 1);
    }
  };
  const outcomes = await Promise.allSettled(recipes.map((recipe) => makeWhole(recipe)));
  for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
  return references;
}

/** The layers that images share: each is made once, root file systems two at a time. */
interface BaseLayers {
  /** Those of a recipe, the lowest first. */
  of(recipe: ImageRecipe): Promise<readonly Layer[]>;
  /** Takes one out of the cache, unless that was done already; the next that asks for it gets it made anew. */
  remove(layer: Layer): Promise<void>;
}

function baseLayers(instance: Pick<Instance, "cacheDir">, options: BuildOptions): BaseLayers {
  const made = new Map<string, Promise<Layer>>();
  const turns = createSemaphore(2);
  const once = (name: string, make: () => Promise<Layer>): Promise<Layer> => {
    const known = made.get(name);
    if (known) return known;
    const layer = make();
    made.set(name, layer);
    return layer;
  };
  const rootfs = ({ rootfs: recipe }: ImageRecipe) =>
    turns.run(() =>
      rootfsLayer(instance.cacheDir, recipe, options.debian ?? {}, () =>
        options.onProgress?.(`making the root file system of ${recipe.name} from Debian packages`),
      ),
    );
  return {
    of: (recipe) =>
      Promise.all([
        once(`rootfs ${recipe.rootfs.name}`, () => rootfs(recipe)),
        ...(recipe.node ? [once("node", () => nodeLayer(instance.cacheDir, REPOSITORY))] : []),
      ]),
    async remove(layer) {
      for (const [name, known] of made) {
        if ((await known.catch(() => undefined)) !== layer) continue;
        await rm(layer.file, { force: true });
        made.delete(name);
      }
    },
  };
}

/** Lays an image's own files and programs below a directory, as they are in the image. */
export async function writeOwnFiles(recipe: ImageRecipe, tree: string): Promise<void> {
  for (const file of recipe.files) {
    const target = join(tree, file.target);
    await mkdir(dirname(target), { recursive: true });
    await cp(join(REPOSITORY, file.source), target);
    await chmod(target, file.mode);
  }
  for (const directory of recipe.directories) {
    await cp(join(REPOSITORY, directory.source), join(tree, directory.target), { recursive: true });
  }
  // Together: what several of them share is read once, and is once in the image.
  for (const directory of new Set(recipe.bundles.map(({ target }) => dirname(target)))) {
    const here = recipe.bundles.filter(({ target }) => dirname(target) === directory);
    const entries = here.map(({ entry, target }) => [basename(target, ".mjs"), join(REPOSITORY, entry)] as const);
    const without = here.flatMap((bundle) => bundle.without ?? []);
    await bundlePrograms(Object.fromEntries(entries), join(tree, directory), without);
  }
  if (recipe.tenantApp) await bundleTenantApp(join(tree, "app"));
}

/** The topmost layer: our own files and programs. Undefined for an image that has none. */
async function ownLayer(recipe: ImageRecipe, scratch: string): Promise<Layer | undefined> {
  const tree = join(scratch, "tree");
  await mkdir(tree);
  await writeOwnFiles(recipe, tree);
  const roots = (await readdir(tree)).sort();
  if (roots.length === 0) return undefined;
  const file = join(scratch, "own.tar");
  // Whatever the builder's umask was, everybody may read and root owns it.
  await runProgram("chmod", ["-R", "u=rwX,go=rX", tree]);
  await runProgram("tar", [...DETERMINISTIC_TAR, "-C", tree, "-cf", file, ...roots]);
  const digest = await digestOf(file);
  const named = join(scratch, `${digest}.tar`);
  await rename(file, named);
  return { file: named, digest };
}

/** The school platform knows itself how it is bundled. */
async function bundleTenantApp(target: string): Promise<void> {
  const module = join(REPOSITORY, "tenant-app", "bundle.ts");
  if (!existsSync(module)) return;
  await mkdir(target, { recursive: true });
  const loaded: { bundleTenantApp?: (outDir: string) => Promise<unknown> } = await import(pathToFileURL(module).href);
  if (loaded.bundleTenantApp === undefined) throw new Error("tenant-app/bundle.ts exports no bundleTenantApp");
  await loaded.bundleTenantApp(target);
}

async function hasImage(docker: Dockerode, reference: string): Promise<boolean> {
  try {
    await docker.getImage(reference).inspect();
    return true;
  } catch (error) {
    if (statusOf(error) === 404) return false;
    throw error;
  }
}

async function loadImage(docker: Dockerode, image: ImageArchive, scratch: string): Promise<void> {
  const answer = await docker.loadImage(await streamArchive(image, scratch), { quiet: true });
  let text = "";
  for await (const chunk of answer) text += String(chunk);
  if (!(await hasImage(docker, image.reference))) {
    throw new Error(`the engine did not take image ${image.reference}: ${text.trim().slice(-400)}`);
  }
}

/**
 * Removes images of ours that are neither wanted nor used by a container, and cached layers nobody wanted for 30 days.
 * @param keep references that stay
 */
export async function pruneImages(docker: Dockerode, instance: Instance, keep: ReadonlySet<string>): Promise<void> {
  const images = await docker.listImages({ filters: JSON.stringify({ label: ["classmind.image"] }) });
  for (const tag of images.flatMap((image) => image.RepoTags ?? [])) {
    if (keep.has(tag) || !tag.startsWith("localhost/classmind/")) continue;
    await docker
      .getImage(tag)
      .remove()
      .catch((error: unknown) => {
        // 409: a container still uses it; 404: somebody was faster.
        if (statusOf(error) !== 409 && statusOf(error) !== 404) throw error;
      });
  }
  const layers = join(instance.cacheDir, "layers");
  const oldest = Date.now() - 30 * 86_400_000;
  for (const name of await readdir(layers).catch(() => [])) {
    const file = join(layers, name);
    if ((await stat(file)).mtimeMs < oldest) await rm(file, { force: true });
  }
}
