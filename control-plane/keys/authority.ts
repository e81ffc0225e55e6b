import { domainConflict } from "../fixed-settings.ts";
import { type AuthorityMaterial, createCertificateAuthority, domainOf } from "../issuer/internal.ts";
import { type Keyring, PLATFORM_UID } from "./keyring.ts";

/**
 * The platform's certificate authority: made once, its key kept wrapped in the keyring. The caller holds the lock that keeps two
 * reconcilers from making two. One for another domain is replaced while nobody has a certificate of it.
 * @param haveSchools whether there are schools
 * @throws ClassmindError `Conflict` when schools have their names below another domain
 */
export async function ensureAuthority(
  keyring: Keyring,
  domain: string,
  now: Date,
  haveSchools: () => Promise<boolean>,
): Promise<AuthorityMaterial> {
  const stored = await keyring.readMaterial(PLATFORM_UID, "ca");
  if (stored !== undefined) {
    const authority = JSON.parse(stored.toString("utf8")) as AuthorityMaterial;
    const present = domainOf(authority);
    if (present === domain) return authority;
    if (await haveSchools()) throw domainConflict(present, domain);
  }
  const made = await createCertificateAuthority({ domain, now });
  await keyring.storeMaterial(PLATFORM_UID, "ca", Buffer.from(JSON.stringify(made), "utf8"));
  return made;
}
