import { clusterIssuerOf, type PlatformConfig } from "../config.ts";
import type { Observation } from "../engine/engine.ts";
import { judgeCertificate } from "../issuer/certificate.ts";
import { judgeIssued } from "../issuer/issued.ts";
import { type Condition, REASONS, type Reason, type TenantStatus } from "../tenant.ts";
import type { ClockState } from "./clock-guard.ts";

/** Which certificate a school serves, what is to be done about it, and how it stands: ours, or cert-manager's. Pure. */

/** Our Certificate for cert-manager, in charts/tenant/certificate.yaml.hbs. */
export const CERTIFICATE = { kind: "Certificate", name: "tls" } as const;

/** A school's certificate as kept in the keyring. */
export interface CertificatePair {
  readonly chain: string;
  readonly key: string;
  readonly issuer: string;
}

export interface CertificateState {
  /** Whether one of our own is to be issued. */
  readonly action: "keep" | "issue";
  /** The pair of ours that is served; undefined where there is none, or cert-manager's is. */
  readonly served: CertificatePair | undefined;
  readonly judgement: { readonly status: Condition["status"]; readonly reason: Reason; readonly message: string };
  readonly facts: TenantStatus["certificate"];
}

export interface CertificateEvidence {
  readonly platform: Pick<PlatformConfig, "issuer">;
  /** What the keyring holds. */
  readonly pair: CertificatePair | undefined;
  readonly observed: Pick<Observation, "certificates">;
  readonly hosts: readonly string[];
  readonly now: Date;
  /** The school's uid. */
  readonly seed: string;
  readonly clock: ClockState;
}

interface Dates {
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly renewAt: Date;
  readonly serial: string;
}

function factsOf(dates: Dates | undefined, issuer: string): TenantStatus["certificate"] {
  if (dates === undefined) return undefined;
  const { notBefore, notAfter, renewAt, serial } = dates;
  return {
    notBefore: notBefore.toISOString(),
    notAfter: notAfter.toISOString(),
    renewAt: renewAt.toISOString(),
    issuer,
    serial,
  };
}

const clockOf = ({ clock }: CertificateEvidence) => (clock.trusted ? "steady" : "jumped");

function judgeOwn(evidence: CertificateEvidence) {
  const { pair, hosts, now, seed } = evidence;
  return judgeCertificate({
    certificate: pair?.chain,
    key: pair?.key,
    hosts,
    now,
    seed,
    clock: clockOf(evidence),
  });
}

function ownState(evidence: CertificateEvidence): CertificateState {
  const { pair, clock } = evidence;
  const verdict = judgeOwn(evidence);
  const held = verdict.action === "hold";
  return {
    action: verdict.action === "renew" || verdict.action === "replace" ? "issue" : "keep",
    served: pair,
    judgement: {
      reason: verdict.reason,
      status: verdict.serves ? "True" : held ? "Unknown" : "False",
      message: held ? clock.message : verdict.message,
    },
    facts: factsOf(verdict.facts, pair?.issuer ?? ""),
  };
}

/**
 * With cert-manager no certificate of our own is made. One that was there before (the school came from another engine, or cert-manager
 * was not configured yet) goes on serving until cert-manager's can: that may wait for a DNS entry, or weeks for an authority's limits.
 */
function issuedState(evidence: CertificateEvidence): CertificateState {
  const { pair, observed, hosts, now, seed } = evidence;
  const found = observed.certificates?.find(({ name }) => name === CERTIFICATE.name);
  const verdict = judgeIssued({ observed: found, hosts, now, clock: clockOf(evidence), seed });
  const { reason, message } = verdict;
  const own = verdict.serves || pair === undefined ? undefined : judgeOwn(evidence);
  if (pair !== undefined && own?.facts !== undefined && own.serves) {
    const until = own.facts.notAfter.toISOString();
    return {
      action: "keep",
      served: pair,
      judgement: {
        status: "True",
        reason: reason === REASONS.IssuerFailing ? reason : REASONS.CertificateExpiring,
        message: `The certificate of before (${pair.issuer}) serves until ${until}; cert-manager's is to replace it. ${message}`,
      },
      facts: factsOf(own.facts, pair.issuer),
    };
  }
  const status = verdict.unknown ? "Unknown" : verdict.serves ? "True" : "False";
  return {
    action: "keep",
    served: undefined,
    judgement: { status, reason, message: verdict.unknown ? evidence.clock.message : message },
    facts: factsOf(verdict.facts, found?.issuer ?? ""),
  };
}

/** How a school's certificate stands. */
export function certificateState(evidence: CertificateEvidence): CertificateState {
  return clusterIssuerOf(evidence.platform) === undefined ? ownState(evidence) : issuedState(evidence);
}

const SOONEST_SECONDS = 15;
const LATEST_SECONDS = 3600;
/** cert-manager renews when it is due, not we: looked at when it should have been. */
const AFTER_RENEWAL_SECONDS = 300;

/**
 * Seconds until a certificate of cert-manager's is looked at again, should no event come: soon while it is awaited, then ever more
 * rarely, for it may be weeks.
 */
export function secondsUntilLook(status: TenantStatus, now: Date): number {
  const condition = status.conditions.find(({ type }) => type === "CertificateReady");
  const renewal = Date.parse(status.certificate?.renewAt ?? "");
  if (condition?.status === "True" && condition.reason === REASONS.AsDesired && !Number.isNaN(renewal))
    return Math.max(SOONEST_SECONDS, (renewal - now.getTime()) / 1000 + AFTER_RENEWAL_SECONDS);
  const waited = (now.getTime() - Date.parse(condition?.lastTransitionTime ?? now.toISOString())) / 1000;
  return Math.min(LATEST_SECONDS, Math.max(SOONEST_SECONDS, waited / 4));
}
