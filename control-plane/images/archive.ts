import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { rename, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { runProgram } from "./command.ts";
import { type Layer, verifyLayer } from "./layers.ts";
import { ANYBODY, CONTAINER_UID, type ImageRecipe } from "./recipes.ts";

/**
 * An image put together from layers, in the form of `docker save` (which Docker, Podman and containerd all load).
 * No build engine takes part: equal layers give an equal image, on every host.
 */
export interface ImageArchive {
  /** localhost/classmind/<name>:<first 16 hex of the image's own digest>. */
  readonly reference: string;
  readonly configDigest: string;
  readonly config: string;
  readonly layers: readonly Layer[];
}

/** Describes the image of a recipe. The format: Docker Image Specification v1.2. */
export function describeImage(recipe: ImageRecipe, layers: readonly Layer[]): ImageArchive {
  const created = "1970-01-01T00:00:00Z";
  const config = JSON.stringify({
    architecture: process.arch === "x64" ? "amd64" : process.arch,
    os: "linux",
    created,
    config: {
      User: `${CONTAINER_UID}:${CONTAINER_UID}`,
      Env: [`PATH=${recipe.path}`, "LANG=C.UTF-8"],
      WorkingDir: "/",
      Labels: { "classmind.image": recipe.name, [ANYBODY]: "yes" },
      ...(recipe.stopSignal === undefined ? {} : { StopSignal: recipe.stopSignal }),
    },
    rootfs: { type: "layers", diff_ids: layers.map((layer) => `sha256:${layer.digest}`) },
    history: layers.map(() => ({ created, created_by: "classmind" })),
  });
  const configDigest = createHash("sha256").update(config).digest("hex");
  return { reference: `localhost/classmind/${recipe.name}:${configDigest.slice(0, 16)}`, configDigest, config, layers };
}

/**
 * What tar is told to put together, but for where to. Writes the small files that lead the archive into `scratch`.
 * @throws DamagedLayerError before anything is put together
 */
async function partsOf(image: ImageArchive, scratch: string): Promise<readonly string[]> {
  for (const layer of image.layers) await verifyLayer(layer);
  const manifest = [
    {
      Config: `${image.configDigest}.json`,
      RepoTags: [image.reference],
      Layers: image.layers.map((layer) => basename(layer.file)),
    },
  ];
  await writeFile(join(scratch, "manifest.json"), JSON.stringify(manifest));
  await writeFile(join(scratch, `${image.configDigest}.json`), image.config);
  return [
    "-C",
    scratch,
    "manifest.json",
    `${image.configDigest}.json`,
    ...image.layers.flatMap((layer) => ["-C", dirname(layer.file), basename(layer.file)]),
  ];
}

/**
 * The archive as a stream for the engine's load endpoint.
 * @param scratch directory for the small files that lead the archive
 * @throws DamagedLayerError
 */
export async function streamArchive(image: ImageArchive, scratch: string): Promise<Readable> {
  const tar = spawn("tar", ["-cf", "-", ...(await partsOf(image, scratch))], { stdio: ["ignore", "pipe", "inherit"] });
  tar.on("error", (error) => tar.stdout.destroy(error));
  return tar.stdout;
}

/** The archive as a file, which is whole or not there. @throws DamagedLayerError */
export async function writeArchive(image: ImageArchive, scratch: string, file: string): Promise<void> {
  await runProgram("tar", ["-cf", `${file}.new`, ...(await partsOf(image, scratch))]);
  await rename(`${file}.new`, file);
}
