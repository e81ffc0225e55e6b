import { mkdir, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/**
 * Writes a file so that after a crash either the old or the new content is there, never a part.
 * @param options.durable whether that holds for a power failure too; "content" leaves the directory to the caller, who has more
 *   files to write to it
 */
export async function writeWhole(
  file: string,
  content: string | Uint8Array,
  options: {
    readonly mode: number;
    readonly owner?: readonly [uid: number, gid: number];
    readonly durable: boolean | "content";
  },
): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  // Always the same name, so that what a killed writer left is taken by the next; nobody writes one file twice at once.
  const partial = join(dirname(file), `.${basename(file)}.new`);
  const handle = await open(partial, "w", options.mode);
  try {
    await handle.writeFile(content);
    if (options.owner) await handle.chown(...options.owner);
    if (options.durable !== false) await handle.sync();
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
  await rename(partial, file);
  if (options.durable === true) await syncDirectory(dirname(file));
}

/** Makes names that were made, renamed or removed in a directory survive a power failure. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  await directory.sync().finally(() => directory.close());
}
