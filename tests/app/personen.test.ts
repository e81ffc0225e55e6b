import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { register } from "../../tenant-app/features.ts";
import { seal } from "../../tenant-app/ground/crypto/fields.ts";
import { destroyPersonalKeys } from "../../tenant-app/ground/crypto/personal.ts";
import { type Database, openDatabase } from "../../tenant-app/ground/database/database.ts";
import { tidyUp } from "../../tenant-app/ground/work/daily.ts";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";
import { rolePassword } from "../fixtures/school-database.ts";
import type { Besucher } from "../fixtures/school-visitor.ts";
import { until } from "../fixtures/until.ts";

/** A person is not their login; names of all kinds; keys that are destroyed. */

let school: TestSchool;
let owner: Database;
let admin: Besucher;
let adminKonto: TestKonto;
let leitung: TestKonto;
beforeAll(async () => {
  school = await startSchool();
  owner = openDatabase({ ...school.database, user: "school_owner", password: rolePassword, max: 1 });
  adminKonto = await school.konto("Ada", "Min", "administrator");
  admin = await school.angemeldet(adminKonto);
  leitung = await school.konto("Lea", "Leitung", "schulleitung");
});
afterAll(() => owner.close());

async function anlegen(vorname: string, nachname: string, email = "x@schule.example"): Promise<string> {
  const answer = await admin.fuelle("/konten/neu", { vorname, nachname, email }, "/konten");
  expect(answer.status, answer.text).toBe(201);
  return /id="benutzername">([^<]+)</.exec(answer.text)?.[1] ?? "";
}

describe("names", () => {
  test.each([
    ["Suharto", "", "suharto"],
    ["", "Pelé", "pele"],
    ["می\u200cخواهم", "احمدی", "mykhwhm.hmdy"],
    ["Jean-Luc", "O’Neill", "jean-luc.o-neill"],
  ])("„%s“ „%s“ get an account, and stand as they are", async (vorname, nachname, benutzername) => {
    expect(await anlegen(vorname, nachname)).toBe(benutzername);
    const list = await admin.get(`/konten?suche=${encodeURIComponent(benutzername)}`);
    const shown = [nachname, vorname].filter((text) => text !== "").join(", ");
    expect(list.text).toContain(`>${shown}</a>`);
  });

  test("with signs that turn the writing round or that nobody sees are refused", async () => {
    for (const vorname of ["Eva\u202e", "\u200cEva", "Eva\u200d", "E\u2066va", "Ev\u00ada"]) {
      const answer = await admin.fuelle(
        "/konten/neu",
        { vorname, nachname: "X", email: "x@schule.example" },
        "/konten",
      );
      expect(answer.status, JSON.stringify(vorname)).toBe(422);
      expect(answer.text).toContain("enthält unzulässige Zeichen");
    }
  });

  test("a mail address may have a domain in any script", async () => {
    await anlegen("Ida", "Idn", "ida@müller-schule.example");
    for (const email of ["ida@", "ida@-.example", "ida@mü ller.example", "@müller.example"]) {
      const answer = await admin.fuelle("/konten/neu", { vorname: "A", nachname: "B", email }, "/konten");
      expect(answer.status, email).toBe(422);
    }
  });
});

