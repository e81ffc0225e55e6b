import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import type { Pool, PoolClient } from "pg";

/** Any number that nobody else locks: two processes that start at once migrate one after the other. */
const LOCK = 7300;

function checksumOf(sql: string): string {
  return createHash("sha256").update(sql).digest("hex");
}

async function applyOne(client: PoolClient, name: string, sql: string): Promise<void> {
  await client.query("begin");
  try {
    await client.query(sql);
    await client.query("insert into migrations (name, checksum) values ($1, $2)", [name, checksumOf(sql)]);
    await client.query("commit");
  } catch (error) {
    await client.query("rollback");
    throw new Error(`migration ${name} failed`, { cause: error });
  }
}

/**
 * Brings the store's schema up to date. Safe when two start at once; an applied migration whose text changed since is an error.
 * @param pool connection as the role that owns the schema
 * @param directory folder of numbered .sql files
 * @returns names of the migrations applied now
 */
export async function migrate(pool: Pool, directory: string): Promise<readonly string[]> {
  const client = await pool.connect();
  try {
    await client.query("select pg_advisory_lock($1)", [LOCK]);
    await client.query(
      "create table if not exists migrations (name text primary key, checksum text not null, applied_at timestamptz not null default now())",
    );
    const { rows } = await client.query<{ name: string; checksum: string }>("select name, checksum from migrations");
    const applied = new Map(rows.map((row) => [row.name, row.checksum]));
    const done: string[] = [];
    for (const name of readdirSync(directory)
      .filter((file) => file.endsWith(".sql"))
      .sort()) {
      const sql = readFileSync(path.join(directory, name), "utf8");
      const known = applied.get(name);
      if (known !== undefined && known !== checksumOf(sql))
        throw new Error(`migration ${name} was changed after it had been applied`);
      if (known !== undefined) continue;
      await applyOne(client, name, sql);
      done.push(name);
    }
    return done;
  } finally {
    await client.query("select pg_advisory_unlock($1)", [LOCK]).catch(() => undefined);
    client.release();
  }
}
