import { beforeAll, describe, expect, test } from "vitest";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";
import { type Antwort, type Besucher, werteIn } from "../fixtures/school-visitor.ts";

/** Marks in a running school. */

const SCHRIFTLICH = "00000000-0000-4000-8000-000000000011";
const MUENDLICH = "00000000-0000-4000-8000-000000000012";
const PROFIL = "00000000-0000-4000-8000-000000000001";
const SCHLUESSEL = "00000000-0000-4000-8000-000000000031";

let school: TestSchool;
let leitung: Besucher;
let mathe: TestKonto;
let lehrer: Besucher;
let deutsch: Besucher;
let paul: TestKonto;
let pia: TestKonto;
let kind: Besucher;
let mutter: Besucher;
let kurs: string;
let anderer: string;

async function insert(table: string, columns: string, ...values: readonly unknown[]): Promise<string> {
  const id = crypto.randomUUID();
  const places = values.map((_, index) => `$${index + 2}`).join(", ");
  await school.database.query(`INSERT INTO ${table} (id, ${columns}) VALUES ($1, ${places})`, [id, ...values]);
  return id;
}
const tage = (von: number, bis: number) =>
  `[${new Date(Date.now() + von * 86_400_000).toISOString().slice(0, 10)},${new Date(Date.now() + bis * 86_400_000).toISOString().slice(0, 10)})`;

let jahr: string;
async function neuerKurs(name: string, lehrkraft: TestKonto, ...teilnehmende: readonly TestKonto[]): Promise<string> {
  const fach = await insert("fach", "kuerzel, name", name.slice(0, 12), `Fach ${name}`);
  const id = await insert("kurs", "schuljahr_id, fach_id, name", jahr, fach, name);
  await insert("unterrichtsauftrag", "kurs_id, person_id, gueltig", id, lehrkraft.id, tage(-100, 100));
  for (const einer of teilnehmende) {
    await insert("einschreibung", "kurs_id, person_id, gueltig", id, einer.id, tage(-100, 100));
  }
  return id;
}

/** A column of the second half, which runs today; its id. */
async function leistung(
  name: string,
  {
    in: wo = kurs,
    kategorie = SCHRIFTLICH,
    mehr = {},
  }: { in?: string; kategorie?: string; mehr?: Record<string, string> } = {},
): Promise<string> {
  const buch = `/noten/kurse/${wo}?halbjahr=2`;
  const answer = await lehrer.fuelle(buch, { name, kategorie, ...mehr }, `/noten/kurse/${wo}/leistungen`);
  expect(answer.status, answer.text).toBe(303);
  const [row] = await school.database.query<{ id: string }>(
    "SELECT id FROM leistung WHERE kurs_id = $1 AND name = $2",
    [wo, name],
  );
  return row?.id ?? "";
}

const seite = (wo = kurs) => `/noten/kurse/${wo}?halbjahr=2`;
/** The name of a cell's field, by what the page calls it. */
function feld(text: string, person: string, spalte: string): string {
  const tag = new RegExp(`name="(n\\d+_[\\dh]+)"[^>]*aria-label="${person}, ${spalte}"`).exec(text);
  if (!tag?.[1]) throw new Error(`there is no cell of ${person}, ${spalte}`);
  return tag[1];
}
/** Enters marks as somebody does who opens the page: `[person, column, text]`. */
async function trageEin(wer: Besucher, ...zellen: ReadonlyArray<readonly [string, string, string]>): Promise<Antwort> {
  const { text } = await wer.get(seite());
  const form = werteIn(text, `/noten/kurse/${kurs}`);
  const neu = Object.fromEntries(zellen.map(([person, spalte, wert]) => [feld(text, person, spalte), wert]));
  return wer.post(`/noten/kurse/${kurs}`, { ...form, ...neu });
}
const inZelle = (text: string, person: string, spalte: string) =>
  String(werteIn(text, `/noten/kurse/${kurs}`)[feld(text, person, spalte)]);

