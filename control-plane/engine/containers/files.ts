import { chmod, chown, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/** Who may do what with a file or directory. */
export interface Access {
  /** Permission bits, as chmod(2) takes them. */
  readonly mode: number;
  /** Root's if absent. */
  readonly owner?: readonly [uid: number, gid: number];
}

/**
 * Whether a file or directory is there with exactly this access.
 * @param path of which a symbolic link is followed
 */
export async function hasAccess(path: string, { mode, owner = [0, 0] }: Access): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && (found.mode & 0o7777) === mode && found.uid === owner[0] && found.gid === owner[1];
}

/**
 * Makes a directory, or takes the one that is there, and gives it this access. It is set afterwards: what is asked for when a
 * directory is made is masked by the process's umask (0077 in the platform's unit).
 */
export async function makeDirectory(path: string, { mode, owner = [0, 0] }: Access): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  await chown(path, ...owner);
  await chmod(path, mode);
}

/**
 * Writes a file so that after a crash either the old or the new content is there, never a part.
 * @param options.durable whether that holds for a power failure too; "content" leaves the directory to the caller, who has more
 *   files to write to it
 */
export async function writeWhole(
  file: string,
  content: string | Uint8Array,
  options: Access & { readonly durable: boolean | "content" },
): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  // Always the same name, so that what a killed writer left is taken by the next; nobody writes one file twice at once.
  const partial = join(dirname(file), `.${basename(file)}.new`);
  const handle = await open(partial, "w", 0o600);
  try {
    await handle.writeFile(content);
    await handle.chown(...(options.owner ?? [0, 0]));
    // Set, not asked for: the mode given to open(2) is masked by the umask.
    await handle.chmod(options.mode);
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
