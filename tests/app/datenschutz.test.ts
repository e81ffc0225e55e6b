import { beforeAll, describe, expect, test } from "vitest";
import { FASSUNG } from "../../tenant-app/features/datenschutz/zustimmung.ts";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";

/** What everybody may know of what is stored. */

let school: TestSchool;
let anna: TestKonto;
beforeAll(async () => {
  school = await startSchool();
  anna = await school.konto("Anna", "Arendt", "lehrer");
});

describe("privacy", () => {
  test("R10 every stored field is listed with its purpose, without signing in", async () => {
    const { status, text } = await school.besucher().get("/datenschutz/daten");
    expect(status).toBe(200);
    const fields = await school.database.query<{ name: string; zweck: string | null }>(
      `SELECT a.attname AS name, col_description(c.oid, a.attnum) AS zweck FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')`,
    );
    expect(fields.length).toBeGreaterThan(150);
    const escaped = (words: string) =>
      words.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("'", "&#x27;");
    for (const { name, zweck } of fields) {
      expect(zweck, name).toBeTruthy();
      expect(text, name).toContain(escaped(zweck ?? ""));
    }
    expect(text.match(/<tr><th scope="row"/g)).toHaveLength(fields.length);
  });

  test("R12 R63 the policy is read before signing in, with its version and where to ask", async () => {
    const visitor = school.besucher();
    const { text } = await visitor.get("/datenschutz");
    expect(text).toContain("Fassung vom 27. November 2026");
    expect(text).toContain('href="mailto:datenschutz@classmind.localhost"');
    expect(text).not.toContain("Gelesen und einverstanden");
    expect((await visitor.get("/anmelden")).text).toContain('href="/datenschutz"');
  });

  test("R12 whoever confirms a version is noted with the day, once, and asked again when there is a new one", async () => {
    const browser = await school.angemeldet(anna);
    expect((await browser.get("/")).text).toContain("bitte bestätigen");
    const sent = await browser.fuelle("/datenschutz/bestaetigen", {}, "/datenschutz");
    expect(sent.location).toBe("/datenschutz/bestaetigen?erledigt=zugestimmt");
    expect((await browser.get("/")).text).not.toContain("bitte bestätigen");
    expect((await browser.get("/datenschutz/bestaetigen")).text).toContain("Sie haben diese Fassung am");
    await browser.post("/datenschutz", { fassung: FASSUNG });
    const rows = await school.database.query("SELECT person_id FROM zustimmung");
    expect(rows).toEqual([{ person_id: anna.id }]);
    // A page of another version confirms nothing.
    await school.database.query("DELETE FROM zustimmung");
    await browser.post("/datenschutz", { fassung: "2020-01-01" });
    expect(await school.database.query("SELECT FROM zustimmung")).toEqual([]);
    await school.database.query("INSERT INTO zustimmung VALUES ($1, '2020-01-01', now())", [anna.id]);
    expect((await browser.get("/datenschutz/bestaetigen")).text).toContain("Es gibt eine neue Fassung");
  });
});
