import { randomUUID } from "node:crypto";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { features } from "../../tenant-app/features.ts";
import { tidyUp } from "../../tenant-app/ground/work/daily.ts";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";
import { type Antwort, type Besucher, werteIn } from "../fixtures/school-visitor.ts";
import { until } from "../fixtures/until.ts";
import { zipOf } from "../fixtures/zip.ts";

/** Lists from other programs: previewed, confirmed, carried out at once; twice changes nothing. */

let school: TestSchool;
let admin: Besucher;
let jahr: string;
beforeAll(async () => {
  school = await startSchool();
  admin = await school.angemeldet(await school.konto("Ada", "Min", "administrator"));
  jahr = crypto.randomUUID();
  await school.database.query("INSERT INTO schuljahr VALUES ($1, 'Dieses', heute() - 100, heute() + 100, heute())", [
    jahr,
  ]);
});
beforeEach(async () => {
  await admin.get("/einlesen");
  await admin.post("/einlesen/verwerfen", {});
});

const csv = (...zeilen: readonly string[]) => Buffer.from(zeilen.join("\r\n"));

async function hoch(name: string, content: Buffer, wer: Besucher = admin): Promise<Antwort> {
  await wer.get("/einlesen");
  return wer.upload(name, content, {}, "/einlesen");
}

/** Uploads files, takes the settings as they are but for the changes, and opens the preview. */
async function vorschau(
  dateien: Readonly<Record<string, Buffer>>,
  einstellungen: Readonly<Record<string, string>> = {},
): Promise<Antwort> {
  for (const [name, content] of Object.entries(dateien)) {
    const antwort = await hoch(name, content);
    expect(antwort.status, antwort.text).toBe(303);
  }
  const { status, location } = await admin.fuelle("/einlesen", einstellungen, "/einlesen/einstellungen");
  expect(`${status} ${location}`).toBe("303 /einlesen/vorschau");
  return admin.get("/einlesen/vorschau");
}

const klartext = (seite: Antwort) => seite.text.replace(/<[^>]*>/g, " ").replace(/\s+/g, " ");

/** Confirms what the preview shows, and waits until it is done. @returns the page of its end */
async function bestaetige(): Promise<string> {
  const { text } = await admin.get("/einlesen/vorschau");
  const { status, location = "" } = await admin.post("/einlesen/uebernehmen", werteIn(text, "/einlesen/uebernehmen"));
  expect(status).toBe(303);
  return zuEnde(location);
}
const zuEnde = (wo: string) =>
  until("the work to end", async () => {
    const seite = await admin.get(wo);
    return seite.text.includes("Stand zum Schluss") ? klartext(seite) : undefined;
  });

const zeilen = <T extends object>(sql: string, werte: readonly unknown[] = []) => school.database.query<T>(sql, werte);
const inKlassen = async () =>
  (
    await zeilen<{ wer: string }>(
      `SELECT p.nachname || ' ' || p.vorname || ' ' || k.name || ' ' || (lower(m.gueltig) - heute()) || '..' || (upper(m.gueltig) - 1 - heute()) AS wer
         FROM klassenmitglied m JOIN person p ON p.id = m.person_id JOIN klasse k ON k.id = m.klasse_id ORDER BY 1`,
    )
  ).map(({ wer }) => wer);

