import { beforeAll, describe, expect, test } from "vitest";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";
import type { Antwort, Besucher } from "../fixtures/school-visitor.ts";

/** The school's structure: the office makes it, the database keeps it in order, and each sees their own. */

let school: TestSchool;
let admin: Besucher;
let adminKonto: TestKonto;
let leitung: Besucher;
let leitungKonto: TestKonto;
let lehrerin: TestKonto;
let schueler: TestKonto;
let mutter: TestKonto;
const dates = { von: "2036-08-01", zweites: "2037-02-01", bis: "2037-07-31" };

const idIn = (answer: Antwort) => /\/([0-9a-f-]{36})/.exec(answer.location ?? "")?.[1] ?? "";
const errors = ({ text }: Antwort) => [...text.matchAll(/class="feldfehler"[^>]*>([^<]+)</g)].map(([, words]) => words);

async function jahr(name: string, more: Partial<typeof dates> = {}): Promise<Antwort> {
  return admin.fuelle("/schuljahre/neu", { name, ...dates, ...more }, "/schuljahre");
}
async function fach(name: string, kuerzel: string): Promise<string> {
  expect((await admin.fuelle("/faecher", { name, kuerzel }, "/faecher")).status).toBe(303);
  const [row] = await school.database.query<{ id: string }>("SELECT id FROM fach WHERE kuerzel = $1", [kuerzel]);
  return row?.id ?? "";
}
const klasse = async (name: string) => idIn(await admin.fuelle("/klassen", { name }, "/klassen"));
const kurs = async (name: string, fachId: string) =>
  idIn(await admin.fuelle("/kurse", { name, fach: fachId }, "/kurse"));
const dauer = { ab: "2036-09-01", bis: "2037-07-31" };
/** As the form of people who were found sends it. */
async function trageEin(
  wo: string,
  person: readonly string[],
  more: Record<string, string> = {},
  wer = admin,
): Promise<Antwort> {
  await wer.get(wo.replace(/\/(mitglieder|lehrkraefte|teilnehmende|eltern)$/, ""));
  return wer.post(wo, { ...dauer, suche: "gesucht", ...more, person: [...person] });
}
const zuordnung = async (tabelle: string, person: string) =>
  (
    await school.database.query<{ id: string }>(`SELECT id FROM ${tabelle} WHERE person_id = $1 ORDER BY gueltig`, [
      person,
    ])
  )[0]?.id ?? "";

beforeAll(async () => {
  school = await startSchool();
  // In the middle of the first half.
  school.travel(new Date("2036-10-15T10:00:00Z").getTime() - Date.now());
  await school.database.query("UPDATE rolle SET aktiv = true");
  adminKonto = await school.konto("Ada", "Min", "administrator");
  leitungKonto = await school.konto("Lea", "Leitung", "schulleitung");
  lehrerin = await school.konto("Petra", "Lehrmann", "lehrer");
  schueler = await school.konto("Timo", "Schüler", "schueler");
  mutter = await school.konto("Maria", "Mutter", "eltern");
  admin = await school.angemeldet(adminKonto);
  leitung = await school.angemeldet(leitungKonto);
  expect((await jahr("2036/37")).status).toBe(303);
});

