import { randomBytes } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import { openDatabase } from "../../tenant-app/ground/database/database.ts";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";
import { rolePassword } from "../fixtures/school-database.ts";

let school: TestSchool;
let anna: TestKonto;
let bert: TestKonto;
let admin: TestKonto;
let nachricht: string;
let datei: string;
beforeAll(async () => {
  school = await startSchool();
  anna = await school.konto("Anna", "Arendt", "lehrer");
  bert = await school.konto("Bert", "Brecht", "schueler");
  admin = await school.konto("Ada", "Min", "administrator");
  const browser = await school.angemeldet(anna);
  await browser.get("/nachrichten/neu");
  nachricht = crypto.randomUUID();
  await browser.post("/nachrichten", { vorgang: nachricht, an: [admin.id], betreff: "x", inhalt: "y" });
  await browser.get("/dateien");
  await browser.upload("x.txt", randomBytes(10));
  datei = (await school.database.query<{ id: string }>("SELECT id FROM datei"))[0]?.id ?? "";
});

/** As the app's role, acting as an account, past every check of the app. */
function als<T>(konto: TestKonto | undefined, sql: string, values: readonly unknown[] = []): Promise<T[]> {
  return school.serving.app.database.as(konto ? { konto: konto.id } : {}, (tx) => tx.all(sql, values)) as Promise<T[]>;
}

