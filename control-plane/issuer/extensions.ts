import { createHash, type KeyObject } from "node:crypto";
import forge from "node-forge";
import { ClassmindError } from "../errors.ts";

/** An extension as forge takes it: by name for those it encodes itself, or by `id` with the DER of its value. */
export interface CertificateExtension {
  readonly name?: string;
  readonly id?: string;
  readonly critical?: boolean;
  readonly [field: string]: unknown;
}

/** Every IPv4 and every IPv6 address, as address and mask (RFC 5280, 4.2.1.10). */
export const excludingAddresses: readonly Buffer[] = [Buffer.alloc(8), Buffer.alloc(32)];

const { asn1 } = forge;
const CONTEXT = asn1.Class.CONTEXT_SPECIFIC;
const DNS_NAME = 2;
const IP_ADDRESS = 7;
const NAME_CONSTRAINTS = "2.5.29.30";
const SUBJECT_KEY_IDENTIFIER = "2.5.29.14";

/**
 * Critical name constraints (RFC 5280, 4.2.1.10), which forge does not know. A constraint on DNS names says nothing of
 * addresses, so those are excluded on their own.
 */
export function nameConstraints(constraints: {
  readonly permittedDomain: string;
  readonly excluded: readonly Buffer[];
}): CertificateExtension {
  const permitted = subtrees(0, [generalSubtree(DNS_NAME, constraints.permittedDomain)]);
  const excluded = subtrees(
    1,
    constraints.excluded.map((range) => generalSubtree(IP_ADDRESS, range.toString("latin1"))),
  );
  const value = asn1.create(asn1.Class.UNIVERSAL, asn1.Type.SEQUENCE, true, [permitted, excluded]);
  return { id: NAME_CONSTRAINTS, critical: true, value: asn1.toDer(value).getBytes() };
}

/** SHA-1 of the key's bits (RFC 5280, 4.2.1.2, method 1), of any kind of key; forge computes it of RSA keys only. */
export function subjectKeyIdentifier(publicKey: KeyObject): CertificateExtension {
  const info = asn1.fromDer(publicKey.export({ type: "spki", format: "der" }).toString("latin1"), {
    decodeBitStrings: false,
  });
  const [, bits] = childrenOf(info);
  if (typeof bits?.value !== "string") throw new Error("a public key without bits");
  // The first octet counts the unused bits of the last.
  const identifier = createHash("sha1").update(bits.value.slice(1), "latin1").digest().toString("latin1");
  const value = asn1.create(asn1.Class.UNIVERSAL, asn1.Type.OCTETSTRING, false, identifier);
  return { id: SUBJECT_KEY_IDENTIFIER, value: asn1.toDer(value).getBytes() };
}

/**
 * The one domain that an authority made by `nameConstraints` may sign for.
 * @throws ClassmindError `Invalid` when the certificate is not constrained to one domain.
 */
export function permittedDomain(certificate: forge.pki.Certificate): string {
  const extensions: readonly CertificateExtension[] = certificate.extensions;
  const value = extensions.find(({ id }) => id === NAME_CONSTRAINTS)?.value;
  const domains = typeof value === "string" ? permittedNames(asn1.fromDer(value)) : [];
  const [domain] = domains;
  if (domain === undefined || domains.length !== 1) {
    throw new ClassmindError("Invalid", "The certificate authority is not constrained to one domain");
  }
  return domain;
}

function permittedNames(constraints: forge.asn1.Asn1): string[] {
  const permitted = childrenOf(constraints).find((child) => child.tagClass === CONTEXT && Number(child.type) === 0);
  const bases = permitted === undefined ? [] : childrenOf(permitted).flatMap(childrenOf);
  return bases.flatMap((base) =>
    Number(base.type) === DNS_NAME && typeof base.value === "string" ? [base.value] : [],
  );
}

function childrenOf(node: forge.asn1.Asn1): forge.asn1.Asn1[] {
  return Array.isArray(node.value) ? node.value : [];
}

function subtrees(tag: number, members: forge.asn1.Asn1[]): forge.asn1.Asn1 {
  return asn1.create(CONTEXT, tag, true, members);
}

function generalSubtree(tag: number, bytes: string): forge.asn1.Asn1 {
  return asn1.create(asn1.Class.UNIVERSAL, asn1.Type.SEQUENCE, true, [asn1.create(CONTEXT, tag, false, bytes)]);
}
