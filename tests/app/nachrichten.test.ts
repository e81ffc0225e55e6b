import { beforeAll, describe, expect, test } from "vitest";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";
import type { Besucher } from "../fixtures/school-visitor.ts";

let school: TestSchool;
let anna: TestKonto;
let bert: TestKonto;
let carl: TestKonto;
let lehrerin: Besucher;
let schueler: Besucher;
let dritter: Besucher;
beforeAll(async () => {
  school = await startSchool();
  anna = await school.konto("Anna", "Arendt", "lehrer");
  bert = await school.konto("Bert", "Brecht", "schueler");
  carl = await school.konto("Carl", "Clausen", "schueler");
  lehrerin = await school.angemeldet(anna);
  schueler = await school.angemeldet(bert);
  dritter = await school.angemeldet(carl);
});

async function schreibe(browser: Besucher, an: readonly string[], betreff: string, inhalt: string): Promise<string> {
  await browser.get("/nachrichten/neu");
  const id = crypto.randomUUID();
  const answer = await browser.post("/nachrichten", { vorgang: id, an, betreff, inhalt, schritt: "senden" });
  expect(answer.location).toBe("/nachrichten/gesendet?erledigt=gesendet");
  return id;
}

describe("messages", () => {
  test("R17 a message reaches those it is for, is shown as new once, and the sender sees who read it", async () => {
    const id = await schreibe(
      lehrerin,
      [bert.id],
      "Elternabend & <b>Kuchen</b>",
      "Um 19 Uhr.\nBitte <script>alert(1)</script> kommen.",
    );
    const inbox = await schueler.get("/nachrichten");
    expect(inbox.text).toContain("Elternabend &amp; &lt;b&gt;Kuchen&lt;/b&gt;");
    expect(inbox.text).toContain('<span class="marke marke-neu">neu</span>');
    const message = await schueler.get(`/nachrichten/${id}`);
    expect(message.text).toContain("Bitte &lt;script&gt;alert(1)&lt;/script&gt; kommen.");
    expect(message.text).toContain("Anna Arendt");
    expect((await schueler.get("/nachrichten")).text).not.toContain("marke-neu");
    expect((await lehrerin.get(`/nachrichten/${id}`)).text).toContain("(gelesen)");
  });

  test("R6 others get 404 for a message, for reading and for deleting", async () => {
    const id = await schreibe(lehrerin, [bert.id], "Nur für Bert", "Vertraulich");
    await dritter.get("/nachrichten");
    expect((await dritter.get(`/nachrichten/${id}`)).status).toBe(404);
    expect((await dritter.post(`/nachrichten/${id}/loeschen`, {})).status).toBe(404);
    expect((await dritter.get(`/nachrichten/${crypto.randomUUID()}`)).status).toBe(404);
    expect((await dritter.get("/nachrichten/1%20OR%201=1")).status).toBe(404);
    const answer = await dritter.get(`/nachrichten/neu?antwort=${id}`);
    expect(answer.text).not.toContain("Nur für Bert");
  });

  test("R18 only the creator deletes; then row and key are gone and nobody reads it", async () => {
    const id = await schreibe(lehrerin, [bert.id, carl.id], "Kurzlebig", "Gleich weg");
    await schueler.get(`/nachrichten/${id}`);
    expect((await schueler.post(`/nachrichten/${id}/loeschen`, {})).status).toBe(404);
    expect((await schueler.get(`/nachrichten/${id}`)).status).toBe(200);
    await lehrerin.get(`/nachrichten/${id}`);
    expect((await lehrerin.post(`/nachrichten/${id}/loeschen`, {})).status).toBe(303);
    for (const browser of [schueler, dritter, lehrerin]) {
      expect((await browser.get(`/nachrichten/${id}`)).status).toBe(404);
    }
    expect(await school.database.query("SELECT FROM nachricht WHERE id = $1", [id])).toEqual([]);
    expect(await school.database.query("SELECT FROM nachricht_empfaenger WHERE nachricht_id = $1", [id])).toEqual([]);
  });

  test("R3 R18 subject and text are nowhere in the database in clear", async () => {
    await schreibe(lehrerin, [bert.id], "Geheimbetreff4711", "Geheimtext0815");
    for (const table of ["nachricht", "nachricht_empfaenger", "journal.eintrag"]) {
      const dump = JSON.stringify(await school.database.query(`SELECT t::text FROM ${table} t`));
      for (const clear of ["Geheimbetreff4711", "Geheimtext0815"]) {
        expect(dump).not.toContain(clear);
        expect(dump).not.toContain(Buffer.from(clear).toString("hex"));
      }
    }
  });

  test("people are found by name before the text is lost, and only those who may be addressed", async () => {
    await lehrerin.get("/nachrichten/neu");
    const step = { betreff: "Entwurf", inhalt: "bleibt stehen", suche: "clau", an: [bert.id], schritt: "suchen" };
    const found = await lehrerin.post("/nachrichten", step);
    expect(found.status).toBe(200);
    expect(found.text).toContain("bleibt stehen");
    expect(found.text).toContain(`value="${carl.id}"`);
    expect(found.text).toContain(`value="${bert.id}" checked`);
    // A pupil finds teachers, but no other pupil, and cannot write to one past the form.
    await schueler.get("/nachrichten/neu");
    const bySchueler = await schueler.post("/nachrichten", { ...step, an: [carl.id] });
    expect(bySchueler.text).not.toContain(carl.id);
    const teacher = await schueler.post("/nachrichten", { ...step, an: [], suche: "arendt" });
    expect(teacher.text).toContain(`value="${anna.id}"`);
    const past = await schueler.post("/nachrichten", { betreff: "x", inhalt: "y", an: [carl.id], schritt: "senden" });
    expect(past.status).toBe(422);
    expect(past.text).toContain("Eine der gewählten Personen");
  });

  test("missing subject and text are named, and the same form sent twice makes one message", async () => {
    await lehrerin.get("/nachrichten/neu");
    const empty = await lehrerin.post("/nachrichten", { an: [bert.id], betreff: "", inhalt: "  ", schritt: "senden" });
    expect(empty.status).toBe(422);
    expect(empty.text).toContain('id="fehler-betreff"');
    expect(empty.text).toContain('id="fehler-inhalt"');
    const fields = { vorgang: crypto.randomUUID(), an: [bert.id], betreff: "Zweimal", inhalt: "geklickt" };
    expect((await lehrerin.post("/nachrichten", fields)).status).toBe(303);
    expect((await lehrerin.post("/nachrichten", fields)).status).toBe(303);
    expect(await school.database.query("SELECT FROM nachricht WHERE id = $1", [fields.vorgang])).toHaveLength(1);
  });

  test("an answer goes to whoever wrote, also where the address book would not show them", async () => {
    await schreibe(lehrerin, [bert.id], "Frage", "Kommst du?");
    const id = (
      await school.database.query<{ id: string }>("SELECT id FROM nachricht ORDER BY gesendet_am DESC LIMIT 1")
    )[0]?.id;
    const draft = await schueler.get(`/nachrichten/neu?antwort=${id}`);
    expect(draft.text).toContain('value="Re: Frage"');
    expect(draft.text).toContain(`value="${anna.id}" checked`);
  });

  test("R18 an attached file is readable with the message, and no longer once the message is deleted", async () => {
    await lehrerin.get("/dateien");
    await lehrerin.upload("Blatt.txt", Buffer.from("Aufgabe 1"));
    const [datei] = await school.database.query<{ id: string }>("SELECT id FROM datei");
    const path = `/dateien/${datei?.id}/inhalt`;
    expect((await schueler.get(path)).status).toBe(404);
    await lehrerin.get("/nachrichten/neu");
    const id = crypto.randomUUID();
    await lehrerin.post("/nachrichten", {
      vorgang: id,
      an: [bert.id],
      betreff: "Mit Blatt",
      inhalt: "Anbei",
      datei: [datei?.id ?? ""],
    });
    expect((await schueler.get(`/nachrichten/${id}`)).text).toContain("Blatt.txt");
    expect((await schueler.get(path)).text).toBe("Aufgabe 1");
    expect((await dritter.get(path)).status).toBe(404);
    await lehrerin.get(`/nachrichten/${id}`);
    await lehrerin.post(`/nachrichten/${id}/loeschen`, {});
    expect((await schueler.get(path)).status).toBe(404);
  });

  test("R20 nobody attaches another's file, not even one they may read", async () => {
    await lehrerin.get("/dateien");
    await lehrerin.upload("Fremd.txt", Buffer.from("gehört Anna"));
    const [datei] = await school.database.query<{ id: string }>(
      "SELECT id FROM datei ORDER BY hochgeladen_am DESC LIMIT 1",
    );
    await schueler.get("/nachrichten/neu");
    const id = crypto.randomUUID();
    await schueler.post("/nachrichten", {
      vorgang: id,
      an: [anna.id],
      betreff: "x",
      inhalt: "y",
      datei: [datei?.id ?? ""],
    });
    expect(await school.database.query("SELECT FROM nachricht_datei WHERE nachricht_id = $1", [id])).toEqual([]);
  });
});