describe("a plain list of pupils with their classes", () => {
  const liste = csv(
    "Nachname;Vorname;Geburtsdatum;Klasse;Konfession",
    "Müller;Anna;01.02.2014;5a;ev",
    "Schmidt;Ben;2014-03-04;5a;rk",
    "Öztürk;Emre;20140506;5b;",
  );

  test("is previewed with what is new and what is left out, and then read", async () => {
    const seite = await vorschau({ "schueler.csv": liste });
    expect(seite.status).toBe(200);
    expect(klartext(seite)).toContain("Neu (5)");
    expect(klartext(seite)).toContain("nicht gespeichert: Konfession");
    expect(klartext(seite)).toContain("Müller, Anna");
    expect(await bestaetige()).toContain("Neu: 3 Personen, 2 Klassen, 3 Zuordnungen");
    expect(await inKlassen()).toEqual(["Müller Anna 5a 0..100", "Öztürk Emre 5b 0..100", "Schmidt Ben 5a 0..100"]);
    expect(await zeilen("SELECT 1 FROM einlesung")).toEqual([]);
  });

  test("read again, it changes nothing", async () => {
    const seite = await vorschau({ "schueler.csv": liste });
    expect(klartext(seite)).toContain("Unverändert (3)");
    expect(klartext(seite)).toContain("Es ändert sich nichts");
    expect(seite.text).not.toContain("/einlesen/uebernehmen");
  });

  test("with another class ends the old one the day before, and names who is missing without touching them", async () => {
    await zeilen("UPDATE klassenmitglied SET gueltig = daterange(heute() - 10, upper(gueltig))");
    const seite = await vorschau({
      "schueler.csv": csv(
        "Nachname;Vorname;Geburtsdatum;Klasse",
        "Müller;Anna;01.02.2014;5b",
        "Öztürk;Emre;06.05.2014;5b",
      ),
    });
    expect(klartext(await admin.get("/einlesen/vorschau?gruppe=geaendert"))).toMatch(/Müller, Anna Klasse: 5a → 5b ab/);
    expect(klartext(seite)).not.toContain("Schmidt, Ben");
    expect(await bestaetige()).toContain("1 Klasse gewechselt");
    expect(await inKlassen()).toEqual([
      "Müller Anna 5a -10..-1",
      "Müller Anna 5b 0..100",
      "Öztürk Emre 5b -10..100",
      "Schmidt Ben 5a -10..100",
    ]);
    await vorschau({
      "schueler.csv": csv(
        "Nachname;Vorname;Geburtsdatum;Klasse",
        "Neu;Nina;01.02.2014;5a",
        "Müller;Anna;01.02.2014;5b",
      ),
    });
    expect(klartext(await admin.get("/einlesen/vorschau?gruppe=fehlt"))).toMatch(
      /Öztürk, Emre .*Schmidt, Ben|Schmidt, Ben .*Öztürk, Emre/,
    );
  });

  test("keeps no birth date, and nothing that was uploaded in clear", async () => {
    await vorschau({ "geheim.csv": csv("Nachname;Vorname;Geburtsdatum", "Streng;Geheim;07.08.2013") });
    const [offen] = await zeilen<{ alles: string }>(
      "SELECT string_agg(d::text || encode(d.inhalt, 'escape') || encode(d.kopf, 'escape'), '') AS alles FROM einlesung_datei d",
    );
    expect(offen?.alles).not.toMatch(/Streng|Geheim|geheim\.csv|2013/);
    await bestaetige();
    expect(
      await zeilen(
        "SELECT 1 FROM eingelesene_person WHERE geburt IS NOT NULL AND encode(geburt, 'escape') ~ '2013|08.07|07.08'",
      ),
    ).toEqual([]);
  });
});

