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

describe("a draft", () => {
  const ids = async (konto: TestKonto) =>
    (
      await school.database.query<{ id: string }>(
        "SELECT id FROM nachricht_entwurf WHERE person_id = $1 ORDER BY geaendert_am",
        [konto.id],
      )
    ).map(({ id }) => id);
  const save = async (browser: Besucher, page: string, fields: Record<string, string | string[]>) =>
    browser.fuelle(page, { ...fields, schritt: "entwurf" }, "/nachrichten");

  test("is kept with everything that was chosen, opened again, sent, and gone; in the database it is nowhere in clear", async () => {
    const konto = await school.konto("Eva", "Entwurf", "lehrer");
    const an = await school.konto("Emil", "Empfang", "lehrer");
    const browser = await school.angemeldet(konto);
    const fields = { betreff: "Wandertag im Mai", inhalt: "Noch nicht fertig", an: [an.id] };
    expect((await save(browser, "/nachrichten/neu", fields)).location).toBe("/nachrichten/entwuerfe?erledigt=entwurf");
    const list = await browser.get("/nachrichten/entwuerfe");
    expect(list.text).toContain("Wandertag im Mai");
    expect(list.text).toContain("eine Person gewählt");
    const [id = ""] = await ids(konto);
    const opened = await browser.get(`/nachrichten/neu?entwurf=${id}`);
    expect(opened.text).toContain("Noch nicht fertig");
    expect(opened.text).toContain("Emil Empfang");
    const rows = await school.database.query<{ zeile: string }>("SELECT e::text AS zeile FROM nachricht_entwurf e");
    for (const { zeile } of rows) expect(zeile).not.toMatch(/Wandertag|fertig/);
    const sent = await browser.fuelle(
      `/nachrichten/neu?entwurf=${id}`,
      { inhalt: "Fertig", schritt: "senden" },
      "/nachrichten",
    );
    expect(sent.location).toContain("erledigt=gesendet");
    expect(await ids(konto)).toEqual([]);
    expect(await school.database.query("SELECT FROM nachricht WHERE id = $1", [id])).toHaveLength(1);
  });

  test("that was changed in another window is left alone; this one stands beside it", async () => {
    const konto = await school.konto("Zwei", "Fenster", "lehrer");
    const browser = await school.angemeldet(konto);
    await save(browser, "/nachrichten/neu", { betreff: "Eins", inhalt: "x" });
    const [id = ""] = await ids(konto);
    const page = `/nachrichten/neu?entwurf=${id}`;
    await browser.get(page);
    const form = { vorgang: id, version: "1", suche: "", schritt: "entwurf" };
    expect((await browser.post("/nachrichten", { ...form, betreff: "Eins, links", inhalt: "x" })).location).toContain(
      "=entwurf",
    );
    const other = await browser.post("/nachrichten", { ...form, betreff: "Eins, rechts", inhalt: "x" });
    expect(other.location).toBe("/nachrichten/entwuerfe?erledigt=entwurf-daneben");
    const { text } = await browser.get("/nachrichten/entwuerfe");
    expect(text).toContain("Eins, links");
    expect(text).toContain("Eins, rechts");
  });

  test("is nobody else's to see, to overwrite or to delete; an empty one and one too many are refused in words", async () => {
    const konto = await school.konto("Mein", "Eigenes", "lehrer");
    const browser = await school.angemeldet(konto);
    await save(browser, "/nachrichten/neu", { betreff: "Geheim", inhalt: "x" });
    const [id = ""] = await ids(konto);
    const fremd = await school.angemeldet(await school.konto("Frieda", "Fremd", "lehrer"));
    expect((await fremd.get(`/nachrichten/neu?entwurf=${id}`)).text).not.toContain("Geheim");
    expect((await fremd.post(`/nachrichten/entwuerfe/${id}/loeschen`, {})).status).toBe(404);
    const over = await fremd.post("/nachrichten", {
      vorgang: id,
      version: "1",
      suche: "",
      betreff: "Über",
      inhalt: "y",
      schritt: "entwurf",
    });
    expect(over.status).toBe(303);
    expect((await browser.get("/nachrichten/entwuerfe")).text).toContain("Geheim");
    expect((await save(browser, "/nachrichten/neu", {})).status).toBe(422);
    await school.database.query(
      "INSERT INTO nachricht_entwurf (id, person_id, verschlossen, geaendert_am) SELECT gen_random_uuid(), $1, 'x', now() FROM generate_series(1, 49)",
      [konto.id],
    );
    const full = await save(browser, "/nachrichten/neu", { betreff: "Zu viel", inhalt: "z" });
    expect(full.status).toBe(422);
    expect(full.text).toContain("Sie haben schon 50 Entwürfe");
    expect(full.text).toContain("Zu viel");
    await browser.get("/nachrichten/entwuerfe");
    expect((await browser.post(`/nachrichten/entwuerfe/${id}/loeschen`, {})).location).toContain("entwurf-geloescht");
  });
});

test("one person sends so many messages in an hour and no more; the text of one too many is kept, and it can be sent later", async () => {
  const wer = await school.angemeldet(await school.konto("Viel", "Schreiber", "lehrer"));
  await wer.get("/nachrichten/neu");
  const form = () => ({
    vorgang: crypto.randomUUID(),
    an: [bert.id],
    betreff: "Noch eine",
    inhalt: "Viele Grüße",
    schritt: "senden",
  });
  for (let sent = 0; sent < 196; sent += 1) {
    expect((await wer.post("/nachrichten", form())).status).toBe(303);
  }
  const last = await Promise.all(Array.from({ length: 8 }, () => wer.post("/nachrichten", form())));
  expect(last.filter(({ status }) => status === 303)).toHaveLength(4);
  const refused = last.find(({ status }) => status === 422);
  expect(refused?.text).toContain("Sie haben in der letzten Stunde 200 Nachrichten gesendet");
  expect(refused?.text).toContain("Viele Grüße");
  school.travel(61 * 60_000);
  expect((await wer.post("/nachrichten", form())).status).toBe(303);
});
