import { randomUUID } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import { features } from "../../tenant-app/features.ts";
import { tidyUp } from "../../tenant-app/ground/work/daily.ts";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";
import { asOperator } from "../fixtures/school-operator.ts";
import type { Besucher } from "../fixtures/school-visitor.ts";

/** Deletion of an account: marked, taken back, and for good. */

const SCHRIFTLICH = "00000000-0000-4000-8000-000000000011";
const TAG = 24 * 60 * 60 * 1000;

let school: TestSchool;
let adminKonto: TestKonto;
let admin: Besucher;
let lehrerKonto: TestKonto;
let lehrer: Besucher;
let kurs: string;
let leistung: string;

async function insert(table: string, columns: string, ...values: readonly unknown[]): Promise<string> {
  const id = randomUUID();
  const places = values.map((_, index) => `$${index + 2}`).join(", ");
  await school.database.query(`INSERT INTO ${table} (id, ${columns}) VALUES ($1, ${places})`, [id, ...values]);
  return id;
}
const tage = (von: number, bis: number) =>
  `[${new Date(Date.now() + von * TAG).toISOString().slice(0, 10)},${new Date(Date.now() + bis * TAG).toISOString().slice(0, 10)})`;

beforeAll(async () => {
  school = await startSchool();
  adminKonto = await school.konto("Ada", "Min", "administrator");
  lehrerKonto = await school.konto("Anna", "Arendt", "lehrer");
  admin = await school.angemeldet(adminKonto);
  lehrer = await school.angemeldet(lehrerKonto);
  const jahr = await insert(
    "schuljahr",
    "name, von, zweites_halbjahr_ab, bis",
    "dieses",
    new Date(Date.now() - 200 * TAG),
    new Date(Date.now() + 100 * TAG),
    new Date(Date.now() + 200 * TAG),
  );
  const fach = await insert("fach", "kuerzel, name", "M", "Mathematik");
  kurs = await insert("kurs", "schuljahr_id, fach_id, name", jahr, fach, "M 5a");
  await insert("unterrichtsauftrag", "kurs_id, person_id, gueltig", kurs, lehrerKonto.id, tage(-100, 190));
  leistung = await insert(
    "leistung",
    "kurs_id, halbjahr, kategorie_id, name, datum",
    kurs,
    1,
    SCHRIFTLICH,
    "Arbeit 1",
    new Date(),
  );
});

/** A pupil of the course with a mark that the teacher entered. */
async function schueler(vorname: string, nachname: string): Promise<TestKonto> {
  const konto = await school.konto(vorname, nachname, "schueler");
  await insert("einschreibung", "kurs_id, person_id, gueltig", kurs, konto.id, tage(-100, 190));
  const seite = `/noten/kurse/${kurs}?halbjahr=1`;
  lehrer = await school.angemeldet(lehrerKonto);
  const { text } = await lehrer.get(seite);
  const feld = new RegExp(`name="(n\\d+_[\\dh]+)"[^>]*aria-label="${vorname} ${nachname}, Arbeit 1"`).exec(text)?.[1];
  expect((await lehrer.fuelle(seite, { [feld ?? ""]: "2" }, `/noten/kurse/${kurs}`)).status).toBe(303);
  return konto;
}

async function merkeVor(konto: TestKonto, inhalte: "weg" | "anonym", wer = admin) {
  return wer.fuelle(`/konten/${konto.id}/loeschen`, { inhalte, bestaetigung: konto.benutzername });
}
const anzahl = async (sql: string, ...werte: readonly unknown[]): Promise<number> =>
  (await school.database.query(sql, werte)).length;
const tagesarbeit = () => tidyUp(school.serving.app, features);
/** The administrator signs in anew: sessions end while the clock is moved. */
async function spaeter(ms: number): Promise<void> {
  school.travel(ms);
  admin = await school.angemeldet(adminKonto);
}

