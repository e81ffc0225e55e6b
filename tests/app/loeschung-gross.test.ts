import { beforeAll, describe, expect, test } from "vitest";
import { features } from "../../tenant-app/features.ts";
import { tidyUp } from "../../tenant-app/ground/work/daily.ts";
import { fristVergeht } from "../fixtures/loeschung.ts";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";
import type { Besucher } from "../fixtures/school-visitor.ts";

/** A school of 1,500 people that a whole year leaves: pages stay quick, and nothing is done in one piece. */

const LEUTE = 1_500;
const GEHEN = 40;
const NACHRICHTEN = 1_200;

let school: TestSchool;
let admin: Besucher;
let adminKonto: TestKonto;
let fleissige: TestKonto;
beforeAll(async () => {
  school = await startSchool();
  adminKonto = await school.konto("Ada", "Min", "administrator");
  fleissige = await school.konto("Frieda", "Fleiß", "lehrer");
  admin = await school.angemeldet(adminKonto);
  const { query } = school.database;
  await query(
    "INSERT INTO person (id, vorname, nachname, angelegt_am) SELECT gen_random_uuid(), 'Kind', 'Nummer ' || i, now() FROM generate_series(1, $1) AS i",
    [LEUTE],
  );
  await query(
    "INSERT INTO konto (id, benutzername, email, suchname, angelegt_am) SELECT id, 'kind.' || row_number() OVER (), 'x@schule.example', 'x', now() FROM person WHERE vorname = 'Kind'",
  );
  await query(
    "INSERT INTO schuljahr (id, name, von, zweites_halbjahr_ab, bis) VALUES (gen_random_uuid(), 'x', heute() - 100, heute() + 50, heute() + 100)",
  );
  await query("INSERT INTO fach (id, kuerzel, name) VALUES (gen_random_uuid(), 'M', 'Mathematik')");
  await query(
    "INSERT INTO kurs (id, schuljahr_id, fach_id, name) SELECT gen_random_uuid(), s.id, f.id, 'M' FROM schuljahr s, fach f",
  );
  await query(
    "INSERT INTO leistung (id, kurs_id, halbjahr, kategorie_id, name, datum) SELECT gen_random_uuid(), k.id, 1, '00000000-0000-4000-8000-000000000011', 'A' || i, heute() FROM kurs k, generate_series(1, 30) AS i",
  );
  await query(
    "INSERT INTO note (id, leistung_id, kurs_id, person_id, verschlossen, geaendert_am) SELECT gen_random_uuid(), l.id, l.kurs_id, k.id, 'x', now() FROM leistung l, konto k WHERE k.benutzername LIKE 'kind.%'",
  );
  await query(
    "INSERT INTO nachricht (id, absender_id, schluessel, betreff, inhalt, gesendet_am) SELECT gen_random_uuid(), $1, 'x', 'x', 'x', now() FROM generate_series(1, $2)",
    [fleissige.id, NACHRICHTEN],
  );
  await query(
    "INSERT INTO nachricht_empfaenger (nachricht_id, konto_id, gesendet_am) SELECT n.id, k.id, now() FROM nachricht n, konto k WHERE k.benutzername LIKE 'kind.1__'",
  );
  await query(
    `INSERT INTO journal.eintrag (id, zeit, konto_id, person_id, ressource, aktion, objekt)
       SELECT gen_random_uuid(), now(), $1, k.id, 'Note', 'bearbeiten', gen_random_uuid()::text FROM konto k, generate_series(1, 6) WHERE k.benutzername LIKE 'kind.%'`,
    [fleissige.id],
  );
  await query("ANALYZE");
}, 120_000);

async function took(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}

describe("a school of 1,500 people", () => {
  test("shows what an account has and who is marked within a second, and erases a year's leavers while others work", async () => {
    expect(
      await took(async () => expect((await admin.get(`/konten/${fleissige.id}/loeschen`)).text).toContain("1.200")),
    ).toBeLessThan(1_000);
    await admin.fuelle(`/konten/${fleissige.id}/loeschen`, { inhalte: "weg", bestaetigung: fleissige.benutzername });
    await school.database.query(
      `WITH gehen AS (UPDATE konto SET geloescht_am = now() WHERE id IN (SELECT id FROM konto WHERE benutzername LIKE 'kind.%' LIMIT $1) RETURNING id)
       INSERT INTO loeschung (person_id, inhalte, vorgemerkt_am, faellig_am) SELECT id, 'anonym', now(), heute() + 30 FROM gehen`,
      [GEHEN],
    );
    expect(await took(() => admin.get("/loeschungen?seite=2"))).toBeLessThan(1_000);
    await fristVergeht(school.database, 30);
    let slowest = 0;
    let running = true;
    const others = (async () => {
      while (running) slowest = Math.max(slowest, await took(() => admin.get("/konten")));
    })();
    const seconds = (await took(() => tidyUp(school.serving.app, features))) / 1_000;
    running = false;
    await others;
    const [left] = await school.database.query<{ personen: number; noten: number; nachrichten: number }>(
      `SELECT (SELECT count(*)::int FROM person WHERE vorname = 'Kind') AS personen, (SELECT count(*)::int FROM note) AS noten,
              (SELECT count(*)::int FROM nachricht) AS nachrichten`,
    );
    expect(left).toEqual({ personen: LEUTE - GEHEN, noten: (LEUTE - GEHEN) * 30, nachrichten: 0 });
    const named = "SELECT FROM journal.eintrag WHERE konto_id = $1";
    expect(await school.database.query(named, [fleissige.id])).toEqual([]);
    expect(slowest).toBeLessThan(3_000);
    // Two of them a second at least, on a machine that does other things beside.
    expect(seconds).toBeLessThan(60);
  }, 120_000);
});
