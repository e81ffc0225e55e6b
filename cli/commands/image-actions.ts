import { resolve } from "node:path";
import { createInstance } from "../../control-plane/host/instance.ts";
import { HOST_PACKAGES, missingPackages } from "../../control-plane/host/packages.ts";
import { type SavedImage, saveImages } from "../../control-plane/images/save.ts";
import { CliError, EXIT } from "../errors.ts";
import { type Column, table } from "../output.ts";
import { type CommonOptions, print, type Session } from "../session.ts";

const SAVED: readonly Column<SavedImage>[] = [
  { title: "IMAGE", value: (image) => image.name },
  { title: "REFERENCE", value: (image) => image.reference },
  { title: "FILE", value: (image) => image.file },
];

/** Refuses before any effect what would fail half-way. */
async function refuseUnprepared(): Promise<void> {
  if (process.getuid?.() !== 0)
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
