import { createHash, createPrivateKey, createPublicKey, hkdfSync, type KeyObject, sign } from "node:crypto";

/** What an archive is signed with: Ed25519 (RFC 8032), with a key of the school's own that is made from the app's (HKDF, RFC 5869). */

/** PKCS #8 of an Ed25519 key (RFC 8410, 7), up to the 32 bytes of the key itself. */
const head = Buffer.from("302e020100300506032b657004220420", "hex");

function signingKey(fieldKey: KeyObject): KeyObject {
  const seed = hkdfSync("sha256", fieldKey, "", "classmind archive signature 1", 32);
  return createPrivateKey({ key: Buffer.concat([head, Buffer.from(seed)]), format: "der", type: "pkcs8" });
}

/** The school's public key, as OpenSSL reads it (PEM). */
export function oeffentlicherSchluessel(fieldKey: KeyObject): string {
  return createPublicKey(signingKey(fieldKey)).export({ type: "spki", format: "pem" }).toString();
}

/** By which people compare it: SHA-256 of the PEM's text, in groups of eight. */
export function fingerabdruck(pem: string): string {
  return (sha256(Buffer.from(pem)).match(/.{8}/g) ?? []).join(" ");
}

/** The signature: 64 bytes. */
export function unterschreibe(fieldKey: KeyObject, text: Buffer): Buffer {
  return sign(null, text, signingKey(fieldKey));
}

/** SHA-256, hexadecimal. */
export const sha256 = (content: Buffer): string => createHash("sha256").update(content).digest("hex");
