import { createHash, createPrivateKey, X509Certificate } from "node:crypto";
import forge from "node-forge";
import { beforeAll, expect, test } from "vitest";
import { excludingAddresses, nameConstraints } from "../../../control-plane/issuer/extensions.ts";
import {
  type AuthorityMaterial,
  createCertificateAuthority,
  internalIssuer,
} from "../../../control-plane/issuer/internal.ts";
import type { Issuer } from "../../../control-plane/issuer/issuer.ts";

const DAY = 86_400_000;
const now = new Date("2026-03-01T12:00:00Z");
let ca: AuthorityMaterial;
let issuer: Issuer;

beforeAll(async () => {
  ca = await createCertificateAuthority({ domain: "schulen.example", now });
  issuer = internalIssuer({ caCertificatePem: ca.certificatePem, caKeyPem: ca.keyPem });
});

test("the root signs certificates, is strong, and lives ten years at most", () => {
  const root = new X509Certificate(ca.certificatePem);
  expect(root.ca).toBe(true);
  expect(root.verify(root.publicKey)).toBe(true);
  expect(root.publicKey.asymmetricKeyDetails?.modulusLength).toBeGreaterThanOrEqual(3072);
  expect(root.validToDate.getTime() - root.validFromDate.getTime()).toBeLessThanOrEqual(3653 * DAY);
  expect(root.checkPrivateKey(createPrivateKey(ca.keyPem))).toBe(true);
});

test("R11 a leaf is the root's, has a key of its own, lives 47 days and began five minutes ago", async () => {
  const issued = await issuer.issue({ hosts: ["a.schulen.example", "www.a.schulen.example"], now });
  const leaf = new X509Certificate(issued.certificatePem);
  const root = new X509Certificate(ca.certificatePem);
  expect(leaf.checkIssued(root) && leaf.verify(root.publicKey)).toBe(true);
  expect(leaf.ca).toBe(false);
  expect(leaf.subjectAltName).toBe("DNS:a.schulen.example, DNS:www.a.schulen.example");
  expect(leaf.checkPrivateKey(createPrivateKey(issued.privateKeyPem))).toBe(true);
  expect(issued).toMatchObject({
    notBefore: new Date("2026-03-01T11:55:00Z"),
    notAfter: new Date("2026-04-17T11:55:00Z"),
    serial: leaf.serialNumber,
    issuer: "internal",
  });
});

test("a leaf has an ECDSA key on P-256, named by its own identifier, and signs handshakes only", async () => {
  const issued = await issuer.issue({ hosts: ["a.schulen.example"], now });
  const { publicKey } = new X509Certificate(issued.certificatePem);
  expect(publicKey.asymmetricKeyType).toBe("ec");
  expect(publicKey.asymmetricKeyDetails?.namedCurve).toBe("prime256v1");
  const root = forge.pki.certificateFromPem(ca.certificatePem);
  const extensions = extensionsOf(issued.certificatePem);
  // The identifier of the 65 octets of an uncompressed point; the issuer's is that which the authority names.
  const point = publicKey.export({ type: "spki", format: "der" }).subarray(-65);
  expect(extensions.get("2.5.29.14")).toBe(`0414${createHash("sha1").update(point).digest("hex")}`);
  expect(extensions.get("2.5.29.35")).toContain(root.generateSubjectKeyIdentifier().toHex());
  // RFC 5280, 4.2.1.3: digitalSignature is bit 0.
  expect(extensions.get("2.5.29.15")).toBe("03020780");
});

test("the root's own identifier is that of its key, as each leaf names it", () => {
  const root = forge.pki.certificateFromPem(ca.certificatePem);
  expect(root.verifySubjectKeyIdentifier()).toBe(true);
});

/** A platform made before: keys of authorities have not always been as long. */
test("an authority of RSA-2048 goes on signing", async () => {
  const old = oldAuthority();
  const elder = internalIssuer({ caCertificatePem: old.certificatePem, caKeyPem: old.keyPem });
  const leaf = new X509Certificate((await elder.issue({ hosts: ["a.schulen.example"], now })).certificatePem);
  const root = new X509Certificate(old.certificatePem);
  expect(leaf.checkIssued(root) && leaf.verify(root.publicKey)).toBe(true);
  expect(leaf.publicKey.asymmetricKeyType).toBe("ec");
});

test("serial numbers are positive, large and never the same", async () => {
  const all = await Promise.all(Array.from({ length: 8 }, () => issuer.issue({ hosts: ["a.schulen.example"], now })));
  expect(new Set(all.map(({ serial }) => serial)).size).toBe(8);
  for (const { serial } of all) expect(serial).toMatch(/^[0-9A-F]{32}$/);
});

