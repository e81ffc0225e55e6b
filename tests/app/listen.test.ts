import { beforeAll, describe, expect, test } from "vitest";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";
import type { Besucher } from "../fixtures/school-visitor.ts";

/** Lists that go on from where they ended, and rows that do not decrypt. */

let school: TestSchool;
let anna: TestKonto;
let lehrerin: Besucher;
let schueler: Besucher;
let bert: TestKonto;
beforeAll(async () => {
  school = await startSchool();
  anna = await school.konto("Anna", "Arendt", "lehrer");
  bert = await school.konto("Bert", "Brecht", "schueler");
  lehrerin = await school.angemeldet(anna);
  schueler = await school.angemeldet(bert);
});

let sent = 0;
async function schreibe(): Promise<string> {
  sent += 1;
  const betreff = `Nummer ${String(sent).padStart(3, "0")}`;
  await lehrerin.get("/nachrichten/neu");
  const id = crypto.randomUUID();
  const answer = await lehrerin.post("/nachrichten", {
    vorgang: id,
    an: [bert.id],
    betreff,
    inhalt: "x",
    schritt: "senden",
  });
  expect(answer.status).toBe(303);
  return id;
}

const numbers = (text: string) => [...text.matchAll(/Nummer (\d{3})/g)].map(([, number]) => Number(number));
const link = (text: string, rel: "next" | "prev") =>
  new RegExp(`href="([^"]+)" rel="${rel}"`).exec(text)?.[1]?.replaceAll("&amp;", "&").replaceAll("&#x3D;", "=");

/** All pages from the first to the last, and what happens between two. */
async function walk(path: string, between: () => Promise<unknown> = async () => undefined): Promise<number[]> {
  const seen: number[] = [];
  for (let next: string | undefined = path; next !== undefined; ) {
    const { status, text } = await schueler.get(next);
    expect(status).toBe(200);
    seen.push(...numbers(text));
    next = link(text, "next");
    await between();
  }
  return seen;
}

describe("a list that is longer than a page", () => {
  test("shows each entry once, newest first, also while new ones arrive", async () => {
    for (let index = 0; index < 60; index += 1) await schreibe();
    const expected = Array.from({ length: 60 }, (_, index) => 60 - index);
    expect(await walk("/nachrichten")).toEqual(expected);
    expect(await walk("/nachrichten", schreibe)).toEqual(expected);
  });

  test("leads back the way it came, and to its beginning", async () => {
    const first = await schueler.get("/nachrichten");
    const second = await schueler.get(link(first.text, "next") ?? "");
    const third = await schueler.get(link(second.text, "next") ?? "");
    const back = await schueler.get(link(third.text, "prev") ?? "");
    expect(numbers(back.text)).toEqual(numbers(second.text));
    const newest = await schueler.get(link(back.text, "prev") ?? "");
    expect(numbers(newest.text)).toEqual(numbers(first.text));
    expect(second.text).toContain("Zum Anfang");
    expect(first.text).not.toContain("Zum Anfang");
  });

  test("shows its first page for an address that makes no sense, and says where one ended that holds nothing any more", async () => {
    const first = await schueler.get("/nachrichten");
    const id = crypto.randomUUID();
    for (const nonsense of [
      "seite=999",
      "aelter=x",
      "aelter=2026-01-01/1",
      "neuer=x%2F",
      `aelter=0000-01-01%2000:00:00%2B00/${id}`,
      `aelter=2026-13-09%2000:00:00%2B00/${id}`,
      `neuer=2026-02-30%2000:00:00%2B00/${id}`,
    ]) {
      const answer = await schueler.get(`/nachrichten?${nonsense}`);
      expect(numbers(answer.text), nonsense).toEqual(numbers(first.text));
    }
    const beyond = await schueler.get(`/nachrichten?aelter=2000-01-01%2000:00:00%2B00/${id}`);
    expect(beyond.status).toBe(200);
    expect(beyond.text).toContain("Hier ist nichts mehr");
  });
});

describe("the counter of unread messages", () => {
  test("does not count the message that is being opened", async () => {
    await schueler.get("/nachrichten");
    const unread = async (path: string) =>
      Number(/<span class="zaehler">(\d+)/.exec((await schueler.get(path)).text)?.[1] ?? 0);
    const id = await schreibe();
    const before = await unread("/");
    expect(await unread(`/nachrichten/${id}`)).toBe(before - 1);
    expect(await unread("/")).toBe(before - 1);
  });

  test("counts no further than 99, and says so", async () => {
    await school.database.query(
      `WITH viele AS (INSERT INTO nachricht SELECT gen_random_uuid(), n.absender_id, n.schluessel, n.betreff, n.inhalt, now()
                        FROM (SELECT * FROM nachricht LIMIT 1) AS n, generate_series(1, 120) RETURNING id)
       INSERT INTO nachricht_empfaenger SELECT id, $1, now() FROM viele`,
      [bert.id],
    );
    const { text } = await schueler.get("/");
    expect(text).toContain('<span class="zaehler">99+');
    expect(text).toContain("99+ ungelesen.");
  });
});

describe("a row that does not decrypt", () => {
  test("is shown as unreadable and takes no page away", async () => {
    const id = await schreibe();
    await school.database.query("UPDATE nachricht SET betreff = decode('0102', 'hex') WHERE id = $1", [id]);
    const inbox = await schueler.get("/nachrichten");
    expect(inbox.status).toBe(200);
    expect(inbox.text).toContain("Nicht lesbar");
    expect((await schueler.get(`/nachrichten/${id}`)).status).toBe(200);
    expect((await lehrerin.get("/nachrichten/gesendet")).text).toContain("Nicht lesbar");
  });

  test("a file's name likewise, and where files are chosen", async () => {
    await lehrerin.get("/dateien");
    await lehrerin.upload("plan.txt", Buffer.from("x"));
    await school.database.query("UPDATE datei SET name = decode('0102', 'hex') WHERE besitzer_id = $1", [anna.id]);
    for (const path of ["/dateien", "/nachrichten/neu"]) {
      const answer = await lehrerin.get(path);
      expect(answer.status, path).toBe(200);
      expect(answer.text).toContain("Nicht lesbar");
    }
  });
});
