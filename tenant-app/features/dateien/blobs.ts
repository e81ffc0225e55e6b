import type { KeyObject } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, opendir, rename, stat, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { perApp } from "../../ground/app.ts";
import { chunkWith, opening, sealing } from "../../ground/crypto/chunks.ts";
import type { Part } from "../../ground/gate/reply.ts";

/** The disk or the school's quota is full. */
export class StorageFull extends Error {
  override readonly name = "StorageFull";
}

export interface StoredBlob {
  readonly id: string;
  readonly path: string;
  readonly modified: Date;
  readonly bytes: number;
}

/**
 * Encrypted contents of files: `<dir>/blobs/<2 hex>/<uuid>`. Everything, half-written ones included, lies below
 * `blobs`, because a restore swaps that directory as a whole.
 */
export interface BlobStore {
  /** Encrypts and stores a stream; returns the number of plaintext bytes. Nothing remains of one that fails. */
  write(id: string, key: KeyObject, content: Readable): Promise<number>;
  /** What decrypts a blob or a part of it; its stream fails with UnreadableBlob where it was changed. Rejects when it is missing. */
  read(id: string, key: KeyObject): Promise<(part?: Part) => Readable>;
  remove(id: string): Promise<void>;
  /** All stored blobs, in no order. */
  list(): AsyncGenerator<StoredBlob>;
  /** Half-written ones, in no order. */
  leftovers(): AsyncGenerator<StoredBlob>;
}

const name = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Blobs below the school's file directory. Directories are made when first needed. */
export function blobStore(filesDir: string): BlobStore {
  const root = join(filesDir, "blobs");
  const temporary = join(root, "tmp");
  const pathOf = (id: string): string => {
    if (!name.test(id)) {
      throw new Error("a blob's name is a UUID");
    }
    return join(root, id.slice(0, 2), id);
  };
  return {
    write: async (id, key, content) => {
      const target = pathOf(id);
      const half = join(temporary, id);
      await mkdir(temporary, { recursive: true, mode: 0o700 });
      await mkdir(dirname(target), { recursive: true, mode: 0o700 });
      try {
        const length = await writeHalf(half, id, key, content);
        await rename(half, target);
        await syncDirectory(dirname(target));
        return length;
      } catch (error) {
        await unlink(half).catch(() => undefined);
        throw isFull(error) ? new StorageFull("no room for another file", { cause: error }) : error;
      }
    },
    read: async (id, key) => {
      const path = pathOf(id);
      await stat(path);
      return (part) => {
        const { chunk, at, before } = chunkWith(part?.start ?? 0);
        const source = createReadStream(path, { start: at });
        const plain = opening(key, id, chunk);
        source.on("error", (error) => plain.destroy(error));
        plain.on("close", () => source.destroy());
        source.pipe(plain);
        return part ? Readable.from(within(plain, before, part.end - part.start + 1), { objectMode: false }) : plain;
      };
    },
    remove: (id) => removeFile(pathOf(id)),
    list: () => filesBelow(root, (directory) => /^[0-9a-f]{2}$/.test(directory)),
    leftovers: () => filesBelow(root, (directory) => directory === "tmp"),
  };
}

/** The school's own. */
export const blobsOf = perApp((app) => blobStore(app.config.filesDir));

/** Removes a file; one that is gone already is fine. */
export async function removeFile(path: string): Promise<void> {
  await unlink(path).catch((error: unknown) => {
    if (!isMissing(error)) {
      throw error;
    }
  });
}

/** Of a stream so many bytes after others; then it is read no further. */
async function* within(source: AsyncIterable<Buffer>, before: number, length: number): AsyncGenerator<Buffer> {
  let [skip, left] = [before, length];
  for await (const piece of source) {
    const wanted = piece.subarray(skip, skip + left);
    skip = Math.max(0, skip - piece.length);
    left -= wanted.length;
    if (wanted.length > 0) yield wanted;
    if (left === 0) return;
  }
}

async function writeHalf(path: string, id: string, key: KeyObject, content: Readable): Promise<number> {
  const file = await open(path, "wx", 0o600);
  let length = 0;
  try {
    content.on("data", (part: Buffer) => {
      length += part.length;
    });
    content.pause();
    await pipeline(content, sealing(key, id), file.createWriteStream({ flush: true }));
    return length;
  } finally {
    await file.close().catch(() => undefined);
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

async function* filesBelow(root: string, wanted: (directory: string) => boolean): AsyncGenerator<StoredBlob> {
  for await (const directory of entries(root)) {
    if (!wanted(directory)) {
      continue;
    }
    for await (const id of entries(join(root, directory))) {
      const path = join(root, directory, id);
      const info = await stat(path).catch(() => undefined);
      if (name.test(id) && info?.isFile()) {
        yield { id, path, modified: info.mtime, bytes: info.size };
      }
    }
  }
}

async function* entries(path: string): AsyncGenerator<string> {
  try {
    for await (const entry of await opendir(path)) {
      yield entry.name;
    }
  } catch (error) {
    if (!isMissing(error)) {
      throw error;
    }
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

function isFull(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOSPC" || error.code === "EDQUOT");
}
