import { createHash, randomBytes } from "node:crypto";
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeSync,
} from "node:fs";
import path from "node:path";

/** The key-encryption key of an installation and a name for it that reveals nothing (first 8 bytes of its SHA-256). */
export interface KeyEncryptionKey {
  readonly id: string;
  readonly key: Buffer;
}

const KEK_BYTES = 32;

function toKey(key: Buffer): KeyEncryptionKey {
  return { id: createHash("sha256").update(key).digest("hex").slice(0, 16), key };
}

/**
 * Whether anybody but its owner may read a file. A Secret's volume belongs to root, and a pod's user reads it through the group
 * of the pod, which holds nobody else. Pure.
 * @param reader uid of this process
 */
export function isOpenToOthers(
  file: { readonly mode: number; readonly uid: number; readonly gid: number },
  reader: number | undefined,
): boolean {
  const mounted = file.uid === 0 && file.gid !== 0 && reader !== 0;
  return (file.mode & (mounted ? 0o037 : 0o077)) !== 0;
}

/**
 * Reads the key-encryption key: 32 bytes as base64 in a file that only its owner may read (in a pod: a Secret's file).
 * @throws Error naming the file and the remedy when it is missing, too open or malformed; never a new key in its place
 */
export function readKek(file: string): KeyEncryptionKey {
  if (!existsSync(file)) {
    throw new Error(
      `The key-encryption key ${file} is missing. Without it no school's key can be opened: bring it back from your safe copy.`,
    );
  }
  const status = statSync(file);
  if (isOpenToOthers(status, process.getuid?.())) {
    const mode = (status.mode & 0o777).toString(8);
    throw new Error(`The key-encryption key ${file} can be read by others (mode ${mode}). Run: chmod 600 ${file}`);
  }
  const key = Buffer.from(readFileSync(file, "utf8").trim(), "base64");
  if (key.length !== KEK_BYTES)
    throw new Error(`The key-encryption key ${file} is malformed: expected 32 bytes as base64.`);
  return toKey(key);
}

/** Creates the key-encryption key of a new installation, durably, and never replaces one. */
export function createKek(file: string): KeyEncryptionKey {
  if (existsSync(file)) return readKek(file);
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  const key = randomBytes(KEK_BYTES);
  const temporary = `${file}.new`;
  const descriptor = openSync(temporary, "w", 0o600);
  writeSync(descriptor, `${key.toString("base64")}\n`);
  fsyncSync(descriptor);
  closeSync(descriptor);
  chmodSync(temporary, 0o600);
  renameSync(temporary, file);
  return toKey(key);
}
