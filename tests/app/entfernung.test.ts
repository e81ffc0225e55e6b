import { stat } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { raeumeAb } from "../../tenant-app/features/dateien/abraeumen.ts";
import { blobsOf } from "../../tenant-app/features/dateien/blobs.ts";
import { raeumeEntfernungenAb } from "../../tenant-app/features/dateien/entfernung.ts";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";
import { asOperator } from "../fixtures/school-operator.ts";
import type { Besucher } from "../fixtures/school-visitor.ts";

let school: TestSchool;
let anna: TestKonto;
let lehrerin: Besucher;
let schueler: Besucher;
let administrator: Besucher;
beforeAll(async () => {
  school = await startSchool();
  anna = await school.konto("Anna", "Arendt", "lehrer");
  lehrerin = await school.angemeldet(anna);
  schueler = await school.angemeldet(await school.konto("Bert", "Brecht", "schueler"));
  administrator = await school.angemeldet(await school.konto("Ada", "Min", "administrator"));
});

const because = {
  notice: "M-2026-4",
  reason: "Meldung des Verlags, intern geprüft",
  ownerReason: "Die Datei enthält ein Schulbuch, an dem Sie keine Rechte haben.",
  by: "olga",
};
const inTagen = (days: number) => new Date(school.now().getTime() + days * 86_400_000);

async function geteilt(name: string): Promise<string> {
  await schueler.get("/dateien");
  await schueler.upload(name, Buffer.from(`Inhalt von ${name}`));
  const [row] = await school.database.query<{ id: string }>(
    "SELECT id FROM datei ORDER BY hochgeladen_am DESC LIMIT 1",
  );
  const id = row?.id ?? "";
  await schueler.get(`/dateien/${id}`);
  expect((await schueler.post(`/dateien/${id}/freigaben`, { an: [anna.id] })).status).toBe(303);
  return id;
}

