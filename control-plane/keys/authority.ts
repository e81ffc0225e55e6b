import { type AuthorityMaterial, createCertificateAuthority } from "../issuer/internal.ts";
import { type Keyring, PLATFORM_UID } from "./keyring.ts";

/**
 * The platform's certificate authority: made once, its key kept wrapped in the keyring. The caller holds the lock that keeps two
 * reconcilers from making two.
 */
export async function ensureAuthority(keyring: Keyring, domain: string, now: Date): Promise<AuthorityMaterial> {
  const stored = await keyring.readMaterial(PLATFORM_UID, "ca");
  if (stored !== undefined) return JSON.parse(stored.toString("utf8")) as AuthorityMaterial;
  const made = await createCertificateAuthority({ domain, now });
  await keyring.storeMaterial(PLATFORM_UID, "ca", Buffer.from(JSON.stringify(made), "utf8"));
  return made;
}
