import type { CertificateObservation } from "../engine/engine.ts";
import { REASONS, type Reason } from "../tenant.ts";
import { renewAt } from "./certificate.ts";

/**
 * Judges a certificate that cert-manager makes: ordered named checks over what was observed, each named after the fault it finds.
 * What is served is judged by the certificate that lies there; why it is not as it should be, by cert-manager's own words. Pure.
 */

export interface IssuedInput {
  /** Undefined while the Certificate does not exist. */
  readonly observed: CertificateObservation | undefined;
  /** Names it must cover. */
  readonly hosts: readonly string[];
  readonly now: Date;
  /** See CertificateInput. */
  readonly clock: "steady" | "jumped";
  readonly seed: string;
}

export interface IssuedVerdict {
  readonly reason: Reason;
  readonly message: string;
  /** Whether a client that trusts the issuer accepts it now; a clock that is not believed takes nothing away. */
  readonly serves: boolean;
  /** Whether that cannot be said, because the clock is not believed. */
  readonly unknown: boolean;
  readonly facts:
    | { readonly notBefore: Date; readonly notAfter: Date; readonly renewAt: Date; readonly serial: string }
    | undefined;
}

interface Fault {
  readonly reason: Reason;
  readonly message: string;
  /** It does not serve because of this. */
  readonly fatal: boolean;
}

interface Gathered extends IssuedInput {
  readonly facts: IssuedVerdict["facts"];
  /** Names it does not cover; nothing is known while there is none. */
  readonly missing: readonly string[];
  readonly words: string;
  readonly failing: boolean;
}

const SOON_MS = 60_000;

const fatal = (reason: Reason, message: string): Fault => ({ reason, message, fatal: true });
const serving = (reason: Reason, message: string): Fault => ({ reason, message, fatal: false });

/** RFC 6125, 6.4.3: a wildcard stands for one label. */
function covers(names: readonly string[], host: string): boolean {
  const parent = host.slice(host.indexOf(".") + 1);
  return names.some((name) => name.toLowerCase() === host || name.toLowerCase() === `*.${parent}`);
}

function factsOf({ observed, seed }: IssuedInput): IssuedVerdict["facts"] {
  if (observed?.leaf === undefined) return undefined;
  const { serial, notBefore, notAfter } = observed.leaf;
  const [from, to] = [new Date(notBefore), new Date(notAfter)];
  const planned = Date.parse(observed.renewalTime ?? "");
  return {
    serial,
    notBefore: from,
    notAfter: to,
    renewAt: Number.isNaN(planned) ? renewAt(from, to, seed) : new Date(planned),
  };
}

/** What cert-manager says of why it is not as it should be; the failure before the state. */
function wordsOf({ issuing, ready, upToDate }: CertificateObservation): string {
  if (issuing?.status === "False" && issuing.message !== "") return issuing.message;
  if (ready === undefined) return "it has not looked at the Certificate yet";
  if (!upToDate) return "it has not looked at the changed Certificate yet";
  return ready.status === "True" ? (issuing?.message ?? "") : ready.message;
}

function gather(input: IssuedInput): Gathered {
  const { observed, hosts } = input;
  const leaf = observed?.leaf;
  return {
    ...input,
    facts: factsOf(input),
    missing: leaf === undefined ? [] : hosts.filter((host) => !covers(leaf.names, host)),
    words: observed === undefined ? "" : wordsOf(observed),
    // While another is under way, what became of the one before it does not matter.
    failing: observed?.issuing?.status === "False" && observed.issuing.reason !== "Issued",
  };
}

const said = (words: string): string => (words === "" ? "" : ` cert-manager: ${words}`);

function absent({ observed }: Gathered): Fault | undefined {
  return observed === undefined
    ? fatal(REASONS.CertificateMissing, "The Certificate for cert-manager does not exist yet.")
    : undefined;
}

function missing({ facts, failing, words }: Gathered): Fault | undefined {
  if (facts !== undefined) return undefined;
  return failing
    ? fatal(REASONS.IssuerFailing, `There is no certificate yet, and making one fails.${said(words)}`)
    : fatal(REASONS.CertificateMissing, `There is no certificate yet; it is being made.${said(words)}`);
}

/** Faults of the pair itself, which only cert-manager sees: it holds the key. */
const BROKEN: Readonly<Record<string, Reason>> = {
  MissingData: REASONS.CertificateMissing,
  InvalidKeyPair: REASONS.CertificateKeyMismatch,
  InvalidCertificate: REASONS.CertificateUnreadable,
};

function broken({ observed, words }: Gathered): Fault | undefined {
  const { ready } = observed ?? {};
  const reason = ready?.status === "True" ? undefined : BROKEN[ready?.reason ?? ""];
  return reason && fatal(reason, `The pair that is served does not do.${said(words)}`);
}

function wrongHosts({ missing: lacking, words }: Gathered): Fault | undefined {
  if (lacking.length === 0) return undefined;
  return fatal(REASONS.CertificateWrongHosts, `The certificate does not cover ${lacking.join(", ")}.${said(words)}`);
}

function notYetValid({ facts, now }: Gathered): Fault | undefined {
  if (facts === undefined || facts.notBefore <= now) return undefined;
  return fatal(REASONS.CertificateNotYetValid, `The certificate is valid only from ${facts.notBefore.toISOString()}.`);
}

function expired({ facts, now, words }: Gathered): Fault | undefined {
  if (facts === undefined || now < facts.notAfter) return undefined;
  return fatal(REASONS.CertificateExpired, `The certificate expired at ${facts.notAfter.toISOString()}.${said(words)}`);
}

function failing({ facts, failing: fails, words }: Gathered): Fault | undefined {
  if (facts === undefined || !fails) return undefined;
  const until = facts.notAfter.toISOString();
  return serving(REASONS.IssuerFailing, `It serves until ${until}; making another fails.${said(words)}`);
}

function expiring({ facts, now, observed, words }: Gathered): Fault | undefined {
  if (facts === undefined) return undefined;
  const due = now.getTime() >= facts.renewAt.getTime() + SOON_MS;
  const replaced = observed?.ready?.status !== "True" || observed.issuing?.status === "True";
  if (!due && !replaced) return undefined;
  return serving(
    REASONS.CertificateExpiring,
    `It serves until ${facts.notAfter.toISOString()} and is being replaced.${said(words)}`,
  );
}

const CHECKS = [absent, missing, broken, wrongHosts, notYetValid, expired, failing, expiring] as const;
/** Those that ask the clock. */
const DATED: ReadonlySet<unknown> = new Set([notYetValid, expired, expiring]);

/** Judges a certificate of cert-manager's. */
export function judgeIssued(input: IssuedInput): IssuedVerdict {
  const gathered = gather(input);
  const { facts, now } = gathered;
  const doubtful = input.clock === "jumped" && facts !== undefined && (now < facts.notBefore || now >= facts.renewAt);
  for (const check of CHECKS) {
    if (doubtful && DATED.has(check)) continue;
    const fault = check(gathered);
    if (fault === undefined) continue;
    return { reason: fault.reason, message: fault.message, serves: !fault.fatal, unknown: false, facts };
  }
  if (doubtful)
    return {
      reason: REASONS.ClockJumped,
      message: `The clock says ${now.toISOString()}, far from the last recorded time: whether the certificate is valid is not known.`,
      serves: true,
      unknown: true,
      facts,
    };
  const message = `It is valid until ${facts?.notAfter.toISOString()}.`;
  return { reason: REASONS.AsDesired, message, serves: true, unknown: false, facts };
}
