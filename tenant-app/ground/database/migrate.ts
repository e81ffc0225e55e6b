import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { addJournalDays } from "../journal/days.ts";
import { shipped } from "../paths.ts";

export interface Migration {
  readonly number: number;
  readonly name: string;
  readonly sql: string;
  readonly checksum: string;
}

export interface MigrateSettings {
  readonly host: string;
  readonly port: number;
  readonly name: string;
  readonly password: string;
  /** How long to keep trying to connect, in milliseconds. */
  readonly patienceMs?: number;
}

/** Two that start at once take turns: any constant number that nothing else in the database locks. */
const lockNumber = 7_284_019_331;

/** The migrations that ship with the app, in order. Throws when a number is missing or used twice. */
export async function shippedMigrations(): Promise<Migration[]> {
  const files = (await readdir(shipped("migrations"))).filter((file) => file.endsWith(".sql")).sort();
  return Promise.all(
    files.map(async (file, index) => {
      const number = Number(/^(\d{4})-[a-z0-9-]+\.sql$/.exec(file)?.[1]);
      if (number !== index + 1) {
        throw new Error(`migrations/${file}: expected number ${String(index + 1).padStart(4, "0")}`);
      }
      const sql = await readFile(shipped("migrations", file), "utf8");
      return { number, name: file, sql, checksum: createHash("sha256").update(sql).digest("hex") };
    }),
  );
}

/**
 * Brings the database to this version as its owner; returns the names of the migrations that were applied.
 * Migrations the database has beyond ours are left alone: a previous version runs on a newer schema.
 * Throws when one of ours was changed after it was applied.
 */
export async function migrate(settings: MigrateSettings): Promise<string[]> {
  const client = await connectPatiently(settings);
  try {
    await client.query("SELECT pg_advisory_lock($1)", [lockNumber]);
    await client.query(`CREATE TABLE IF NOT EXISTS schema_migration (
      nummer integer PRIMARY KEY, name text NOT NULL, pruefsumme text NOT NULL, am timestamptz NOT NULL DEFAULT now())`);
    const applied = await appliedChecksums(client);
    const fresh: string[] = [];
    for (const migration of await shippedMigrations()) {
      const checksum = applied.get(migration.number);
      if (checksum === undefined) {
        await apply(client, migration);
        fresh.push(migration.name);
      } else if (checksum !== migration.checksum) {
        throw new Error(
          `migrations/${migration.name} differs from what this database was built with: add a new migration instead`,
        );
      }
    }
    await client.query(await readFile(shipped("ground", "database", "grants.sql"), "utf8"));
    await renewCollation(client);
    await addJournalDays(
      { one: async (sql, values = []) => (await client.query(sql, [...values])).rows[0] },
      new Date(),
    );
    return fresh;
  } finally {
    await client.end();
  }
}

/** A newer library may sort differently: what is sorted by it is made anew, before anybody looks something up in it. */
async function renewCollation(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ index: string }>(
    `SELECT DISTINCT i.indexrelid::regclass::text AS index
       FROM pg_index i CROSS JOIN LATERAL unnest(i.indcollation) AS used (coll)
       JOIN pg_collation c ON c.oid = used.coll
      WHERE c.collname = 'deutsch' AND c.collversion IS DISTINCT FROM pg_collation_actual_version(c.oid)`,
  );
  for (const { index } of rows) await client.query(`REINDEX INDEX ${index}`);
  if (rows.length > 0) await client.query("ALTER COLLATION deutsch REFRESH VERSION");
}

/**
 * Waits until the database has all migrations of this version: a command may be started beside the school's first start.
 * Throws when that takes longer than the settings' patience.
 */
export async function untilMigrated(settings: MigrateSettings): Promise<void> {
  const deadline = Date.now() + (settings.patienceMs ?? 60_000);
  const shippedNumbers = (await shippedMigrations()).map((migration) => migration.number);
  const client = await connectPatiently(settings);
  try {
    for (let pause = 20; ; pause = Math.min(pause * 1.2, 500)) {
      const applied = await appliedChecksums(client).catch((error: unknown) => {
        if (error instanceof pg.DatabaseError && error.code === undefinedTable) return new Map<number, string>();
        throw error;
      });
      if (shippedNumbers.every((number) => applied.has(number))) return;
      if (Date.now() >= deadline) throw new Error("the database was not brought to this version in time");
      await sleep(pause);
    }
  } finally {
    await client.end();
  }
}

/** Postgres' code for a table that does not exist. */
const undefinedTable = "42P01";

async function appliedChecksums(client: pg.Client): Promise<Map<number, string>> {
  const { rows } = await client.query<{ nummer: number; pruefsumme: string }>(
    "SELECT nummer, pruefsumme FROM schema_migration",
  );
  return new Map(rows.map((row) => [row.nummer, row.pruefsumme]));
}

async function apply(client: pg.Client, migration: Migration): Promise<void> {
  await client.query("BEGIN");
  try {
    // What a migration changes is in the journal of nobody.
    await client.query("SET LOCAL classmind.umbau = 'ja'");
    await client.query(migration.sql);
    await client.query("INSERT INTO schema_migration (nummer, name, pruefsumme) VALUES ($1, $2, $3)", [
      migration.number,
      migration.name,
      migration.checksum,
    ]);
    await client.query("COMMIT");
  } catch (error) {
    await client.query("ROLLBACK");
    throw new Error(`migrations/${migration.name} failed and was rolled back`, { cause: error });
  }
}

async function connectPatiently(settings: MigrateSettings): Promise<pg.Client> {
  const deadline = Date.now() + (settings.patienceMs ?? 60_000);
  // Eagerly at first: at a school's start the database is seconds away, and the school waits for this.
  for (let pause = 20; ; pause = Math.min(pause * 1.2, 500)) {
    const client = new pg.Client({
      host: settings.host,
      port: settings.port,
      database: settings.name,
      user: "school_owner",
      password: settings.password,
      connectionTimeoutMillis: 5_000,
      options: "-c timezone=UTC",
    });
    client.on("error", () => undefined);
    try {
      await client.connect();
      return client;
    } catch (error) {
      await client.end().catch(() => undefined);
      if (Date.now() >= deadline) {
        throw new Error("the database could not be reached in time", { cause: error });
      }
      await sleep(pause);
    }
  }
}
