import { randomUUID } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import { features, register } from "../../tenant-app/features.ts";
import { tidyUp } from "../../tenant-app/ground/work/daily.ts";
import { fristVergeht } from "../fixtures/loeschung.ts";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";
import { asOperator } from "../fixtures/school-operator.ts";
import type { Besucher } from "../fixtures/school-visitor.ts";

/** Nothing is forgotten: every column that names a person is some feature's to clean, and a dump afterwards knows nobody who was erased. */

const SCHRIFTLICH = "00000000-0000-4000-8000-000000000011";
const columns = register.catalogue.erasures.flatMap((erasure) => erasure.columns);

let school: TestSchool;
let admin: Besucher;
let adminKonto: TestKonto;
let andere: TestKonto;
let kurs: string;
let klasse: string;
let leistung: string;
beforeAll(async () => {
  school = await startSchool();
  adminKonto = await school.konto("Ada", "Min", "administrator");
  admin = await school.angemeldet(adminKonto);
  andere = await school.konto("Carla", "Clausen", "lehrer");
  const [jahr, fach] = [randomUUID(), randomUUID()];
  [kurs, klasse, leistung] = [randomUUID(), randomUUID(), randomUUID()];
  await sql(
    "INSERT INTO schuljahr (id, name, von, zweites_halbjahr_ab, bis) VALUES ($1, 'dieses', heute() - 100, heute() + 50, heute() + 100)",
    jahr,
  );
  await sql("INSERT INTO fach (id, kuerzel, name) VALUES ($1, 'M', 'Mathematik')", fach);
  await sql("INSERT INTO kurs (id, schuljahr_id, fach_id, name) VALUES ($1, $2, $3, 'M 5a')", kurs, jahr, fach);
  await sql("INSERT INTO klasse (id, schuljahr_id, name) VALUES ($1, $2, '5a')", klasse, jahr);
  await sql(
    "INSERT INTO leistung (id, kurs_id, halbjahr, kategorie_id, name, datum) VALUES ($1, $2, 1, $3, 'Arbeit 1', heute())",
    leistung,
    kurs,
    SCHRIFTLICH,
  );
});

const sql = (text: string, ...values: readonly unknown[]) =>
  school.database.query<Record<string, string>>(text, values);

interface Marke extends TestKonto {
  readonly email: string;
  readonly vorname: string;
  readonly nachname: string;
}
async function marke(vorname: string, nachname: string, ...rollen: string[]): Promise<Marke> {
  const konto = await school.konto(vorname, nachname, ...rollen);
  const [row] = await sql("SELECT email FROM konto WHERE id = $1", konto.id);
  return { ...konto, vorname, nachname, email: row?.email ?? "" };
}

