import { createHash, createPrivateKey, X509Certificate } from "node:crypto";
import { REASONS, type Reason } from "../tenant.ts";

/**
 * Judges a school's certificate: everything is gathered first, then ordered named checks look at it, each named after the
 * fault it finds. Pure: the clock comes in.
 */

export interface CertificateInput {
  /** PEM of the leaf, or of the leaf with its chain behind; undefined when there is none. */
  readonly certificate: string | undefined;
  /** PEM of its private key. */
  readonly key: string | undefined;
  /** Hosts the certificate must cover. */
  readonly hosts: readonly string[];
  readonly now: Date;
  /** Spreads renewals; the school's uid or slug. */
  readonly seed: string;
  /**
   * `jumped`: the wall clock differs so much from the last recorded time that it proves nothing, and nobody has confirmed
   * it yet. Then no certificate is renewed for its age, because a wrong clock would renew all of them at once.
   */
  readonly clock?: "steady" | "jumped";
}

/** `keep`: nothing to do. `renew`: replace it, it still serves. `replace`: it does not serve. `hold`: wait for the clock to be confirmed. */
export type CertificateAction = "keep" | "renew" | "replace" | "hold";

export interface CertificateFinding {
  readonly check: string;
  readonly action: CertificateAction;
  readonly reason: Reason;
  readonly message: string;
}

export interface CertificateVerdict {
  readonly action: CertificateAction;
  /** Reason and message of the first fault found, `AsDesired` when there is none. */
  readonly reason: Reason;
  readonly message: string;
  /** Whether a client that trusts the issuer accepts the pair now. */
  readonly serves: boolean;
  /** All faults, in the order of the checks. */
  readonly findings: readonly CertificateFinding[];
  /** Undefined when the certificate cannot be read. */
  readonly facts: CertificateFacts | undefined;
}

export interface CertificateFacts {
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly renewAt: Date;
  readonly serial: string;
  /** SHA-256 over the DER, lower-case hexadecimal. */
  readonly fingerprint: string;
  /** DNS names of the subject alternative name. */
  readonly names: readonly string[];
}

const HOUR = 3_600_000;

/**
 * When a certificate is due: at two thirds of its own lifetime, later by up to a twentieth that a hash of the seed picks,
 * so that schools made in one night are not renewed in one night. Depends on what the issuer really gave, never on what
 * was asked for: a shorter lifetime moves the date and causes no loop. At the earliest one hour after `notBefore`.
 */
export function renewAt(notBefore: Date, notAfter: Date, seed: string): Date {
  const lifetime = Math.max(0, notAfter.getTime() - notBefore.getTime());
  const jitter = createHash("sha256").update(seed).digest().readUInt32BE(0) / 2 ** 32;
  return new Date(notBefore.getTime() + Math.max(HOUR, Math.floor(lifetime * (2 / 3 + jitter / 20))));
}

/** Whether a clock is too far from the last recorded time to be believed: 48 hours either way. */
export function clockJumped(now: Date, lastRecorded: Date): boolean {
  return Math.abs(now.getTime() - lastRecorded.getTime()) > 48 * HOUR;
}

interface Gathered {
  readonly input: CertificateInput;
  readonly leaf: X509Certificate | undefined;
  readonly keyMatches: boolean;
  readonly missingHosts: readonly string[];
  readonly renewAt: Date | undefined;
}

interface Fault {
  readonly action: CertificateAction;
  readonly reason: Reason;
  readonly message: string;
}

type Check = (gathered: Gathered) => Fault | undefined;

const CHECKS: ReadonlyArray<readonly [string, Check]> = [
  ["missing", missing],
  ["unreadable", unreadable],
  ["key-mismatch", keyMismatch],
  ["wrong-hosts", wrongHosts],
  ["clock-jumped", clockDisagrees],
  ["not-yet-valid", notYetValid],
  ["expired", expired],
  ["expiring", expiring],
];

/** Judges a certificate and its key. Later checks need what earlier ones found, so judging stops at `missing` and `unreadable`. */
export function judgeCertificate(input: CertificateInput): CertificateVerdict {
  const gathered = gather(input);
  const findings: CertificateFinding[] = [];
  for (const [check, find] of CHECKS) {
    const fault = find(gathered);
    if (fault !== undefined) findings.push({ check, ...fault });
    if (fault !== undefined && (gathered.leaf === undefined || check === "clock-jumped")) break;
  }
  const first = findings[0];
  return {
    action: first?.action ?? "keep",
    reason: first?.reason ?? REASONS.AsDesired,
    message: first?.message ?? `It is valid until ${gathered.leaf?.validToDate.toISOString()}.`,
    serves: serves(gathered),
    findings,
    facts: factsOf(gathered),
  };
}

