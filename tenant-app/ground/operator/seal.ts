import { CompactEncrypt, importJWK } from "jose";
import { z } from "zod";

/** Public key of whoever is to read a one-time password (RFC 8037). A private part is refused: it is none of ours. */
export const recipientSchema = z.strictObject({
  kty: z.literal("OKP"),
  crv: z.literal("X25519"),
  x: z.string().regex(/^[A-Za-z0-9_-]{43}$/, "must be 32 bytes in base64url"),
  kid: z.string().max(200).optional(),
});
export type Recipient = z.infer<typeof recipientSchema>;

/** Encrypts what only one reader is to see: compact JWE, ECDH-ES with A256GCM (RFC 7516, RFC 7518). */
export async function sealBytesFor({ kty, crv, x, kid }: Recipient, content: Uint8Array): Promise<string> {
  const key = await importJWK({ kty, crv, x }, "ECDH-ES");
  return new CompactEncrypt(content)
    .setProtectedHeader({ alg: "ECDH-ES", enc: "A256GCM", ...(kid ? { kid } : {}) })
    .encrypt(key);
}

/** Encrypts a one-time password for one reader. */
export function sealFor(recipient: Recipient, password: string): Promise<string> {
  return sealBytesFor(recipient, new TextEncoder().encode(password));
}