/** Somebody who teaches and somebody who learns, with something in every table; parent and child. */
async function pflanze(silbe: string): Promise<readonly [Marke, Marke]> {
  const lehrerin = await marke(`Quirin${silbe}`, `Xylander${silbe}`, "lehrer");
  const kind = await marke(`Yolanda${silbe}`, `Zwetschke${silbe}`, "schueler");
  const zeit = "daterange(heute() - 9, heute() + 60)";
  await sql(`INSERT INTO unterrichtsauftrag VALUES ($1, $2, $3, ${zeit})`, randomUUID(), kurs, lehrerin.id);
  await sql(`INSERT INTO klassenleitung VALUES ($1, $2, $3, ${zeit})`, randomUUID(), klasse, lehrerin.id);
  await sql(`INSERT INTO klassenmitglied VALUES ($1, $2, $3, ${zeit})`, randomUUID(), klasse, kind.id);
  await sql(`INSERT INTO einschreibung VALUES ($1, $2, $3, ${zeit})`, randomUUID(), kurs, kind.id);
  await sql("INSERT INTO elternschaft VALUES ($1, $2, heute())", lehrerin.id, kind.id);
  await sql(
    "INSERT INTO auftragsaenderung (zeit, konto_id, kurs_id, person_id) VALUES (now(), $1, $2, $3)",
    lehrerin.id,
    kurs,
    andere.id,
  );
  await sql(
    "INSERT INTO halbjahresnote (id, kurs_id, halbjahr, person_id, verschlossen, geaendert_am) VALUES ($1, $2, 1, $3, 'x', now())",
    randomUUID(),
    kurs,
    kind.id,
  );
  for (const { id } of [lehrerin, kind]) {
    await sql("INSERT INTO zustimmung VALUES ($1, '2026-11-27', now())", id);
    await sql(
      "INSERT INTO hintergrundarbeit (id, art, person_id, auftrag, angelegt_am, beendet_am, ausgang) VALUES ($1, 'x', $2, 'x', now(), now(), 'fertig')",
      randomUUID(),
      id,
    );
  }
  // The office gives a one-time password; the person chooses their own and does what people do.
  const gegeben = await admin.fuelle(`/konten/${lehrerin.id}`, {}, `/konten/${lehrerin.id}/einmalpasswort`);
  expect(gegeben.status).toBe(200);
  await sql(
    "UPDATE zugang SET passwort = z.passwort, einmalig_bis = NULL FROM zugang z WHERE z.konto_id = $2 AND zugang.konto_id = $1",
    lehrerin.id,
    kind.id,
  );
  const browser = await school.angemeldet({ ...lehrerin, passwort: kind.passwort });
  await browser.fuelle("/profil", { telefon: "0561 1234", anschrift: "Am Weg 1" });
  const seite = `/noten/kurse/${kurs}?halbjahr=1`;
  const { text } = await browser.get(seite);
  const feld = new RegExp(`name="(n\\d+_[\\dh]+)"[^>]*aria-label="${kind.vorname} ${kind.nachname}, Arbeit 1"`).exec(
    text,
  )?.[1];
  expect((await browser.fuelle(seite, { [feld ?? ""]: "2" }, `/noten/kurse/${kurs}`)).status).toBe(303);
  await browser.get("/dateien");
  await browser.upload(`${silbe}-geteilt.txt`, Buffer.from("geteilt"));
  await browser.get("/dateien");
  await browser.upload(`${silbe}-eigen.txt`, Buffer.from("eigen"));
  const dateien = await sql("SELECT id FROM datei WHERE besitzer_id = $1 ORDER BY hochgeladen_am", lehrerin.id);
  const brief = {
    an: [andere.id],
    betreff: `Von ${silbe}`,
    inhalt: "Hallo",
    datei: dateien[0]?.id ?? "",
    schritt: "senden",
  };
  expect((await browser.fuelle("/nachrichten/neu", brief, "/nachrichten")).status).toBe(303);
  const entwurf = { betreff: "Entwurf", inhalt: "…", schritt: "speichern" };
  await browser.fuelle("/nachrichten/neu", entwurf, "/nachrichten");
  await sql(
    "INSERT INTO nachricht_entwurf (id, person_id, verschlossen, geaendert_am) VALUES ($1, $2, 'x', now())",
    randomUUID(),
    lehrerin.id,
  );
  const antwort = await school.angemeldet(andere);
  const zurueck = { an: [lehrerin.id], betreff: "An sie", inhalt: "Hallo", schritt: "senden" };
  expect((await antwort.fuelle("/nachrichten/neu", zurueck, "/nachrichten")).status).toBe(303);
  await antwort.get("/dateien");
  await antwort.upload("fremd.txt", Buffer.from("fremd"));
  await sql(
    "INSERT INTO datei_freigabe SELECT id, $1, now() FROM datei WHERE besitzer_id = $2 ON CONFLICT DO NOTHING",
    kind.id,
    andere.id,
  );
  await sql("INSERT INTO zweitfaktor (konto_id, geheimnis, angelegt_am) VALUES ($1, 'x', now())", lehrerin.id);
  await sql("INSERT INTO wiederherstellungscode VALUES ($1, 'x')", lehrerin.id);
  await sql(
    "INSERT INTO einlesung (id, person_id, angaben, begonnen_am) VALUES ($1, $2, 'x', now())",
    randomUUID(),
    lehrerin.id,
  );
  await sql("INSERT INTO eingelesene_person VALUES ($1, 'lehrkraft', NULL, heute())", lehrerin.id);
  await sql("INSERT INTO fremde_kennung VALUES ('untis', sha256($1::text::bytea), $1::uuid)", lehrerin.id);
  await sql("INSERT INTO datei_entfernung VALUES ($1, $2, 'x', now())", randomUUID(), lehrerin.id);
  await sql(
    "INSERT INTO passwortcode (konto_id, pruefwert, gueltig_bis, angefordert_am, gezaehlt_seit, anzahl) VALUES ($1, 'x', now(), now(), now(), 1)",
    lehrerin.id,
  );
  await asOperator(school, "undo-account", {
    username: lehrerin.benutzername,
    since: "2026-01-01T00:00:00Z",
    reason: "Probe",
    by: "ops",
  });
  // By id, of before there was an account; twice, and at the end of a sentence.
  await sql(
    "INSERT INTO betreiberzugriff (id, zeit, was, grund, von) VALUES ($1, now(), $2, 'Probe', 'ops')",
    randomUUID(),
    `Auskunft über die Person ${lehrerin.id}, ${lehrerin.benutzername} ${lehrerin.benutzername}.`,
  );
  await sql("INSERT INTO archivabruf VALUES ($1, now(), $2)", kind.id, lehrerin.id);
  const dritter = await school.konto("Dritt", silbe, "lehrer");
  await sql("INSERT INTO loeschung VALUES ($1, 'weg', now(), $2, heute() + 300)", dritter.id, lehrerin.id);
  return [lehrerin, kind];
}

