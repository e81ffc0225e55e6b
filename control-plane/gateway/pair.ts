import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";

/** A private key with its certificate and the chain behind, in one PEM text as HAProxy takes it. */

export interface Pair {
  readonly leaf: X509Certificate;
  /** Key, leaf, chain; no blank line, which would end a payload early. */
  readonly pem: string;
}

const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----[A-Za-z0-9+/=\s]+-----END \1-----/g;

/**
 * Reads a pair; undefined unless it is exactly one private key and at least one certificate, the first of which has that
 * key, strong enough that HAProxy serves it (it would refuse to start over a weak one).
 */
export function readPair(text: string): Pair | undefined {
  const blocks = [...text.matchAll(BLOCK)].map(([block, label = ""]) => ({
    label,
    pem: block.split(/\s*\n\s*/).join("\n"),
  }));
  const keys = blocks.filter(({ label }) => label.endsWith("PRIVATE KEY"));
  const certificates = blocks.filter(({ label }) => label === "CERTIFICATE");
  const [key, ...furtherKeys] = keys;
  if (key === undefined || furtherKeys.length > 0 || keys.length + certificates.length !== blocks.length)
    return undefined;
  try {
    const chain = certificates.map(({ pem }) => new X509Certificate(pem));
    const [leaf] = chain;
    const privateKey = createPrivateKey(key.pem);
    if (!leaf?.checkPrivateKey(privateKey) || !isStrong(privateKey) || !chain.every(isServable)) return undefined;
    return { leaf, pem: `${[key, ...certificates].map(({ pem }) => pem).join("\n")}\n` };
  } catch {
    return undefined;
  }
}

/** Whether OpenSSL lets it be sent: an intermediate that is too weak keeps HAProxy from starting as a leaf does. */
function isServable(certificate: X509Certificate): boolean {
  const { issuer, subject, signatureAlgorithm = "", publicKey } = certificate;
  const { modulusLength = 2048 } = publicKey.asymmetricKeyDetails ?? {};
  // What a root says of itself nobody checks.
  const isRoot = issuer === subject;
  return modulusLength >= 2048 && (isRoot || !/md5|sha-?1(?!\d)/i.test(signatureAlgorithm));
}

/** RSA from 2048 bits, or a NIST curve (BSI TR-02102-2, 3.6). */
function isStrong(key: KeyObject): boolean {
  const { modulusLength = 0, namedCurve = "" } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === "rsa") return modulusLength >= 2048;
  return key.asymmetricKeyType === "ec" && ["prime256v1", "secp384r1", "secp521r1"].includes(namedCurve);
}

/** SHA-256 over the DER of a certificate, lower-case hexadecimal. */
export function fingerprintOf(certificate: X509Certificate): string {
  return certificate.fingerprint256.replaceAll(":", "").toLowerCase();
}

/** SHA-1 of the same, by which HAProxy names what it has loaded. */
export function sha1Of(certificate: X509Certificate): string {
  return certificate.fingerprint.replaceAll(":", "").toLowerCase();
}
