import { execFile } from "node:child_process";
import { createPrivateKey, createPublicKey, randomBytes, sign } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import forge from "node-forge";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  type AuthorityMaterial,
  createCertificateAuthority,
  internalIssuer,
} from "../../../control-plane/issuer/internal.ts";

/** What another implementation says of our certificates. */

const run = promisify(execFile);
let directory: string;
let ca: AuthorityMaterial;
let leaf: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "cm-openssl-"));
  ca = await createCertificateAuthority({ domain: "schulen.example", now: new Date() });
  const issuer = internalIssuer({ caCertificatePem: ca.certificatePem, caKeyPem: ca.keyPem });
  leaf = (await issuer.issue({ hosts: ["a.schulen.example"], now: new Date() })).certificatePem;
  await writeFile(join(directory, "ca.pem"), ca.certificatePem);
  await writeFile(join(directory, "leaf.pem"), leaf);
});

afterAll(() => rm(directory, { recursive: true, force: true }));

function verify(...options: string[]) {
  return run("openssl", [
    "verify",
    "-x509_strict",
    "-purpose",
    "sslserver",
    "-CAfile",
    join(directory, "ca.pem"),
    ...options,
  ]);
}

test("R1 a leaf passes OpenSSL's strict check for its own name only", async () => {
  const file = join(directory, "leaf.pem");
  expect((await verify("-verify_hostname", "a.schulen.example", file)).stdout).toContain(": OK");
  await expect(verify("-verify_hostname", "b.schulen.example", file)).rejects.toThrow(/hostname mismatch/);
});

test.each([
  ["a name of another domain", [{ type: 2, value: "a.bank.example" }], "permitted subtree violation"],
  ["a name that only ends alike", [{ type: 2, value: "aschulen.example" }], "permitted subtree violation"],
  ["an address", [{ type: 7, ip: "192.0.2.1" }], "excluded subtree violation"],
])("R11 with the root's stolen key, %s is still worthless", async (_, altNames, complaint) => {
  const file = join(directory, "forged.pem");
  await writeFile(file, forgeLeaf(altNames));
  await expect(verify(file)).rejects.toMatchObject({ stderr: expect.stringContaining(complaint) });
});

test("the root may sign no further authority", async () => {
  const text = (await run("openssl", ["x509", "-in", join(directory, "ca.pem"), "-noout", "-text"])).stdout;
  expect(text).toMatch(/Basic Constraints: critical\s+CA:TRUE, pathlen:0/);
  expect(text).toMatch(/Key Usage: critical\s+Certificate Sign\n/);
  expect(text).toMatch(/Name Constraints: critical/);
  expect(text).toContain("sha256WithRSAEncryption");
});

/** A leaf as a thief of the root's key would make it. */
function forgeLeaf(altNames: readonly object[]): string {
  const root = forge.pki.certificateFromPem(ca.certificatePem);
  const original = forge.pki.certificateFromPem(leaf);
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = original.publicKey;
  certificate.serialNumber = `01${randomBytes(8).toString("hex")}`;
  certificate.validity.notBefore = original.validity.notBefore;
  certificate.validity.notAfter = original.validity.notAfter;
  certificate.setIssuer(root.subject.attributes);
  certificate.setExtensions([
    { name: "basicConstraints", critical: true, cA: false },
    { name: "keyUsage", critical: true, digitalSignature: true },
    { name: "extKeyUsage", serverAuth: true },
    { name: "subjectAltName", critical: true, altNames },
    { name: "subjectKeyIdentifier" },
    { name: "authorityKeyIdentifier", keyIdentifier: root.generateSubjectKeyIdentifier().getBytes() },
  ]);
  certificate.signatureOid = "1.2.840.113549.1.1.11";
  certificate.siginfo.algorithmOid = certificate.signatureOid;
  certificate.tbsCertificate = forge.pki.getTBSCertificate(certificate);
  const bytes = Buffer.from(forge.asn1.toDer(certificate.tbsCertificate).getBytes(), "latin1");
  certificate.signature = sign("sha256", bytes, createPrivateKey(ca.keyPem)).toString("latin1");
  expect(createPublicKey(ca.certificatePem).asymmetricKeyType).toBe("rsa");
  return forge.pki.certificateToPem(certificate);
}
