import { createHash } from "node:crypto";
import { canonicalJson } from "../canonical-json.ts";

/** What the audit records of an action: who, from where, what, on which school, why. Never a secret, never a pupil's data. */
export interface AuditEvent {
  readonly operator: string;
  readonly token: string | undefined;
  readonly source: string;
  readonly action: string;
  readonly slug: string | undefined;
  readonly tenantUid: string | undefined;
  readonly reason: string | undefined;
  readonly detail: Readonly<Record<string, unknown>>;
}

export interface AuditEntry extends AuditEvent {
  readonly sequence: number;
  readonly at: string;
  readonly previousHash: string;
  readonly hash: string;
}

/** Hash before the first entry. */
export const GENESIS = "00".repeat(32);

/** Hash of an entry (hex): SHA-256 over the previous hash and every field, so that no entry can be altered, removed or moved unseen. */
export function hashEntry(entry: Omit<AuditEntry, "hash">): string {
  const fields = [
    entry.previousHash,
    entry.sequence,
    entry.at,
    entry.operator,
    entry.token ?? null,
    entry.source,
    entry.action,
    entry.slug ?? null,
    entry.tenantUid ?? null,
    entry.reason ?? null,
    entry.detail,
  ];
  return createHash("sha256").update(canonicalJson(fields)).digest("hex");
}

/**
 * Checks a run of entries against the hash before it.
 * @returns the first fault in words, or undefined when the chain holds
 */
export function chainFault(
  entries: readonly AuditEntry[],
  before: { readonly sequence: number; readonly hash: string },
): string | undefined {
  let previous = before;
  for (const entry of entries) {
    if (entry.sequence !== previous.sequence + 1) return `Entry ${previous.sequence + 1} is missing.`;
    if (entry.previousHash !== previous.hash)
      return `Entry ${entry.sequence} does not follow entry ${previous.sequence}.`;
    if (hashEntry(entry) !== entry.hash) return `Entry ${entry.sequence} was altered.`;
    previous = { sequence: entry.sequence, hash: entry.hash };
  }
  return undefined;
}
