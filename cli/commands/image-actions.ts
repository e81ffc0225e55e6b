import { resolve } from "node:path";
import { createInstance } from "../../control-plane/host/instance.ts";
import { HOST_PACKAGES, missingPackages } from "../../control-plane/host/packages.ts";
import { isRoot } from "../../control-plane/host/require-root.ts";
import { assembleImages } from "../../control-plane/images/build.ts";
import { isRegistry, type PushedImage, pushImages } from "../../control-plane/images/push.ts";
import { IMAGE_RECIPES, type ImageName } from "../../control-plane/images/recipes.ts";
import { CLUSTER_IMAGES, type SavedImage, saveImages } from "../../control-plane/images/save.ts";
import { CliError, EXIT } from "../errors.ts";
import { type Column, table } from "../output.ts";
import { type CommonOptions, print, type Session } from "../session.ts";

type BuiltImage = Pick<SavedImage, "name" | "reference">;
const BUILT: readonly Column<BuiltImage>[] = [
  { title: "IMAGE", value: (image) => image.name },
  { title: "REFERENCE", value: (image) => image.reference },
];
const SAVED: readonly Column<SavedImage>[] = [...BUILT, { title: "FILE", value: (image) => image.file }];

/** Refuses before any effect what would fail half-way. */
async function refuseUnprepared(): Promise<void> {
  if (!isRoot())
    throw new CliError(EXIT.refused, "This needs root: it unpacks Debian packages as root would.", {
      remedy: "Run it with sudo, or as root.",
    });
  const missing = await missingPackages(HOST_PACKAGES.filter(({ name }) => name === "mmdebstrap"));
  if (missing.length > 0)
    throw new CliError(EXIT.unavailable, "mmdebstrap is missing, which builds the images from Debian packages.", {
      remedy: "Run: apt-get install mmdebstrap",
    });
}

/** Builds the images a cluster needs, without a container engine, and says what they are called. */
export async function saveForCluster(
  session: Session,
  options: CommonOptions,
  instance: string,
  directory: string,
): Promise<void> {
  await refuseUnprepared();
  const onProgress = (message: string): void => session.terminal.err(`  ${message}\n`);
  const items = await saveImages(createInstance(instance), resolve(directory), undefined, { onProgress });
  print(session, options, { items }, (value) => table(SAVED, value.items, session.terminal.width, "No images."));
}

const progressTo =
  (session: Session) =>
  (message: string): void =>
    session.terminal.err(`  ${message}\n`);

/** Builds the images a cluster needs into the cache, and says what they are called. */
export async function buildForCluster(session: Session, options: CommonOptions, instance: string): Promise<void> {
  await refuseUnprepared();
  const names: readonly ImageName[] = CLUSTER_IMAGES;
  const recipes = IMAGE_RECIPES.filter(({ name }) => names.includes(name));
  const built = await assembleImages(
    createInstance(instance),
    recipes,
    { onProgress: progressTo(session) },
    async () => undefined,
  );
  const items = names.flatMap((name) => {
    const reference = built.get(name);
    return reference === undefined ? [] : [{ name, reference }];
  });
  print(session, options, { items }, (value) => table(BUILT, value.items, session.terminal.width, "No images."));
}

/** Builds the images a cluster needs, and pushes them to a registry. */
export async function pushForCluster(
  session: Session,
  options: CommonOptions & { readonly certificateAuthority?: string },
  instance: string,
  registry: string,
): Promise<void> {
  if (!isRegistry(registry))
    throw new CliError(EXIT.usage, `${registry} is not where a registry keeps images.`, {
      remedy: "Name it as references begin, without https://: registry.example/classmind",
    });
  await refuseUnprepared();
  const missing = await missingPackages([{ name: "skopeo", why: "pushes images to a registry" }]);
  if (missing.length > 0)
    throw new CliError(EXIT.unavailable, "skopeo is missing, which pushes images to a registry.", {
      remedy: "Run: apt-get install skopeo — and log in: skopeo login REGISTRY",
    });
  const authorityFile = options.certificateAuthority;
  const items: readonly PushedImage[] = await pushImages(createInstance(instance), registry, undefined, {
    onProgress: progressTo(session),
    ...(authorityFile === undefined ? {} : { authorityFile: resolve(authorityFile) }),
  });
  print(session, options, { items }, (value) => table(BUILT, value.items, session.terminal.width, "No images."));
}