describe("school years", () => {
  test("do not overlap, hold both halves, and each wrong day is named", async () => {
    for (const [more, words] of [
      [{ von: "2037-07-01", zweites: "2038-02-01", bis: "2038-06-30" }, "überschneidet sich"],
      [{ von: "2038-08-01", zweites: "2038-07-01", bis: "2039-07-31" }, "Das zweite Halbjahr beginnt"],
      [{ von: "2038-08-01", zweites: "2039-02-01", bis: "2038-07-31" }, "liegt nicht nach dem ersten"],
      [{ von: "01.08.2038", zweites: "2039-02-01", bis: "2039-07-31" }, "als Datum an"],
      [{ von: "2038-02-30", zweites: "2039-02-01", bis: "2039-07-31" }, "als Datum an"],
    ] as const) {
      const answer = await jahr("Falsch", more);
      expect(answer.status).toBe(422);
      expect(errors(answer).join(" ")).toContain(words);
    }
    expect((await jahr("2036/37", { von: "2030-08-01", zweites: "2031-02-01", bis: "2031-07-31" })).text).toContain(
      "gibt es schon",
    );
  });

  test("an old form overwrites nothing, and what hangs on one keeps it from being shortened or deleted", async () => {
    const [row] = await school.database.query<{ id: string }>("SELECT id FROM schuljahr WHERE name = '2036/37'");
    const page = `/schuljahre/${row?.id}`;
    const stale = await admin.fuelle(page, { name: "alt", ...dates, version: "0" });
    expect(stale.status).toBe(409);
    expect(stale.text).toContain("2036/37");
    const id = await klasse("9x");
    await trageEin(`/klassen/${id}/mitglieder`, [schueler.id], { art: "mitglied" });
    const shortened = await admin.fuelle(page, { name: "2036/37", ...dates, von: "2036-10-01" });
    expect(shortened.status).toBe(422);
    expect(shortened.text).toContain("lägen dann außerhalb");
    expect((await admin.fuelle(page, {}, `${page}/loeschen`)).status).toBe(422);
    await school.database.query("DELETE FROM klassenmitglied");
    expect((await admin.fuelle(`/klassen/${id}`, {}, `/klassen/${id}/loeschen`)).status).toBe(303);
  });
});