test("a host name too long for a common name is served all the same", async () => {
  const host = `${"a".repeat(60)}.schulen.example`;
  const issued = await issuer.issue({ hosts: [host], now });
  const leaf = new X509Certificate(issued.certificatePem);
  expect(leaf.subject ?? "").toBe("");
  expect(leaf.checkHost(host)).toBe(host);
});

test.each([
  [[]],
  [["a.other.example"]],
  [["notschulen.example"]],
  [["a.schulen.example", "b.other.example"]],
  [["*.schulen.example"]],
  [["A.schulen.example"]],
  [["a..schulen.example"]],
  [["a.schulen.example."]],
  [["a\n.schulen.example"]],
  [["127.0.0.1"]],
])("names outside the domain are refused before any effect: %j", async (hosts) => {
  await expect(issuer.issue({ hosts, now })).rejects.toMatchObject({ code: "Invalid", field: "hosts" });
});

test("no leaf outlives its root, and none is signed outside the root's time", async () => {
  const nearTheEnd = new Date(new X509Certificate(ca.certificatePem).validToDate.getTime() - DAY);
  const issued = await issuer.issue({ hosts: ["a.schulen.example"], now: nearTheEnd });
  expect(issued.notAfter).toEqual(new X509Certificate(ca.certificatePem).validToDate);
  for (const days of [-1, 3700]) {
    const wrong = new Date(now.getTime() + days * DAY);
    await expect(issuer.issue({ hosts: ["a.schulen.example"], now: wrong })).rejects.toMatchObject({
      code: "Unavailable",
    });
  }
});

test("an authority whose key is another's, or that nothing constrains, is refused", async () => {
  const other = await createCertificateAuthority({ domain: "schulen.example", now });
  expect(() => internalIssuer({ caCertificatePem: ca.certificatePem, caKeyPem: other.keyPem })).toThrow(
    /does not belong/,
  );
  const leaf = await issuer.issue({ hosts: ["a.schulen.example"], now });
  expect(() => internalIssuer({ caCertificatePem: leaf.certificatePem, caKeyPem: leaf.privateKeyPem })).toThrow(
    /must be RSA/,
  );
  const free = oldAuthority([]);
  expect(() => internalIssuer({ caCertificatePem: free.certificatePem, caKeyPem: free.keyPem })).toThrow(
    /not constrained/,
  );
});

test("an authority for something that is no domain is refused", async () => {
  await expect(createCertificateAuthority({ domain: "schulen.example/x", now })).rejects.toMatchObject({
    field: "domain",
  });
});

/** Extensions by their id, the DER of their values in hexadecimal. Forge reads no certificate of an EC key. */
function extensionsOf(pem: string): ReadonlyMap<string, string> {
  const { asn1, util } = forge;
  const children = (node: forge.asn1.Asn1 | undefined): forge.asn1.Asn1[] =>
    Array.isArray(node?.value) ? node.value : [];
  const bytes = (node: forge.asn1.Asn1 | undefined): string => (typeof node?.value === "string" ? node.value : "");
  const options = { decodeBitStrings: false };
  const [toBeSigned] = children(asn1.fromDer(new X509Certificate(pem).raw.toString("latin1"), options));
  const [list] = children(children(toBeSigned).at(-1));
  return new Map(
    children(list).map((extension) => {
      const fields = children(extension);
      const value = fields.at(-1);
      const der =
        bytes(value) === "" ? asn1.toDer(children(value)[0] ?? asn1.create(0, 0, false, "")).getBytes() : bytes(value);
      return [asn1.derToOid(bytes(fields[0])), util.bytesToHex(der)];
    }),
  );
}

/** @param constraints what holds it to its domain */
function oldAuthority(
  constraints = [nameConstraints({ permittedDomain: "schulen.example", excluded: excludingAddresses })],
): AuthorityMaterial {
  const { publicKey, privateKey } = forge.pki.rsa.generateKeyPair(2048);
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = publicKey;
  certificate.serialNumber = "01";
  certificate.validity.notBefore = now;
  certificate.validity.notAfter = new Date(now.getTime() + 3650 * DAY);
  certificate.setSubject([{ name: "commonName", value: "Classmind CA" }]);
  certificate.setIssuer([{ name: "commonName", value: "Classmind CA" }]);
  certificate.setExtensions([
    { name: "basicConstraints", critical: true, cA: true, pathLenConstraint: 0 },
    { name: "keyUsage", critical: true, keyCertSign: true },
    ...constraints,
    { name: "subjectKeyIdentifier" },
  ]);
  certificate.sign(privateKey, forge.md.sha256.create());
  return { certificatePem: forge.pki.certificateToPem(certificate), keyPem: forge.pki.privateKeyToPem(privateKey) };
}