describe("who is meant", () => {
  test("is asked where the file does not say; what was decided holds, and the next list asks nobody", async () => {
    const id = await person("Zweifel", "Zoe");
    const liste = { "z.csv": csv("Nachname;Vorname;Geburtsdatum;Klasse", "Zweifel;Zoe;01.01.2013;7a") };
    expect(klartext(await vorschau(liste))).toContain("Zu klären (1)");
    const offen = await admin.get("/einlesen/vorschau?gruppe=zweifelhaft");
    expect(offen.text).not.toContain('action="/einlesen/uebernehmen"');
    const felder = werteIn(offen.text, "/einlesen/vorschau");
    expect((await admin.post("/einlesen/vorschau", { ...felder, wer_0: "neu" })).status).toBe(303);
    // Decided wrongly: taken back, and asked again; from an old window nothing is decided.
    expect((await admin.post("/einlesen/vorschau", { ...felder, wer_0: id })).status).toBe(409);
    await admin.fuelle("/einlesen/vorschau", { schritt: "zurueck" });
    await admin.fuelle("/einlesen/vorschau?gruppe=zweifelhaft", { wer_0: id }, "/einlesen/vorschau");
    await bestaetige();
    expect(await zeilen("SELECT 1 FROM person WHERE nachname = 'Zweifel'")).toHaveLength(1);
    expect(await zeilen("SELECT 1 FROM klassenmitglied WHERE person_id = $1", [id])).toHaveLength(1);
    expect(klartext(await vorschau(liste))).toContain("Es ändert sich nichts");
  });

  test("of two with one name is told by the birth date, and by the class where there is none", async () => {
    const liste = {
      "d.csv": csv("Nachname;Vorname;Geburtsdatum;Klasse", "Doppelt;Dana;01.01.2013;7a", "Doppelt;Dana;02.02.2013;7b"),
    };
    await vorschau(liste);
    await bestaetige();
    expect(klartext(await vorschau(liste))).toContain("Unverändert (2)");
    await admin.post("/einlesen/verwerfen", {});
    const ohne = { "d.csv": csv("Nachname;Vorname;Klasse", "Doppelt;Dana;7b", "Doppelt;Dana;7a") };
    expect(klartext(await vorschau(ohne))).toContain("Unverändert (2)");
  });

  test("is known by the number of the other program, also under another name", async () => {
    await vorschau({ "n.csv": csv("SchuelerIdentNummer;Nachname;Rufname;Klasse", "4711;Ledig;Lara;7a") });
    await bestaetige();
    await vorschau({ "n.csv": csv("SchuelerIdentNummer;Nachname;Rufname;Klasse", "4711;Verheiratet;Lara;7a") });
    expect(klartext(await admin.get("/einlesen/vorschau"))).toContain("Name: Ledig, Lara → Verheiratet, Lara");
    expect(await bestaetige()).toContain("1 Name geändert");
    expect(await zeilen("SELECT 1 FROM fremde_kennung WHERE encode(kennung, 'escape') LIKE '%4711%'")).toEqual([]);
  });

  test("a pupil is never taken for a teacher or a parent of the same name without being asked", async () => {
    await school.konto("Karla", "Gleich", "lehrer");
    const seite = await vorschau({ "g.csv": csv("Nachname;Vorname;Klasse", "Gleich;Karla;7a") });
    expect(klartext(seite)).toContain("Zu klären (1)");
    expect(klartext(seite)).toContain("als etwas anderes bekannt");
  });
});

describe("all or nothing", () => {
  test("one row that cannot be taken keeps all from being read, and is named with its remedy", async () => {
    const seite = await vorschau({
      "f.csv": csv("Nachname;Vorname;Geburtsdatum;Klasse", "Gut;Gerd;01.01.2013;8a", "Falsch;Fee;31.02.2013;8a"),
    });
    expect(klartext(seite)).toMatch(/Fehler \(1\).*31\.02\.2013.*kein Geburtsdatum.*f\.csv, Zeile 3/);
    expect(seite.text).not.toContain('action="/einlesen/uebernehmen"');
    const erzwungen = await admin.post("/einlesen/uebernehmen", { pruefwert: "x", vorgang: randomUUID() });
    expect(erzwungen.status).toBe(409);
    expect(await zeilen("SELECT 1 FROM person WHERE nachname IN ('Gut', 'Falsch')")).toEqual([]);
  });

  test("what changed since the preview was made shows the new one instead of being overwritten", async () => {
    const seite = await vorschau({ "v.csv": csv("Nachname;Vorname;Klasse", "Vorher;Vera;8v") });
    const felder = werteIn(seite.text, "/einlesen/uebernehmen");
    await klasse("8v");
    const antwort = await admin.post("/einlesen/uebernehmen", felder);
    expect(antwort.status).toBe(409);
    expect(klartext(antwort)).toContain("Inzwischen hat sich etwas geändert");
    expect(await zeilen("SELECT 1 FROM person WHERE nachname = 'Vorher'")).toEqual([]);
  });

  test("what changed since the confirmation stops the work, which says so and leads to the new preview", async () => {
    const seite = await vorschau({ "w.csv": csv("Nachname;Vorname;Klasse", "Wettlauf;Willi;8w") });
    const halt = await school.database.connect("school_owner");
    await halt.query("SELECT pg_advisory_lock(7284019335)");
    const { location = "" } = await admin.post("/einlesen/uebernehmen", werteIn(seite.text, "/einlesen/uebernehmen"));
    await klasse("8w");
    await halt.query("SELECT pg_advisory_unlock(7284019335)").finally(() => halt.end());
    const ende = await zuEnde(location);
    expect(ende).toContain("Es wurde nichts eingelesen");
    expect((await admin.get(location)).text).toContain('href="/einlesen/vorschau"');
    expect(await zeilen("SELECT 1 FROM person WHERE nachname = 'Wettlauf'")).toEqual([]);
  });

  test("the same confirmation sent twice is one work", async () => {
    const seite = await vorschau({ "e.csv": csv("Nachname;Vorname;Klasse", "Einmal;Ela;8e") });
    const felder = werteIn(seite.text, "/einlesen/uebernehmen");
    const [eine, andere] = await Promise.all([
      admin.post("/einlesen/uebernehmen", felder),
      admin.post("/einlesen/uebernehmen", felder),
    ]);
    await zuEnde(eine.location === "/einlesen" ? (andere.location ?? "") : (eine.location ?? ""));
    expect(await zeilen("SELECT 1 FROM person WHERE nachname = 'Einmal'")).toHaveLength(1);
  });

  test("what nobody confirms is gone after a day", async () => {
    await vorschau({ "t.csv": csv("Nachname;Vorname", "Tag;Tim") });
    await zeilen("UPDATE einlesung SET begonnen_am = begonnen_am - interval '25 hours'");
    await tidyUp(school.serving.app, features);
    expect(await zeilen("SELECT 1 FROM einlesung_datei")).toEqual([]);
    expect((await admin.get("/einlesen/vorschau")).location).toBe("/einlesen");
  });
});

