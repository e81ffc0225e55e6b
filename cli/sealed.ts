import { compactDecrypt, exportJWK, generateKeyPair, type JWK } from "jose";

/**
 * One-time passwords, and what is stored about somebody, travel sealed: the school itself encrypts them (JWE, ECDH-ES with X25519, A256GCM; RFC 7516 and 8037) to
 * a key that this command makes and forgets. Neither API nor reconciler nor database ever sees one in clear.
 */
export interface Recipient {
  /** Public key to send. */
  readonly publicKey: JWK;
  open(sealed: string): Promise<string>;
  /** What is no text. */
  openBytes(sealed: string): Promise<Uint8Array>;
}

export async function createRecipient(): Promise<Recipient> {
  const pair = await generateKeyPair("ECDH-ES", { crv: "X25519", extractable: true });
  const { kty, crv, x } = await exportJWK(pair.publicKey);
  if (kty === undefined || crv === undefined || x === undefined) throw new Error("the key pair has no public part");
  const openBytes = async (sealed: string): Promise<Uint8Array> => {
    const { plaintext } = await compactDecrypt(sealed, pair.privateKey, {
      keyManagementAlgorithms: ["ECDH-ES"],
      contentEncryptionAlgorithms: ["A256GCM"],
    });
    return plaintext;
  };
  return {
    publicKey: { kty, crv, x },
    open: async (sealed) => new TextDecoder().decode(await openBytes(sealed)),
    openBytes,
  };
}
