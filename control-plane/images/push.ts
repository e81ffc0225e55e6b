import { copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Instance } from "../host/instance.ts";
import type { BuildOptions } from "./build.ts";
import { runProgram } from "./command.ts";
import type { ImageName } from "./recipes.ts";
import { CLUSTER_IMAGES, saveImages } from "./save.ts";

export interface PushedImage {
  readonly name: ImageName;
  /** As a cluster pulls it. */
  readonly reference: string;
}

export interface PushOptions extends BuildOptions {
  /** PEM of the authority that signed the registry's certificate, if the world does not know it. */
  readonly authorityFile?: string;
}

/** `registry.example[:port][/path]`, as references of images begin. */
const REGISTRY = /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d{1,5})?(?:\/[a-z0-9]+(?:[._-][a-z0-9]+)*)*$/;

export function isRegistry(text: string): boolean {
  return REGISTRY.test(text);
}

/** The reference of an image below a registry: the name's last part and the tag stay. Pure. */
export function referenceAt(registry: string, reference: string): string {
  return `${registry}/${reference.slice(reference.lastIndexOf("/") + 1)}`;
}

/**
 * Builds images and pushes them to a registry by skopeo, over TLS that is checked. The login is skopeo's own (`skopeo login`,
 * REGISTRY_AUTH_FILE). Tags follow from content, so what is there already is the same image, and its layers are not sent again.
 * @param registry see isRegistry
 * @throws Error with the words of the program that failed
 */
export async function pushImages(
  instance: Pick<Instance, "cacheDir">,
  registry: string,
  names: readonly ImageName[] = CLUSTER_IMAGES,
  options: PushOptions = {},
): Promise<readonly PushedImage[]> {
  await mkdir(instance.cacheDir, { recursive: true, mode: 0o755 });
  const scratch = await mkdtemp(join(instance.cacheDir, `making-${process.pid}-push-`));
  try {
    const certificates = join(scratch, "certificates");
    if (options.authorityFile !== undefined) {
      await mkdir(certificates);
      await copyFile(options.authorityFile, join(certificates, "authority.crt"));
    }
    const trust = options.authorityFile === undefined ? [] : [`--dest-cert-dir=${certificates}`];
    const pushed: PushedImage[] = [];
    for (const { name, reference, file } of await saveImages(instance, scratch, names, options)) {
      const target = referenceAt(registry, reference);
      options.onProgress?.(`pushing ${target}`);
      await runProgram("skopeo", ["copy", "--quiet", ...trust, `docker-archive:${file}`, `docker://${target}`]);
      pushed.push({ name, reference: target });
    }
    return pushed;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