describe("files of programs", () => {
  const gpu = (breite: number, felder: Readonly<Record<number, string>>) =>
    Array.from({ length: breite }, (_, index) => `"${felder[index + 1] ?? ""}"`).join(",");
  const untis = {
    "GPU002.TXT": csv(
      gpu(46, { 1: "7", 5: "9a", 6: "Kel", 7: "Ph" }),
      gpu(46, { 1: "8", 5: "9a~9b", 6: "Kel", 7: "Ch" }),
    ),
    "GPU003.TXT": csv(gpu(32, { 1: "9a", 30: "Kel" }), gpu(32, { 1: "9b" })),
    "GPU004.TXT": csv(gpu(45, { 1: "Kel", 2: "Keller", 29: "Karin", 33: "keller@schule.example" })),
    "GPU006.TXT": csv(gpu(21, { 1: "Ph", 2: "Physik" }), gpu(21, { 1: "Ch", 2: "Chemie" })),
    "GPU010.TXT": csv(gpu(15, { 1: "UnaU", 2: "Una", 8: "Ulla", 10: "9a", 13: "20110203" })),
  };

  test("Untis, all of its files at once: people, classes, subjects, courses, who teaches, who takes part; twice the same is nothing", async () => {
    await vorschau(untis, { konten: "ja" });
    expect(await bestaetige()).toContain("Neu: 2 Personen, 2 Konten, 2 Klassen, 2 Fächer, 2 Kurse, 5 Zuordnungen");
    const rows = await zeilen<{ was: string }>(
      `SELECT p.nachname || ': ' || k.name AS was FROM unterrichtsauftrag u JOIN kurs k ON k.id = u.kurs_id JOIN person p ON p.id = u.person_id
       UNION SELECT p.nachname || ' in ' || k.name FROM einschreibung e JOIN kurs k ON k.id = e.kurs_id JOIN person p ON p.id = e.person_id ORDER BY 1`,
    );
    expect(rows.map(({ was }) => was)).toEqual(["Keller: Chemie 9a/9b", "Keller: Physik 9a", "Una in Physik 9a"]);
    const konten = await zeilen<{ wer: string }>(
      "SELECT k.benutzername || ' ' || k.email || ' ' || kr.rolle_id AS wer FROM konto k JOIN konto_rolle kr ON kr.konto_id = k.id WHERE k.benutzername IN ('karin.keller', 'ulla.una') ORDER BY 1",
    );
    expect(konten.map(({ wer }) => wer)).toEqual(["karin.keller keller@schule.example lehrer", "ulla.una  schueler"]);
    expect(klartext(await vorschau(untis, { konten: "ja" }))).toContain("Es ändert sich nichts");
  });

  test("lessons alone, later: teachers are known by their short names, and courses by their numbers also after they were renamed", async () => {
    await zeilen("UPDATE kurs SET name = 'Physik bei Keller' WHERE name = 'Physik 9a'");
    const seite = await vorschau({
      "GPU002.TXT": csv(
        gpu(46, { 1: "7", 5: "9a", 6: "Kel", 7: "Ph" }),
        gpu(46, { 1: "9", 5: "9b", 6: "Weg", 7: "Ph" }),
      ),
    });
    expect(klartext(seite)).toContain("Kurs Ph 9b");
    expect(klartext(await admin.get("/einlesen/vorschau?gruppe=ausgelassen"))).toContain(
      "weder in den Dateien noch in der Schule",
    );
    await bestaetige();
    expect(await zeilen("SELECT 1 FROM kurs WHERE name LIKE 'Physik%'")).toHaveLength(1);
  });

  test("a slip is printed for each of a class, under its name, and signs them in", async () => {
    await admin.get("/konten/gruppe?gruppe=klassen&neue=ja");
    const zettel = await admin.post("/konten/gruppe", { gruppe: "klassen", neue: "ja", vorgang: randomUUID() });
    expect(zettel.status).toBe(201);
    const bogen = klartext(zettel);
    expect(bogen).toMatch(/Klasse 5b .*Klasse 9a .*Ulla Una/);
    const [, einmal = ""] = /ulla\.una Einmalpasswort ([a-z0-9-]+)/.exec(bogen) ?? [];
    expect((await school.besucher().meldeAn("ulla.una", einmal)).status).toBe(303);
    const lehrer = await admin.post("/konten/gruppe", { gruppe: "lehrkraefte", neue: "ja", vorgang: randomUUID() });
    expect(klartext(lehrer)).toMatch(/Karin Keller.*melden Sie sich/);
  });

  test("SchILD-NRW and OneRoster, the latter as an archive", async () => {
    const kopf = [
      "Nachname",
      "Vorname",
      "Geburtsdatum",
      "Geschlecht",
      "Status",
      ...Array.from({ length: 16 }, (_, index) => `S${index}`),
      "Klasse",
    ].join("|");
    const zeile = ["Schild", "Sina", "01.02.2012", "w", "2", ...Array(16).fill("x"), "10a"].join("|");
    await vorschau({ "SchuelerBasisdaten.dat": csv(kopf, zeile) });
    expect(await bestaetige()).toContain("Neu: 1 Person, 1 Klasse, 1 Zuordnung");
    const archiv = zipOf({
      "users.csv": csv(
        "sourcedId,status,dateLastModified,enabledUser,username,userIds,givenName,familyName",
        "u2,active,,true,y,,Rosa,Roster",
      ),
      "roles.csv": csv(
        "sourcedId,status,dateLastModified,userSourcedId,roleType,role",
        "r2,active,,u2,primary,student",
      ),
      "classes.csv": csv(
        "sourcedId,status,dateLastModified,title,grades,courseSourcedId,classCode,classType",
        "k1,active,,10b,10,,,homeroom",
        "k2,active,,Kunst 10b,10,,,scheduled",
      ),
      "enrollments.csv": csv(
        "sourcedId,status,dateLastModified,classSourcedId,schoolSourcedId,userSourcedId,role",
        "e1,active,,k1,,u2,student",
        "e4,active,,k2,,u2,student",
      ),
    });
    await vorschau({ "oneroster.zip": archiv });
    expect(await bestaetige()).toContain("Neu: 1 Person, 1 Klasse, 1 Fach, 1 Kurs, 2 Zuordnungen");
    expect(klartext(await vorschau({ "oneroster.zip": archiv }))).toContain("Es ändert sich nichts");
  });

  test("a list whose heading says nothing: the office says what its columns mean", async () => {
    await hoch("rätsel.csv", csv("A;B;C", "Unklar;Uwe;8a"));
    const datei = (await zeilen<{ id: string }>("SELECT id FROM einlesung_datei"))[0]?.id ?? "";
    const ohne = await admin.fuelle(`/einlesen/spalten?datei=${datei}`, {}, "/einlesen/spalten");
    expect(ohne.status).toBe(422);
    const gesagt = await admin.fuelle(
      `/einlesen/spalten?datei=${datei}`,
      { nachname: "0", vorname: "1", klasse: "2" },
      "/einlesen/spalten",
    );
    expect(gesagt.status).toBe(303);
    await admin.fuelle("/einlesen", {}, "/einlesen/einstellungen");
    expect(klartext(await admin.get("/einlesen/vorschau"))).toContain("Unklar, Uwe");
  });
});

