import { watch } from "node:fs";
import { copyFile, rename, rm, stat, truncate } from "node:fs/promises";

/**
 * Keeps a log that grows without end within bounds. Its writers hold it open for appending and cannot be told to open another one
 * (standard output of the supervisor and its reconciler), so its content moves, and the file stays.
 */
export interface LogBounds {
  /** Size in bytes beyond which the content moves to `<file>.1`. */
  readonly most: number;
  /** How many earlier files are kept: `<file>.1` is the newest. */
  readonly kept: number;
  /** Milliseconds after a change within which it is looked at once. */
  readonly pause: number;
}

export const LOG_BOUNDS: LogBounds = { most: 10 * 1024 ** 2, kept: 3, pause: 1_000 };

/**
 * Moves the content of a log that has grown too large. Lines that are written in the moment between copy and cut are lost.
 * @returns whether anything moved
 */
export async function rotate(file: string, { most, kept }: Pick<LogBounds, "most" | "kept">): Promise<boolean> {
  const size = await stat(file).then(
    (found) => found.size,
    () => 0,
  );
  if (size <= most) return false;
  const half = `${file}.new`;
  try {
    await copyFile(file, half);
  } catch (error) {
    // A full disk, most likely: room comes before old lines, and the next change tries again.
    await rm(half, { force: true });
    await rm(`${file}.${kept}`, { force: true });
    throw error;
  }
  for (let age = kept; age > 1; age -= 1)
    await rename(`${file}.${age - 1}`, `${file}.${age}`).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
    });
  await rename(half, `${file}.1`);
  await truncate(file);
  return true;
}

/**
 * Watches a log for as long as the process lives, and rotates it. Costs nothing while nothing is written.
 * @param failed is told of what went wrong; it is tried again with the next line
 */
export function boundLog(file: string, failed: (error: unknown) => void, bounds: LogBounds = LOG_BOUNDS): () => void {
  let waiting: NodeJS.Timeout | undefined;
  let working = false;
  const look = (): void => {
    waiting = undefined;
    if (working) return;
    working = true;
    void rotate(file, bounds)
      .catch(failed)
      .finally(() => {
        working = false;
      });
  };
  const later = (): void => {
    waiting ??= setTimeout(look, bounds.pause).unref();
  };
  const watcher = watch(file, { persistent: false }, later);
  // It may have grown while nobody watched.
  later();
  return () => {
    watcher.close();
    clearTimeout(waiting);
  };
}