function gather(input: CertificateInput): Gathered {
  const leaf = input.certificate === undefined ? undefined : readLeaf(input.certificate);
  return {
    input,
    leaf,
    keyMatches: leaf !== undefined && input.key !== undefined && keyBelongsTo(leaf, input.key),
    missingHosts:
      leaf === undefined ? [] : input.hosts.filter((host) => leaf.checkHost(host, { subject: "never" }) === undefined),
    renewAt: leaf === undefined ? undefined : renewAt(leaf.validFromDate, leaf.validToDate, input.seed),
  };
}

function missing({ input }: Gathered): Fault | undefined {
  if (input.certificate !== undefined && input.key !== undefined) return undefined;
  return replace(REASONS.CertificateMissing, "There is no certificate yet");
}

function unreadable({ leaf }: Gathered): Fault | undefined {
  return leaf === undefined ? replace(REASONS.CertificateUnreadable, "The certificate cannot be read") : undefined;
}

function keyMismatch({ keyMatches }: Gathered): Fault | undefined {
  if (keyMatches) return undefined;
  return replace(REASONS.CertificateKeyMismatch, "The private key does not belong to the certificate");
}

function wrongHosts({ missingHosts }: Gathered): Fault | undefined {
  if (missingHosts.length === 0) return undefined;
  return replace(REASONS.CertificateWrongHosts, `The certificate does not cover ${missingHosts.join(", ")}`);
}

function clockDisagrees({ input, leaf, renewAt: due }: Gathered): Fault | undefined {
  if (input.clock !== "jumped" || leaf === undefined || due === undefined) return undefined;
  if (leaf.validFromDate <= input.now && input.now < due) return undefined;
  return {
    action: "hold",
    reason: REASONS.ClockJumped,
    message: `The clock says ${input.now.toISOString()}, far from the last recorded time: certificates are not renewed until the clock is confirmed`,
  };
}

function notYetValid({ input, leaf }: Gathered): Fault | undefined {
  if (leaf === undefined || leaf.validFromDate <= input.now) return undefined;
  return replace(
    REASONS.CertificateNotYetValid,
    `The certificate is valid only from ${leaf.validFromDate.toISOString()}`,
  );
}

function expired({ input, leaf }: Gathered): Fault | undefined {
  if (leaf === undefined || input.now < leaf.validToDate) return undefined;
  return replace(REASONS.CertificateExpired, `The certificate expired at ${leaf.validToDate.toISOString()}`);
}

function expiring({ input, leaf, renewAt: due }: Gathered): Fault | undefined {
  if (leaf === undefined || due === undefined || input.now < due || input.now >= leaf.validToDate) return undefined;
  const message = `The certificate expires at ${leaf.validToDate.toISOString()}; it is being renewed since ${due.toISOString()}`;
  return { action: "renew", reason: REASONS.CertificateExpiring, message };
}

function replace(reason: Reason, message: string): Fault {
  return { action: "replace", reason, message };
}

function serves({ leaf, keyMatches, missingHosts, input }: Gathered): boolean {
  if (leaf === undefined || !keyMatches || missingHosts.length > 0) return false;
  return leaf.validFromDate <= input.now && input.now < leaf.validToDate;
}

function factsOf({ leaf, renewAt: due }: Gathered): CertificateFacts | undefined {
  if (leaf === undefined || due === undefined) return undefined;
  return {
    notBefore: leaf.validFromDate,
    notAfter: leaf.validToDate,
    renewAt: due,
    serial: leaf.serialNumber,
    fingerprint: leaf.fingerprint256.replaceAll(":", "").toLowerCase(),
    names: dnsNames(leaf),
  };
}

/** What a certificate in PEM says of itself; undefined if it cannot be read. Pure. */
export function leafOf(pem: string): Pick<CertificateFacts, "notBefore" | "notAfter" | "serial" | "names"> | undefined {
  const leaf = readLeaf(pem);
  return (
    leaf && {
      notBefore: leaf.validFromDate,
      notAfter: leaf.validToDate,
      serial: leaf.serialNumber,
      names: dnsNames(leaf),
    }
  );
}

function dnsNames(leaf: X509Certificate): string[] {
  const entries = leaf.subjectAltName?.split(", ") ?? [];
  return entries.flatMap((entry) => (entry.startsWith("DNS:") ? [entry.slice(4)] : []));
}

function readLeaf(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

function keyBelongsTo(leaf: X509Certificate, keyPem: string): boolean {
  try {
    return leaf.checkPrivateKey(createPrivateKey(keyPem));
  } catch {
    return false;
  }
}