test("R43 what comes to one person is one entry in the journal, sealed with their key; of somebody who was erased it holds no values", async () => {
  const liste = (klasse: string) => ({
    "p.csv": csv(
      "ID;Nachname;Vorname;Klasse;Kurs;Fach",
      `p1;Protokoll;Pia;${klasse};Pk;Physik`,
      `p2;Getilgt;Gerd;${klasse};Pk;Physik`,
    ),
  });
  await vorschau(liste("6p"));
  await bestaetige();
  const eintraege = () =>
    zeilen<{ wer: string; werte: boolean }>(
      `SELECT p.nachname AS wer, e.verschlossen IS NOT NULL AS werte FROM journal.eintrag e JOIN person p ON p.id = e.person_id
        WHERE e.ressource = 'Einlesung' AND e.aktion = 'zuordnen' AND p.nachname IN ('Protokoll', 'Getilgt') ORDER BY e.zeit, p.nachname`,
    );
  expect(await eintraege()).toEqual([
    { wer: "Getilgt", werte: true },
    { wer: "Protokoll", werte: true },
  ]);
  await zeilen("SELECT schluessel.vernichten(id, now()) FROM person WHERE nachname = 'Getilgt'");
  await zeilen(
    "UPDATE klassenmitglied SET gueltig = daterange(heute() - 5, upper(gueltig)) WHERE person_id IN (SELECT id FROM person WHERE nachname IN ('Protokoll', 'Getilgt'))",
  );
  await vorschau(liste("6q"));
  expect(await bestaetige()).toContain("2 Klassen gewechselt");
  expect((await eintraege()).slice(2)).toEqual([
    { wer: "Getilgt", werte: false },
    { wer: "Protokoll", werte: true },
  ]);
  expect(await zeilen("SELECT * FROM journal.pruefen()")).toEqual([]);
});

