import { generateKeyPairSync } from "node:crypto";
import fc from "fast-check";
import forge from "node-forge";
import { beforeAll, describe, expect, test } from "vitest";
import { checkCertificate, checkRoute, checkSlug } from "../../../control-plane/gateway/input.ts";
import { readPair } from "../../../control-plane/gateway/pair.ts";
import {
  type AuthorityMaterial,
  createCertificateAuthority,
  internalIssuer,
} from "../../../control-plane/issuer/internal.ts";
import type { IssuedCertificate } from "../../../control-plane/issuer/issuer.ts";
import { rsaLeaf } from "../../fixtures/rsa-leaf.ts";

const open = { state: "open", address: "10.0.0.1", port: 8080 } as const;
let a: IssuedCertificate;
let b: IssuedCertificate;
let root: string;
let authority: AuthorityMaterial;

beforeAll(async () => {
  const now = new Date();
  const ca = await createCertificateAuthority({ domain: "schulen.example", now });
  authority = ca;
  root = ca.certificatePem;
  const issuer = internalIssuer({ caCertificatePem: ca.certificatePem, caKeyPem: ca.keyPem });
  a = await issuer.issue({ hosts: ["a.schulen.example"], now });
  b = await issuer.issue({ hosts: ["b.schulen.example"], now });
});

describe("what reaches HAProxy's files and commands", () => {
  test("is one line of harmless characters, whatever was asked", () => {
    const harmless = /^[a-z0-9.-]+$/;
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[a-z0-9.;|\n -]{1,40}$/)), (text) => {
        try {
          expect(checkSlug(text)).toMatch(harmless);
        } catch (error) {
          expect(error).toMatchObject({ code: "Invalid" });
        }
        try {
          for (const host of checkRoute([text], open).hosts) expect(host).toMatch(harmless);
        } catch (error) {
          expect(error).toMatchObject({ code: "Invalid", field: "hosts.0" });
        }
      }),
    );
  });

  test.each([
    [[], open, "hosts"],
    [["a.example", "a.example"], open, "hosts"],
    [["A.example"], open, "hosts.0"],
    [["*.example"], open, "hosts.0"],
    [["a.example\nb.example x"], open, "hosts.0"],
    [["a.example;clear map"], open, "hosts.0"],
    [["a.example"], { ...open, address: "localhost" }, "destination.address"],
    [["a.example"], { ...open, address: "10.0.0.1|1" }, "destination.address"],
    [["a.example"], { ...open, port: 0 }, "destination.port"],
    [["a.example"], { ...open, port: 1.5 }, "destination.port"],
  ])("refuses %j → %j and names the field", (hosts, destination, field) => {
    expect(() => checkRoute(hosts, destination)).toThrow(expect.objectContaining({ code: "Invalid", field }));
  });
});

describe("a pair for the gateway", () => {
  test("is a key and its own certificate, in any order, without blank lines", () => {
    const forward = readPair(`${a.certificatePem}\n\n${root}\n${a.privateKeyPem}`);
    expect(forward?.pem).toBe(readPair(`${a.privateKeyPem}${a.certificatePem}${root}`)?.pem);
    expect(forward?.pem).not.toMatch(/\n\n/);
    expect(forward?.pem).toMatch(/^-----BEGIN PRIVATE KEY-----/);
  });

  test("is one of RSA as well as one of ECDSA, and of each the weak ones are refused", () => {
    const pairOf = ({ certificatePem, privateKeyPem }: { certificatePem: string; privateKeyPem: string }) =>
      readPair(certificatePem + privateKeyPem);
    expect(pairOf(a)?.leaf.publicKey.asymmetricKeyType).toBe("ec");
    const rsa = rsaLeaf(authority, [{ type: 2, value: "a.schulen.example" }], new Date());
    expect(pairOf(rsa)?.leaf.publicKey.asymmetricKeyType).toBe("rsa");
    expect(
      checkCertificate(["a.schulen.example"], { chain: rsa.certificatePem, key: rsa.privateKeyPem }).hosts,
    ).toEqual(["a.schulen.example"]);
    // A key of the other kind does not belong to it.
    expect(readPair(a.certificatePem + rsa.privateKeyPem)).toBeUndefined();
    expect(readPair(rsa.certificatePem + a.privateKeyPem)).toBeUndefined();
  });

  test("is refused when anything does not belong to the rest", () => {
    for (const text of [
      "",
      a.certificatePem,
      a.privateKeyPem,
      a.certificatePem + b.privateKeyPem,
      a.certificatePem + a.privateKeyPem + b.privateKeyPem,
      root + a.certificatePem + a.privateKeyPem,
      a.certificatePem + a.privateKeyPem + a.certificatePem.replace(/[A-Za-z]{20}/, "AAAAAAAAAAAAAAAAAAAA"),
      a.certificatePem + generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }),
    ]) {
      expect(readPair(text)).toBeUndefined();
    }
  });

  /** A certificate of some authority between root and leaf. */
  function intermediate(bits: number, digest: "sha1" | "sha256", issuer = "Wurzel"): string {
    const { publicKey, privateKey } = forge.pki.rsa.generateKeyPair(bits);
    const certificate = forge.pki.createCertificate();
    certificate.publicKey = publicKey;
    certificate.serialNumber = "01";
    certificate.validity.notAfter = new Date(Date.now() + 86_400_000);
    certificate.setSubject([{ name: "commonName", value: "Mitte" }]);
    certificate.setIssuer([{ name: "commonName", value: issuer }]);
    certificate.sign(privateKey, forge.md[digest].create());
    return forge.pki.certificateToPem(certificate).replaceAll("\r", "");
  }

  test("is refused with a certificate between that is too weak: HAProxy would not start with it, for anybody", () => {
    const withChain = (between: string) => readPair(a.certificatePem + between + a.privateKeyPem);
    expect(withChain(intermediate(2048, "sha256"))).toBeDefined();
    expect(withChain(intermediate(1024, "sha256"))).toBeUndefined();
    expect(withChain(intermediate(2048, "sha1"))).toBeUndefined();
    // What a root says of itself nobody checks.
    expect(withChain(intermediate(2048, "sha1", "Mitte"))).toBeDefined();
  });

  test("must cover every host, and a refusal never quotes the key", () => {
    expect(checkCertificate(["a.schulen.example"], { chain: a.certificatePem, key: a.privateKeyPem }).hosts).toEqual([
      "a.schulen.example",
    ]);
    const refusals = [
      () => checkCertificate(["b.schulen.example"], { chain: a.certificatePem, key: a.privateKeyPem }),
      () => checkCertificate(["a.schulen.example"], { chain: a.certificatePem, key: b.privateKeyPem }),
      () =>
        checkCertificate(["a.schulen.example"], { chain: a.certificatePem + root.repeat(20), key: a.privateKeyPem }),
    ];
    for (const refusal of refusals) {
      expect(refusal).toThrow(expect.objectContaining({ code: "Invalid" }));
      expect(refusal).not.toThrow(/PRIVATE|MII/);
    }
  });
});