describe("R25 taking a file down", () => {
  test("R25 R24 makes it unreadable at once for everybody, and says neither its name nor whose it is", async () => {
    const id = await geteilt("Geheimer Name.pdf");
    const other = await geteilt("bleibt.pdf");
    for (const browser of [schueler, lehrerin]) expect((await browser.get(`/dateien/${id}/inhalt`)).status).toBe(200);
    const answer = await asOperator(school, "take-down-file", { ...because, file: id });
    expect(answer).toEqual({ file: id, removed: true });
    for (const browser of [schueler, lehrerin]) {
      expect((await browser.get(`/dateien/${id}/inhalt`)).status).toBe(404);
      expect((await browser.get(`/dateien/${other}/inhalt`)).status).toBe(200);
    }
    // Neither row nor key, and what is kept for its owner is sealed.
    expect(await school.database.query("SELECT FROM datei WHERE id = $1", [id])).toEqual([]);
    const kept = JSON.stringify(
      await school.database.query("SELECT e::text, encode(verschlossen, 'escape') FROM datei_entfernung e"),
    );
    expect(kept).not.toContain("Geheimer Name");
    expect(kept).not.toContain("Schulbuch");
    const blob = join(school.filesDir, "blobs", id.slice(0, 2), id);
    expect((await stat(blob)).isFile()).toBe(true);
    await raeumeAb(school.serving.app.database, blobsOf(school.serving.app), inTagen(2));
    await expect(stat(blob)).rejects.toThrow("ENOENT");
  });

  test("R25 its owner is told on the start page and among the files which one, when and why, and nobody else", async () => {
    expect((await schueler.get("/")).text).toContain("Der Betreiber hat eine Datei von Ihnen entfernt.");
    const shown = await schueler.get("/dateien");
    expect(shown.text).toContain("Geheimer Name.pdf");
    expect(shown.text).toContain(because.ownerReason);
    expect(shown.text).not.toContain("intern geprüft");
    expect((await lehrerin.get("/dateien")).text).not.toContain("Geheimer Name");
    const [row] = await school.database.query<{ id: string }>("SELECT id FROM datei_entfernung");
    // Nobody takes note for somebody else.
    await lehrerin.get("/dateien");
    await lehrerin.post("/dateien/entfernt", { entfernung: row?.id ?? "" });
    expect((await schueler.fuelle("/dateien", {}, "/dateien/entfernt")).location).toBe(
      "/dateien?erledigt=zur-kenntnis",
    );
    expect((await schueler.get("/dateien")).text).not.toContain("Geheimer Name");
    expect((await schueler.get("/")).text).not.toContain("Der Betreiber hat");
    // By the database's clock too: a notice gets older, whatever the app's says.
    const nach = async (days: number) => {
      await school.database.query("UPDATE datei_entfernung SET gelesen_am = gelesen_am - $1 * interval '1 day'", [
        days,
      ]);
      await raeumeEntfernungenAb(school.serving.app);
    };
    await nach(29);
    expect(await school.database.query("SELECT FROM datei_entfernung")).toHaveLength(1);
    await nach(2);
    expect(await school.database.query("SELECT FROM datei_entfernung")).toHaveLength(0);
  });

  test("R25 R48 is recorded in the journal and shown to the school's administrators, with the notice and the reason", async () => {
    const id = await geteilt("noch eine.pdf");
    await asOperator(school, "take-down-file", { ...because, file: id });
    const entries = await school.database.query(
      "SELECT aktion, objekt, konto_id FROM journal.eintrag WHERE objekt = $1 AND aktion = 'entfernen'",
      [id],
    );
    expect(entries).toEqual([{ aktion: "entfernen", objekt: id, konto_id: null }]);
    const { text } = await administrator.get("/betreiber");
    for (const words of [`Datei ${id} entfernt`, "M-2026-4", because.reason, "olga"]) expect(text).toContain(words);
    expect(text).not.toContain("noch eine.pdf");
    expect((await schueler.get("/betreiber")).status).toBe(403);
  });

  test("R25 repeated, it says that the file is gone already, and since when; what never was is not there", async () => {
    const id = await geteilt("doppelt.pdf");
    await asOperator(school, "take-down-file", { ...because, file: id });
    const again = await asOperator(school, "take-down-file", { ...because, file: id });
    expect(again).toEqual({ file: id, removed: false, since: expect.stringMatching(/^20/) });
    const never = crypto.randomUUID();
    expect(await asOperator(school, "take-down-file", { ...because, file: never })).toEqual({
      file: never,
      removed: false,
    });
    const rows = await school.database.query("SELECT FROM datei_entfernung WHERE id = $1", [id]);
    expect(rows).toHaveLength(1);
  });

  test("R25 takes down as well what nobody owns any more: its owner's account is gone, and its contents stayed", async () => {
    const id = await geteilt("ohne Besitzer.pdf");
    await school.database.query("UPDATE datei SET besitzer_id = NULL WHERE id = $1", [id]);
    expect((await lehrerin.get(`/dateien/${id}/inhalt`)).status).toBe(200);
    expect(await asOperator(school, "take-down-file", { ...because, file: id })).toEqual({ file: id, removed: true });
    expect((await lehrerin.get(`/dateien/${id}/inhalt`)).status).toBe(404);
    expect(await school.database.query("SELECT FROM datei WHERE id = $1", [id])).toEqual([]);
    expect(await school.database.query("SELECT FROM datei_entfernung WHERE id = $1", [id])).toEqual([]);
    const entries = await school.database.query(
      "SELECT person_id FROM journal.eintrag WHERE objekt = $1 AND aktion = 'entfernen'",
      [id],
    );
    expect(entries).toEqual([{ person_id: null }]);
    expect((await administrator.get("/betreiber")).text).toContain(`Datei ${id} entfernt`);
  });

  test("R25 without notice, reason or words for its owner nothing happens; of a file whose name is damaged its owner is told all the same", async () => {
    const id = await geteilt("Name weg.pdf");
    for (const lacking of ["notice", "reason", "ownerReason"]) {
      await expect(asOperator(school, "take-down-file", { ...because, file: id, [lacking]: "" })).rejects.toThrow();
    }
    expect((await schueler.get(`/dateien/${id}/inhalt`)).status).toBe(200);
    await school.database.query("UPDATE datei SET name = 'x' WHERE id = $1", [id]);
    expect(await asOperator(school, "take-down-file", { ...because, file: id })).toEqual({ file: id, removed: true });
    expect((await schueler.get("/dateien")).text).toContain("Name nicht lesbar");
  });
});
