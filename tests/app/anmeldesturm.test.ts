import { beforeAll, describe, expect, test } from "vitest";
import { imPasswortgang } from "../../tenant-app/features/zugang/public.ts";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";

let school: TestSchool;
let anna: TestKonto;
let bert: TestKonto;
beforeAll(async () => {
  school = await startSchool();
  anna = await school.konto("Anna", "Arendt", "lehrer");
  bert = await school.konto("Bert", "Brecht", "schueler");
});

describe("a login burst", () => {
  const password = () => anna.passwort;
  async function pupils(prefix: string, count: number): Promise<void> {
    await school.database.query(
      `INSERT INTO konto (id, benutzername, vorname, nachname, email, suchname, angelegt_am)
       SELECT gen_random_uuid(), $2 || n, 'Kind', n::text, 'k@schule.example', 'kind', now() FROM generate_series(1, $1::int) n`,
      [count, prefix],
    );
    await school.database.query(
      `INSERT INTO zugang (konto_id, passwort, geaendert_am)
       SELECT k.id, z.passwort, now() FROM konto k, zugang z WHERE k.benutzername ~ ('^' || $2 || '[0-9]+$') AND z.konto_id = $1`,
      [anna.id, prefix],
    );
  }

  test("of a whole school through one address lets everybody in; whoever is in is served meanwhile; the memory holds", async () => {
    const count = 300;
    await pupils("kind", count);
    const teacher = await school.angemeldet(bert);
    const before = process.memoryUsage().rss;
    const browsers = Array.from({ length: count }, () => school.besucher());
    await Promise.all(browsers.map((browser) => browser.get("/anmelden")));
    let answered = 0;
    const burst = Promise.all(
      browsers.map(async (browser, index) => {
        const { status } = await browser.post("/anmelden", { benutzername: `kind${index + 1}`, passwort: password() });
        answered += 1;
        return status;
      }),
    );
    const pages: number[] = [];
    for (let page = 0; page < 5; page += 1) {
      expect((await teacher.get("/")).status).toBe(200);
      pages.push(answered);
    }
    // Five pages came while most still waited to be let in.
    expect(pages.at(-1)).toBeLessThan(count / 2);
    expect(new Set(await burst)).toEqual(new Set([303]));
    expect(process.memoryUsage().rss - before).toBeLessThan(250 * 1024 * 1024);
  });

  test("of strangers from one place takes nobody's turn elsewhere", async () => {
    const strangers = Array.from({ length: 320 }, () => school.besucher());
    for (const stranger of strangers) stranger.address = "198.51.100.7";
    await Promise.all(strangers.map((stranger) => stranger.get("/anmelden")));
    let answered = 0;
    const flood = strangers.map(async (stranger, index) => {
      await stranger.post("/anmelden", { benutzername: `niemand${index}`, passwort: "falsch falsch falsch" });
      answered += 1;
    });
    const other = school.besucher();
    other.address = "203.0.113.9";
    expect((await other.meldeAn(bert.benutzername, bert.passwort)).status).toBe(303);
    expect(answered).toBeLessThan(40);
    await Promise.all(flood);
  });

  test("beyond what can wait is refused with a time to come back, and not counted as a failure", async () => {
    const { app } = school.serving;
    let end: (() => void) | undefined;
    const held = new Promise<void>((resolve) => {
      end = resolve;
    });
    const source = "198.51.100.0/24";
    const waiting = Array.from({ length: 1_503 }, () => imPasswortgang(app, { source }, () => held));
    const browser = school.besucher();
    browser.address = "198.51.100.8";
    for (let attempt = 0; attempt < 8; attempt += 1) {
      const refused = await browser.meldeAn(bert.benutzername, "falsch");
      expect(refused.status).toBe(503);
      expect(Number(refused.headers["retry-after"])).toBeGreaterThan(0);
      expect(refused.text).toContain("Gerade melden sich sehr viele an");
    }
    end?.();
    await Promise.all(waiting);
    expect((await browser.meldeAn(bert.benutzername, bert.passwort)).status).toBe(303);
  });
});
