import { beforeAll, describe, expect, it } from "vitest";
import type { CertificateObservation } from "../../../control-plane/engine/engine.ts";
import { leafOf } from "../../../control-plane/issuer/certificate.ts";
import {
  type CertificateEvidence,
  type CertificatePair,
  certificateState,
  secondsUntilLook,
} from "../../../control-plane/reconcile/certificate.ts";
import type { TenantStatus } from "../../../control-plane/tenant.ts";
import { makePair } from "../../fixtures/kube-api/cert-manager.ts";

/** Which of two certificates a school serves, and how it stands: ours, or cert-manager's. */
const HOST = "goethe.classmind.localhost";
const DAY = 86_400_000;
const CLUSTER = { issuer: { kind: "cert-manager", name: "letsencrypt", issuerKind: "ClusterIssuer" } } as const;
const AWAITED: CertificateObservation = {
  name: "tls",
  issuer: "ClusterIssuer/letsencrypt",
  upToDate: true,
  ready: { status: "False", reason: "DoesNotExist", message: "Secret does not exist" },
  issuing: { status: "True", reason: "DoesNotExist", message: "Secret does not exist" },
  revision: 0,
  renewalTime: undefined,
  leaf: undefined,
};

let pair: CertificatePair;
let issued: CertificateObservation;
let now: Date;

beforeAll(async () => {
  now = new Date();
  const made = await makePair([HOST], now);
  pair = { chain: made.chain, key: made.key, issuer: "internal" };
  const leaf = leafOf(made.chain);
  if (leaf === undefined) throw new Error("no leaf");
  const { serial, names, notBefore, notAfter } = leaf;
  issued = {
    ...AWAITED,
    ready: { status: "True", reason: "Ready", message: "up to date" },
    issuing: undefined,
    revision: 1,
    renewalTime: new Date(now.getTime() + 30 * DAY).toISOString(),
    leaf: { serial, names, notBefore: notBefore.toISOString(), notAfter: notAfter.toISOString() },
  };
});

const state = (evidence: Partial<CertificateEvidence>) =>
  certificateState({
    platform: CLUSTER,
    pair: undefined,
    observed: { certificates: [AWAITED] },
    hosts: [HOST],
    now,
    seed: "u",
    clock: { trusted: true, message: "" },
    ...evidence,
  });
const later = (days: number): Date => new Date(now.getTime() + days * DAY);

describe("a school's certificate", () => {
  it("is ours where no cert-manager is, whatever is observed: issued when it is missing, due or expired", () => {
    const own = (evidence: Partial<CertificateEvidence>) => state({ platform: {}, observed: {}, ...evidence });
    expect(own({})).toMatchObject({ action: "issue", served: undefined, judgement: { reason: "CertificateMissing" } });
    expect(own({ pair })).toMatchObject({ action: "keep", served: pair, facts: { issuer: "internal" } });
    expect(own({ pair, now: later(40) })).toMatchObject({ action: "issue", served: pair });
    expect(own({ pair, now: later(50) })).toMatchObject({ action: "issue", judgement: { status: "False" } });
  });

  it("is never issued by us where cert-manager is, in no state at all", () => {
    for (const certificates of [[], [AWAITED], [issued]])
      for (const each of [undefined, pair])
        for (const days of [0, 40, 50, 400])
          expect(state({ observed: { certificates }, pair: each, now: later(days) }).action).toBe("keep");
  });

  it("is cert-manager's as soon as that serves", () => {
    const expected = { served: undefined, judgement: { status: "True", reason: "AsDesired" } };
    const facts = { issuer: "ClusterIssuer/letsencrypt", renewAt: later(30).toISOString() };
    for (const each of [undefined, pair])
      expect(state({ pair: each, observed: { certificates: [issued] } })).toMatchObject({ ...expected, facts });
  });

  it("is the one of before until then, and no longer than that is valid", () => {
    expect(state({ pair })).toMatchObject({
      served: pair,
      judgement: { status: "True", reason: "CertificateExpiring", message: expect.stringContaining("does not exist") },
      facts: { issuer: "internal" },
    });
    expect(state({ pair, now: later(50) })).toMatchObject({
      served: undefined,
      judgement: { status: "False", reason: "CertificateMissing" },
    });
  });

  it("is the one of before again where cert-manager's does not serve any more: nobody is turned away for nothing", () => {
    const foreign = { ...issued, leaf: issued.leaf && { ...issued.leaf, names: ["schiller.classmind.localhost"] } };
    expect(state({ pair, observed: { certificates: [foreign] } })).toMatchObject({ served: pair });
    expect(state({ observed: { certificates: [foreign] } })).toMatchObject({
      served: undefined,
      judgement: { status: "False", reason: "CertificateWrongHosts" },
    });
  });

  it("whose making fails says so while the one of before serves", () => {
    const failed = { status: "False", reason: "Failed", message: "rateLimited" };
    expect(state({ pair, observed: { certificates: [{ ...AWAITED, issuing: failed }] } })).toMatchObject({
      judgement: { status: "True", reason: "IssuerFailing", message: expect.stringContaining("rateLimited") },
    });
  });

  it("is unknown by a clock that nobody believes, in the clock's words", () => {
    const clock = { trusted: false, message: "the clock jumped" };
    expect(state({ observed: { certificates: [issued] }, now: later(400), clock })).toMatchObject({
      served: undefined,
      judgement: { status: "Unknown", reason: "ClockJumped", message: "the clock jumped" },
    });
  });
});

describe("the next look at a certificate of cert-manager's", () => {
  const status = (condition: Partial<TenantStatus["conditions"][number]>, renewAt?: Date): TenantStatus => ({
    observedGeneration: 1,
    phase: "Ready",
    steps: [],
    conditions: [
      {
        type: "CertificateReady",
        status: "False",
        reason: "CertificateMissing",
        message: "",
        lastTransitionTime: now.toISOString(),
        ...condition,
      },
    ],
    ...(renewAt === undefined
      ? {}
      : { certificate: { notBefore: "", notAfter: "", renewAt: renewAt.toISOString(), issuer: "", serial: "" } }),
  });

  it("is soon while one is awaited, then ever rarer, and never more than an hour away", () => {
    const after = (seconds: number) => secondsUntilLook(status({}), new Date(now.getTime() + seconds * 1000));
    expect([0, 60, 400, 86_400].map(after)).toEqual([15, 15, 100, 3600]);
  });

  it("is after the renewal of one that is as it should be; a time that has passed makes no loop", () => {
    const good = { status: "True", reason: "AsDesired" } as const;
    expect(secondsUntilLook(status(good, later(1)), now)).toBe(86_400 + 300);
    expect(secondsUntilLook(status(good, later(-1)), now)).toBe(15);
    const due = {
      status: "True",
      reason: "CertificateExpiring",
      lastTransitionTime: later(-30).toISOString(),
    } as const;
    expect(secondsUntilLook(status(due, later(-1)), now)).toBe(3600);
  });
});