describe("an account that is marked for deletion", () => {
  test("R35 is over at once: running sessions end with it, nobody signs in, the school is shown the day on which it goes", async () => {
    const paul = await school.konto("Paul", "Ende", "schueler");
    const browser = await school.angemeldet(paul);
    expect((await browser.get("/")).status).toBe(200);
    expect((await merkeVor(paul, "weg")).location).toBe("/loeschungen?erledigt=vorgemerkt");
    expect((await browser.get("/")).location).toMatch(/^\/anmelden/);
    expect((await school.besucher().meldeAn(paul.benutzername, paul.passwort)).status).not.toBe(303);
    expect((await admin.get(`/konten/${paul.id}`)).status).toBe(404);
    const { text } = await admin.get("/loeschungen");
    expect(text).toContain("Paul Ende");
    const [row] = await school.database.query<{ tag: string }>(
      "SELECT to_char(heute() + 30, 'FMDD. TMMonth YYYY') AS tag",
    );
    expect(row?.tag).toBeTruthy();
    expect(text).toContain("werden gelöscht");
  });

  test("is taken back by the school and is as it was: locked if it was locked, with all its contents", async () => {
    const offen = await school.konto("Olga", "Offen", "lehrer");
    const zu = await school.konto("Zoe", "Zu", "lehrer");
    await admin.fuelle(`/konten/${zu.id}`, {}, `/konten/${zu.id}/sperren`);
    for (const konto of [offen, zu]) {
      expect((await merkeVor(konto, "anonym")).status).toBe(303);
      const back = await admin.fuelle("/loeschungen", {}, `/loeschungen/${konto.id}/zuruecknehmen`);
      expect(back.location).toBe(`/konten/${konto.id}?erledigt=loeschung-zurueck`);
    }
    expect((await school.besucher().meldeAn(offen.benutzername, offen.passwort)).status).toBe(303);
    expect((await school.besucher().meldeAn(zu.benutzername, zu.passwort)).status).not.toBe(303);
    const again = await admin.post(`/loeschungen/${offen.id}/zuruecknehmen`, {});
    expect(again.location).toBe("/loeschungen?erledigt=nicht-vorgemerkt");
    expect(await anzahl("SELECT FROM loeschung WHERE person_id = ANY ($1)", [offen.id, zu.id])).toBe(0);
  });
});

describe("at the end of grace", () => {
  test("R29 on day 29 marks are there, on day 30 nothing is left of them, copies in the journal included", async () => {
    const pia = await schueler("Pia", "Punkt");
    const pauls = await schueler("Peter", "Bleibt");
    expect(
      await anzahl("SELECT FROM journal.eintrag WHERE person_id = $1 AND verschlossen IS NOT NULL", pia.id),
    ).toBeGreaterThan(0);
    expect((await merkeVor(pia, "weg")).status).toBe(303);
    await spaeter(29 * TAG);
    await tagesarbeit();
    expect(await anzahl("SELECT FROM note WHERE person_id = $1", pia.id)).toBe(1);
    expect(await anzahl("SELECT FROM schluessel.person WHERE person_id = $1", pia.id)).toBe(1);
    await spaeter(1 * TAG);
    await tagesarbeit();
    for (const [table, column] of [
      ["note", "person_id"],
      ["einschreibung", "person_id"],
      ["konto", "id"],
      ["person", "id"],
      ["schluessel.person", "person_id"],
      ["journal.eintrag", "person_id"],
      ["journal.eintrag", "konto_id"],
      ["journal.eintrag", "objekt"],
    ]) {
      expect(await anzahl(`SELECT FROM ${table} WHERE ${column}::text = $1`, pia.id), `${table}.${column}`).toBe(0);
    }
    expect(await anzahl("SELECT FROM note WHERE person_id = $1 AND leistung_id = $2", pauls.id, leistung)).toBe(1);
    const { chain, findings } = await asOperator(school, "verify-journal", { reason: "Prüfung", by: "ops" });
    expect({ chain, findings }).toEqual({ chain: [], findings: [] });
  });
});
