import { randomBytes } from "node:crypto";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { features, register } from "../../tenant-app/features.ts";
import { serveConfig } from "../../tenant-app/ground/config.ts";
import { migrate } from "../../tenant-app/ground/database/migrate.ts";
import { assemble, type Feature } from "../../tenant-app/ground/feature.ts";
import { type Serving, serve } from "../../tenant-app/ground/serve/serve.ts";
import { tidyUp } from "../../tenant-app/ground/work/daily.ts";
import { fristVergeht } from "../fixtures/loeschung.ts";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";
import { rolePassword } from "../fixtures/school-database.ts";
import { Besucher } from "../fixtures/school-visitor.ts";

/** A backup of before brings nobody back: what was erased since is erased again before the restored school opens. */

let school: TestSchool;
let gehende: TestKonto;
let bleibende: TestKonto;
const mark = randomBytes(6).toString("hex");
const [backup, restored] = [`school_test_backup_${mark}`, `school_test_restored_${mark}`];

/** A copy of a whole database, for which nobody may be connected to it for a moment. */
async function copy(from: string, to: string): Promise<void> {
  await onServer(`DROP DATABASE IF EXISTS ${to} WITH (FORCE)`, `ALTER DATABASE ${from} ALLOW_CONNECTIONS false`);
  await onServer(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${from}'`,
    `CREATE DATABASE ${to} TEMPLATE ${from} OWNER school_owner`,
    `ALTER DATABASE ${from} ALLOW_CONNECTIONS true`,
  );
}
async function asSuperuser<T>(database: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const { host, port, password } = school.database;
  const client = new pg.Client({ host, port, database, user: "postgres", password });
  await client.connect();
  return work(client).finally(() => client.end());
}
const onServer = (...statements: readonly string[]): Promise<void> =>
  asSuperuser("postgres", async (client) => {
    for (const statement of statements) await client.query(statement);
  });

