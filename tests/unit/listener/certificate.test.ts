import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Clock } from "../../../control-plane/clock.ts";
import { readPair } from "../../../control-plane/gateway/pair.ts";
import {
  type AuthorityMaterial,
  createCertificateAuthority,
  internalIssuer,
} from "../../../control-plane/issuer/internal.ts";
import { keepListenerCertificate, type ListenerCertificate } from "../../../control-plane/listener/certificate.ts";

const DAY = 86_400_000;
const NAME = "api.schulen.example.org";
const uid = process.getuid?.() ?? 0;

let authority: AuthorityMaterial;
let another: AuthorityMaterial;
let directory: string;
let now: Date;
let errors: string[];
beforeAll(async () => {
  const made = () => createCertificateAuthority({ domain: "schulen.example.org", now: new Date() });
  [authority, another] = await Promise.all([made(), made()]);
});
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "cm-listener-"));
  now = new Date();
  errors = [];
});
afterEach(() => rmSync(directory, { recursive: true }));

/** Time stands still; who waits waits until the test is over. */
const clock: Clock = {
  now: () => now,
  sleep: (_milliseconds, signal) => new Promise((resolve) => signal?.addEventListener("abort", () => resolve())),
};

/** As a reconciler does at its start. */
async function keep(wanted: Partial<ListenerCertificate> = {}, by: AuthorityMaterial = authority): Promise<void> {
  const ending = new AbortController();
  const log = { info: () => undefined, error: (fields: object) => void errors.push(JSON.stringify(fields)) };
  const issuer = internalIssuer({ caCertificatePem: by.certificatePem, caKeyPem: by.keyPem });
  const keeper = { issuer, authority: by.certificatePem, clock, log };
  await keepListenerCertificate(keeper, { name: NAME, directory, uid, ...wanted }, ending.signal);
  ending.abort();
}
const file = () => join(directory, "tls.pem");
const present = () => readPair(readFileSync(file(), "utf8"))?.leaf;

describe("the certificate of the API's listener", () => {
  it("is signed by the platform's authority, and its key is read by nobody else", async () => {
    await keep();
    expect(present()?.checkHost(NAME)).toBe(NAME);
    expect(present()?.checkIssued(new X509Certificate(authority.certificatePem))).toBe(true);
    expect(statSync(file()).mode & 0o777).toBe(0o400);
  });

  it("stays until two thirds of its life are over", async () => {
    await keep();
    const first = present()?.serialNumber;
    now = new Date(now.getTime() + 31 * DAY);
    await keep();
    expect(present()?.serialNumber).toBe(first);
    now = new Date(now.getTime() + DAY);
    await keep();
    expect(present()?.serialNumber).not.toBe(first);
  });

  it("is another one for another name, and from another authority", async () => {
    await keep();
    const first = present()?.serialNumber;
    await keep({ name: "leitstelle.schulen.example.org" });
    const second = present()?.serialNumber;
    expect(second).not.toBe(first);
    expect(present()?.checkHost("leitstelle.schulen.example.org")).toBeDefined();
    await keep({ name: "leitstelle.schulen.example.org" }, another);
    expect(present()?.checkIssued(new X509Certificate(another.certificatePem))).toBe(true);
  });

  it("is an operator's own where they name one; what cannot be served leaves the last good one in its place", async () => {
    const issuer = internalIssuer({ caCertificatePem: another.certificatePem, caKeyPem: another.keyPem });
    const own = await issuer.issue({ hosts: [NAME], now });
    const files = { certificate: join(directory, "own.pem"), key: join(directory, "own.key") };
    writeFileSync(files.certificate, own.certificatePem);
    writeFileSync(files.key, own.privateKeyPem);
    await keep({ files });
    const good = readFileSync(file(), "utf8");
    expect(present()?.fingerprint256).toBe(new X509Certificate(own.certificatePem).fingerprint256);

    for (const [words, spoil] of [
      ["do not belong together", () => writeFileSync(files.key, authority.keyPem)],
      ["no such file", () => rmSync(files.key)],
    ] as const) {
      errors = [];
      spoil();
      await keep({ files });
      expect(errors.join()).toContain(words);
      expect(errors.join()).not.toContain("PRIVATE");
      expect(readFileSync(file(), "utf8")).toBe(good);
    }
    writeFileSync(files.key, own.privateKeyPem);
    now = new Date(now.getTime() + 60 * DAY);
    await keep({ files });
    expect(errors.join()).toContain("expired");
    await keep({ files, name: "elsewhere.example.org" });
    expect(errors.join()).toContain("not for elsewhere.example.org");
  });
});
