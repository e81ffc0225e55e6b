import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { clockJumped, judgeCertificate, renewAt } from "../../../control-plane/issuer/certificate.ts";
import {
  type AuthorityMaterial,
  createCertificateAuthority,
  internalIssuer,
} from "../../../control-plane/issuer/internal.ts";
import type { IssuedCertificate } from "../../../control-plane/issuer/issuer.ts";
import { rsaLeaf } from "../../fixtures/rsa-leaf.ts";

const DAY = 86_400_000;
const now = new Date("2026-03-01T12:00:00Z");
const later = (milliseconds: number) => new Date(now.getTime() + milliseconds);

let issued: IssuedCertificate;
let other: IssuedCertificate;
let authority: AuthorityMaterial;

beforeAll(async () => {
  const ca = await createCertificateAuthority({ domain: "schulen.example", now });
  authority = ca;
  const issuer = internalIssuer({ caCertificatePem: ca.certificatePem, caKeyPem: ca.keyPem });
  issued = await issuer.issue({ hosts: ["a.schulen.example"], now });
  other = await issuer.issue({ hosts: ["b.schulen.example"], now });
});

function judge(changes: Partial<Parameters<typeof judgeCertificate>[0]> = {}) {
  return judgeCertificate({
    certificate: issued.certificatePem,
    key: issued.privateKeyPem,
    hosts: ["a.schulen.example"],
    now,
    seed: "a",
    ...changes,
  });
}

describe("judging a certificate", () => {
  test("a fresh pair is kept", () => {
    expect(judge()).toMatchObject({ action: "keep", reason: "AsDesired", serves: true, findings: [] });
  });

  test("a pair of RSA, as the issuer made them before, is kept until its own time comes", async () => {
    const rsa = rsaLeaf(authority, [{ type: 2, value: "a.schulen.example" }], now);
    const judgeRsa = (at: Date) => judge({ certificate: rsa.certificatePem, key: rsa.privateKeyPem, now: at });
    expect(judgeRsa(later(DAY))).toMatchObject({ action: "keep", serves: true, findings: [] });
    expect(judgeRsa(later(40 * DAY))).toMatchObject({ action: "renew", reason: "CertificateExpiring", serves: true });
  });

  test("each fault has its own check, reason and action", () => {
    const faults = [
      judge({ certificate: undefined }),
      judge({ key: undefined }),
      judge({ certificate: "nonsense" }),
      judge({ key: other.privateKeyPem }),
      judge({ key: "nonsense" }),
      judge({ hosts: ["a.schulen.example", "www.a.example"] }),
      judge({ now: later(-DAY) }),
      judge({ now: later(48 * DAY) }),
      judge({ now: later(40 * DAY) }),
    ].map(({ findings, action, reason, serves }) => [findings[0]?.check, action, reason, serves]);
    expect(faults).toEqual([
      ["missing", "replace", "CertificateMissing", false],
      ["missing", "replace", "CertificateMissing", false],
      ["unreadable", "replace", "CertificateUnreadable", false],
      ["key-mismatch", "replace", "CertificateKeyMismatch", false],
      ["key-mismatch", "replace", "CertificateKeyMismatch", false],
      ["wrong-hosts", "replace", "CertificateWrongHosts", false],
      ["not-yet-valid", "replace", "CertificateNotYetValid", false],
      ["expired", "replace", "CertificateExpired", false],
      ["expiring", "renew", "CertificateExpiring", true],
    ]);
  });

  test("no message quotes a key", () => {
    const secret = issued.privateKeyPem.split("\n")[3] ?? "";
    expect(JSON.stringify(judge({ hosts: ["x.example"], now: later(90 * DAY) }))).not.toContain(secret);
  });

  test("a clock a year ahead or behind renews nothing until it is confirmed", () => {
    for (const years of [-1, 1]) {
      const wrong = later(years * 365 * DAY);
      expect(clockJumped(wrong, now)).toBe(true);
      expect(judge({ now: wrong, clock: "jumped" })).toMatchObject({ action: "hold", reason: "ClockJumped" });
    }
    expect(clockJumped(later(DAY), now)).toBe(false);
  });

  test("a clock that jumped does not keep a missing or mismatched certificate from being replaced", () => {
    expect(judge({ certificate: undefined, clock: "jumped" }).action).toBe("replace");
    expect(judge({ key: other.privateKeyPem, clock: "jumped" }).action).toBe("replace");
    expect(judge({ clock: "jumped" }).action).toBe("keep");
  });
});

describe("when a certificate is due", () => {
  const span = fc.tuple(
    fc.integer({ min: 0, max: 4e12 }),
    fc.integer({ min: 2 * 3_600_000, max: 400 * DAY }),
    fc.string(),
  );

  test("between two thirds and three quarters of the lifetime it really has", () => {
    fc.assert(
      fc.property(span, ([start, lifetime, seed]) => {
        const due = renewAt(new Date(start), new Date(start + lifetime), seed).getTime();
        expect(due).toBeGreaterThanOrEqual(start + Math.floor((lifetime * 2) / 3) - 1);
        expect(due).toBeLessThanOrEqual(start + lifetime * 0.75);
      }),
    );
  });

  test("a lifetime shortened by the issuer causes no loop: what was just issued is not due", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1000, max: 47 * DAY }), fc.string(), (lifetime, seed) => {
        expect(renewAt(now, later(lifetime), seed).getTime()).toBeGreaterThan(now.getTime());
        if (lifetime < 3_600_000) expect(renewAt(now, later(lifetime), seed)).toEqual(later(3_600_000));
      }),
    );
  });

  test("the same for the same school, spread over two days among schools", () => {
    const dues = Array.from({ length: 200 }, (_, index) => renewAt(now, later(47 * DAY), `school-${index}`).getTime());
    expect(dues[0]).toBe(renewAt(now, later(47 * DAY), "school-0").getTime());
    expect(Math.max(...dues) - Math.min(...dues)).toBeGreaterThan(2 * DAY);
  });
});
