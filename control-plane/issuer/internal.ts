import {
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from "node:crypto";
import { promisify } from "node:util";
import forge from "node-forge";
import { ClassmindError } from "../errors.ts";
import {
  type CertificateExtension,
  excludingAddresses,
  nameConstraints,
  permittedDomain,
  subjectKeyIdentifier,
} from "./extensions.ts";
import type { CertificateRequest, IssuedCertificate, Issuer } from "./issuer.ts";
import { isHostName, isWithin } from "./names.ts";

/**
 * The platform's own certificate authority (RFC 5280). It may sign names below one domain only, which each client checks
 * by the critical name constraints of the root, so that trusting it gives nobody the rest of the web.
 * node-forge encodes; keys and signatures come from node's own crypto, in its thread pool: forge would block the event
 * loop for a second each. There are no revocation lists: a leaf lives 47 days at most, and the gateway drops it at once.
 */

const DAY = 86_400_000;
const BACKDATING = 5 * 60_000;
const AUTHORITY_LIFETIME = 3650 * DAY;
export const LEAF_LIFETIME = 47 * DAY;
const COMMON_NAME_LIMIT = 64;
/** RFC 4055. */
const SHA256_WITH_RSA = "1.2.840.113549.1.1.11";

const generate = promisify(generateKeyPair);

/** A certificate authority. `keyPem` (PKCS #8) is a secret that the caller stores wrapped. */
export interface AuthorityMaterial {
  readonly certificatePem: string;
  readonly keyPem: string;
}

/** The one domain that an authority may sign for. @throws ClassmindError `Invalid` when it is not constrained to one */
export function domainOf({ certificatePem }: Pick<AuthorityMaterial, "certificatePem">): string {
  return permittedDomain(forge.pki.certificateFromPem(certificatePem));
}

/**
 * Creates the certificate authority of a platform: RSA-3072, valid ten years, critical basicConstraints (pathlen 0),
 * keyUsage and nameConstraints (DNS names at or below `domain`, no IP address).
 * @throws ClassmindError `Invalid` when the domain is no host name.
 */
export async function createCertificateAuthority(request: {
  readonly domain: string;
  readonly now: Date;
}): Promise<AuthorityMaterial> {
  const { domain, now } = request;
  if (!isHostName(domain)) {
    throw new ClassmindError("Invalid", `"${domain}" is not a domain name`, {
      field: "domain",
      remedy: "Give a lower-case domain such as schulen.example.",
    });
  }
  const key = await generate("rsa", { modulusLength: 3072 });
  const identifier = randomBytes(6).toString("hex");
  const longName = `Classmind CA ${domain}`;
  // The serial number keeps two authorities for one domain apart: clients look issuers up by their name.
  const subject: forge.pki.CertificateField[] = [
    { name: "commonName", value: longName.length <= COMMON_NAME_LIMIT ? longName : "Classmind CA" },
    { name: "organizationName", value: "Classmind" },
    { type: "2.5.4.5", value: identifier },
  ];
  const certificatePem = await signCertificate({
    subject,
    issuer: subject,
    publicKey: key.publicKey,
    signingKey: key.privateKey,
    notBefore: new Date(now.getTime() - BACKDATING),
    notAfter: new Date(now.getTime() - BACKDATING + AUTHORITY_LIFETIME),
    extensions: [
      { name: "basicConstraints", critical: true, cA: true, pathLenConstraint: 0 },
      { name: "keyUsage", critical: true, keyCertSign: true },
      { name: "extKeyUsage", serverAuth: true },
      nameConstraints({ permittedDomain: domain, excluded: excludingAddresses }),
      subjectKeyIdentifier(key.publicKey),
    ],
  });
  return { certificatePem, keyPem: pemOf(key.privateKey) };
}

/**
 * The internal issuer: ECDSA P-256 leaves (BSI TR-02102-2, 3.6) of at most 47 days, backdated five minutes for clients whose clock is behind, for
 * names within the domain that the authority's name constraints permit.
 * @throws ClassmindError `Invalid` when certificate and key of the authority do not belong together or are not RSA, or nothing
 * constrains it.
 */
export function internalIssuer(authority: { readonly caCertificatePem: string; readonly caKeyPem: string }): Issuer {
  const caCertificate = new X509Certificate(authority.caCertificatePem);
  const caKey = createPrivateKey(authority.caKeyPem);
  if (!caCertificate.checkPrivateKey(caKey)) {
    throw new ClassmindError("Invalid", "The certificate authority's key does not belong to its certificate");
  }
  if (caKey.asymmetricKeyType !== "rsa")
    throw new ClassmindError("Invalid", "The certificate authority's key must be RSA");
  const ca = forge.pki.certificateFromPem(authority.caCertificatePem);
  const domain = permittedDomain(ca);

  async function issue({ hosts, now }: CertificateRequest): Promise<IssuedCertificate> {
    refuseForeignHosts(hosts, domain);
    const notBefore = new Date(Math.max(now.getTime() - BACKDATING, caCertificate.validFromDate.getTime()));
    const notAfter = new Date(Math.min(notBefore.getTime() + LEAF_LIFETIME, caCertificate.validToDate.getTime()));
    if (notAfter <= now || caCertificate.validFromDate > now) {
      throw new ClassmindError("Unavailable", "The certificate authority is not valid at this time", {
        remedy: `It is valid from ${caCertificate.validFrom} to ${caCertificate.validTo}: check the clock, or renew it.`,
      });
    }
    const key = await generate("ec", { namedCurve: "P-256" });
    const commonName = hosts[0] ?? "";
    const certificatePem = await signCertificate({
      subject: commonName.length <= COMMON_NAME_LIMIT ? [{ name: "commonName", value: commonName }] : [],
      issuer: ca.subject.attributes,
      publicKey: key.publicKey,
      signingKey: caKey,
      notBefore,
      notAfter,
      extensions: [
        { name: "basicConstraints", critical: true, cA: false },
        // RFC 8813, 3: the key signs handshakes and nothing else; a key of an elliptic curve encrypts none.
        { name: "keyUsage", critical: true, digitalSignature: true },
        { name: "extKeyUsage", serverAuth: true },
        // RFC 5280, 4.2.1.6: critical when the subject is empty.
        {
          name: "subjectAltName",
          critical: commonName.length > COMMON_NAME_LIMIT,
          altNames: hosts.map((value) => ({ type: 2, value })),
        },
        subjectKeyIdentifier(key.publicKey),
        { name: "authorityKeyIdentifier", keyIdentifier: ca.generateSubjectKeyIdentifier().getBytes() },
      ],
    });
    const leaf = new X509Certificate(certificatePem);
    return {
      certificatePem,
      chainPem: "",
      privateKeyPem: pemOf(key.privateKey),
      notBefore: leaf.validFromDate,
      notAfter: leaf.validToDate,
      serial: leaf.serialNumber,
      issuer: "internal",
    };
  }

  return { name: "internal", issue };
}

function refuseForeignHosts(hosts: readonly string[], domain: string): void {
  if (hosts.length === 0) throw new ClassmindError("Invalid", "A certificate needs a host name", { field: "hosts" });
  const foreign = hosts.find((host) => !isHostName(host) || !isWithin(host, domain));
  if (foreign !== undefined) {
    throw new ClassmindError("Invalid", `The internal issuer signs names of ${domain} only, not "${foreign}"`, {
      field: "hosts",
      remedy: "Upload a certificate for a host name of the school's own.",
    });
  }
}

interface Draft {
  readonly subject: forge.pki.CertificateField[];
  readonly issuer: forge.pki.CertificateField[];
  readonly publicKey: KeyObject;
  readonly signingKey: KeyObject;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly extensions: CertificateExtension[];
}

/**
 * Encodes with forge, signs with node (sha256WithRSAEncryption, RFC 4055: the authority's key is RSA, the subject's may be
 * any). Yields PEM.
 */
async function signCertificate(draft: Draft): Promise<string> {
  const certificate = forge.pki.createCertificate();
  // Forge encodes RSA keys only: the signer's holds the place of the subject's, which is put in below.
  certificate.publicKey = forge.pki.publicKeyFromPem(
    createPublicKey(draft.signingKey).export({ type: "spki", format: "pem" }).toString(),
  );
  certificate.serialNumber = randomSerial();
  certificate.validity.notBefore = draft.notBefore;
  certificate.validity.notAfter = draft.notAfter;
  certificate.setSubject(draft.subject);
  certificate.setIssuer(draft.issuer);
  certificate.setExtensions(draft.extensions);
  certificate.signatureOid = SHA256_WITH_RSA;
  certificate.siginfo.algorithmOid = SHA256_WITH_RSA;
  const toBeSigned = withPublicKey(forge.pki.getTBSCertificate(certificate), draft.publicKey);
  const bytes = Buffer.from(forge.asn1.toDer(toBeSigned).getBytes(), "latin1");
  const signature = await new Promise<Buffer>((resolve, reject) => {
    sign("sha256", bytes, draft.signingKey, (error, value) => (error ? reject(error) : resolve(value)));
  });
  certificate.tbsCertificate = toBeSigned;
  certificate.signature = signature.toString("latin1");
  return forge.pki.certificateToPem(certificate).replaceAll("\r\n", "\n");
}

/** Position of subjectPublicKeyInfo in a TBSCertificate that begins with its version (RFC 5280, 4.1). */
const PUBLIC_KEY_POSITION = 6;

/** A TBSCertificate with another public key. */
function withPublicKey(toBeSigned: forge.asn1.Asn1, publicKey: KeyObject): forge.asn1.Asn1 {
  const { asn1 } = forge;
  const fields = Array.isArray(toBeSigned.value) ? toBeSigned.value : [];
  const info = asn1.fromDer(publicKey.export({ type: "spki", format: "der" }).toString("latin1"));
  return asn1.create(
    asn1.Class.UNIVERSAL,
    asn1.Type.SEQUENCE,
    true,
    fields.map((field, position) => (position === PUBLIC_KEY_POSITION ? info : field)),
  );
}

/** 128 random bits as a positive DER integer (RFC 5280, 4.1.2.2): a leading zero octet where the sign bit is set. */
function randomSerial(): string {
  for (;;) {
    const bytes = randomBytes(16);
    const first = bytes[0] ?? 0;
    // A zero octet in front would be no minimal DER encoding.
    if (first !== 0) return first >= 0x80 ? `00${bytes.toString("hex")}` : bytes.toString("hex");
  }
}

function pemOf(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" }).toString();
}
