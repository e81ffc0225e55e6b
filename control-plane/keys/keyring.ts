import { randomBytes } from "node:crypto";
import { DatabaseError, type Pool } from "pg";
import type { KeyEncryptionKey } from "./kek.ts";
import { unwrapKey, wrapKey } from "./wrap.ts";

/**
 * The keyring: a store of its own (its own database and role), so that wrapped keys never travel in the one-year backups
 * of the schools or of the control plane. Destroying a school's rows makes each of its backups unreadable.
 */

/** What a school has keys for. Values are random bytes; passwords are their base64url text. */
export const KEY_PURPOSES = [
  "database-superuser",
  "database-owner",
  "database-app",
  "database-backup",
  "app-field",
  "app-session",
  "volume",
  "repository",
] as const;
export type KeyPurpose = (typeof KEY_PURPOSES)[number];
export type SchoolKeys = Readonly<Record<KeyPurpose, Buffer>>;

/** Purposes with material made elsewhere. */
export type MaterialPurpose = "tls" | "ca";

const PASSWORDS = new Set<KeyPurpose>([
  "database-superuser",
  "database-owner",
  "database-app",
  "database-backup",
  "repository",
]);

/** The platform's own keys are filed under this uid. */
export const PLATFORM_UID = "00000000-0000-0000-0000-000000000000";

export interface Keyring {
  /** All keys of a school, made on first use; a missing one is an error once others exist. */
  ensureSchoolKeys(tenantUid: string): Promise<SchoolKeys>;
  /** All keys of a school, or undefined when it has none. */
  readSchoolKeys(tenantUid: string): Promise<SchoolKeys | undefined>;
  storeMaterial(tenantUid: string, purpose: MaterialPurpose, material: Buffer): Promise<void>;
  readMaterial(tenantUid: string, purpose: MaterialPurpose): Promise<Buffer | undefined>;
  /** Gives a new school the keys its restored data was written with, wrapped for the new school. */
  adoptKey(sourceUid: string, targetUid: string, purpose: KeyPurpose): Promise<void>;
  /** Destroys every key of a school. Returns how many there were. */
  destroy(tenantUid: string): Promise<number>;
}

const MIGRATION = `
create table if not exists keys (
  tenant_uid uuid not null,
  purpose text not null,
  kek_id text not null,
  wrapped bytea not null,
  created_at timestamptz not null default now(),
  primary key (tenant_uid, purpose)
);
-- The planner's samples of a column outlive its rows, in a catalogue that nobody rewrites.
alter table keys alter column wrapped set statistics 0`;

function freshKey(purpose: KeyPurpose): Buffer {
  return PASSWORDS.has(purpose) ? Buffer.from(randomBytes(24).toString("base64url"), "ascii") : randomBytes(32);
}

interface KeyRow {
  readonly purpose: string;
  readonly wrapped: Buffer;
}

const NO_PRIVILEGE = "42501";
const PAUSE_MS = 20;
const PATIENCE_MS = 30_000;

/** No transaction of the server is older than $1, and no snapshot in this database (a view of others' needs pg_read_all_stats). */
const UNSEEN = `select pg_snapshot_xmin(pg_current_snapshot()) > $1::xid8
  and not exists (
    select from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and age(backend_xmin) >= age($1::xid8::xid)
  ) as unseen`;

/**
 * Waits until nobody could still see rows deleted before: a rewrite would keep those.
 * @throws Error when one goes on for too long; the caller tries again
 */
