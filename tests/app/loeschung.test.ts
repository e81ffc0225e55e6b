import { randomUUID } from "node:crypto";
import type { Client } from "pg";
import { beforeAll, describe, expect, test } from "vitest";
import { features } from "../../tenant-app/features.ts";
import { tidyUp } from "../../tenant-app/ground/work/daily.ts";
import { fristVergeht } from "../fixtures/loeschung.ts";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";
import { asOperator } from "../fixtures/school-operator.ts";
import { type Besucher, werteIn } from "../fixtures/school-visitor.ts";

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
const spaeter = (tage: number) => fristVergeht(school.database, tage);
const heuteInBerlin = "(now() AT TIME ZONE 'Europe/Berlin')::date";
/** As the app's role, in a transaction of its own that is taken back. */
async function alsApp<T>(konto: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = await school.database.connect("school_app");
  try {
    await client.query("BEGIN");
    await client.query("SELECT set_config('classmind.konto', $1, true)", [konto]);
    return await work(client);
  } finally {
    await client.query("ROLLBACK");
    await client.end();
  }
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

describe("marking an account for deletion", () => {
  test("R19 asks what becomes of contents, says how much there is and what cannot be anonymous, and wants the user name typed", async () => {
    const clara = await school.konto("Clara", "Viel", "lehrer");
    const browser = await school.angemeldet(clara);
    const brief = { an: [lehrerKonto.id], betreff: "Bleibt", inhalt: "Hallo", schritt: "senden" };
    expect((await browser.fuelle("/nachrichten/neu", brief, "/nachrichten")).status).toBe(303);
    const { text } = await admin.get(`/konten/${clara.id}/loeschen`);
    expect(text).toMatch(/geschriebene Nachrichten<\/th><td data-titel="Anzahl">1</);
    expect(text).toContain("Was sich nicht anonym machen lässt");
    expect(text).toContain("Das Archiv wurde noch nicht abgerufen.");
    const none = await admin.fuelle(`/konten/${clara.id}/loeschen`, { bestaetigung: clara.benutzername });
    expect(none.status).toBe(422);
    expect(none.text).toContain("Bitte wählen Sie, was aus den Inhalten wird.");
    const wrong = await admin.fuelle(`/konten/${clara.id}/loeschen`, { inhalte: "weg", bestaetigung: "jemand.anders" });
    expect(wrong.status).toBe(422);
    expect(wrong.text).toContain("Bitte geben Sie zur Bestätigung den Benutzernamen des Kontos ein");
    expect(wrong.text).toMatch(/value="weg" checked/);
    expect(await anzahl("SELECT FROM loeschung WHERE person_id = $1", clara.id)).toBe(0);
    // R18: until then what was written stays, for those who have it.
    expect((await (await school.angemeldet(lehrerKonto)).get("/nachrichten")).text).toContain("Bleibt");
  });

  test("a form that shows another name than the account has by now marks nothing, and says so", async () => {
    const dora = await school.konto("Dora", "Alt", "lehrer");
    const page = `/konten/${dora.id}/loeschen`;
    const form = werteIn((await admin.get(page)).text, page);
    expect((await admin.fuelle(`/konten/${dora.id}`, { nachname: "Neu" })).status).toBe(303);
    const sent = await admin.post(page, { ...form, inhalte: "weg", bestaetigung: dora.benutzername });
    expect(sent.status).toBe(422);
    expect(sent.text).toContain("Das Konto wurde inzwischen geändert. Es wurde nicht vorgemerkt.");
    expect(sent.text).toContain("Dora Neu");
    expect(await anzahl("SELECT FROM loeschung WHERE person_id = $1", dora.id)).toBe(0);
  });

  test("two administrators at once mark it once; a form that was sent twice changes nothing of the choice", async () => {
    const emil = await school.konto("Emil", "Doppelt", "lehrer");
    const zweite = await school.angemeldet(await school.konto("Bea", "Min", "administrator"));
    const page = `/konten/${emil.id}/loeschen`;
    const forms = await Promise.all(
      [admin, zweite].map(async (browser) => werteIn((await browser.get(page)).text, page)),
    );
    const answers = await Promise.all([
      admin.post(page, { ...forms[0], inhalte: "anonym", bestaetigung: emil.benutzername }),
      zweite.post(page, { ...forms[1], inhalte: "weg", bestaetigung: emil.benutzername }),
    ]);
    expect(answers.map(({ location }) => location).sort()).toEqual([
      "/loeschungen?erledigt=schon-vorgemerkt",
      "/loeschungen?erledigt=vorgemerkt",
    ]);
    const wahl = () =>
      school.database.query("SELECT inhalte, faellig_am::text FROM loeschung WHERE person_id = $1", [emil.id]);
    const [first] = await wahl();
    expect(first?.inhalte).toBe(answers[0]?.location?.endsWith("=vorgemerkt") ? "anonym" : "weg");
    await zweite.post(page, { ...forms[1], inhalte: "weg", bestaetigung: emil.benutzername });
    expect(await wahl()).toEqual([first]);
    expect((await admin.get(page)).text).toContain("Schon vorgemerkt");
  });

  test("nobody deletes themselves, nor somebody who manages more; a school keeps its last administrator, also when two delete each other", async () => {
    expect((await admin.get(`/konten/${adminKonto.id}/loeschen`)).status).toBe(404);
    expect((await admin.post(`/konten/${adminKonto.id}/loeschen`, { inhalte: "weg" })).status).toBe(404);
    await school.database.query(
      "INSERT INTO rolle (id, name) VALUES ('sekretariat', 'Sekretariat') ON CONFLICT DO NOTHING",
    );
    await school.database.query(
      "INSERT INTO recht VALUES ('sekretariat', 'Konto', 'lesen', 'schule'), ('sekretariat', 'Konto', 'loeschen', 'schule') ON CONFLICT DO NOTHING",
    );
    const buero = await school.angemeldet(await school.konto("Bert", "Büro", "sekretariat"));
    expect((await buero.get(`/konten/${adminKonto.id}/loeschen`)).status).toBe(404);
    const klein = await school.konto("Kurt", "Klein", "schueler");
    expect((await merkeVor(klein, "weg", buero)).location).toBe("/loeschungen?erledigt=vorgemerkt");
    // Two of them, and nobody else: each wants to delete the other.
    await school.database.query("DELETE FROM konto_rolle WHERE rolle_id = 'administrator' AND konto_id <> $1", [
      adminKonto.id,
    ]);
    const anderer = await school.konto("Bodo", "Min", "administrator");
    const seine = await school.angemeldet(anderer);
    const paare = [
      [admin, anderer],
      [seine, adminKonto],
    ] as const;
    const forms = await Promise.all(
      paare.map(async ([wer, wen]) =>
        werteIn((await wer.get(`/konten/${wen.id}/loeschen`)).text, `/konten/${wen.id}/loeschen`),
      ),
    );
    await Promise.all(
      paare.map(([wer, wen], index) =>
        wer.post(`/konten/${wen.id}/loeschen`, { ...forms[index], inhalte: "weg", bestaetigung: wen.benutzername }),
      ),
    );
    expect(
      await anzahl("SELECT FROM konto WHERE id = ANY ($1) AND geloescht_am IS NULL", [adminKonto.id, anderer.id]),
    ).toBe(1);
    await school.database.query("DELETE FROM loeschung WHERE person_id = ANY ($1)", [[adminKonto.id, anderer.id]]);
    await school.database.query("UPDATE konto SET geloescht_am = NULL WHERE id = ANY ($1)", [
      [adminKonto.id, anderer.id],
    ]);
    admin = await school.angemeldet(adminKonto);
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
    await spaeter(29);
    await tagesarbeit();
    expect(await anzahl("SELECT FROM note WHERE person_id = $1", pia.id)).toBe(1);
    expect(await anzahl("SELECT FROM schluessel.person WHERE person_id = $1", pia.id)).toBe(1);
    await spaeter(1);
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

  test("R29 nobody's grace is over by an app whose clock is ahead, or by what the app says of day and time", async () => {
    const ute = await school.konto("Ute", "Vorzeitig", "schueler");
    expect((await merkeVor(ute, "weg")).status).toBe(303);
    const da = () => anzahl("SELECT FROM schluessel.vernichtet WHERE person_id = $1", ute.id);
    const { app } = school.serving;
    await tidyUp({ ...app, now: () => new Date(Date.now() + 31 * TAG) }, features).catch(() => undefined);
    admin = await school.angemeldet(adminKonto);
    expect(await da()).toBe(0);
    const begonnen = await alsApp("", async (client) => {
      const { rows } = await client.query("SELECT loeschung_beginnen($1, '2999-01-01') AS zeichen", [ute.id]);
      return rows[0]?.zeichen;
    });
    expect(begonnen).toBeNull();
    // On its last day, and who acts is an administrator: only the daily work does it, in nobody's name.
    await spaeter(30);
    const versuch = alsApp(adminKonto.id, (client) =>
      client.query(`SELECT loeschung_beginnen($1, ${heuteInBerlin})`, [ute.id]),
    );
    await expect(versuch).rejects.toThrow("nobody asks for this");
    expect(await da()).toBe(0);
    await tagesarbeit();
    expect(await anzahl("SELECT FROM person WHERE id = $1", ute.id)).toBe(0);
  });

  test("the register counts from the erasure, by the database's clock: also of somebody whose key was destroyed long before", async () => {
    const vera = await school.konto("Vera", "Vorher", "schueler");
    await school.database.query("INSERT INTO schluessel.vernichtet (person_id, am) VALUES ($1, '1990-01-01')", [
      vera.id,
    ]);
    expect((await merkeVor(vera, "weg")).status).toBe(303);
    await school.database.query(`UPDATE loeschung SET faellig_am = ${heuteInBerlin} WHERE person_id = $1`, [vera.id]);
    await tagesarbeit();
    expect(await anzahl("SELECT FROM person WHERE id = $1", vera.id)).toBe(0);
    expect(
      await anzahl("SELECT FROM schluessel.vernichtet WHERE person_id = $1 AND am > now() - interval '1 day'", vera.id),
    ).toBe(1);
  });

  test("of a teacher the marks they gave stay the pupils'; who gave them is nobody any more", async () => {
    const quirin = await schueler("Quirin", "Quint");
    const geber = await school.konto("Gustav", "Geber", "lehrer");
    await insert("unterrichtsauftrag", "kurs_id, person_id, gueltig", kurs, geber.id, tage(-100, 190));
    const browser = await school.angemeldet(geber);
    const seite = `/noten/kurse/${kurs}?halbjahr=1`;
    const { text } = await browser.get(seite);
    const feld = /name="(n\d+_[\dh]+)"[^>]*aria-label="Quirin Quint, Arbeit 1"/.exec(text)?.[1];
    expect((await browser.fuelle(seite, { [feld ?? ""]: "4" }, `/noten/kurse/${kurs}`)).status).toBe(303);
    expect((await merkeVor(geber, "weg")).status).toBe(303);
    await spaeter(30);
    await tagesarbeit();
    expect(await anzahl("SELECT FROM person WHERE id = $1", geber.id)).toBe(0);
    expect(await anzahl("SELECT FROM note WHERE person_id = $1", quirin.id)).toBe(1);
    const entries = await school.database.query<{ konto_id: string | null; verschlossen: Buffer | null }>(
      "SELECT konto_id, verschlossen FROM journal.eintrag WHERE person_id = $1 AND ressource = 'Note' AND aktion <> 'lesen'",
      [quirin.id],
    );
    expect(entries.length).toBeGreaterThan(1);
    expect(entries.some(({ konto_id }) => konto_id === null)).toBe(true);
    for (const { verschlossen } of entries) expect(verschlossen).not.toBeNull();
    const { chain, findings } = await asOperator(school, "verify-journal", { reason: "Prüfung", by: "ops" });
    expect({ chain, findings }).toEqual({ chain: [], findings: [] });
  });

  test("what was taken back on the last day stays, and what somebody opened before it went is cleaned on the next", async () => {
    const rita = await school.konto("Rita", "Rest", "schueler");
    expect((await merkeVor(rita, "weg")).status).toBe(303);
    await spaeter(30);
    expect((await admin.fuelle("/loeschungen", {}, `/loeschungen/${rita.id}/zuruecknehmen`)).status).toBe(303);
    await tagesarbeit();
    expect(await anzahl("SELECT FROM konto WHERE id = $1 AND geloescht_am IS NULL", rita.id)).toBe(1);
    expect((await merkeVor(rita, "weg")).status).toBe(303);
    await spaeter(30);
    await tagesarbeit();
    await school.database.query(
      "INSERT INTO journal.eintrag (id, zeit, ressource, aktion, objekt, person_id) VALUES ($1, now(), 'Note', 'lesen', $2, $3)",
      [randomUUID(), rita.id, rita.id],
    );
    await spaeter(1);
    await tagesarbeit();
    expect(await anzahl("SELECT FROM journal.eintrag WHERE objekt = $1 OR person_id::text = $1", rita.id)).toBe(0);
    // The register is kept as long as backups are, by the slower of two clocks.
    school.travel(500 * TAG);
    await tagesarbeit();
    school.travel(-500 * TAG);
    admin = await school.angemeldet(adminKonto);
    const register = "SELECT FROM schluessel.vernichtet WHERE person_id = $1";
    expect(await anzahl(register, rita.id)).toBe(1);
    await school.database.query(
      "UPDATE schluessel.vernichtet SET am = now() - interval '401 days' WHERE person_id = $1",
      [rita.id],
    );
    await tagesarbeit();
    expect(await anzahl(register, rita.id)).toBe(0);
  });

  test("of messages of anonymous senders, more than go in one step, none stays that nobody sent and nobody has", async () => {
    const willi = await school.konto("Willi", "Viel", "schueler");
    const nachrichten = `INSERT INTO nachricht (id, absender_id, schluessel, betreff, inhalt, gesendet_am)
      SELECT gen_random_uuid(), NULL, 'x', 'x', 'x', now() FROM generate_series(1, 1200) RETURNING id`;
    await school.database.query(
      `WITH n AS (${nachrichten}) INSERT INTO nachricht_empfaenger (nachricht_id, konto_id, gesendet_am) SELECT n.id, $1, now() FROM n`,
      [willi.id],
    );
    // Some of them somebody else has as well.
    await school.database.query(
      "INSERT INTO nachricht_empfaenger (nachricht_id, konto_id, gesendet_am) SELECT nachricht_id, $2, now() FROM nachricht_empfaenger WHERE konto_id = $1 LIMIT 100",
      [willi.id, lehrerKonto.id],
    );
    expect((await merkeVor(willi, "weg")).status).toBe(303);
    await spaeter(30);
    await tagesarbeit();
    expect(await anzahl("SELECT FROM person WHERE id = $1", willi.id)).toBe(0);
    expect(
      await anzahl(
        "SELECT FROM nachricht n WHERE n.absender_id IS NULL AND NOT EXISTS (SELECT FROM nachricht_empfaenger e WHERE e.nachricht_id = n.id)",
      ),
    ).toBe(0);
    expect(await anzahl("SELECT FROM nachricht WHERE absender_id IS NULL")).toBe(100);
  });

  test("one whose erasure fails keeps nobody else from theirs, and is finished the next time", async () => {
    const kaputt = await school.konto("Kai", "Kaputt", "schueler");
    const heil = await school.konto("Heidi", "Heil", "schueler");
    for (const konto of [kaputt, heil]) expect((await merkeVor(konto, "weg")).status).toBe(303);
    await school.database.query(
      `CREATE TRIGGER stoerung BEFORE DELETE ON konto FOR EACH ROW WHEN (old.id = '${kaputt.id}') EXECUTE FUNCTION datei_unveraenderlich()`,
    );
    await spaeter(30);
    await expect(tagesarbeit()).rejects.toThrow();
    const da = (konto: TestKonto) => anzahl("SELECT FROM person WHERE id = $1", konto.id);
    expect([await da(kaputt), await da(heil)]).toEqual([1, 0]);
    await school.database.query("DROP TRIGGER stoerung ON konto");
    // Its key is gone: there is no way back any more.
    const back = await admin.post(`/loeschungen/${kaputt.id}/zuruecknehmen`, {});
    expect(back.location).toBe("/loeschungen?erledigt=nicht-vorgemerkt");
    await tagesarbeit();
    expect(await da(kaputt)).toBe(0);
  });
});
