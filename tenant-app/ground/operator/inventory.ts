import { createHash } from "node:crypto";
import { z } from "zod";
import type { Transaction } from "../database/database.ts";
import type { Feature } from "../feature.ts";
import { command, type RegisteredCommand } from "./command.ts";

const count = z.number().int().min(0);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/** The operator's `usage`: what each feature counts, and the size of the database. */
export function usageOf(features: readonly Feature[]): RegisteredCommand {
  const counts = new Map(features.flatMap(({ usage }) => Object.entries(usage ?? {})));
  return command({
    name: "usage",
    purpose: "Counts accounts, messages and files and what they take up.",
    input: z.strictObject({}),
    output: z.record(z.enum([...counts.keys(), "databaseBytes"]), count),
    run: async (_input, tools) =>
      tools.database.as({}, async (tx) => {
        const columns = [...counts].map(([name, sql]) => `(${sql}) AS "${name}"`);
        const row = await tx.one<Record<string, string | number | null>>(
          `SELECT ${[...columns, `pg_database_size(current_database()) AS "databaseBytes"`].join(", ")}`,
        );
        return Object.fromEntries(Object.entries(row ?? {}).map(([name, value]) => [name, Number(value ?? 0)]));
      }),
  });
}

/** The operator's `fingerprint`: all tables, and what features keep beside them. */
export function fingerprintOf(features: readonly Feature[]): RegisteredCommand {
  const volatileTables = new Set(
    ["hintergrundarbeit", ...features.flatMap((feature) => feature.volatileTables ?? [])].map(
      (table) => `public.${table}`,
    ),
  );
  const contents = features.flatMap((feature) => Object.entries(feature.contents ?? {}));
  const content = z.strictObject({ count, bytes: count, hash: sha256 });
  return command({
    name: "fingerprint",
    purpose:
      "Row count and hash of every table and of all blobs: equal before a backup and after its restore. `hash` covers all tables that are not volatile and all blobs.",
    input: z.strictObject({}),
    output: z.strictObject({
      tables: z.array(z.strictObject({ name: z.string(), rows: count, hash: sha256, volatile: z.boolean() })),
      ...Object.fromEntries(contents.map(([name]) => [name, content])),
      hash: sha256,
    }),
    run: async (_input, tools) => {
      const tables = await tools.database.as({ snapshot: true }, (tx) => fingerprintTables(tx, volatileTables));
      const hash = createHash("sha256");
      for (const table of tables.filter((candidate) => !candidate.volatile)) {
        hash.update(`${table.name} ${table.rows} ${table.hash}\n`);
      }
      const beside: Record<string, z.infer<typeof content>> = {};
      for (const [name, kept] of contents) {
        const found = await kept.fingerprint(tools);
        hash.update(found.hash);
        beside[name] = found;
      }
      return { tables, ...beside, hash: hash.digest("hex") };
    },
  });
}

async function fingerprintTables(tx: Transaction, volatileTables: ReadonlySet<string>) {
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