describe("people are found", () => {
  beforeAll(async () => {
    for (const [vorname, nachname] of [
      ["Petra", "Müller"],
      ["Sean", "O'Neill"],
      ["Anna-Lena", "Müller-Lüdenscheidt"],
      ["Li", "王芳"],
      ["Søren", "Åkesson"],
      ["Ayşe", "Yıldız"],
      ["Hans", "100% Groß_"],
    ] as const) {
      await school.konto(vorname, nachname, "lehrer");
    }
  });
  test.each([
    ["Müller, Petra", "Müller, Petra"],
    ["mueller  petra", "Müller, Petra"],
    ["muller", "Müller, Petra"],
    ["PETRA", "Müller, Petra"],
    ["oneill", "O&#x27;Neill, Sean"],
    ["o'neill", "O&#x27;Neill, Sean"],
    ["o neill", "O&#x27;Neill, Sean"],
    ["annalena", "Müller-Lüdenscheidt, Anna-Lena"],
    ["lüdenscheidt anna", "Müller-Lüdenscheidt, Anna-Lena"],
    ["王", "王芳, Li"],
    ["soeren akesson", "Åkesson, Søren"],
    ["soren", "Åkesson, Søren"],
    ["ayse yildiz", "Yıldız, Ayşe"],
    ["gross 100%", "100% Groß_, Hans"],
  ])("„%s“ finds %s", async (suche, name) => {
    expect((await admin.get(`/konten?suche=${encodeURIComponent(suche)}`)).text).toContain(`>${name}</a>`);
  });

  test.each(["%", "_a", "petra meier", "xyz"])("„%s“ finds nobody it does not name", async (suche) => {
    const { text } = await admin.get(`/konten?suche=${encodeURIComponent(suche)}`);
    expect(text).not.toContain("Müller, Petra");
  });

  test("in German order: umlauts beside their vowels, numbers by their value", async () => {
    const rows = await school.database.query<{ name: string }>(
      `SELECT name FROM unnest(ARRAY['Zander', 'Özil', 'Oldenburg', 'Ärger', 'Aal', '10b', '9a', 'Strasse', 'Straße']) AS name
        ORDER BY name COLLATE deutsch`,
    );
    expect(rows.map(({ name }) => name).join(" ")).toBe("9a 10b Aal Ärger Oldenburg Özil Strasse Straße Zander");
  });
});