beforeAll(async () => {
  school = await startSchool();
  await school.database.query("UPDATE rolle SET aktiv = true");
  jahr = await insert(
    "schuljahr",
    "name, von, zweites_halbjahr_ab, bis",
    "Jahr",
    tage(-120, 0).slice(1, 11),
    tage(-60, 0).slice(1, 11),
    tage(120, 121).slice(1, 11),
  );
  leitung = await school.angemeldet(await school.konto("Lea", "Leitung", "schulleitung"));
  mathe = await school.konto("Max", "Mathe", "lehrer");
  lehrer = await school.angemeldet(mathe);
  const dora = await school.konto("Dora", "Deutsch", "lehrer");
  deutsch = await school.angemeldet(dora);
  paul = await school.konto("Paul", "Pupil", "schueler");
  pia = await school.konto("Pia", "Pupil", "schueler");
  kind = await school.angemeldet(paul);
  const eva = await school.konto("Eva", "Eltern", "eltern");
  await school.database.query("INSERT INTO elternschaft VALUES ($1, $2, heute())", [eva.id, paul.id]);
  mutter = await school.angemeldet(eva);
  kurs = await neuerKurs("Mathe 5a", mathe, paul, pia);
  anderer = await neuerKurs("Deutsch 5a", dora, paul, pia);
});

