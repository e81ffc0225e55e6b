import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startSchool, type TestSchool } from "../fixtures/school.ts";
import { type Antwort, type Besucher, werteIn } from "../fixtures/school-visitor.ts";
import { until } from "../fixtures/until.ts";

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
});