describe("classes", () => {
  test("a pupil is in one at a time: who stands in the way is named, and nobody is entered", async () => {
    const [eins, zwei] = [await klasse("5a"), await klasse("5b")];
    const neue = await school.konto("Nele", "Neu", "schueler");
    expect((await trageEin(`/klassen/${eins}/mitglieder`, [schueler.id], { art: "mitglied" })).status).toBe(303);
    const refused = await trageEin(`/klassen/${zwei}/mitglieder`, [schueler.id, neue.id], { art: "mitglied" });
    expect(refused.status).toBe(422);
    expect(refused.text).toContain("Timo Schüler ist in dieser Zeit schon in einer Klasse");
    expect(await zuordnung("klassenmitglied", neue.id)).toBe("");
    // Ended there, it can begin here on the next day.
    const alte = await zuordnung("klassenmitglied", schueler.id);
    const ende = { zuordnung: alte, art: "mitglied", zum: "2036-10-31", schritt: "beenden" };
    expect((await admin.fuelle(`/klassen/${eins}`, ende, `/klassen/${eins}/beenden`)).status).toBe(303);
    const moved = await trageEin(`/klassen/${zwei}/mitglieder`, [schueler.id], { art: "mitglied", ab: "2036-11-01" });
    expect(moved.status).toBe(303);
    const { text } = await admin.get(`/personen/${schueler.id}`);
    expect(text).toContain("<dd>5a</dd>");
    expect(text).toContain("Klasse · 1. September 2036 bis 31. Oktober 2036");
    expect(text).toContain("Klasse · 1. November 2036 bis 31. Juli 2037");
  });

  test("days outside of the year, before the beginning, or in disorder are refused", async () => {
    const id = await klasse("6a");
    const neue = await school.konto("Nora", "Noch", "schueler");
    for (const more of [
      { ab: "2036-07-01" },
      { bis: "2037-08-01" },
      { ab: "2037-01-01", bis: "2036-12-31" },
      { ab: "" },
    ]) {
      expect((await trageEin(`/klassen/${id}/mitglieder`, [neue.id], { art: "mitglied", ...more })).status).toBe(422);
    }
    expect((await trageEin(`/klassen/${id}/mitglieder`, [], { art: "mitglied" })).text).toContain(
      "mindestens eine Person",
    );
    await trageEin(`/klassen/${id}/mitglieder`, [neue.id], { art: "mitglied" });
    const row = await zuordnung("klassenmitglied", neue.id);
    const before = { zuordnung: row, art: "mitglied", zum: "2036-08-01", schritt: "beenden" };
    expect((await admin.fuelle(`/klassen/${id}`, before, `/klassen/${id}/beenden`)).status).toBe(422);
    const gone = { zuordnung: row, art: "mitglied", zum: "", schritt: "entfernen" };
    expect((await admin.fuelle(`/klassen/${id}`, gone, `/klassen/${id}/beenden`)).text).toContain(
      "wird beendet und nicht entfernt",
    );
  });

  test("two who change the same last day: the second is told what stands there, and overwrites nothing", async () => {
    const id = await klasse("6b");
    const pupil = await school.konto("Zoe", "Zwei", "schueler");
    await trageEin(`/klassen/${id}/mitglieder`, [pupil.id], { art: "mitglied" });
    const row = await zuordnung("klassenmitglied", pupil.id);
    const form = { zuordnung: row, art: "mitglied", bisher: "2037-07-31", schritt: "beenden" };
    const ende = `/klassen/${id}/beenden`;
    await admin.get(`/klassen/${id}`);
    const answers = await Promise.all(["2036-12-31", "2037-01-31"].map((zum) => admin.post(ende, { ...form, zum })));
    expect(answers.map(({ status }) => status).sort()).toEqual([303, 422]);
    expect(answers.find(({ status }) => status === 422)?.text).toContain(
      "Jemand hat das inzwischen geändert. Als letzter Tag steht jetzt",
    );
    const entries = await school.database.query(
      "SELECT FROM journal.eintrag WHERE objekt = $1 AND aktion = 'bearbeiten'",
      [row],
    );
    expect(entries).toHaveLength(1);
  });

  test("two who enter the same pupil at the same moment: one is told", async () => {
    const [eins, zwei] = [await klasse("7a"), await klasse("7b")];
    const pupil = await school.konto("Paul", "Parallel", "schueler");
    await admin.get(`/klassen/${eins}`);
    const answers = await Promise.all(
      [eins, zwei].map((id) =>
        admin.post(`/klassen/${id}/mitglieder`, { ...dauer, art: "mitglied", suche: "x", person: [pupil.id] }),
      ),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([303, 422]);
    expect(await school.database.query("SELECT FROM klassenmitglied WHERE person_id = $1", [pupil.id])).toHaveLength(1);
  });
});

describe("R42 courses", () => {
  let mathe: string;
  let klasse8: string;
  beforeAll(async () => {
    mathe = await kurs("Mathematik 8a", await fach("Mathematik", "M"));
    klasse8 = await klasse("8a");
    const kinder = await Promise.all(["Kai", "Kim", "Kurt"].map((name) => school.konto(name, "Kind", "schueler")));
    await trageEin(
      `/klassen/${klasse8}/mitglieder`,
      kinder.map(({ id }) => id),
      { art: "mitglied" },
    );
    await school.database.query("INSERT INTO elternschaft VALUES ($1, $2, heute())", [mutter.id, kinder[0]?.id]);
  });

  test("a class is enrolled as a whole; again, it adds who has joined since and refuses nobody", async () => {
    const whole = { klasse: klasse8, ...dauer };
    const wo = `/kurse/${mathe}/teilnehmende`;
    expect((await admin.fuelle(`/kurse/${mathe}`, whole, wo)).status).toBe(303);
    const count = () => school.database.query("SELECT FROM einschreibung WHERE kurs_id = $1", [mathe]);
    expect(await count()).toHaveLength(3);
    expect((await admin.fuelle(`/kurse/${mathe}`, whole, wo)).text).toContain("niemand mehr einzuschreiben");
    const spaeter = await school.konto("Karla", "Kind", "schueler");
    await trageEin(`/klassen/${klasse8}/mitglieder`, [spaeter.id], { art: "mitglied" });
    expect((await admin.fuelle(`/kurse/${mathe}`, whole, wo)).status).toBe(303);
    expect(await count()).toHaveLength(4);
  });

  test("a teacher sees those they teach while they teach them, a pupil and a parent their own, nobody else any", async () => {
    const page = `/kurse/${mathe}`;
    const browser = await school.angemeldet(lehrerin);
    expect((await browser.get(page)).status).toBe(404);
    expect((await trageEin(`${page}/lehrkraefte`, [lehrerin.id])).status).toBe(303);
    const seen = await browser.get(page);
    expect(seen.status).toBe(200);
    expect(seen.text).toContain("Kim Kind");
    expect(seen.text).not.toContain("Als Lehrkraft eintragen");
    expect((await browser.get(`/klassen/${klasse8}`)).text).toContain("Kai Kind");
    const parent = await school.angemeldet(mutter);
    expect((await parent.get("/kurse")).text).toContain("Mathematik 8a");
    const ofChild = await parent.get(page);
    expect(ofChild.text).toContain("Petra Lehrmann");
    expect(ofChild.text).toContain("Kai Kind");
    expect(ofChild.text).not.toContain("Kim Kind");
    expect((await (await school.angemeldet(schueler)).get(page)).status).toBe(404);
    // The assignment ends: with the next day it is over.
    const row = await zuordnung("unterrichtsauftrag", lehrerin.id);
    const ende = { zuordnung: row, zum: "2036-10-14", schritt: "beenden" };
    expect((await admin.fuelle(page, ende, `${page}/lehrkraefte/beenden`)).status).toBe(303);
    expect((await browser.get(page)).status).toBe(404);
    expect((await browser.get(`/klassen/${klasse8}`)).status).toBe(404);
  });

  test("R5 an administrator gives themselves no assignment, by no way; the head of the school may, and sees every change", async () => {
    const page = `/kurse/${mathe}`;
    const refused = await trageEin(`${page}/lehrkraefte`, [adminKonto.id]);
    expect(refused.status).toBe(422);
    expect(refused.text).toContain("Die eigene Zuordnung");
    const asAdmin = (sql: string, values: readonly unknown[]) =>
      school.serving.app.database.as({ konto: adminKonto.id, jetzt: school.now() }, (tx) => tx.run(sql, values));
    await expect(
      asAdmin(
        "INSERT INTO unterrichtsauftrag (id, kurs_id, person_id, gueltig) VALUES (gen_random_uuid(), $1, $2, '[2036-09-01,2037-01-01)')",
        [mathe, adminKonto.id],
      ),
    ).rejects.toThrow("row-level security");
    await expect(
      asAdmin(
        "INSERT INTO klassenleitung (id, klasse_id, person_id, gueltig) VALUES (gen_random_uuid(), $1, $2, '[2036-09-01,2037-01-01)')",
        [klasse8, adminKonto.id],
      ),
    ).rejects.toThrow("row-level security");
    expect((await trageEin(`${page}/lehrkraefte`, [leitungKonto.id], {}, leitung)).status).toBe(303);
    const row = await zuordnung("unterrichtsauftrag", leitungKonto.id);
    await leitung.fuelle(
      page,
      { zuordnung: row, zum: "2037-01-31", schritt: "beenden" },
      `${page}/lehrkraefte/beenden`,
    );
    const { text } = await leitung.get("/unterrichtsauftraege");
    expect(text).toContain("01.09.2036 bis 31.01.2037, vorher 01.09.2036 bis 31.07.2037");
    expect(text).toContain("Lea Leitung");
    expect(text).toContain("Petra Lehrmann");
    expect((await admin.get("/unterrichtsauftraege")).status).toBe(403);
    // Taken away on the day it was given, and the course deleted: what happened is still told.
    const spur = await kurs("Ohne Spur", await fach("Spurensuche", "Sp"));
    await trageEin(`/kurse/${spur}/lehrkraefte`, [lehrerin.id], { ab: "2036-10-15" });
    const heute = { zuordnung: "", schritt: "entfernen", zum: "" };
    const [gegeben] = await school.database.query<{ id: string }>(
      "SELECT id FROM unterrichtsauftrag WHERE kurs_id = $1",
      [spur],
    );
    const weg = await admin.fuelle(
      `/kurse/${spur}`,
      { ...heute, zuordnung: gegeben?.id ?? "" },
      `/kurse/${spur}/lehrkraefte/beenden`,
    );
    expect(weg.status).toBe(303);
    expect((await admin.fuelle(`/kurse/${spur}`, {}, `/kurse/${spur}/loeschen`)).status).toBe(422);
    expect((await leitung.get("/unterrichtsauftraege")).text).toContain("entfernt: 15.10.2036 bis 31.07.2037");
  });

  test("each change is in the journal, about the person whom it concerns", async () => {
    const rows = await school.database.query<{ ressource: string; aktion: string }>(
      "SELECT DISTINCT ressource, aktion FROM journal.eintrag WHERE person_id = $1 ORDER BY 1, 2",
      [lehrerin.id],
    );
    expect(rows).toEqual([
      { ressource: "Unterrichtsauftrag", aktion: "anlegen" },
      { ressource: "Unterrichtsauftrag", aktion: "bearbeiten" },
      { ressource: "Unterrichtsauftrag", aktion: "loeschen" },
    ]);
  });
});

describe("R17 a message to a class", () => {
  test("is written to everybody in it who can be reached; who cannot is named, and namesakes are told apart", async () => {
    const id = await klasse("8b");
    const mitKonto = [
      await school.konto("Mia", "Gleich", "schueler"),
      await school.konto("Mia", "Gleich", "schueler"),
      await school.konto("Max", "Möglich", "schueler"),
    ];
    const ohne = idIn(await admin.fuelle("/personen/neu", { vorname: "Otto", nachname: "Ohne" }, "/personen"));
    await trageEin(`/klassen/${id}/mitglieder`, [...mitKonto.map((one) => one.id), ohne], { art: "mitglied" });
    await leitung.get("/nachrichten/neu");
    const fields = { vorgang: crypto.randomUUID(), betreff: "Ausflug", inhalt: "Am Freitag." };
    const asked = await leitung.post("/nachrichten", { ...fields, schritt: "gruppe", gruppe: `klasse:${id}` });
    expect(asked.status).toBe(200);
    expect(asked.text).toContain("3 Personen hinzugefügt");
    expect(asked.text).toContain("Nicht erreichbar, weil ohne Zugang oder gesperrt: Otto Ohne");
    expect(asked.text).toContain(">8b · Schülerschaft · mia.gleich2<");
    expect(asked.text).toContain(">8b · Schülerschaft<");
    const an = [...asked.text.matchAll(/name="an" value="([^"]+)" checked/g)].map(([, one]) => one ?? "");
    expect(new Set(an)).toEqual(new Set(mitKonto.map((one) => one.id)));
    expect((await leitung.post("/nachrichten", { ...fields, schritt: "senden", an })).status).toBe(303);
    const received = await school.database.query("SELECT FROM nachricht_empfaenger WHERE nachricht_id = $1", [
      fields.vorgang,
    ]);
    expect(received).toHaveLength(3);
  });

  test("is offered to nobody who may not find everybody, and a group that is not there adds nobody", async () => {
    const browser = await school.angemeldet(schueler);
    expect((await browser.get("/nachrichten/neu")).text).not.toContain("Ganze Klasse");
    await leitung.get("/nachrichten/neu");
    for (const gruppe of ["", "klasse:", "rolle:lehrer", "klasse:x' OR true", `kurs:${crypto.randomUUID()}`]) {
      const answer = await leitung.post("/nachrichten", {
        vorgang: "",
        betreff: "",
        inhalt: "",
        schritt: "gruppe",
        gruppe,
      });
      expect(answer.status).toBe(200);
      expect(answer.text).toContain("0 Personen hinzugefügt");
    }
  });
});

describe("R14 accounts for a whole class", () => {
  test("are made for those who have none, with a slip each; the same form does it once, and new passwords are asked for", async () => {
    const id = await klasse("9a");
    const hat = await school.konto("Hanna", "Hat", "schueler");
    await school.angemeldet(hat);
    const neu = await Promise.all(
      ["Nils", "Nina"].map(async (vorname) =>
        idIn(await admin.fuelle("/personen/neu", { vorname, nachname: "Neuling" }, "/personen")),
      ),
    );
    await trageEin(`/klassen/${id}/mitglieder`, [hat.id, ...neu], { art: "mitglied" });
    const page = `/konten/gruppe?gruppe=klasse:${id}`;
    expect((await admin.get(page)).text).toContain("2 von 3 haben noch kein Konto");
    const fields = { vorgang: crypto.randomUUID(), gruppe: `klasse:${id}` };
    const slips = await admin.post("/konten/gruppe", fields);
    expect(slips.status).toBe(201);
    expect(slips.text).not.toContain("Hanna Hat");
    expect(slips.text).toContain("https://goethe.classmind.localhost");
    expect(slips.text).toContain("Das Einmalpasswort gilt bis zum 14. November 2036.");
    const passwords = [...slips.text.matchAll(/class="fest gross">([^<]+)</g)].map(([, one]) => one ?? "");
    expect(passwords).toHaveLength(2);
    const nils = await school.besucher().meldeAn("nils.neuling", passwords[0] ?? "");
    expect(nils.location).toBe("/passwort");
    await admin.get(page);
    expect((await admin.post("/konten/gruppe", fields)).text).toContain("haben alle schon ein Konto");
    // Nina's slip was lost.
    const again = await admin.post("/konten/gruppe", { ...fields, vorgang: crypto.randomUUID(), neue: "ja" });
    expect(again.status).toBe(201);
    expect(again.text).toContain("nina.neuling");
    expect(again.text).not.toContain("nils.neuling");
    const rows = await school.database.query(
      "SELECT aktion FROM journal.eintrag WHERE objekt = ANY ($1) AND ressource = 'Konto' ORDER BY zeit, aktion",
      [neu],
    );
    expect(rows.map((row) => Object.values(row)[0])).toEqual(["anlegen", "anlegen", "einmalpasswort"]);
  });
});

describe("people without a login", () => {
  test("are made, found, put into a class, given parents, and deleted only while nothing hangs on them", async () => {
    const made = await admin.fuelle("/personen/neu", { vorname: "Ohne", nachname: "Konto" }, "/personen");
    expect(made.status).toBe(303);
    const id = idIn(made);
    expect((await admin.get("/personen?suche=konto+ohne")).text).toContain("ohne Konto");
    const eltern = `/personen/${id}/eltern`;
    expect((await trageEin(eltern, [mutter.id], { schritt: "" })).status).toBe(303);
    expect((await trageEin(eltern, [mutter.id], { schritt: "" })).text).toContain("schon eingetragen");
    expect((await trageEin(eltern, [id], { schritt: "" })).text).toContain("Niemand ist das eigene Kind");
    expect((await trageEin(`/personen/${mutter.id}/eltern`, [id], { schritt: "" })).text).toContain(
      "als Kind eingetragen",
    );
    expect((await admin.get(`/personen/${mutter.id}`)).text).toContain("Ohne Konto");
    expect((await admin.fuelle(`/personen/${id}`, {}, `/personen/${id}/loeschen`)).status).toBe(422);
    expect((await trageEin(eltern, [mutter.id], { schritt: "entfernen" })).status).toBe(303);
    expect((await admin.fuelle(`/personen/${id}`, {}, `/personen/${id}/loeschen`)).location).toContain(
      "person-geloescht",
    );
  });

  test("a name is changed by a form that was filled in from the newest state alone", async () => {
    const page = `/personen/${lehrerin.id}`;
    expect((await admin.fuelle(page, { vorname: "Petra", nachname: "Neumann", version: "7" })).status).toBe(409);
    expect((await admin.fuelle(page, { vorname: "Petra", nachname: "Neumann" })).status).toBe(303);
    expect((await admin.get(`/konten/${lehrerin.id}`)).text).toContain("<h1>Petra Neumann</h1>");
  });
});