describe("the book of marks", () => {
  test("R28 marks are entered like a spreadsheet, reckoned to a proposal, and shown with the whole reckoning", async () => {
    await leistung("1. Klassenarbeit");
    await leistung("Mitarbeit", { kategorie: MUENDLICH });
    const saved = await trageEin(
      lehrer,
      ["Paul Pupil", "1. Klassenarbeit", "2 +"],
      ["Paul Pupil", "Mitarbeit", "3"],
      ["Pia Pupil", "1. Klassenarbeit", "4–"],
      ["Pia Pupil", "Mitarbeit", "f"],
    );
    expect(saved.location).toContain("erledigt=noten");
    const { text } = await lehrer.get(seite());
    expect(inZelle(text, "Paul Pupil", "1. Klassenarbeit")).toBe("2+");
    expect(inZelle(text, "Pia Pupil", "1. Klassenarbeit")).toBe("4-");
    // (1 2/3 + 3) / 2 = 2 1/3
    expect(text).toMatch(/>2,33</);
    const reckoning = await lehrer.get(`/noten/kurse/${kurs}/rechnung?halbjahr=2&person=${paul.id}`);
    for (const words of [
      "Schriftlich",
      "Gewicht 1",
      "1. Klassenarbeit: 2+",
      "Mitarbeit: 3",
      "(genau 7/3)",
      "zur schlechteren Note",
    ]) {
      expect(reckoning.text).toContain(words);
    }
    expect((await lehrer.get(`/noten/kurse/${kurs}/rechnung?person=${mathe.id}`)).status).toBe(404);
  });

  test("the teacher's own mark stands beside the proposal, and is marked where it differs", async () => {
    await trageEin(lehrer, ["Paul Pupil", "Halbjahresnote", "2"], ["Pia Pupil", "Halbjahresnote", "3"]);
    const { text } = await lehrer.get(seite());
    expect(text.match(/weicht ab/g)).toHaveLength(1);
    await trageEin(lehrer, ["Pia Pupil", "Halbjahresnote", "4-"]);
    expect((await lehrer.get(seite())).text).not.toContain("weicht ab");
  });

  test("what is no mark is named, by person and column, and nothing of the form is saved or lost", async () => {
    const answer = await trageEin(lehrer, ["Paul Pupil", "Mitarbeit", "1"], ["Pia Pupil", "Mitarbeit", "7"]);
    expect(answer.status).toBe(422);
    expect(answer.text).toContain("Pia Pupil, Mitarbeit: Bitte geben Sie eine Note von 1+ bis 6 ein");
    expect(inZelle(answer.text, "Paul Pupil", "Mitarbeit")).toBe("1");
    expect(inZelle(answer.text, "Pia Pupil", "Mitarbeit")).toBe("7");
    expect(inZelle((await lehrer.get(seite())).text, "Paul Pupil", "Mitarbeit")).toBe("3");
  });

  test("an old tab does not write old marks back; where both changed the same one, both are shown and nothing is saved", async () => {
    const { text } = await lehrer.get(seite());
    const old = werteIn(text, `/noten/kurse/${kurs}`);
    await trageEin(lehrer, ["Paul Pupil", "Mitarbeit", "2"]);
    // The old tab changes another cell: that is entered, and the newer mark stays.
    const piasFeld = feld(text, "Pia Pupil", "Mitarbeit");
    const other = await lehrer.post(`/noten/kurse/${kurs}`, { ...old, vorgang: crypto.randomUUID(), [piasFeld]: "5" });
    expect(other.status).toBe(303);
    const now = (await lehrer.get(seite())).text;
    expect([inZelle(now, "Paul Pupil", "Mitarbeit"), inZelle(now, "Pia Pupil", "Mitarbeit")]).toEqual(["2", "5"]);
    // The old tab changes the same one.
    const paulsFeld = feld(text, "Paul Pupil", "Mitarbeit");
    const both = await lehrer.post(`/noten/kurse/${kurs}`, { ...old, vorgang: crypto.randomUUID(), [paulsFeld]: "1" });
    expect(both.status).toBe(409);
    expect(both.text).toContain("Paul Pupil, Mitarbeit");
    expect(inZelle(both.text, "Paul Pupil", "Mitarbeit")).toBe("1");
    expect(inZelle((await lehrer.get(seite())).text, "Paul Pupil", "Mitarbeit")).toBe("2");
    // Sent again, knowingly.
    const knowing = await lehrer.post(`/noten/kurse/${kurs}`, werteIn(both.text, `/noten/kurse/${kurs}`));
    expect(knowing.status).toBe(303);
    expect(inZelle((await lehrer.get(seite())).text, "Paul Pupil", "Mitarbeit")).toBe("1");
  });

  test("two tabs that save at the same moment: one is entered, the other is told", async () => {
    const { text } = await lehrer.get(seite());
    const form = werteIn(text, `/noten/kurse/${kurs}`);
    const field = feld(text, "Pia Pupil", "Mitarbeit");
    const answers = await Promise.all(
      ["2", "3", "4"].map((wert) =>
        lehrer.post(`/noten/kurse/${kurs}`, { ...form, vorgang: crypto.randomUUID(), [field]: wert }),
      ),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([303, 409, 409]);
  });

  test("a form that was sent is gone back to, more is typed and it is sent again: nothing of that is dropped; sent twice it is entered once", async () => {
    const { text } = await lehrer.get(seite());
    const form = werteIn(text, `/noten/kurse/${kurs}`);
    const [pauls, pias] = [feld(text, "Paul Pupil", "Mitarbeit"), feld(text, "Pia Pupil", "Mitarbeit")];
    const first = { ...form, [pauls]: "4" };
    const twice = await Promise.all([0, 1].map(() => lehrer.post(`/noten/kurse/${kurs}`, first)));
    expect(twice.map(({ status }) => status)).toEqual([303, 303]);
    expect((await lehrer.post(`/noten/kurse/${kurs}`, { ...first, [pias]: "3" })).location).toContain("erledigt=noten");
    const now = (await lehrer.get(seite())).text;
    expect([inZelle(now, "Paul Pupil", "Mitarbeit"), inZelle(now, "Pia Pupil", "Mitarbeit")]).toEqual(["4", "3"]);
    // Two entries, each to be taken back.
    const undo = `/noten/kurse/${kurs}/zuruecknehmen`;
    for (let entry = 0; entry < 2; entry += 1) await lehrer.fuelle(seite(), {}, undo);
    const before = (await lehrer.get(seite())).text;
    for (const name of ["Paul Pupil", "Pia Pupil"])
      expect(inZelle(before, name, "Mitarbeit")).toBe(inZelle(text, name, "Mitarbeit"));
  });

  test("the last entry is taken back as a whole; not if something of it was changed since, and never twice", async () => {
    await trageEin(lehrer, ["Paul Pupil", "Mitarbeit", "6"], ["Pia Pupil", "Mitarbeit", "6"]);
    const undo = `/noten/kurse/${kurs}/zuruecknehmen`;
    const form = werteIn((await lehrer.get(seite())).text, undo);
    // A form that says another half takes back nothing of this one.
    expect((await lehrer.post(undo, { ...form, halbjahr: form.halbjahr === "1" ? "2" : "1" })).status).toBe(422);
    expect((await lehrer.post(undo, form)).location).toContain("noten-zurueck");
    const after = (await lehrer.get(seite())).text;
    expect(inZelle(after, "Paul Pupil", "Mitarbeit")).toBe("1");
    expect((await lehrer.post(undo, form)).status).toBe(422);

    await trageEin(lehrer, ["Paul Pupil", "Mitarbeit", ""], ["Pia Pupil", "Mitarbeit", "6"]);
    const second = werteIn((await lehrer.get(seite())).text, undo);
    await trageEin(lehrer, ["Pia Pupil", "Mitarbeit", "5"]);
    const refused = await lehrer.post(undo, second);
    expect(refused.status).toBe(422);
    expect(refused.text).toContain("Inzwischen wurde weiter geändert: Pia Pupil");
    expect(inZelle((await lehrer.get(seite())).text, "Paul Pupil", "Mitarbeit")).toBe("");
    // The newer one, and then the older one.
    await lehrer.fuelle(seite(), {}, undo);
    await lehrer.fuelle(seite(), {}, undo);
    expect(inZelle((await lehrer.get(seite())).text, "Paul Pupil", "Mitarbeit")).toBe("1");
    expect((await deutsch.post(undo, second)).status).toBe(404);
  });

  test("missing marks are counted; somebody who was not there is none of them", async () => {
    await leistung("Vokabeltest");
    const { text } = await lehrer.get(seite());
    expect(text).toContain("2 Noten fehlen noch.");
    await trageEin(lehrer, ["Paul Pupil", "Vokabeltest", "F"]);
    expect((await lehrer.get(seite())).text).toContain("1 Note fehlt noch.");
  });

  test("points become marks by the key that was chosen, exactly at the border", async () => {
    await leistung("Test mit Punkten", { mehr: { punkte: "32", schluessel: SCHLUESSEL } }).catch(() => undefined);
    // The key is for whole marks; the course has tendencies.
    expect((await lehrer.get(seite())).text).not.toContain("Test mit Punkten");
    const eigener = await leitung.fuelle("/noten/schluessel", { name: "Genau", skala: "tendenzen" });
    const id = eigener.location?.split("/").at(-1)?.split("?")[0] ?? "";
    const stufen = {
      "ab1+": "95",
      ab1: "87,5",
      "ab1-": "",
      "ab2+": "80",
      ab2: "75",
      "ab2-": "",
      "ab3+": "",
      ab3: "60",
      "ab3-": "",
      "ab4+": "",
      ab4: "45",
      "ab4-": "",
      "ab5+": "",
      ab5: "20",
      "ab5-": "",
      ab6: "0",
    };
    expect((await leitung.fuelle(`/noten/schluessel/${id}`, { ...stufen, aktiv: "ja", ab2: "81" })).status).toBe(422);
    expect((await leitung.fuelle(`/noten/schluessel/${id}`, { ...stufen, aktiv: "ja" })).status).toBe(303);
    await leistung("Punktetest", { mehr: { punkte: "32", schluessel: id } });
    const wrong = await trageEin(lehrer, ["Paul Pupil", "Punktetest", "32,5"]);
    expect(wrong.text).toContain("Bitte geben Sie Punkte von 0 bis 32 ein");
    await trageEin(lehrer, ["Paul Pupil", "Punktetest", "28"], ["Pia Pupil", "Punktetest", "27,99"]);
    const { text } = await lehrer.get(seite());
    expect(inZelle(text, "Pia Pupil", "Punktetest")).toBe("27,99");
    // 28 of 32 are 87,5 %.
    expect(text).toMatch(/aria-label="Paul Pupil, Punktetest".*?<span class="buch-neben">1<\/span>/s);
    expect(text).toMatch(/aria-label="Pia Pupil, Punktetest".*?<span class="buch-neben">2\+<\/span>/s);
    const fest = await leitung.fuelle(`/noten/schluessel/${id}`, { ...stufen, aktiv: "ja", ab1: "85" });
    expect(fest.status).toBe(422);
    expect(fest.text).toContain("Nach diesem Schlüssel wurden schon Noten gegeben");
  });
});

describe("who sees marks", () => {
  test("R42 a teacher of another subject gets 404: the page, the reckoning, the form; after the assignment has ended, too", async () => {
    for (const path of [seite(), `/noten/kurse/${kurs}/rechnung?person=${paul.id}`]) {
      expect((await deutsch.get(path)).status).toBe(404);
    }
    const form = werteIn((await lehrer.get(seite())).text, `/noten/kurse/${kurs}`);
    await deutsch.get("/noten");
    const { sicherheit: _, ...fields } = form;
    expect((await deutsch.post(`/noten/kurse/${kurs}`, fields)).status).toBe(404);
    // The same pupil's page holds their own course's marks alone.
    expect((await deutsch.get(`/noten/${paul.id}`)).text).not.toContain("Mathe 5a");
    expect((await deutsch.get(`/noten/${paul.id}`)).status).toBe(200);

    const vorbei = await school.konto("Volker", "Vorbei", "lehrer");
    await insert("unterrichtsauftrag", "kurs_id, person_id, gueltig", kurs, vorbei.id, tage(-50, 0));
    expect((await (await school.angemeldet(vorbei)).get(seite())).status).toBe(404);
  });

  test("R42 nor does the database show or take them, whatever the app asks", async () => {
    const client = await school.database.connect("school_app");
    const dora =
      (await school.database.query<{ id: string }>("SELECT id FROM konto WHERE benutzername = 'dora.deutsch'"))[0]
        ?.id ?? "";
    const as = (id: string) => client.query("SELECT set_config('classmind.konto', $1, false)", [id]);
    const zahl = async () =>
      (await client.query("SELECT count(*)::int AS n FROM note WHERE kurs_id = $1", [kurs])).rows[0].n;
    await as(mathe.id);
    expect(await zahl()).toBeGreaterThan(0);
    const { rows } = await client.query("SELECT id FROM note WHERE kurs_id = $1 LIMIT 1", [kurs]);
    await as(dora);
    expect(await zahl()).toBe(0);
    expect((await client.query("UPDATE note SET geaendert_am = now() WHERE id = $1", [rows[0].id])).rowCount).toBe(0);
    await expect(
      client.query(
        `INSERT INTO note (id, leistung_id, kurs_id, person_id, verschlossen, geaendert_am)
         SELECT gen_random_uuid(), l.id, l.kurs_id, $2, '', now() FROM (SELECT $1::uuid AS id, $3::uuid AS kurs_id) AS l`,
        [rows[0].id, paul.id, kurs],
      ),
    ).rejects.toThrow("row-level security");
    // Nor for somebody who does not take the course, by who teaches it.
    await as(mathe.id);
    await expect(
      client.query(
        "INSERT INTO note (id, leistung_id, kurs_id, person_id, verschlossen, geaendert_am) SELECT gen_random_uuid(), l.id, l.kurs_id, $1, '', now() FROM leistung l WHERE l.kurs_id = $2 LIMIT 1",
        [dora, kurs],
      ),
    ).rejects.toThrow("row-level security");
    await client.end();
  });

  test("R6 pupils and parents see their own, once they are shown, and of nobody else anything", async () => {
    const geheim = await leistung("Noch verborgen");
    await trageEin(lehrer, ["Paul Pupil", "Noch verborgen", "5+"]);
    await lehrer.fuelle(`/noten/leistungen/${geheim}`, { sichtbar: "nein" });
    for (const wer of [kind, mutter]) {
      const { text } = await wer.get(`/noten/${paul.id}`);
      expect(text).toContain("1. Klassenarbeit");
      expect(text).toContain("2+");
      expect(text).not.toContain("Noch verborgen");
      expect(text).not.toContain("5+");
      // The half-year's mark only when the teacher shows it.
      expect(text).not.toContain("2. Halbjahr: 2");
      expect((await wer.get(`/noten/${pia.id}`)).status).toBe(404);
      expect((await wer.get(seite())).status).toBe(403);
    }
    await lehrer.fuelle(seite(), { schritt: "zeigen" }, `/noten/kurse/${kurs}/freigeben`);
    expect((await kind.get(`/noten/${paul.id}`)).text).toContain("2. Halbjahr: 2");
    await lehrer.fuelle(seite(), { schritt: "verbergen" }, `/noten/kurse/${kurs}/freigeben`);
    expect((await mutter.get(`/noten/${paul.id}`)).text).not.toContain("2. Halbjahr: 2");
  });

  test("„Warum darf ich das sehen?“ names the assignment with its days, the child, the role", async () => {
    const grund = async (wer: Besucher, path: string) => (await wer.get(path)).text;
    expect(await grund(lehrer, seite())).toMatch(
      /Sie unterrichten den Kurs Mathe 5a vom [\d.]{10} bis zum [\d.]{10}\. \(Rolle „[^“]+“\)/,
    );
    expect(await grund(mutter, `/noten/${paul.id}`)).toContain("Es geht um Ihr Kind; so ist es seit dem");
    // Beside each course as well as for the whole page.
    expect((await grund(kind, `/noten/${paul.id}`)).match(/Es geht um Sie selbst\./g)?.length).toBeGreaterThan(1);
    expect(await grund(leitung, seite())).toContain("Ihre Rolle darf die Noten der ganzen Schule ansehen.");
  });

  test("R3 no mark is in clear in the database, nor in the journal", async () => {
    await trageEin(lehrer, ["Paul Pupil", "Vokabeltest", "3-"]);
    const rows = await school.database.query<{ alles: string }>(
      `SELECT n::text AS alles FROM note n UNION ALL SELECT h::text FROM halbjahresnote h UNION ALL SELECT s::text FROM noteneingabe_schritt s
       UNION ALL SELECT e::text FROM journal.eintrag e WHERE e.ressource = 'Note'`,
    );
    expect(rows.length).toBeGreaterThan(10);
    for (const { alles } of rows) {
      expect(alles).not.toMatch(/"note"\s*:/);
      expect(alles).not.toContain(Buffer.from('"note"').toString("hex"));
    }
  });

  test("R43 every entry is in the journal with the pupil concerned, and every reading", async () => {
    const zahl = async (aktion: string) =>
      Number(
        (
          await school.database.query<{ n: string }>(
            "SELECT count(*) AS n FROM journal.eintrag WHERE ressource = 'Note' AND aktion = $1 AND konto_id IS NOT NULL",
            [aktion],
          )
        )[0]?.n,
      );
    const before = [await zahl("lesen"), await zahl("bearbeiten")];
    await trageEin(lehrer, ["Paul Pupil", "Vokabeltest", "2-"]);
    const after = [await zahl("lesen"), await zahl("bearbeiten")];
    expect([after[0], after[1]]).toEqual([(before[0] ?? 0) + 1, (before[1] ?? 0) + 1]);
    const [entry] = await school.database.query<{ person_id: string }>(
      "SELECT person_id FROM journal.eintrag WHERE ressource = 'Note' AND aktion = 'bearbeiten' ORDER BY zeit DESC LIMIT 1",
    );
    expect(entry?.person_id).toBe(paul.id);
    await kind.get(`/noten/${paul.id}`);
    expect(await zahl("lesen")).toBe((after[0] ?? 0) + 1);
  });

  test("a damaged mark is shown as unreadable, counts nothing, and takes no page away", async () => {
    await school.database.query(
      `UPDATE note SET verschlossen = 'kaputt' WHERE person_id = $1 AND leistung_id = (SELECT id FROM leistung WHERE name = 'Vokabeltest')`,
      [paul.id],
    );
    const book = await lehrer.get(seite());
    expect(book.status).toBe(200);
    expect(book.text).toContain('placeholder="?"');
    expect((await kind.get(`/noten/${paul.id}`)).text).toContain("Nicht lesbar");
    await trageEin(lehrer, ["Paul Pupil", "Vokabeltest", "3"]);
    expect(inZelle((await lehrer.get(seite())).text, "Paul Pupil", "Vokabeltest")).toBe("3");
  });
});

describe("who takes a course for a part of the half", () => {
  const bisher = async (id: string, von: number, bis: number) => {
    const wer = await school.konto("Teil", `Zeit${id}`, "schueler");
    await insert("einschreibung", "kurs_id, person_id, gueltig", kurs, wer.id, tage(von, bis));
    return wer;
  };

  test("lacks no mark of days before, and stays in sight with the marks of a half that they left before", async () => {
    await leistung("Früh im Halbjahr", { mehr: { datum: tage(-50, 0).slice(1, 11) } });
    await bisher("Spät", -5, 90);
    const late = (await lehrer.get(seite())).text;
    const cell = (person: string, spalte: string) =>
      new RegExp(`<input class="([^"]*)"[^>]*aria-label="${person}, ${spalte}"`).exec(late)?.[1];
    expect(cell("Teil ZeitSpät", "Früh im Halbjahr")).toBe("note");
    expect(cell("Paul Pupil", "Früh im Halbjahr")).toBe("note note-fehlt");

    const gone = await bisher("Weg", -90, 90);
    await trageEin(lehrer, ["Teil ZeitWeg", "Früh im Halbjahr", "4"]);
    // Ended afterwards, as of a day before the half.
    await school.database.query("UPDATE einschreibung SET gueltig = $2 WHERE person_id = $1", [
      gone.id,
      tage(-90, -70),
    ]);
    const { text } = await lehrer.get(seite());
    expect(inZelle(text, "Teil ZeitWeg", "Früh im Halbjahr")).toBe("4");
    await trageEin(lehrer, ["Teil ZeitWeg", "Früh im Halbjahr", ""]);
    expect((await lehrer.get(seite())).text).not.toContain("Teil ZeitWeg");
    // One's own marks keep the course's name when it is over for oneself.
    await school.database.query("UPDATE einschreibung SET gueltig = $2 WHERE person_id = $1 AND kurs_id = $3", [
      paul.id,
      tage(-100, -1),
      kurs,
    ]);
    expect((await kind.get(`/noten/${paul.id}`)).text).toContain("Mathe 5a");
    await school.database.query("UPDATE einschreibung SET gueltig = $2 WHERE person_id = $1 AND kurs_id = $3", [
      paul.id,
      tage(-100, 100),
      kurs,
    ]);
  });
});

describe("how the school reckons", () => {
  test("a profile is changed with a preview of the proposals that would change; nothing is saved by it", async () => {
    const page = `/noten/profile/${PROFIL}`;
    const form = werteIn((await leitung.get(page)).text, page);
    const neu = { ...form, kgewicht: ["9", "1", "1", "1"], kname: ["Schriftlich", "Mündlich", "", ""] };
    const preview = await leitung.post(page, { ...neu, schritt: "vorschau" });
    expect(preview.status).toBe(200);
    expect(preview.text).toContain("Vorschau: noch nicht gespeichert");
    expect(preview.text).toMatch(/\d von \d Vorschlägen würden? sich ändern|würde sich keiner ändern/);
    const [row] = await school.database.query<{ gewicht: number }>("SELECT gewicht FROM notenkategorie WHERE id = $1", [
      SCHRIFTLICH,
    ]);
    expect(row?.gewicht).toBe(1);
    expect((await leitung.post(page, { ...neu, schritt: "speichern" })).status).toBe(303);
    expect((await lehrer.get(`/noten/kurse/${kurs}/rechnung?halbjahr=2&person=${paul.id}`)).text).toContain(
      "Gewicht 9",
    );
    // An old form does not write over it, and says what differs, also where it is weights alone.
    const stale = await leitung.post(page, { ...form, schritt: "speichern" });
    expect(stale.status).toBe(409);
    expect(stale.text).toContain("Kategorie Schriftlich");
    expect(stale.text).not.toContain("bereits gespeichert");
  });

  test("what marks were given by stays: the scale, and categories with marks", async () => {
    const page = `/noten/profile/${PROFIL}`;
    const scale = await leitung.fuelle(page, { skala: "punkte", schritt: "speichern" });
    expect(scale.status).toBe(422);
    expect(scale.text).toContain("Es gibt schon Leistungen nach diesem Notenprofil");
    const gone = await leitung.fuelle(page, { kname: ["Schriftlich", "", "", ""], schritt: "speichern" });
    expect(gone.status).toBe(422);
    const under = await leitung.fuelle(page, {
      kueber: ["", "", SCHRIFTLICH, ""],
      kname: ["Schriftlich", "Mündlich", "Tests", ""],
      schritt: "speichern",
    });
    expect(under.status).toBe(422);
  });

  test.each([
    ["two of one name", { kname: ["Gleich", "Gleich", "", ""] }, "denselben Namen"],
    ["shares of more than everything", { kanteil: ["60", "60", "", ""] }, "mehr als 100 %"],
    ["a weight that is none", { kgewicht: ["viel", "1", "1", "1"] }, "ganze Zahl von 0 bis 100"],
    ["none at all", { kname: ["", "", "", ""] }, "mindestens eine Kategorie"],
  ])("categories with %s are refused in words", async (_, fields, words) => {
    const made = await leitung.fuelle("/noten/profile", { name: `Profil ${words}`.slice(0, 60) });
    const page = made.location?.split("?")[0] ?? "";
    const answer = await leitung.fuelle(page, { ...fields, schritt: "speichern" });
    expect(answer.status).toBe(422);
    expect(answer.text).toContain(words);
  });

  test("categories that belong to each other in a circle are refused", async () => {
    const made = await leitung.fuelle("/noten/profile", { name: "Kreis" });
    const page = made.location?.split("?")[0] ?? "";
    const { text } = await leitung.get(page);
    const ids = werteIn(text, page).kid;
    const [a = "", b = ""] = typeof ids === "string" ? [ids] : (ids ?? []);
    const answer = await leitung.fuelle(page, { kueber: [b, a, "", ""], schritt: "speichern" });
    expect(answer.status).toBe(422);
    expect(answer.text).toContain("im Kreis");
  });

  test("a course takes another profile while nothing is graded in it, and not afterwards", async () => {
    const made = await leitung.fuelle("/noten/profile", { name: "Für Deutsch", skala: "punkte" });
    const profil = made.location?.split("/").at(-1)?.split("?")[0] ?? "";
    const choose = `/noten/kurse/${anderer}/profil`;
    expect((await deutsch.fuelle(seite(anderer), { profil }, choose)).status).toBe(303);
    expect((await deutsch.get(seite(anderer))).text).toContain("Punkte 15 bis 0");
    const other = await lehrer.fuelle(seite(), { profil }, `/noten/kurse/${kurs}/profil`);
    expect(other.status).toBe(422);
    expect((await lehrer.post(choose, { profil })).status).toBe(404);
  });

  test("the office sees and prints the half-year's marks of a class, with those that are missing", async () => {
    const klasse = await insert("klasse", "schuljahr_id, name", jahr, "5a");
    for (const einer of [paul, pia])
      await insert("klassenmitglied", "klasse_id, person_id, gueltig", klasse, einer.id, tage(-100, 100));
    const { text } = await leitung.get(`/noten/klassen/${klasse}?halbjahr=2`);
    expect(text).toMatch(/Paul Pupil<\/a><\/th>.*?<td>2<\/td>/s);
    expect(text).toContain("2 Noten fehlen noch");
    expect((await lehrer.get(`/noten/klassen/${klasse}`)).status).toBe(403);
  });
});
