import { describe, expect, it } from "vitest";
import type { CertificateObservation } from "../../../control-plane/engine/engine.ts";
import { type IssuedInput, judgeIssued } from "../../../control-plane/issuer/issued.ts";

/** Verdicts over recorded states of cert-manager's Certificates. */
const HOST = "goethe.schools.example";
const NOW = new Date("2026-11-24T12:00:00Z");
const DAY = 86_400_000;
const day = (days: number): string => new Date(NOW.getTime() + days * DAY).toISOString();

const READY = { status: "True", reason: "Ready", message: "Certificate is up to date and has not expired" };
const FAILED = {
  status: "False",
  reason: "Failed",
  message: "The certificate request has failed to complete and will be retried: urn:ietf:params:acme:error:rateLimited",
};
const ISSUING = { status: "True", reason: "DoesNotExist", message: "Issuing certificate as Secret does not exist" };

const LEAF = { serial: "0A", names: [HOST], notBefore: day(-30), notAfter: day(60) };
const GOOD: CertificateObservation = {
  name: "tls",
  issuer: "ClusterIssuer/letsencrypt",
  upToDate: true,
  ready: READY,
  issuing: undefined,
  revision: 1,
  renewalTime: day(30),
  leaf: LEAF,
};
const EMPTY: CertificateObservation = {
  ...GOOD,
  ready: { status: "False", reason: "DoesNotExist", message: "Issuing certificate as Secret does not exist" },
  revision: 0,
  renewalTime: undefined,
  leaf: undefined,
};

const judge = (observed: Partial<CertificateObservation> | undefined, more: Partial<IssuedInput> = {}) =>
  judgeIssued({
    observed: observed && { ...GOOD, ...observed },
    hosts: [HOST],
    now: NOW,
    clock: "steady",
    seed: "u",
    ...more,
  });

describe("a certificate of cert-manager's", () => {
  it("that is as it should be serves, and is renewed when cert-manager says", () => {
    expect(judge({})).toEqual({
      reason: "AsDesired",
      message: `It is valid until ${day(60)}.`,
      serves: true,
      unknown: false,
      facts: { serial: "0A", notBefore: new Date(day(-30)), notAfter: new Date(day(60)), renewAt: new Date(day(30)) },
    });
  });

  it.each<[string, Partial<CertificateObservation> | undefined, string, boolean, string]>([
    ["that nobody asked for yet is missing", undefined, "CertificateMissing", false, "does not exist yet"],
    [
      "that cert-manager has not looked at is missing",
      { ...EMPTY, ready: undefined },
      "CertificateMissing",
      false,
      "has not looked",
    ],
    ["that is being made is missing", { ...EMPTY, issuing: ISSUING }, "CertificateMissing", false, ISSUING.message],
    [
      "that cannot be made is its issuer's failure, in its words",
      { ...EMPTY, issuing: FAILED },
      "IssuerFailing",
      false,
      "rateLimited",
    ],
    [
      "for other names does not serve",
      { leaf: { ...LEAF, names: ["schiller.schools.example"] } },
      "CertificateWrongHosts",
      false,
      HOST,
    ],
    [
      "of a day to come does not serve",
      { leaf: { ...LEAF, notBefore: day(1) } },
      "CertificateNotYetValid",
      false,
      day(1),
    ],
    [
      "that expired does not serve, and it is said why there is no other",
      { leaf: { ...LEAF, notAfter: day(-1) }, renewalTime: day(-20), issuing: FAILED },
      "CertificateExpired",
      false,
      "rateLimited",
    ],
    [
      "whose renewal fails serves as long as it is valid",
      { renewalTime: day(-1), issuing: FAILED },
      "IssuerFailing",
      true,
      "rateLimited",
    ],
    [
      "that is being renewed serves",
      {
        renewalTime: day(-0.1),
        issuing: { ...ISSUING, reason: "Renewing", message: "Renewing certificate as renewal was scheduled" },
      },
      "CertificateExpiring",
      true,
      "renewal was scheduled",
    ],
    [
      "whose time has come though nothing happens serves",
      { renewalTime: day(-1) },
      "CertificateExpiring",
      true,
      "being replaced",
    ],
    [
      "whose issuer was changed serves until there is another",
      {
        ready: {
          status: "False",
          reason: "IncorrectIssuer",
          message: "Issuing certificate as Secret was previously issued by other",
        },
      },
      "CertificateExpiring",
      true,
      "previously issued by other",
    ],
    [
      "with another's key does not serve",
      {
        ready: {
          status: "False",
          reason: "InvalidKeyPair",
          message: "Issuing certificate as Secret contains an invalid key-pair",
        },
      },
      "CertificateKeyMismatch",
      false,
      "invalid key-pair",
    ],
    [
      "that cert-manager cannot read does not serve",
      { ready: { status: "False", reason: "InvalidCertificate", message: "cannot parse" } },
      "CertificateUnreadable",
      false,
      "cannot parse",
    ],
    [
      "of which the key is gone does not serve",
      { ready: { status: "False", reason: "MissingData", message: "no key" } },
      "CertificateMissing",
      false,
      "no key",
    ],
  ])("%s", (_title, observed, reason, serves, words) => {
    expect(judge(observed)).toMatchObject({ reason, serves, message: expect.stringContaining(words) });
  });

  it("covers a name by a wildcard of its own level alone", () => {
    const wildcard = { leaf: { ...LEAF, names: ["*.schools.example"] } };
    expect(judge(wildcard)).toMatchObject({ reason: "AsDesired" });
    expect(judge(wildcard, { hosts: ["a.goethe.schools.example"] })).toMatchObject({ reason: "CertificateWrongHosts" });
    expect(judge(wildcard, { hosts: ["schools.example"] })).toMatchObject({ reason: "CertificateWrongHosts" });
  });

  it("is neither expired nor due by a clock that nobody believes, and what cert-manager says holds all the same", () => {
    const yearAhead = { now: new Date(NOW.getTime() + 365 * DAY), clock: "jumped" as const };
    expect(judge({}, yearAhead)).toMatchObject({ reason: "ClockJumped", serves: true, unknown: true });
    expect(judge({ issuing: FAILED }, yearAhead)).toMatchObject({ reason: "IssuerFailing", serves: true });
    expect(judge({}, { clock: "jumped" })).toMatchObject({ reason: "AsDesired", unknown: false });
  });

  it("whose maker tells no time is due at two thirds of its life", () => {
    const { facts } = judge({ renewalTime: undefined });
    expect(facts?.renewAt.getTime()).toBeGreaterThanOrEqual(NOW.getTime() + 30 * DAY);
    expect(facts?.renewAt.getTime()).toBeLessThan(NOW.getTime() + 35 * DAY);
  });
});
