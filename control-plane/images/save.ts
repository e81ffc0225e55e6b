import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Instance } from "../host/instance.ts";
import { writeArchive } from "./archive.ts";
import { assembleImages, type BuildOptions } from "./build.ts";
import { IMAGE_NAMES, IMAGE_RECIPES, type ImageName } from "./recipes.ts";

/** What a cluster needs; `gateway` only where it has no ingress controller. */
export const CLUSTER_IMAGES = ["control-plane", "postgres", "app", "gateway"] as const satisfies readonly ImageName[];

export interface SavedImage {
  readonly name: ImageName;
  readonly reference: string;
  /** Archive as `docker save` writes it: for skopeo, podman, docker, containerd and k3s. */
  readonly file: string;
}

/**
 * Writes images as archives into a directory, for a registry or a cluster's nodes. Needs no container engine.
 * @throws Error with the words of the program that failed
 */
export async function saveImages(
  instance: Pick<Instance, "cacheDir">,
  directory: string,
  names: readonly ImageName[] = CLUSTER_IMAGES,
  options: BuildOptions = {},
): Promise<readonly SavedImage[]> {
  await mkdir(directory, { recursive: true });
  const saved: SavedImage[] = [];
  const recipes = IMAGE_RECIPES.filter((recipe) => names.includes(recipe.name));
  await assembleImages(instance, recipes, options, async (image, name, scratch) => {
    const file = join(directory, `${name}.tar`);
    options.onProgress?.(`writing ${file}`);
    await writeArchive(image, scratch, file);
    saved.push({ name, reference: image.reference, file });
  });
  return saved.sort((a, b) => IMAGE_NAMES.indexOf(a.name) - IMAGE_NAMES.indexOf(b.name));
}
