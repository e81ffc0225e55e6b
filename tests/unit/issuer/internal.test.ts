import { createPrivateKey, X509Certificate } from "node:crypto";
import { beforeAll, expect, test } from "vitest";
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
    /not constrained/,
  );
});

test("an authority for something that is no domain is refused", async () => {
  await expect(createCertificateAuthority({ domain: "schulen.example/x", now })).rejects.toMatchObject({
    field: "domain",
  });
});