describe("who is marked for deletion", () => {
  const merkeVor = async (konto: TestKonto) => {
    await admin.fuelle(`/konten/${konto.id}/loeschen`, { inhalte: "weg", bestaetigung: konto.benutzername });
    const [row] = await zeilen<{ tag: string }>(
      "SELECT to_char(faellig_am, 'DD.MM.YYYY') AS tag FROM loeschung WHERE person_id = $1",
      [konto.id],
    );
    return row?.tag ?? "not marked";
  };
  const nimmZurueck = (konto: TestKonto) => admin.fuelle("/loeschungen", {}, `/loeschungen/${konto.id}/zuruecknehmen`);

  test("R35 is given nothing by a list, by name or by number: the office is asked and told the day, and chooses them once that is taken back", async () => {
    const konto = await school.konto("Vera", "Vorgemerkt", "schueler");
    const liste = (klasse: string) => ({
      "v.csv": csv("ID;Nachname;Vorname;Klasse", `v1;Vorgemerkt;Vera;${klasse}`),
    });
    // By the name, then, after a list that they were in, by the number.
    for (const klasse of ["7v", "7w"]) {
      const tag = await merkeVor(konto);
      expect(klartext(await vorschau(liste(klasse)))).toContain("Zu klären (1)");
      const offen = await admin.get("/einlesen/vorschau?gruppe=zweifelhaft");
      expect(klartext(offen)).toMatch(new RegExp(`Vorgemerkt, Vera .*wird am ${tag} endgültig gelöscht`));
      expect(offen.text).not.toContain(`value="${konto.id}"`);
      // From a form of before, or one that was made up.
      const felder = werteIn(offen.text, "/einlesen/vorschau");
      await admin.post("/einlesen/vorschau", { ...felder, wer_0: konto.id });
      expect(klartext(await admin.get("/einlesen/vorschau"))).toContain("Zu klären (1)");
      await nimmZurueck(konto);
      await bestaetige();
      expect((await inKlassen()).filter((wer) => wer.startsWith("Vorgemerkt"))).toEqual([
        `Vorgemerkt Vera ${klasse} 0..100`,
      ]);
    }
    await merkeVor(konto);
    await vorschau(liste("7v"));
    await admin.fuelle("/einlesen/vorschau?gruppe=zweifelhaft", { wer_0: "neu" }, "/einlesen/vorschau");
    await bestaetige();
    expect(await zeilen("SELECT FROM person WHERE nachname = 'Vorgemerkt'")).toHaveLength(2);
    expect((await inKlassen()).filter((wer) => wer.startsWith("Vorgemerkt"))).toEqual([
      "Vorgemerkt Vera 7v 0..100",
      "Vorgemerkt Vera 7w 0..100",
    ]);
    expect(klartext(await vorschau(liste("7v")))).toContain("Es ändert sich nichts");
  });

  test("R35 of a teacher known by a short name the lessons are left out and named, and nobody who goes is put into the courses of a class", async () => {
    await vorschau({ "l.csv": csv("Kürzel;Nachname;Vorname", "Geh;Geher;Gero") }, { konten: "ja" });
    await bestaetige();
    await vorschau({ "s.csv": csv("Nachname;Vorname;Klasse", "Geherin;Gesa;7g", "Bleibt;Bodo;7g") }, { konten: "ja" });
    await bestaetige();
    const tage: string[] = [];
    for (const { id, benutzername } of await zeilen<{ id: string; benutzername: string }>(
      "SELECT id, benutzername FROM konto WHERE nachname LIKE 'Geher%' ORDER BY nachname",
    )) {
      tage.push(await merkeVor({ id, benutzername, passwort: "" }));
    }
    const gpu002 = ["1", "", "", "", "7g", "Geh", "Ku", ...Array(39).fill("")].join(",");
    await vorschau({ "GPU002.TXT": csv(gpu002) }, { klassenkurse: "ja" });
    expect(klartext(await admin.get("/einlesen/vorschau?gruppe=ausgelassen"))).toContain(
      `Diese Zeilen nennen Geher, Gero, am ${tage[0]} endgültig gelöscht`,
    );
    await bestaetige();
    const kurse = `SELECT p.nachname AS wer FROM einschreibung e JOIN person p ON p.id = e.person_id JOIN kurs k ON k.id = e.kurs_id WHERE k.name = 'Ku 7g'
      UNION SELECT p.nachname FROM unterrichtsauftrag u JOIN person p ON p.id = u.person_id JOIN kurs k ON k.id = u.kurs_id WHERE k.name = 'Ku 7g'`;
    expect(await zeilen(kurse)).toEqual([{ wer: "Bleibt" }]);
  });

  test("R35 is known as such to whoever may read lists, also without a right to see accounts", async () => {
    const konto = await school.konto("Vito", "Verborgen", "schueler");
    const tag = await merkeVor(konto);
    await zeilen("INSERT INTO rolle (id, name) VALUES ('leser', 'Nur Leser')");
    await zeilen(
      "INSERT INTO recht SELECT 'leser', r, a, 'schule' FROM (VALUES ('Einlesung', 'einlesen'), ('Klasse', 'lesen'), ('Kurs', 'lesen'), ('Einschreibung', 'lesen')) AS x (r, a)",
    );
    const leser = await school.angemeldet(await school.konto("Lisa", "Leserin", "leser"));
    await hoch("r.csv", csv("Nachname;Vorname;Klasse", "Verborgen;Vito;8a"), leser);
    await leser.fuelle("/einlesen", {}, "/einlesen/einstellungen");
    expect(klartext(await leser.get("/einlesen/vorschau"))).toContain(`wird am ${tag} endgültig gelöscht`);
  });
});