async function untilNobodySees(pool: Pool): Promise<void> {
  const { rows } = await pool.query<{ now: string }>("select pg_current_xact_id()::text as now");
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const answer = await pool.query<{ unseen: boolean }>(UNSEEN, [rows[0]?.now]);
    if (answer.rows[0]?.unseen === true) return;
    if (Date.now() > deadline) {
      throw new Error(
        "The keys are deleted, but a long transaction in the platform's database keeps their remains: end it (pg_stat_activity shows it).",
      );
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

/**
 * Makes the database forget deleted rows: their bytes stay in the table's pages until it is rewritten, and in the write-ahead
 * log until its segments are removed. Repeated whenever keys are destroyed, so that a killed purge makes up for it.
 */
async function forgetDeleted(pool: Pool): Promise<void> {
  await untilNobodySees(pool);
  await pool.query("vacuum full keys");
  try {
    await pool.query("select pg_switch_wal()");
    await pool.query("checkpoint");
  } catch (error) {
    // A database of somebody else's may not grant this; there the log is overwritten in the course of time.
    if (!(error instanceof DatabaseError && error.code === NO_PRIVILEGE)) throw error;
  }
}

/**
 * Opens the keyring database.
 * @param pool connection to the keyring database as its own role
 */
export async function openKeyring(pool: Pool, kek: KeyEncryptionKey): Promise<Keyring> {
  const client = await pool.connect();
  try {
    await client.query("select pg_advisory_lock(7301)");
    await client.query(MIGRATION);
    await client.query("select pg_advisory_unlock(7301)");
  } finally {
    client.release();
  }

  async function readAll(tenantUid: string): Promise<SchoolKeys | undefined> {
    const { rows } = await pool.query<KeyRow>(
      "select purpose, wrapped from keys where tenant_uid = $1 and purpose = any($2)",
      [tenantUid, KEY_PURPOSES],
    );
    if (rows.length === 0) return undefined;
    const found = new Map(
      rows.map((row) => [row.purpose, unwrapKey(kek.key, row.wrapped, { tenantUid, purpose: row.purpose })]),
    );
    const entries = KEY_PURPOSES.map((purpose) => {
      const key = found.get(purpose);
      if (key === undefined)
        throw new Error(
          `The keyring has no key ${purpose} for school ${tenantUid}, though it has others: restore the keyring's copy.`,
        );
      return [purpose, key] as const;
    });
    return Object.fromEntries(entries) as SchoolKeys;
  }

  async function put(tenantUid: string, purpose: string, material: Buffer): Promise<void> {
    await pool.query(
      `insert into keys (tenant_uid, purpose, kek_id, wrapped) values ($1, $2, $3, $4)
       on conflict (tenant_uid, purpose) do update set kek_id = excluded.kek_id, wrapped = excluded.wrapped, created_at = now()`,
      [tenantUid, purpose, kek.id, wrapKey(kek.key, material, { tenantUid, purpose })],
    );
  }

  async function read(tenantUid: string, purpose: string): Promise<Buffer | undefined> {
    const { rows } = await pool.query<KeyRow>(
      "select purpose, wrapped from keys where tenant_uid = $1 and purpose = $2",
      [tenantUid, purpose],
    );
    const row = rows[0];
    return row === undefined ? undefined : unwrapKey(kek.key, row.wrapped, { tenantUid, purpose });
  }

  return {
    async ensureSchoolKeys(tenantUid) {
      const existing = await readAll(tenantUid);
      if (existing !== undefined) return existing;
      // One statement: either all keys exist afterwards or none, and of two callers one wins for both.
      const wrapped = KEY_PURPOSES.map((purpose) => wrapKey(kek.key, freshKey(purpose), { tenantUid, purpose }));
      await pool.query(
        `insert into keys (tenant_uid, purpose, kek_id, wrapped)
         select $1, purpose, $2, wrapped from unnest($3::text[], $4::bytea[]) as fresh (purpose, wrapped)
         on conflict do nothing`,
        [tenantUid, kek.id, KEY_PURPOSES, wrapped],
      );
      const made = await readAll(tenantUid);
      if (made === undefined) throw new Error("The keyring lost the keys it was just given.");
      return made;
    },
    readSchoolKeys: readAll,
    storeMaterial: put,
    readMaterial: read,
    async adoptKey(sourceUid, targetUid, purpose) {
      const material = await read(sourceUid, purpose);
      if (material === undefined) throw new Error(`The keyring has no key ${purpose} of the source school.`);
      await put(targetUid, purpose, material);
    },
    async destroy(tenantUid) {
      const { rowCount } = await pool.query("delete from keys where tenant_uid = $1", [tenantUid]);
      await forgetDeleted(pool);
      return rowCount ?? 0;
    },
  };
}
