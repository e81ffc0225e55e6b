import { randomBytes } from "node:crypto";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/** Writes a file so that after a crash either the old or the new content is there, never a part. */
export async function writeWhole(
  file: string,
  content: string | Uint8Array,
  options: { readonly mode: number; readonly owner?: readonly [uid: number, gid: number]; readonly durable: boolean },
): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const partial = join(dirname(file), `.${basename(file)}.${randomBytes(4).toString("hex")}`);
  const handle = await open(partial, "wx", options.mode);
  try {
    await handle.writeFile(content);
    if (options.owner) await handle.chown(...options.owner);
    if (options.durable) await handle.sync();
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
  await rename(partial, file);
  if (!options.durable) return;
  const directory = await open(dirname(file), "r");
  await directory.sync().finally(() => directory.close());
}
