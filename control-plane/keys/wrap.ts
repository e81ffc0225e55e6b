import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";

/** AES-256-GCM (NIST SP 800-38D), nonce 96 bits random, tag 128 bits. Layout: version(1) | nonce(12) | tag(16) | ciphertext. */
const VERSION = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export class UnwrapError extends Error {
  constructor(label: string) {
    super(
      `The key ${label} does not open with this key-encryption key: it was wrapped with another one, or it was altered.`,
    );
    this.name = "UnwrapError";
  }
}

/** What a wrapped key is bound to: it opens for no other school and no other purpose. */
export interface Binding {
  readonly tenantUid: string;
  readonly purpose: string;
}

function associatedData(binding: Binding): Buffer {
  return Buffer.from(JSON.stringify(["classmind", VERSION, binding.tenantUid, binding.purpose]), "utf8");
}

/**
 * Encrypts key material under the key-encryption key.
 * @param kek 32 bytes
 */
export function wrapKey(kek: Buffer, material: Buffer, binding: Binding): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv("aes-256-gcm", kek, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(associatedData(binding));
  const ciphertext = Buffer.concat([cipher.update(material), cipher.final()]);
  return Buffer.concat([Buffer.of(VERSION), nonce, cipher.getAuthTag(), ciphertext]);
}

/**
 * Opens what wrapKey made.
 * @throws UnwrapError when the key-encryption key, the binding or a bit differs
 */
export function unwrapKey(kek: Buffer, wrapped: Buffer, binding: Binding): Buffer {
  const label = `${binding.purpose} of ${binding.tenantUid}`;
  if (wrapped.length < 1 + NONCE_BYTES + TAG_BYTES || wrapped[0] !== VERSION) throw new UnwrapError(label);
  const nonce = wrapped.subarray(1, 1 + NONCE_BYTES);
  const decipher = createDecipheriv("aes-256-gcm", kek, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(associatedData(binding));
  decipher.setAuthTag(wrapped.subarray(1 + NONCE_BYTES, 1 + NONCE_BYTES + TAG_BYTES));
  try {
    return Buffer.concat([decipher.update(wrapped.subarray(1 + NONCE_BYTES + TAG_BYTES)), decipher.final()]);
  } catch {
    throw new UnwrapError(label);
  }
}