/** Every row of the database as text, as a dump holds it: without the rows of the schema of keys, which no dump holds. */
async function dump(): Promise<ReadonlyArray<{ readonly table: string; readonly row: string }>> {
  const tables = await sql(
    `SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'schluessel') AND n.nspname !~ '^pg_'`,
  );
  const rows = await Promise.all(
    tables.map(async ({ name: table = "" }) =>
      (await sql(`SELECT t::text AS row FROM ${table} t`)).map(({ row = "" }) => ({ table, row: row.toLowerCase() })),
    ),
  );
  return rows.flat();
}
/** What a dump would know somebody by, also within what is stored as bytes. */
const spuren = ({ id, benutzername, email, vorname, nachname }: Marke): readonly string[] => {
  const words = [benutzername, email, vorname, nachname].map((word) => word.toLowerCase());
  const bytes = [
    ...[vorname, nachname, benutzername, email].map((word) => Buffer.from(word).toString("hex")),
    id.replaceAll("-", ""),
  ];
  return [id, ...words, ...bytes];
};
async function gefunden(...wen: readonly Marke[]): Promise<readonly string[]> {
  const rows = await dump();
  return wen.flatMap((one) =>
    spuren(one).flatMap((spur) => rows.filter(({ row }) => row.includes(spur)).map(({ table }) => `${table}: ${spur}`)),
  );
}