describe("a person", () => {
  test("keeps what they own and wrote when the login is taken away, and has it again with another one", async () => {
    const konto = await school.konto("Bleibt", "Bestehen", "lehrer");
    const browser = await school.angemeldet(konto);
    await browser.get("/dateien");
    await browser.upload("Arbeitsblatt.txt", Buffer.from("x"));
    const fields = { vorgang: crypto.randomUUID(), an: [leitung.id], betreff: "x", inhalt: "y" };
    await browser.fuelle("/nachrichten/neu", fields, "/nachrichten");
    await school.database.query("DELETE FROM konto WHERE id = $1", [konto.id]);
    expect(await school.database.query("SELECT FROM datei WHERE besitzer_id = $1", [konto.id])).toHaveLength(1);
    const inbox = await (await school.angemeldet(leitung)).get("/nachrichten");
    expect(inbox.text).toContain("Bleibt Bestehen");
    await expect(school.database.query("DELETE FROM person WHERE id = $1", [konto.id])).rejects.toThrow(
      "datei_besitzer",
    );
    await school.database.query(
      "INSERT INTO konto (id, benutzername, email, angelegt_am) VALUES ($1, 'wieder.da', 'x@schule.example', now())",
      [konto.id],
    );
    const [again] = await school.database.query("SELECT vorname, nachname, suchname FROM konto WHERE id = $1", [
      konto.id,
    ]);
    expect(again).toEqual({ vorname: "Bleibt", nachname: "Bestehen", suchname: "bleibt bestehen bleibt" });
  });

  test("has one name, whichever version of the app changes it", async () => {
    const konto = await school.konto("Vorher", "Name", "lehrer");
    const both = () =>
      school.database.query(
        "SELECT p.vorname, p.nachname, k.vorname AS kv, k.nachname AS kn, k.suchname FROM person p JOIN konto k USING (id) WHERE id = $1",
        [konto.id],
      );
    await school.database.query("UPDATE konto SET vorname = 'Früher', nachname = 'Groß' WHERE id = $1", [konto.id]);
    expect((await both())[0]).toMatchObject({ vorname: "Früher", nachname: "Groß" });
    await school.database.query("UPDATE person SET vorname = 'Später' WHERE id = $1", [konto.id]);
    expect((await both())[0]).toMatchObject({ kv: "Später", kn: "Groß", suchname: "spaeter gross spaeter" });
  });

  test("has contact data that the previous version of the app stored and changes: whichever was last holds", async () => {
    const konto = await school.konto("Alwin", "Alt", "lehrer");
    const { fieldKey } = school.serving.app;
    const asBefore = (telefon: string) =>
      school.database.query(
        `INSERT INTO kontaktdaten AS k (konto_id, telefon, geaendert_am) VALUES ($1, $2, clock_timestamp())
         ON CONFLICT (konto_id) DO UPDATE SET telefon = excluded.telefon, geaendert_am = excluded.geaendert_am`,
        [konto.id, seal(fieldKey, { table: "kontaktdaten", column: "telefon", row: konto.id }, telefon)],
      );
    const browser = await school.angemeldet(konto);
    const shown = async () => (await browser.get("/profil")).text;
    await asBefore("0561 111");
    expect(await shown()).toContain("0561 111");
    expect((await browser.fuelle("/profil", { telefon: "0561 222" })).status).toBe(303);
    expect(await shown()).toContain("0561 222");
    const [row] = await school.database.query("SELECT telefon FROM kontaktdaten WHERE konto_id = $1", [konto.id]);
    expect(row).toEqual({ telefon: null });
    await asBefore("0561 333");
    expect(await shown()).toContain("0561 333");
    expect(await shown()).not.toContain("0561 222");
  });

  test("has contact data of before sealed with their own key, a week after this version came; of somebody erased nothing is left", async () => {
    const { app } = school.serving;
    const people = await Promise.all(
      ["Früher", "Gelöscht", "Beschädigt"].map((name) => school.konto("Vor", name, "lehrer")),
    );
    const [frueher, erased, damaged] = people.map(({ id }) => id) as [string, string, string];
    for (const id of [frueher, erased, damaged]) {
      const telefon = seal(app.fieldKey, { table: "kontaktdaten", column: "telefon", row: id }, "0561 444");
      if (id === damaged) telefon[20] = (telefon[20] ?? 0) ^ 1;
      await school.database.query(
        "INSERT INTO kontaktdaten (konto_id, telefon, geaendert_am) VALUES ($1, $2, clock_timestamp())",
        [id, telefon],
      );
    }
    // One damaged value keeps the other from being left behind no less.
    await school.database.query("UPDATE kontaktdaten SET mobil = '\\x01' WHERE konto_id = $1", [erased]);
    await owner.as({}, (tx) => destroyPersonalKeys(tx, erased, school.now()));
    const old = async () =>
      (await school.database.query("SELECT konto_id FROM kontaktdaten WHERE telefon IS NOT NULL")).map(
        (row) => row.konto_id,
      );
    await tidyUp(app, register.features);
    expect(await school.database.query("SELECT FROM hintergrundarbeit")).toEqual([]);
    school.travel(8 * 24 * 3_600_000);
    await tidyUp(app, register.features);
    await until("the old ones to go", async () => ((await old()).length === 1 ? true : undefined), old);
    school.travel(-8 * 24 * 3_600_000);
    // Sessions of before are over.
    admin = await school.angemeldet(adminKonto);
    expect(await old()).toEqual([damaged]);
    expect((await admin.get(`/konten/${frueher}`)).text).toContain("0561 444");
    expect((await admin.get(`/konten/${erased}`)).text).not.toContain("0561 444");
    expect((await admin.get(`/konten/${damaged}`)).text).toContain("Nicht lesbar");
    const entries = await school.database.query(
      "SELECT objekt, konto_id FROM journal.eintrag WHERE aktion = 'verschliessen' AND objekt = ANY ($1) ORDER BY objekt",
      [[frueher, erased, damaged]],
    );
    expect(entries).toEqual([frueher, erased].sort().map((objekt) => ({ objekt, konto_id: null })));
  });

  test("whose key was destroyed: nothing sealed about them is shown, nothing more is kept, and the pages go on", async () => {
    const konto = await school.konto("Erika", "Erased", "lehrer");
    const page = `/konten/${konto.id}`;
    const angaben = { vorname: "Erika", nachname: "Erased", email: "e@schule.example", telefon: "0561 77" };
    expect((await admin.fuelle(page, angaben)).status).toBe(303);
    expect((await admin.get(page)).text).toContain("0561 77");
    await owner.as({}, (tx) => destroyPersonalKeys(tx, konto.id, school.now()));
    const { text } = await admin.get(page);
    expect(text).not.toContain("0561 77");
    expect(text).toContain("Nicht lesbar");
    const refused = await admin.fuelle(page, { ...angaben, telefon: "0561 78" });
    expect(refused.status).toBe(422);
    expect(refused.text).toContain("nichts Vertrauliches mehr gespeichert");
    expect((await admin.fuelle(`${page}`, { "": "" }, `${page}/sperren`)).status).toBe(303);
    expect(await school.database.query("SELECT FROM schluessel.person WHERE person_id = $1", [konto.id])).toEqual([]);
  });
});
