import { type AuditEntry, type AuditEvent, chainFault, GENESIS, hashEntry } from "../audit/chain.ts";
import type { Queryable } from "./queryable.ts";

interface AuditRow {
  readonly sequence: string;
  readonly at: Date;
  readonly operator: string;
  readonly token: string | null;
  readonly source: string;
  readonly action: string;
  readonly slug: string | null;
  readonly tenant_uid: string | null;
  readonly reason: string | null;
  readonly detail: Readonly<Record<string, unknown>>;
  readonly previous_hash: Buffer;
  readonly hash: Buffer;
}

function toEntry(row: AuditRow): AuditEntry {
  return {
    sequence: Number(row.sequence),
    at: row.at.toISOString(),
    operator: row.operator,
    token: row.token ?? undefined,
    source: row.source,
    action: row.action,
    slug: row.slug ?? undefined,
    tenantUid: row.tenant_uid ?? undefined,
    reason: row.reason ?? undefined,
    detail: row.detail,
    previousHash: row.previous_hash.toString("hex"),
    hash: row.hash.toString("hex"),
  };
}

/** Appending is serialised: each entry needs the hash of the one before. */
const LOCK = 7302;

/**
 * Appends to the audit. Call it inside the transaction of the action itself: then both are recorded or neither.
 * @param db a client inside a transaction
 */
export async function appendAudit(db: Queryable, event: AuditEvent, now: Date): Promise<AuditEntry> {
  await db.query("select pg_advisory_xact_lock($1)", [LOCK]);
  const { rows } = await db.query<{ sequence: string; hash: Buffer }>(
    "select sequence, hash from audit order by sequence desc limit 1",
  );
  const last = rows[0];
  const unsigned = {
    ...event,
    sequence: last === undefined ? 1 : Number(last.sequence) + 1,
    at: now.toISOString(),
    previousHash: last?.hash.toString("hex") ?? GENESIS,
  };
  const entry: AuditEntry = { ...unsigned, hash: hashEntry(unsigned) };
  await db.query(
    `insert into audit (sequence, at, operator, token, source, action, slug, tenant_uid, reason, detail, previous_hash, hash)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, decode($11, 'hex'), decode($12, 'hex'))`,
    [
      entry.sequence,
      entry.at,
      entry.operator,
      entry.token ?? null,
      entry.source,
      entry.action,
      entry.slug ?? null,
      entry.tenantUid ?? null,
      entry.reason ?? null,
      JSON.stringify(entry.detail),
      entry.previousHash,
      entry.hash,
    ],
  );
  return entry;
}

/** Entries, newest first. */
export async function listAudit(
  db: Queryable,
  query: { readonly limit: number; readonly before?: number | undefined; readonly slug?: string | undefined },
): Promise<readonly AuditEntry[]> {
  const { rows } = await db.query<AuditRow>(
    `select * from audit where ($1::bigint is null or sequence < $1) and ($2::text is null or slug = $2) order by sequence desc limit $3`,
    [query.before ?? null, query.slug ?? null, query.limit],
  );
  return rows.map(toEntry);
}

const PAGE = 1000;

/** Walks the whole chain. */
export async function verifyAudit(
  db: Queryable,
): Promise<{ readonly entries: number; readonly head: string; readonly fault: string | undefined }> {
  let before = { sequence: 0, hash: GENESIS };
  for (;;) {
    const { rows } = await db.query<AuditRow>("select * from audit where sequence > $1 order by sequence limit $2", [
      before.sequence,
      PAGE,
    ]);
    const entries = rows.map(toEntry);
    const fault = chainFault(entries, before);
    const last = entries.at(-1);
    if (fault !== undefined) return { entries: before.sequence, head: before.hash, fault };
    if (last === undefined) return { entries: before.sequence, head: before.hash, fault: undefined };
    before = { sequence: last.sequence, hash: last.hash };
  }
}