describe("the erasure of a person", () => {
  test("R19 every column that names a person belongs to a feature that cleans it, and each of these is there", async () => {
    const fks = await sql(
      `WITH RECURSIVE zur_person (tabelle, spalte) AS (
         SELECT 'person'::regclass::oid, 'id'::name
         UNION
         SELECT f.conrelid, a.attname FROM pg_constraint f
           JOIN zur_person z ON z.tabelle = f.confrelid
           JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = f.conkey[1]
           JOIN pg_attribute b ON b.attrelid = f.confrelid AND b.attnum = f.confkey[1] AND b.attname = z.spalte
          WHERE f.contype = 'f')
       SELECT tabelle::regclass::text AS tabelle, spalte FROM zur_person`,
    );
    const names = new Set(fks.map(({ spalte = "" }) => spalte).filter((name) => name !== "id"));
    const byName = await sql(
      `SELECT CASE n.nspname WHEN 'public' THEN '' ELSE n.nspname || '.' END || c.relname AS tabelle, a.attname AS spalte
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname IN ('public', 'journal') AND a.attname = ANY ($1)`,
      [...names],
    );
    const found = new Set([...fks, ...byName].map(({ tabelle, spalte }) => `${tabelle}.${spalte}`));
    expect(found.size).toBeGreaterThan(25);
    expect([...found].filter((column) => !columns.includes(column))).toEqual([]);
    expect(new Set(columns).size).toBe(columns.length);
    for (const column of columns) {
      const [table, name] = [column.slice(0, column.lastIndexOf(".")), column.slice(column.lastIndexOf(".") + 1)];
      expect(await sql(`SELECT ${name} FROM ${table} LIMIT 0`), column).toEqual([]);
    }
  });

  test("R19 R29 R30 with everything planted in every table: contents gone or anonymous, no name, mail, user name or id of them is in a dump", async () => {
    const [lehrerin, kind] = await pflanze("weg");
    const [stille, stilles] = await pflanze("anonym");
    const alle = [lehrerin, kind, stille, stilles];
    for (const column of columns.filter((one) => one !== "betreiberzugriff.was")) {
      const [table, name] = [column.slice(0, column.lastIndexOf(".")), column.slice(column.lastIndexOf(".") + 1)];
      for (const paar of [
        [lehrerin, kind],
        [stille, stilles],
      ]) {
        const rows = await sql(
          `SELECT FROM ${table} WHERE ${name}::text = ANY ($1)`,
          paar.map(({ id }) => id),
        );
        // Marked for deletion they are further down.
        if (column !== "loeschung.person_id")
          expect(rows.length, `nothing was planted in ${column}`).toBeGreaterThan(0);
      }
    }
    expect((await gefunden(lehrerin)).some((where) => where.startsWith("public.betreiberzugriff"))).toBe(true);
    for (const [wer, inhalte] of [
      [lehrerin, "weg"],
      [kind, "weg"],
      [stille, "anonym"],
      [stilles, "anonym"],
    ] as const) {
      const sent = await admin.fuelle(`/konten/${wer.id}/loeschen`, { inhalte, bestaetigung: wer.benutzername });
      expect(sent.location).toBe("/loeschungen?erledigt=vorgemerkt");
    }
    await fristVergeht(school.database, 30);
    await tidyUp(school.serving.app, features);
    expect(await gefunden(...alle)).toEqual([]);

    // What others have of them: the anonymous message with its file, and nothing of the other.
    const leser = await school.angemeldet(andere);
    const { text } = await leser.get("/nachrichten");
    expect(text).toContain("Von anonym");
    expect(text).toContain("Nicht mehr vorhandenes Konto");
    expect(text).not.toContain("Von weg");
    const dateien = await sql("SELECT id FROM datei WHERE besitzer_id IS NULL");
    expect(dateien).toHaveLength(1);
    const datei = await leser.get(`/dateien/${dateien[0]?.id}`);
    expect(datei.text).toContain("Nicht mehr vorhandenes Konto");
    expect((await leser.get(`/dateien/${dateien[0]?.id}/inhalt`)).text).toBe("geteilt");

    // The journal's chain still holds, and says what went by count alone.
    const { chain } = await asOperator(school, "verify-journal", { reason: "Prüfung", by: "ops" });
    expect(chain).toEqual([]);
    const gezaehlt = await sql("SELECT objekt, werte FROM journal.eintrag WHERE aktion = 'bereinigen'");
    expect(gezaehlt.length).toBeGreaterThan(4);
    for (const { werte } of gezaehlt) expect(Object.keys(Object(werte))).toEqual(["alt"]);
  });

  test("R30 an entry that was changed is no erased person's: the journal's verification finds it", async () => {
    admin = await school.angemeldet(adminKonto);
    expect((await admin.fuelle(`/konten/${andere.id}`, { vorname: "Karla" })).status).toBe(303);
    const client = await school.database.connect("postgres");
    const findings = async () =>
      (await client.query("SELECT was FROM journal.pruefen()")).rows.map(({ was }: { was: string }) => was);
    try {
      await client.query("BEGIN");
      await client.query("SET LOCAL session_replication_role = replica");
      // Passed off as cleaned: with the sign of somebody who was erased indeed.
      const faked = await client.query(
        `WITH e AS (SELECT id, zeit, verschlossen FROM journal.eintrag WHERE person_id = $1 AND verschlossen IS NOT NULL LIMIT 1),
           b AS (INSERT INTO journal.bereinigt SELECT e.id, e.zeit, (SELECT zeichen FROM schluessel.vernichtet LIMIT 1), false, true, true, sha256(e.verschlossen) FROM e)
         UPDATE journal.eintrag j SET person_id = NULL, objekt = '', verschlossen = NULL FROM e WHERE j.id = e.id AND j.zeit = e.zeit`,
        [andere.id],
      );
      expect(faked.rowCount).toBe(1);
      expect(await findings()).toEqual(["entry changed"]);
      await client.query("ROLLBACK");
      // What was cleaned is not changed afterwards either.
      await client.query("BEGIN");
      await client.query("SET LOCAL session_replication_role = replica");
      await client.query(
        "UPDATE journal.eintrag j SET aktion = 'x' FROM (SELECT eintrag, zeit FROM journal.bereinigt LIMIT 1) AS b WHERE j.id = b.eintrag AND j.zeit = b.zeit",
      );
      expect(await findings()).toEqual(["entry changed"]);
      await client.query("ROLLBACK");
      expect(await findings()).toEqual([]);
      await expect(client.query("SELECT journal.bereinigen($1, 10)", [andere.id])).rejects.toThrow("was not erased");
      await expect(client.query("SELECT noten_der_person_loeschen($1, 10)", [andere.id])).rejects.toThrow(
        "not to be erased",
      );
    } finally {
      await client.end();
    }
  });
});