describe("rights", () => {
  test("who may not read lists meets none of its pages; who may, but not make people by hand, is told and makes none", async () => {
    const lehrer = await school.angemeldet(await school.konto("Leo", "Lehrer", "lehrer"));
    expect((await lehrer.get("/einlesen")).status).toBe(403);
    await zeilen("INSERT INTO rolle (id, name) VALUES ('liste', 'Nur Listen')");
    await zeilen(
      "INSERT INTO recht SELECT 'liste', r, a, 'schule' FROM (VALUES ('Einlesung', 'einlesen'), ('Klasse', 'lesen'), ('Kurs', 'lesen'), ('Einschreibung', 'lesen'), ('Klasse', 'bearbeiten')) AS x (r, a)",
    );
    const nurListen = await school.angemeldet(await school.konto("Nina", "Nurliste", "liste"));
    await hoch("r.csv", csv("Nachname;Vorname;Klasse", "Recht;Rita;8a"), nurListen);
    await nurListen.fuelle("/einlesen", {}, "/einlesen/einstellungen");
    const seite = await nurListen.get("/einlesen/vorschau");
    expect(klartext(seite)).toContain("Dafür fehlt Ihnen das Recht: Personen anlegen");
    expect(seite.text).not.toContain('action="/einlesen/uebernehmen"');
    expect(await zeilen("SELECT 1 FROM person WHERE nachname = 'Recht'")).toEqual([]);
  });

  test("R5 nobody gives themselves what they teach by a list", async () => {
    await vorschau({ "l.csv": csv("Kürzel;Nachname;Vorname", "ada;Min;Ada") });
    const offen = await admin.get("/einlesen/vorschau?gruppe=zweifelhaft");
    const ada = (await zeilen<{ id: string }>("SELECT id FROM person WHERE nachname = 'Min'"))[0]?.id ?? "";
    await admin.post("/einlesen/vorschau", { ...werteIn(offen.text, "/einlesen/vorschau"), wer_0: ada });
    await bestaetige();
    const seite = await vorschau({
      "GPU002.TXT": csv(["1", "", "", "", "9a", "ada", "Ph", ...Array(39).fill("")].join(",")),
    });
    expect(klartext(await admin.get("/einlesen/vorschau?gruppe=ausgelassen"))).toContain(
      "Die eigene Zuordnung kann niemand selbst eintragen",
    );
    expect(seite.status).toBe(200);
    await bestaetige();
    expect(await zeilen("SELECT 1 FROM unterrichtsauftrag WHERE person_id = $1", [ada])).toEqual([]);
  });

  test("R20 what somebody uploaded nobody else sees", async () => {
    await hoch("m.csv", csv("Nachname;Vorname", "Mein;Max"));
    const andere = await school.angemeldet(await school.konto("Anton", "Admin", "administrator"));
    const seite = await andere.get("/einlesen");
    expect(seite.text).not.toContain("m.csv");
  });

  test("too much at once is refused before it is kept, by number", async () => {
    const antwort = await hoch("gross.csv", Buffer.alloc(10 * 1024 * 1024 + 1, "a"));
    expect(antwort.status).toBe(413);
    const bombe = await hoch("bombe.zip", zipOf({ "a.csv": Buffer.alloc(30_000_000) }));
    expect(bombe.status).toBe(422);
    expect(klartext(bombe)).toContain("zu groß");
    expect((await admin.get("/einlesen")).text).not.toContain("Hochgeladen");
  });
});

async function person(nachname: string, vorname: string): Promise<string> {
  const id = randomUUID();
  await zeilen("INSERT INTO person (id, nachname, vorname, angelegt_am) VALUES ($1, $2, $3, now())", [
    id,
    nachname,
    vorname,
  ]);
  return id;
}
async function klasse(name: string): Promise<void> {
  await zeilen("INSERT INTO klasse (id, schuljahr_id, name) VALUES (gen_random_uuid(), $1, $2)", [jahr, name]);
}
