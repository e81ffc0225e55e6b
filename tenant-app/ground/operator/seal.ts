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

/** Encrypts a one-time password for one reader: compact JWE, ECDH-ES with A256GCM (RFC 7516, RFC 7518). */
export async function sealFor(recipient: Recipient, password: string): Promise<string> {
  const { kty, crv, x } = recipient;
  const key = await importJWK({ kty, crv, x }, "ECDH-ES");
  return new CompactEncrypt(new TextEncoder().encode(password))
    .setProtectedHeader({ alg: "ECDH-ES", enc: "A256GCM", ...(recipient.kid ? { kid: recipient.kid } : {}) })
    .encrypt(key);
}
