import { expect, test } from "vitest";
import { inventPeople, seededRandom } from "../../tenant-app/ground/generator/invented.ts";
import { startSchool } from "../fixtures/school.ts";
import { werteIn } from "../fixtures/school-visitor.ts";
import { until } from "../fixtures/until.ts";

/** A large school, read at once: how long it takes is printed, and bounded generously. */

const proKlasse = 26;
const faecher = [
  "Deutsch",
  "Mathematik",
  "Englisch",
  "Biologie",
  "Geschichte",
  "Erdkunde",
  "Kunst",
  "Musik",
  "Sport",
  "Physik",
];

test("1,500 people with their classes, courses, teachers and accounts are read in well under a minute; again, nothing changes", async () => {
  const school = await startSchool();
  const admin = await school.angemeldet(await school.konto("Ada", "Min", "administrator"));
  await school.database.query(
    "INSERT INTO schuljahr VALUES (gen_random_uuid(), 'Dieses', heute() - 100, heute() + 100, heute())",
  );
  const people = inventPeople(seededRandom(7), { pupils: 1_400, teachers: 100, messages: 0, administered: true });
  const lehrkraefte = people.filter(({ kind }) => kind === "teacher");
  const schueler = people.filter(({ kind }) => kind === "pupil");
  const lehrerliste = [
    "Kürzel;Nachname;Vorname",
    ...lehrkraefte.map((one, index) => `L${index};${one.lastName};${one.firstName}`),
  ];
  const schuelerliste = schueler.flatMap(({ firstName, lastName }, index) => {
    const nummer = Math.floor(index / proKlasse);
    const klasse = `${5 + Math.floor(nummer / 6)}${"abcdef"[nummer % 6]}`;
    return faecher.map((fach, stelle) =>
      [
        `S${index}`,
        lastName,
        firstName,
        klasse,
        `${fach} ${klasse}`,
        fach,
        `L${(nummer * faecher.length + stelle) % lehrkraefte.length}`,
      ].join(";"),
    );
  });
  const dateien = {
    "lehrkraefte.csv": lehrerliste.join("\n"),
    "schueler.csv": ["ID;Nachname;Vorname;Klasse;Kurs;Fach;Lehrkraft", ...schuelerliste].join("\n"),
  };

  const zeiten: Record<string, number> = {};
  const messe = async <T>(was: string, work: () => Promise<T>): Promise<T> => {
    const beginn = performance.now();
    const ergebnis = await work();
    zeiten[was] = Math.round(performance.now() - beginn);
    return ergebnis;
  };
  const zurVorschau = async () => {
    for (const [name, inhalt] of Object.entries(dateien)) {
      await admin.get("/einlesen");
      expect((await admin.upload(name, Buffer.from(inhalt), {}, "/einlesen")).status).toBe(303);
    }
    expect((await admin.fuelle("/einlesen", { konten: "ja" }, "/einlesen/einstellungen")).status).toBe(303);
    return admin.get("/einlesen/vorschau");
  };
  const erste = await messe("vorschau", zurVorschau);
  expect(erste.text).toContain("Jetzt einlesen");
  await messe("einlesen", async () => {
    const { location = "" } = await admin.post("/einlesen/uebernehmen", werteIn(erste.text, "/einlesen/uebernehmen"));
    await until("the list to be read", async () => {
      const seite = await admin.get(location);
      expect(seite.text).not.toMatch(/nicht möglich|fehlgeschlagen/);
      return seite.text.includes("Eingelesen. Neu: 1500 Personen, 1500 Konten") || undefined;
    });
  });
  const [zahlen] = await school.database.query<{ einschreibungen: number; glieder: number }>(
    "SELECT (SELECT count(*)::int FROM einschreibung) AS einschreibungen, (SELECT count(*)::int FROM journal.glied) AS glieder",
  );
  expect(zahlen?.einschreibungen).toBe(14_000);
  const zweite = await messe("zweite vorschau", zurVorschau);
  expect(zweite.text).toContain("Es ändert sich nichts");
  expect(zweite.text).toMatch(/Unverändert \(1\.500\)/);
  const zettel = await messe("zettel", async () => {
    await admin.get("/konten/gruppe?gruppe=klassen&neue=ja");
    return admin.post("/konten/gruppe", { gruppe: "klassen", neue: "ja" });
  });
  expect(zettel.status).toBe(201);
  expect(zettel.text.match(/aria-label="Zettel für/g)).toHaveLength(1_400);
  console.log("einlesen, 1,500 people, ms:", JSON.stringify({ ...zeiten, journal: zahlen?.glieder }));
  expect(await school.database.query("SELECT * FROM journal.pruefen()")).toEqual([]);
  expect(zeiten.einlesen).toBeLessThan(60_000);
}, 200_000);
