import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import type { Transaction } from "../database/database.ts";
import { raeumeAb } from "../dateien/abraeumen.ts";
import type { BlobStore } from "../dateien/blobs.ts";
import { command } from "./command.ts";

const count = z.number().int().min(0);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

export const usage = command({
  name: "usage",
  purpose: "Counts accounts, messages and files and what they take up.",
  input: z.strictObject({}),
  output: z.strictObject({ accounts: count, messages: count, files: count, bytes: count, databaseBytes: count }),
  run: async (_input, tools) =>
    tools.database.as({}, async (tx) => {
      const row = await tx.one<{ accounts: number; messages: number; files: number; bytes: string; size: string }>(
        `SELECT (SELECT count(*)::int FROM konto WHERE geloescht_am IS NULL) AS accounts,
                (SELECT count(*)::int FROM nachricht) AS messages,
                (SELECT count(*)::int FROM datei) AS files,
                (SELECT coalesce(sum(groesse), 0) FROM datei) AS bytes,
                pg_database_size(current_database()) AS size`,
      );
      return {
        accounts: row?.accounts ?? 0,
        messages: row?.messages ?? 0,
        files: row?.files ?? 0,
        bytes: Number(row?.bytes ?? 0),
        databaseBytes: Number(row?.size ?? 0),
      };
    }),
});

/** Tables whose rows come and go with every login: a restore brings them back, but nothing is proven by them. */
const volatileTables = new Set(["public.sitzung", "public.anmeldebremse"]);

export const fingerprint = command({
  name: "fingerprint",
  purpose:
    "Row count and hash of every table and of all blobs: equal before a backup and after its restore. `hash` covers all tables that are not volatile and all blobs.",
  input: z.strictObject({}),
  output: z.strictObject({
    tables: z.array(z.strictObject({ name: z.string(), rows: count, hash: sha256, volatile: z.boolean() })),
    blobs: z.strictObject({ count, bytes: count, hash: sha256 }),
    hash: sha256,
  }),
  run: async (_input, tools) => {
    const tables = await tools.database.as({ snapshot: true }, fingerprintTables);
    const blobs = await fingerprintBlobs(tools.blobs);
    const hash = createHash("sha256");
    for (const table of tables.filter((candidate) => !candidate.volatile)) {
      hash.update(`${table.name} ${table.rows} ${table.hash}\n`);
    }
    hash.update(blobs.hash);
    return { tables, blobs, hash: hash.digest("hex") };
  },
});

async function fingerprintTables(tx: Transaction) {
  // A row's text must not depend on the session's taste.
  await tx.run("SET LOCAL DateStyle = 'ISO, YMD'");
  await tx.run("SET LOCAL bytea_output = 'hex'");
  await tx.run("SET LOCAL extra_float_digits = 1");
  await tx.run("SET LOCAL statement_timeout = 0");
  const names = await tx.all<{ name: string; quoted: string }>(
    `SELECT n.nspname || '.' || c.relname AS name, format('%I.%I', n.nspname, c.relname) AS quoted
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'r' AND n.nspname IN ('public', 'journal') ORDER BY 1`,
  );
  const tables: { name: string; rows: number; hash: string; volatile: boolean }[] = [];
  for (const { name, quoted } of names) {
    const row = await tx.one<{ rows: number; hash: string }>(
      `SELECT count(*)::int AS rows,
              encode(sha256(coalesce(string_agg(zeile, ''::bytea ORDER BY zeile), ''::bytea)), 'hex') AS hash
         FROM (SELECT sha256(convert_to(t::text, 'UTF8')) AS zeile FROM ${quoted} t) AS zeilen`,
    );
    tables.push({ name, rows: row?.rows ?? 0, hash: row?.hash ?? "", volatile: volatileTables.has(name) });
  }
  return tables;
}

async function fingerprintBlobs(blobs: BlobStore): Promise<{ count: number; bytes: number; hash: string }> {
  const lines: string[] = [];
  let bytes = 0;
  for await (const blob of blobs.list()) {
    const hash = createHash("sha256");
    await pipeline(createReadStream(blob.path), hash);
    lines.push(`${blob.id} ${hash.digest("hex")}\n`);
    bytes += blob.bytes;
  }
  return { count: lines.length, bytes, hash: createHash("sha256").update(lines.sort().join("")).digest("hex") };
}

export const collect = command({
  name: "collect",
  purpose: "Removes the ciphertext of files that were deleted more than a day ago, and what broken uploads left.",
  input: z.strictObject({ now: z.iso.datetime({ offset: true }).optional() }),
  output: z.strictObject({ deleted: count, orphans: count, bytes: count }),
  run: (input, tools) =>
    raeumeAb(tools.database, tools.blobs, input.now === undefined ? tools.now : new Date(input.now)),
});