describe("the second wall", () => {
  test("R6 the database itself shows messages and files only to those they concern", async () => {
    for (const [konto, visible] of [
      [anna, 1],
      [admin, 1],
      [bert, 0],
      [undefined, 0],
    ] as const) {
      expect(await als(konto, "SELECT FROM nachricht")).toHaveLength(visible);
      expect(await als(konto, "SELECT FROM nachricht_empfaenger")).toHaveLength(visible);
    }
    expect(await als(anna, "SELECT FROM datei")).toHaveLength(1);
    for (const konto of [admin, bert, undefined]) {
      expect(await als(konto, "SELECT FROM datei")).toHaveLength(0);
    }
  });

  test("R22 others delete, share and attach nothing, even past the app", async () => {
    expect(await als(admin, "DELETE FROM nachricht RETURNING id")).toEqual([]);
    expect(await als(bert, "DELETE FROM datei RETURNING id")).toEqual([]);
    await expect(als(bert, "INSERT INTO datei_freigabe VALUES ($1, $2, now())", [datei, bert.id])).rejects.toThrow(
      "row-level security",
    );
    await expect(
      als(bert, "INSERT INTO nachricht_empfaenger VALUES ($1, $2, now())", [nachricht, bert.id]),
    ).rejects.toThrow("row-level security");
    await expect(
      als(bert, "INSERT INTO datei VALUES ($1, $2, ''::bytea, ''::bytea, 0, now())", [crypto.randomUUID(), anna.id]),
    ).rejects.toThrow("row-level security");
    await expect(als(anna, "UPDATE datei SET besitzer_id = $1", [bert.id])).rejects.toThrow("permission denied");
  });

  test("passwords, sessions and contact data of others are out of reach", async () => {
    expect(await als(bert, "SELECT FROM zugang WHERE konto_id <> $1", [bert.id])).toEqual([]);
    expect(await als(bert, "SELECT FROM sitzung WHERE konto_id <> $1", [bert.id])).toEqual([]);
    expect(await als(undefined, "SELECT FROM sitzung")).toEqual([]);
    await school.database.query("INSERT INTO kontaktdaten VALUES ($1, NULL, NULL, NULL, now())", [anna.id]);
    expect(await als(bert, "SELECT FROM kontaktdaten")).toEqual([]);
    expect(await als(admin, "SELECT FROM kontaktdaten")).toHaveLength(1);
    await expect(als(bert, "SELECT passwort_setzen($1, 'x', NULL, now())", [anna.id])).rejects.toThrow(
      "password of another",
    );
    await expect(als(bert, "SELECT sitzungen_beenden($1)", [anna.id])).rejects.toThrow("sessions of another");
  });

  test("nobody gives themselves a role; a pupil gives nobody one", async () => {
    for (const [konto, ziel] of [
      [bert, bert],
      [bert, anna],
      [admin, admin],
    ] as const) {
      await expect(als(konto, "INSERT INTO konto_rolle VALUES ($1, 'schulleitung')", [ziel.id])).rejects.toThrow(
        "row-level security",
      );
    }
    expect(await als(bert, "UPDATE konto SET gesperrt_am = now() WHERE id = $1 RETURNING id", [anna.id])).toEqual([]);
    expect(await als(bert, "UPDATE recht SET umfang = 'schule' RETURNING 1")).toEqual([]);
    expect(await als(bert, "DELETE FROM recht RETURNING 1")).toEqual([]);
    expect(await als(bert, "UPDATE rolle SET aktiv = false RETURNING 1")).toEqual([]);
    for (const sql of [
      "INSERT INTO recht VALUES ('schueler', 'Rolle', 'bearbeiten', 'schule')",
      "INSERT INTO rolle (id, name) VALUES ('chef', 'Chef')",
    ]) {
      await expect(als(bert, sql), sql).rejects.toThrow("row-level security");
    }
  });

  test("R31 R43 the app appends to the journal and can neither read nor change it; each write is in it", async () => {
    await expect(als(admin, "SELECT FROM journal.eintrag")).rejects.toThrow("permission denied");
    await expect(als(admin, "UPDATE journal.eintrag SET aktion = 'x'")).rejects.toThrow("permission denied");
    await expect(als(admin, "DELETE FROM journal.eintrag")).rejects.toThrow("permission denied");
    await expect(als(admin, "TRUNCATE journal.eintrag")).rejects.toThrow("permission denied");
    const rows = await school.database.query<{ wer: string; was: string }>(
      "SELECT konto_id AS wer, ressource || ' ' || aktion AS was FROM journal.eintrag ORDER BY zeit",
    );
    expect(rows).toEqual([
      { wer: anna.id, was: "Nachricht anlegen" },
      { wer: anna.id, was: "Datei anlegen" },
    ]);
  });

  test("R40 the app's role owns nothing, has no say over the server, and creates nothing", async () => {
    const owned = await school.database.query(
      `SELECT relname FROM pg_class WHERE relowner = 'school_app'::regrole
       UNION ALL SELECT proname FROM pg_proc WHERE proowner = 'school_app'::regrole`,
    );
    expect(owned).toEqual([]);
    const [role] = await school.database.query(
      "SELECT rolsuper, rolcreatedb, rolcreaterole, rolbypassrls, rolreplication FROM pg_roles WHERE rolname = 'school_app'",
    );
    expect(Object.values(role ?? {})).toEqual([false, false, false, false, false]);
    for (const sql of [
      "CREATE TABLE x (y int)",
      "CREATE TEMP TABLE x (y int)",
      "CREATE SCHEMA x",
      "COPY konto TO PROGRAM 'id'",
      "SELECT pg_read_file('/etc/passwd')",
    ]) {
      await expect(als(admin, sql), sql).rejects.toThrow(/permission denied/);
    }
  });

  test("every table has row-level security or is named here, and no function is open to everybody", async () => {
    const without = await school.database.query<{ relname: string }>(
      "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace IN ('public'::regnamespace, 'schluessel'::regnamespace) AND NOT relrowsecurity ORDER BY 1",
    );
    // They hold nothing about a person that could be read.
    expect(without.map((row) => row.relname)).toEqual(["anmeldebremse", "datei_abraum", "schema_migration"]);
    const functions = await school.database.query(
      "SELECT proname FROM pg_proc WHERE pronamespace IN ('public'::regnamespace, 'journal'::regnamespace, 'schluessel'::regnamespace) AND has_function_privilege('public', oid, 'EXECUTE')",
    );
    expect(functions).toEqual([]);
    const definers = await school.database.query(
      "SELECT proname FROM pg_proc WHERE pronamespace IN ('public'::regnamespace, 'journal'::regnamespace, 'schluessel'::regnamespace) AND prosecdef AND NOT coalesce(proconfig::text, '') LIKE '%search_path%'",
    );
    expect(definers).toEqual([]);
  });

  test("R10 every column of every table says what it is for", async () => {
    const silent = await school.database.query(
      `SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relkind IN ('r', 'p') AND c.relnamespace IN ('public'::regnamespace, 'journal'::regnamespace, 'schluessel'::regnamespace)
          AND NOT c.relispartition AND col_description(c.oid, a.attnum) IS NULL`,
    );
    expect(silent).toEqual([]);
  });

  test("the backup's role reads every row, past row-level security, and writes none", async () => {
    const client = await school.database.connect("school_backup");
    try {
      for (const table of ["nachricht", "datei", "sitzung", "zugang", "journal.eintrag"]) {
        expect((await client.query(`SELECT FROM ${table}`)).rowCount, table).toBeGreaterThan(0);
      }
      await expect(client.query("DELETE FROM nachricht")).rejects.toThrow("permission denied");
    } finally {
      await client.end();
    }
  });

  test("who acts is forgotten with the transaction: a connection used again acts for nobody", async () => {
    const single = openDatabase({ ...school.database, user: "school_app", password: rolePassword, max: 1 });
    try {
      expect(await single.as({ konto: anna.id }, (tx) => tx.all("SELECT FROM datei"))).toHaveLength(1);
      expect(await single.as({}, (tx) => tx.all("SELECT FROM datei"))).toHaveLength(0);
    } finally {
      await single.close();
    }
  });
});
