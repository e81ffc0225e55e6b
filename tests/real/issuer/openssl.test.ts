import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  type AuthorityMaterial,
  createCertificateAuthority,
  internalIssuer,
} from "../../../control-plane/issuer/internal.ts";
import type { IssuedCertificate } from "../../../control-plane/issuer/issuer.ts";
import { rsaLeaf } from "../../fixtures/rsa-leaf.ts";
import { openedByBrowser } from "../../fixtures/trusting-browser.ts";

/** What other implementations say of our certificates. */

const run = promisify(execFile);
let directory: string;
let ca: AuthorityMaterial;
let issued: IssuedCertificate;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "cm-openssl-"));
  ca = await createCertificateAuthority({ domain: "schulen.localhost", now: new Date() });
  const issuer = internalIssuer({ caCertificatePem: ca.certificatePem, caKeyPem: ca.keyPem });
  issued = await issuer.issue({ hosts: ["a.schulen.localhost"], now: new Date() });
  await writeFile(join(directory, "ca.pem"), ca.certificatePem);
  await writeFile(join(directory, "leaf.pem"), issued.certificatePem);
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
  expect((await verify("-verify_hostname", "a.schulen.localhost", file)).stdout).toContain(": OK");
  await expect(verify("-verify_hostname", "b.schulen.localhost", file)).rejects.toThrow(/hostname mismatch/);
});

test("a leaf is an ECDSA key on P-256 that signs handshakes and nothing else", async () => {
  const text = (await run("openssl", ["x509", "-in", join(directory, "leaf.pem"), "-noout", "-text"])).stdout;
  expect(text).toContain("id-ecPublicKey");
  expect(text).toContain("ASN1 OID: prime256v1");
  expect(text).toMatch(/Key Usage: critical\s+Digital Signature\n/);
  const names = [...text.matchAll(/(Subject|Authority) Key Identifier: *\n\s+(\S+)/g)].map(([, whose]) => whose);
  expect(names.sort()).toEqual(["Authority", "Subject"]);
});

test("a leaf of RSA-2048, as they were before, passes as well until it is replaced", async () => {
  const file = join(directory, "rsa.pem");
  await writeFile(file, rsaLeaf(ca, [{ type: 2, value: "a.schulen.localhost" }], new Date()).certificatePem);
  expect((await verify("-verify_hostname", "a.schulen.localhost", file)).stdout).toContain(": OK");
});

test("Node and Chromium, which trust the root alone, accept it for its own name and for no other", async () => {
  const server = createServer({ key: issued.privateKeyPem, cert: issued.certificatePem }, (_, response) =>
    response.end("ja"),
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const { port } = server.address() as AddressInfo;
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      const options = { host: "127.0.0.1", port, ca: ca.certificatePem, maxVersion };
      const socket = await handshake({ ...options, servername: "a.schulen.localhost" });
      expect(socket.authorized).toBe(true);
      if (maxVersion === "TLSv1.2") expect(socket.getCipher().name).toMatch(/^ECDHE-ECDSA-/);
      socket.destroy();
      await expect(handshake({ ...options, servername: "b.schulen.localhost" })).rejects.toMatchObject({
        code: "ERR_TLS_CERT_ALTNAME_INVALID",
      });
    }
    const root = join(directory, "ca.pem");
    expect(await openedByBrowser(`https://a.schulen.localhost:${port}/`, root)).toBe("ja");
    await expect(openedByBrowser(`https://b.schulen.localhost:${port}/`, root)).rejects.toThrow(
      /ERR_CERT_COMMON_NAME_INVALID/,
    );
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

/** @returns the connection once it is verified; rejects with the handshake's error */
function handshake(options: ConnectionOptions): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect(options, () => resolve(socket));
    socket.once("error", reject);
  });
}

test.each([
  ["a name of another domain", [{ type: 2, value: "a.bank.example" }], "permitted subtree violation"],
  ["a name that only ends alike", [{ type: 2, value: "aschulen.localhost" }], "permitted subtree violation"],
  ["an address", [{ type: 7, ip: "192.0.2.1" }], "excluded subtree violation"],
])("R11 with the root's stolen key, %s is still worthless", async (_, altNames, complaint) => {
  const file = join(directory, "forged.pem");
  await writeFile(file, rsaLeaf(ca, altNames, new Date()).certificatePem);
  await expect(verify(file)).rejects.toMatchObject({ stderr: expect.stringContaining(complaint) });
});

test("the root may sign no further authority", async () => {
  const text = (await run("openssl", ["x509", "-in", join(directory, "ca.pem"), "-noout", "-text"])).stdout;
  expect(text).toMatch(/Basic Constraints: critical\s+CA:TRUE, pathlen:0/);
  expect(text).toMatch(/Key Usage: critical\s+Certificate Sign\n/);
  expect(text).toMatch(/Name Constraints: critical/);
  expect(text).toContain("sha256WithRSAEncryption");
});
