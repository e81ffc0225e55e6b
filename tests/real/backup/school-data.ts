import { createHash, randomBytes } from "node:crypto";
import { chown, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type pg from "pg";
import type { Bench, Living } from "./bench.ts";

/** A sentence that stands in the database and in a blob, to be looked for in the repository. */
export const PLAINTEXT = "Zeugnisnotiz: Ärger mit \"Anführung\", 'Hochkomma' und\nZeilenumbruch 7f3a91c2";

/** Tables owned by school_owner under forced row-level security, hostile text, one row of several megabytes, and blobs. */
export async function fillSchool(bench: Bench): Promise<void> {
  await withClient(bench, async (client) => {
    await client.query(`
      ALTER DATABASE school OWNER TO school_owner;
      REVOKE ALL ON DATABASE school FROM PUBLIC;
      GRANT CONNECT ON DATABASE school TO school_app, school_backup;
      SET ROLE school_owner;
      CREATE TABLE pupil (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, r text, born date, seen timestamptz, share float8);
      CREATE TABLE "Odd ""name" (fingerprinted boolean, data bytea, tags text[]);
      CREATE TABLE empty (id int);
      ALTER TABLE pupil ENABLE ROW LEVEL SECURITY;
      ALTER TABLE pupil FORCE ROW LEVEL SECURITY;
      CREATE POLICY own ON pupil FOR SELECT TO school_app USING (id = 1);
      GRANT SELECT ON pupil TO school_app;
      RESET ROLE`);
    await client.query(
      "INSERT INTO pupil (r, born, seen, share) VALUES ($1, '2010-02-03', now(), 0.1), ($2, NULL, NULL, NULL)",
      [PLAINTEXT, "\\.\n\t\\N\r''$$;--\u{1f600}"],
    );
    await client.query("INSERT INTO pupil (r, share) SELECT 'pupil ' || i, random() FROM generate_series(1, 5000) i");
    await client.query(`INSERT INTO "Odd ""name" VALUES (true, $1, ARRAY['a,b', '"', NULL]), (NULL, NULL, '{}')`, [
      randomBytes(6_000_000),
    ]);
  });
  await writeBlob(bench, "aa/first", Buffer.from(PLAINTEXT));
  await writeBlob(bench, "bb/second", randomBytes(3_000_000));
  await writeBlob(bench, "bb/none", Buffer.alloc(0));
}

export async function writeBlob(bench: Bench, name: string, content: Buffer): Promise<void> {
  const path = join(bench.files, "blobs", name);
  for (const directory of [join(bench.files, "blobs"), join(path, "..")]) {
    await mkdir(directory, { recursive: true });
    await chown(directory, 10001, 10001);
  }
  await writeFile(path, content);
  await chown(path, 10001, 10001);
}

/** What a careless hand does: tables gone, other rows in their place, blobs gone. */
export async function ruinSchool(bench: Bench): Promise<void> {
  await withClient(bench, (client) =>
    client.query(`DROP TABLE pupil, empty; DELETE FROM "Odd ""name"; CREATE TABLE leftover AS SELECT 1 AS one`),
  );
  await rm(join(bench.files, "blobs", "bb"), { recursive: true });
  await writeBlob(bench, "cc/later", Buffer.from("later"));
}

export async function withClient<T>(bench: Living, work: (client: pg.Client) => Promise<T>, user?: string): Promise<T> {
  const client = await bench.connect(user);
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Everything of a school that a restore must bring back: rows by table, rights, owners, row-level security, blobs by digest. */
export async function pictureOf(bench: Living): Promise<unknown> {
  const tables = await withClient(bench, async (client) => {
    const { rows } = await client.query<{ name: string; relkind: string }>(
      `SELECT format('%I', relname) AS name, relkind, pg_get_userbyid(relowner) AS owner, relrowsecurity, relforcerowsecurity,
              relacl::text AS rights, (SELECT count(*) FROM pg_policy WHERE polrelid = c.oid) AS policies
       FROM pg_class c WHERE relkind IN ('r', 'S') AND relnamespace = 'public'::regnamespace ORDER BY 1`,
    );
    const content: unknown[] = [];
    for (const row of rows) {
      const whole =
        row.relkind === "S"
          ? `SELECT last_value, is_called FROM ${row.name}`
          : `SELECT count(*), md5(string_agg(md5(t::text), '' ORDER BY md5(t::text))) FROM ${row.name} t`;
      const digest = await client.query(whole);
      content.push({ ...row, content: digest.rows });
    }
    const database = await client.query(
      `SELECT pg_get_userbyid(datdba) AS owner, has_database_privilege('school_app', datname, 'CONNECT') AS app,
              (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(datacl) a) AS rights FROM pg_database WHERE datname = 'school'`,
    );
    return { content, database: database.rows };
  });
  return { ...tables, blobs: await digestsBelow(join(bench.files, "blobs")) };
}

async function digestsBelow(directory: string): Promise<Record<string, string>> {
  const digests: Record<string, string> = {};
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    digests[path.slice(directory.length)] = createHash("sha256")
      .update(await readFile(path))
      .digest("hex");
  }
  return Object.fromEntries(Object.entries(digests).sort());
}
