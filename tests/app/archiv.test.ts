import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";
import type { Besucher } from "../fixtures/school-visitor.ts";

/** The archive of a person: what the school keeps itself, and how it is checked with what every system has. */

const run = promisify(execFile);
const SCHRIFTLICH = "00000000-0000-4000-8000-000000000011";
const TAG = 24 * 60 * 60 * 1000;

let school: TestSchool;
let leitung: Besucher;
let paul: TestKonto;
let directory: string;
beforeAll(async () => {
  school = await startSchool();
  directory = await mkdtemp(join(tmpdir(), "classmind-archive-"));
  leitung = await school.angemeldet(await school.konto("Leo", "Leitung", "schulleitung"));
  const lehrerin = await school.konto("Anna", "Arendt", "lehrer");
  paul = await school.konto("Paul", "Großmüller-Öz", "schueler");
  const [jahr, fach, kurs] = [randomUUID(), randomUUID(), randomUUID()];
  const sql = school.database.query;
  await sql(
    "INSERT INTO schuljahr (id, name, von, zweites_halbjahr_ab, bis) VALUES ($1, '2026/27', heute() - 100, heute() + 50, heute() + 100)",
    [jahr],
  );
  await sql("INSERT INTO fach (id, kuerzel, name) VALUES ($1, 'M', 'Mathematik')", [fach]);
  await sql("INSERT INTO kurs (id, schuljahr_id, fach_id, name) VALUES ($1, $2, $3, 'M 5a')", [kurs, jahr, fach]);
  const zeit = "daterange(heute() - 90, heute() + 60)";
  await sql(`INSERT INTO unterrichtsauftrag VALUES ($1, $2, $3, ${zeit})`, [randomUUID(), kurs, lehrerin.id]);
  await sql(`INSERT INTO einschreibung VALUES ($1, $2, $3, ${zeit})`, [randomUUID(), kurs, paul.id]);
  // More than a page of them.
  for (let nr = 1; nr <= 60; nr += 1) {
    await sql(
      "INSERT INTO leistung (id, kurs_id, halbjahr, kategorie_id, name, datum) VALUES ($1, $2, 1, $3, $4, heute() - 70 + $5::int)",
      [randomUUID(), kurs, SCHRIFTLICH, `Arbeit ${nr}`, nr],
    );
  }
  const browser = await school.angemeldet(lehrerin);
  const seite = `/noten/kurse/${kurs}?halbjahr=1`;
  const { text } = await browser.get(seite);
  const noten: Record<string, string> = {};
  for (let nr = 1; nr <= 60; nr += 1) {
    const feld = new RegExp(`name="(n\\d+_[\\dh]+)"[^>]*aria-label="Paul Großmüller-Öz, Arbeit ${nr}"`).exec(text)?.[1];
    noten[feld ?? ""] = nr % 2 ? "2" : "3";
  }
  expect((await browser.fuelle(seite, noten, `/noten/kurse/${kurs}`)).status).toBe(303);
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** Downloads and unpacks it, as somebody does. */
async function abgerufen(): Promise<string> {
  const answer = await leitung.get(`/konten/${paul.id}/archiv/datei`);
  expect(answer.status).toBe(200);
  expect(answer.headers["content-disposition"]).toContain(`archiv-${paul.benutzername}-`);
  const at = await mkdtemp(join(directory, "one-"));
  await writeFile(join(at, "archiv.zip"), answer.body);
  await run("unzip", ["-q", "archiv.zip"], { cwd: at });
  return at;
}
const openssl = (at: string) =>
  run(
    "openssl",
    [
      "pkeyutl",
      "-verify",
      "-pubin",
      "-inkey",
      "schluessel.pem",
      "-rawin",
      "-in",
      "PRUEFSUMMEN.txt",
      "-sigfile",
      "PRUEFSUMMEN.sig",
    ],
    { cwd: at },
  );
const summen = (at: string) => run("sha256sum", ["-c", "PRUEFSUMMEN.txt"], { cwd: at });

describe("the archive of a person", () => {
  test("R29 holds marks with their days, their reckoning and what was given, for programs and on paper", async () => {
    const at = await abgerufen();
    const archiv = JSON.parse(await readFile(join(at, "archiv.json"), "utf8"));
    expect(archiv).toMatchObject({
      format: "classmind-archiv",
      version: 1,
      schule: { name: "Goethe-Gymnasium Kassel", kuerzel: "goethe" },
      person: { vorname: "Paul", nachname: "Großmüller-Öz" },
      zugehoerigkeiten: [{ als: "Kurs", name: "M 5a", fach: "Mathematik", schuljahr: "2026/27" }],
      noten: [
        {
          kurs: "M 5a",
          halbjahr: 1,
          rechnung: { mittel: expect.stringContaining("2,5"), vorschlag: "3" },
          halbjahresnote: null,
        },
      ],
    });
    expect(archiv.noten[0].noten).toHaveLength(60);
    expect(archiv.noten[0].noten[0]).toMatchObject({
      leistung: "Arbeit 1",
      note: "2",
      lesbar: true,
      kategorie: "Schriftlich",
    });
    const pdf = await readFile(join(at, "archiv.pdf"));
    const text = pdf.toString("latin1");
    expect(text.startsWith("%PDF-1.7")).toBe(true);
    expect(text.match(/\/Type \/Page\b/g)?.length).toBeGreaterThan(1);
    // Its fonts are within it, as an archive wants them.
    expect(text).toMatch(/\/FontFile2 \d+ 0 R/);
    expect(text).toContain("pdfaid:part");
    expect(text).toContain("/Lang (de-DE)");
    expect(text).not.toContain("/BaseFont /Helvetica");
  });

  test("is checked with openssl and a key that the school publishes; one that was changed is refused", async () => {
    const at = await abgerufen();
    expect((await openssl(at)).stdout).toContain("Signature Verified Successfully");
    expect((await summen(at)).stdout).toBe("archiv.json: OK\narchiv.pdf: OK\n");
    const published = await school.besucher().get("/archivschluessel");
    expect(published.text).toBe(await readFile(join(at, "schluessel.pem"), "utf8"));
    const json = await readFile(join(at, "archiv.json"), "utf8");
    await writeFile(join(at, "archiv.json"), json.replace('"note": "3"', '"note": "1"'));
    await expect(summen(at)).rejects.toThrow();
    // Whoever reckons the checksums anew has no signature for them.
    const { stdout } = await run("sha256sum", ["archiv.json", "archiv.pdf"], { cwd: at });
    await writeFile(join(at, "PRUEFSUMMEN.txt"), stdout);
    expect((await summen(at)).stdout).toContain("archiv.json: OK");
    await expect(openssl(at)).rejects.toThrow();
  });

  test("R43 is fetched by those who may read everybody's marks, and it is noted who did and when; nobody else gets it", async () => {
    await abgerufen();
    const rows = await school.database.query(
      "SELECT FROM journal.eintrag WHERE ressource = 'Archiv' AND aktion = 'abrufen' AND objekt = $1",
      [paul.id],
    );
    expect(rows.length).toBeGreaterThan(0);
    expect((await leitung.get(`/konten/${paul.id}/archiv`)).text).toContain("Zuletzt abgerufen:");
    const admin = await school.angemeldet(await school.konto("Ada", "Min", "administrator"));
    const lehrer = await school.angemeldet(await school.konto("Anton", "Anders", "lehrer"));
    for (const browser of [admin, lehrer]) {
      expect((await browser.get(`/konten/${paul.id}/archiv/datei`)).status).toBe(403);
    }
    await expect(
      school.serving.app.database.as({ konto: paul.id }, (tx) => tx.all("SELECT * FROM archiv_noten($1)", [paul.id])),
    ).rejects.toThrow();
  });

  test("R36 with a second factor that the role demands it is not fetched by a password alone", async () => {
    await school.database.query("UPDATE rolle SET zweitfaktor = true WHERE id = 'schulleitung'");
    const answer = await leitung.get(`/konten/${paul.id}/archiv/datei`);
    expect(answer.location).toMatch(/^\/zweitfaktor/);
    await school.database.query("UPDATE rolle SET zweitfaktor = false WHERE id = 'schulleitung'");
  });

  test("is there until the account goes for good: also while it is marked for deletion", async () => {
    const admin = await school.angemeldet(await school.konto("Berta", "Min", "administrator"));
    const page = await admin.get(`/konten/${paul.id}/loeschen`);
    expect(page.text).toContain("60");
    expect(page.text).toContain("Zuletzt abgerufen");
    await admin.fuelle(`/konten/${paul.id}/loeschen`, { inhalte: "weg", bestaetigung: paul.benutzername });
    const at = await abgerufen();
    expect((await openssl(at)).stdout).toContain("Successfully");
    expect((await leitung.get("/loeschungen")).text).toContain(`/konten/${paul.id}/archiv`);
    school.travel(TAG);
  });
});