beforeAll(async () => {
  school = await startSchool();
  // At the time of the backup nobody else manages the school.
  gehende = await school.konto("Gerda", "Gehend", "administrator", "lehrer");
  bleibende = await school.konto("Berta", "Bleibend", "lehrer");
  const browser = await school.angemeldet(gehende);
  await browser.get("/dateien");
  await browser.upload("akte.txt", Buffer.from("vertraulich"));
  const brief = { an: [bleibende.id], betreff: "Von ihr", inhalt: "Hallo", schritt: "senden" };
  expect((await browser.fuelle("/nachrichten/neu", brief, "/nachrichten")).status).toBe(303);
  const { name } = school.database;
  await copy(name, backup);
  const ada = await school.konto("Ada", "Min", "administrator");
  const admin = await school.angemeldet(ada);
  const sent = await admin.fuelle(`/konten/${gehende.id}/loeschen`, {
    inhalte: "anonym",
    bestaetigung: gehende.benutzername,
  });
  expect(sent.location).toBe("/loeschungen?erledigt=vorgemerkt");
  await fristVergeht(school.database, 30);
  await tidyUp(school.serving.app, features);
  expect(await school.database.query("SELECT FROM person WHERE id = $1", [gehende.id])).toEqual([]);
});
afterAll(async () => {
  await onServer(...[backup, restored].map((name) => `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));
});

/** As a restore does it: what the backup held, and the newest keys in the place of those that it had. */
async function restore(): Promise<void> {
  await copy(backup, restored);
  for (const table of ["schluessel.person", "schluessel.vernichtet"]) {
    await inRestored(`TRUNCATE ${table}`);
    const newest = await school.database.query(`SELECT * FROM ${table}`);
    await inRestored(`INSERT INTO ${table} SELECT * FROM json_populate_recordset(NULL::${table}, $1)`, [
      JSON.stringify(
        newest.map((row) => ({
          ...row,
          ...(row.verpackt ? { verpackt: `\\x${Buffer.from(row.verpackt as Buffer).toString("hex")}` } : {}),
        })),
      ),
    ]);
  }
  await migrate({ ...school.database, name: restored, password: rolePassword });
}
const inRestored = (sql: string, values: readonly unknown[] = []): Promise<Array<Record<string, unknown>>> =>
  asSuperuser(restored, async (client) => (await client.query(sql, [...values])).rows);
const start = (which = register): Promise<Serving> =>
  serve(serveConfig({ ...school.environment, CLASSMIND_DATABASE_NAME: restored }), which, {
    now: school.now,
    logLevel: "silent",
  });
const personen = () => inRestored("SELECT FROM person WHERE id = $1", [gehende.id]);

describe("a school that was restored from an older backup", () => {
  test("R19 R29 has nobody in it who was erased since, when its first page is served; what they chose for their contents is done again", async () => {
    await restore();
    expect(await personen()).toHaveLength(1);
    const seen: number[] = [];
    const watcher: Feature = {
      name: "zuschauer",
      tables: [],
      beforeOpening: async () => void seen.push((await personen()).length),
    };
    const serving = await start(assemble([...features, watcher]));
    try {
      expect(seen).toEqual([0]);
      const visitor = new Besucher({ port: serving.port, host: school.host });
      expect((await visitor.meldeAn(gehende.benutzername, gehende.passwort)).status).not.toBe(303);
      const reader = new Besucher({ port: serving.port, host: school.host });
      expect((await reader.meldeAn(bleibende.benutzername, bleibende.passwort)).status).toBe(303);
      const { text } = await reader.get("/nachrichten");
      expect(text).toContain("Von ihr");
      expect(text).toContain("Nicht mehr vorhandenes Konto");
      const rows = await inRestored(
        "SELECT e::text AS row FROM journal.eintrag e UNION ALL SELECT k::text FROM konto k",
      );
      for (const { row } of rows) expect(String(row)).not.toContain(gehende.id);
      expect(await inRestored("SELECT was FROM journal.pruefen()")).toEqual([]);
      // She was the only one of that time who could manage it.
      expect(await inRestored("SELECT FROM konto_rolle WHERE rolle_id = 'administrator'")).toEqual([]);
    } finally {
      await serving.stop();
    }
  });

  test("does not open as long as that cannot be done, and goes on where it was cut off", async () => {
    await restore();
    // Killed at each step in turn: it never was, or it is done.
    let steps = 0;
    let last = Number.POSITIVE_INFINITY;
    const cut = features.map((feature): Feature => {
      const { erasure } = feature;
      if (!erasure) return feature;
      const step: typeof erasure.step = async (tx, person) => {
        const counts = await erasure.step(tx, person);
        steps += 1;
        if (steps === last) throw new Error("the power went");
        return counts;
      };
      return { ...feature, erasure: { ...erasure, step } };
    });
    for (last = 1; last < 20; last += 1) {
      steps = 0;
      const outcome = await start(assemble(cut)).catch((error: Error) => error);
      if (!(outcome instanceof Error)) {
        await outcome.stop();
        break;
      }
      expect(outcome.message).toBe("the power went");
      expect(await personen()).toHaveLength(1);
    }
    expect(last).toBeGreaterThan(8);
    expect(await personen()).toEqual([]);
    expect(await inRestored("SELECT was FROM journal.pruefen()")).toEqual([]);
  });

  test("waits for its database, which may start beside it", async () => {
    await restore();
    await onServer(`ALTER DATABASE ${restored} RENAME TO ${restored}_later`);
    const starting = start();
    const first = await Promise.race([starting, new Promise((resolve) => setTimeout(resolve, 1_500, "waits"))]);
    expect(first).toBe("waits");
    await onServer(`ALTER DATABASE ${restored}_later RENAME TO ${restored}`);
    await (await starting).stop();
    expect(await personen()).toEqual([]);
  });
});
