import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject, randomBytes } from "node:crypto";

/** Where a value lives. It is authenticated with the value: moved to another row or column it no longer opens. */
export interface Place {
  readonly table: string;
  readonly column: string;
  readonly row: string;
}

/** An encrypted value was changed, moved or written with another key. */
export class UnreadableField extends Error {
  override readonly name = "UnreadableField";
}

const version = 1;
const nonceLength = 12;
const tagLength = 16;

/**
 * AES-256-GCM (NIST SP 800-38D): version byte, 96-bit random nonce, ciphertext, 128-bit tag. `key` is one of 32 bytes, made once: making
 * one anew for each value costs more than sealing does.
 */
export function seal(key: KeyObject, place: Place, plaintext: Buffer | string): Buffer {
  const nonce = randomBytes(nonceLength);
  const cipher = createCipheriv("aes-256-gcm", key, nonce);
  cipher.setAAD(bound(place));
  const body = Buffer.concat([cipher.update(plaintext), cipher.final()]);
  return Buffer.concat([Buffer.from([version]), nonce, body, cipher.getAuthTag()]);
}

/** Opens what `seal` made. Throws UnreadableField; the error carries the place, never the content. */
export function open(key: KeyObject, place: Place, sealed: Buffer): Buffer {
  if (sealed.length < 1 + nonceLength + tagLength || sealed[0] !== version) {
    throw new UnreadableField(`${place.table}.${place.column}: not an encrypted value of this version`);
  }
  const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(1, 1 + nonceLength));
  decipher.setAAD(bound(place));
  decipher.setAuthTag(sealed.subarray(-tagLength));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(1 + nonceLength, -tagLength)), decipher.final()]);
  } catch {
    throw new UnreadableField(`${place.table}.${place.column}: changed, moved or written with another key`);
  }
}

/** Like `open`, for text. */
export function openText(key: KeyObject, place: Place, sealed: Buffer): string {
  return open(key, place, sealed).toString("utf8");
}

/** A new random key for one message or file, and the same key wrapped by `key` for its row. */
export function newRowKey(key: KeyObject, place: Place): { readonly rowKey: KeyObject; readonly wrapped: Buffer } {
  const bytes = randomBytes(32);
  return { rowKey: createSecretKey(bytes), wrapped: seal(key, place, bytes) };
}

/** Opens a key that `newRowKey` wrapped. Throws UnreadableField. */
export function openKey(key: KeyObject, place: Place, wrapped: Buffer): KeyObject {
  return createSecretKey(open(key, place, wrapped));
}

function bound(place: Place): Buffer {
  return Buffer.from(JSON.stringify([version, place.table, place.column, place.row]), "utf8");
}
