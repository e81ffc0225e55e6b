import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { bundleTenantApp } from "../../tenant-app/bundle.ts";
import { type Geraet, geraetAus } from "../../tenant-app/features/datenschutz/browser.ts";
import { raeumeVerbindungenAb, schreibeVerbindungen } from "../../tenant-app/features/datenschutz/verbindungen.ts";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";
import { Besucher } from "../fixtures/school-visitor.ts";

const firefox = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:146.0) Gecko/20100101 Firefox/146.0";
const chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36";
const day = 86_400_000;

let school: TestSchool;
let leitung: Besucher;
let konten: TestKonto[];
beforeAll(async () => {
  school = await startSchool();
  leitung = await school.angemeldet(await school.konto("Leo", "Leitung", "schulleitung"));
  konten = [];
  for (let index = 0; index < 12; index += 1) konten.push(await school.konto("Viele", `Leute${index}`, "lehrer"));
});
beforeEach(async () => {
  // What an earlier test has left is too old to be written.
  school.travel(4 * day);
  await schreibeVerbindungen(school.serving.app);
  school.travel(-4 * day);
  await school.database.query("DELETE FROM verbindung");
});
let travelled = 0;
afterEach(() => {
  school.travel(-travelled);
  travelled = 0;
});
function travel(ms: number): void {
  travelled += ms;
  school.travel(ms);
}

async function seheAnmeldeseite(address: string, agent: string): Promise<Besucher> {
  const browser = school.besucher();
  browser.address = address;
  await browser.get("/anmelden", { "user-agent": agent });
  return browser;
}

type Row = Record<string, string> & { readonly zeit: string };
const rows = () =>
  school.database.query<Row>(
    `SELECT browser, betriebssystem, geraetetyp, host(ip_adresse) AS ip_adresse, zeit::text, xmin::text AS xmin FROM verbindung ORDER BY ctid`,
  );

describe("connection data", () => {
  test("R53 are exactly browser, operating system, kind of device, address and time, of families and hours alone", async () => {
    for (let index = 0; index < 6; index += 1) await seheAnmeldeseite(`198.51.100.${index}`, firefox);
    for (let index = 0; index < 6; index += 1) await seheAnmeldeseite(`2001:db8::${index}`, chrome);
    expect(await schreibeVerbindungen(school.serving.app)).toBe(12);
    const columns = await school.database.query<{ name: string }>(
      "SELECT attname AS name FROM pg_attribute WHERE attrelid = 'verbindung'::regclass AND attnum > 0 ORDER BY attnum",
    );
    expect(columns.map(({ name }) => name)).toEqual(["browser", "betriebssystem", "geraetetyp", "ip_adresse", "zeit"]);
    const stored = await rows();
    expect(stored).toContainEqual(
      expect.objectContaining({
        browser: "Firefox",
        betriebssystem: "Windows",
        geraetetyp: "PC",
        ip_adresse: "198.51.100.3",
      }),
    );
    expect(stored).toContainEqual(
      expect.objectContaining({
        browser: "Chrome",
        betriebssystem: "Linux",
        geraetetyp: "PC",
        ip_adresse: "2001:db8::3",
      }),
    );
    for (const { zeit } of stored) expect(zeit).toMatch(/ \d\d:00:00\+00$/);
    // Nothing else ever gets in: the database itself takes no other words.
    await expect(
      school.database.query(
        "INSERT INTO verbindung VALUES ('Firefox/146.0', 'Windows', 'PC', '192.0.2.1', '2026-01-01 10:00+00')",
      ),
    ).rejects.toThrow("check");
    await expect(
      school.database.query(
        "INSERT INTO verbindung VALUES ('Firefox', 'Windows', 'PC', '192.0.2.1', '2026-01-01 10:07+00')",
      ),
    ).rejects.toThrow("check");
  });

  test("R56 cannot be joined to sessions: not by the app, and not by hour, order or transaction by whoever has the database", async () => {
    const ankunft: string[] = [];
    for (const [index, konto] of konten.entries()) {
      const address = `203.0.113.${index}`;
      ankunft.push(address);
      const browser = await seheAnmeldeseite(address, index % 2 === 0 ? firefox : chrome);
      const { benutzername, passwort } = konto;
      expect((await browser.post("/anmelden", { benutzername, passwort })).status).toBe(303);
    }
    await schreibeVerbindungen(school.serving.app);
    const app = await school.database.connect("school_app");
    for (const tried of [
      "SELECT FROM verbindung",
      "SELECT v.ip_adresse, s.konto_id FROM verbindung v JOIN sitzung s ON date_trunc('hour', s.begonnen_am) = v.zeit",
      "INSERT INTO verbindung VALUES ('Firefox', 'Windows', 'PC', '192.0.2.1', date_trunc('hour', now())) RETURNING ctid",
      "UPDATE verbindung SET browser = 'andere'",
      "DELETE FROM verbindung",
    ]) {
      await expect(app.query(tried), tried).rejects.toThrow("permission denied");
    }
    await app.end();
    // By hour: of each session all that were written together, and none more than another.
    const joined = await school.database.query<{ konto_id: string; n: number }>(
      `SELECT s.konto_id, count(v.*)::int AS n FROM sitzung s
         JOIN verbindung v ON v.zeit <= s.begonnen_am AND v.zeit > s.begonnen_am - interval '1 day' WHERE s.konto_id = ANY ($1) GROUP BY 1`,
      [konten.map(({ id }) => id)],
    );
    expect(joined).toHaveLength(12);
    for (const { n } of joined) expect(n).toBeGreaterThanOrEqual(10);
    const stored = await rows();
    expect(new Set(stored.map(({ zeit }) => zeit)).size).toBe(1);
    // By transaction: one for all, and none that wrote a session or an entry of the journal.
    const transactions = [...new Set(stored.map(({ xmin }) => xmin))];
    expect(transactions).toHaveLength(1);
    for (const other of ["sitzung", "journal.eintrag"]) {
      const same = await school.database.query(`SELECT FROM ${other} t WHERE t.xmin::text = $1`, [transactions[0]]);
      expect(same, other).toEqual([]);
    }
    // By order: not that in which they came.
    expect([...stored.map(({ ip_adresse }) => ip_adresse)].sort()).toEqual([...ankunft].sort());
    expect(stored.map(({ ip_adresse }) => ip_adresse)).not.toEqual(ankunft);
    // By key: there is none, and nothing refers to or from it.
    expect(
      await school.database.query(
        "SELECT FROM pg_constraint WHERE contype IN ('f', 'p', 'u') AND 'verbindung'::regclass IN (conrelid, confrelid)",
      ),
    ).toEqual([]);
    expect(await school.database.query("SELECT FROM pg_index WHERE indrelid = 'verbindung'::regclass")).toEqual([]);
  });

  test("R56 of fewer than ten devices nothing is written, of one that comes a hundred times neither, and what waited a day is forgotten", async () => {
    for (let index = 0; index < 9; index += 1) await seheAnmeldeseite(`198.51.100.${index}`, firefox);
    for (let index = 0; index < 100; index += 1) await seheAnmeldeseite("198.51.100.1", firefox);
    expect(await schreibeVerbindungen(school.serving.app)).toBe(0);
    travel(day + 1000);
    await seheAnmeldeseite("198.51.100.200", firefox);
    expect(await schreibeVerbindungen(school.serving.app)).toBe(0);
    expect(await rows()).toEqual([]);
  });

  test("a flood fills neither the room of others nor the volume", async () => {
    const agents = ["Windows NT 10", "Macintosh", "Linux", "Android", "iPhone"].flatMap((system) =>
      ["Firefox/1", "Chrome/1", "Edg/1", "x"].flatMap((browser) => [
        `${system} ${browser}`,
        `${system} Mobile ${browser}`,
      ]),
    );
    for (const agent of [...agents, ...agents]) await seheAnmeldeseite("198.51.100.1", agent);
    for (let index = 0; index < 10; index += 1) await seheAnmeldeseite(`203.0.113.${index}`, firefox);
    expect(await schreibeVerbindungen(school.serving.app)).toBe(30);
    await school.database.query(
      "INSERT INTO verbindung SELECT 'Firefox', 'Linux', 'PC', '192.0.2.1', date_trunc('hour', now(), 'UTC') FROM generate_series(1, 4980)",
    );
    for (let index = 0; index < 20; index += 1) await seheAnmeldeseite(`203.0.113.${index}`, firefox);
    expect(await schreibeVerbindungen(school.serving.app)).toBe(0);
  });

  test("R54 are there on day 28 and gone by day 30, whatever hour the daily work has", async () => {
    for (let index = 0; index < 10; index += 1) await seheAnmeldeseite(`198.51.100.${index}`, firefox);
    await schreibeVerbindungen(school.serving.app);
    // By the database's clock too: they get older, whatever the app's says.
    const nach = (time: string) => school.database.query("UPDATE verbindung SET zeit = zeit - $1::interval", [time]);
    await nach("28 days");
    await raeumeVerbindungenAb(school.serving.app);
    expect(await rows()).toHaveLength(10);
    // The work of day 29 comes at the latest a day after it could have: what it leaves is younger than that.
    await nach("26 hours");
    await raeumeVerbindungenAb(school.serving.app);
    expect(await rows()).toEqual([]);
  });

  test("R55 are shown as sums alone, of none fewer than ten: small groups are put together, or left out", async () => {
    const insert = (browser: string, count: number, system = "Windows", geraet = "PC") =>
      school.database.query(
        `INSERT INTO verbindung SELECT '${browser}', '${system}', '${geraet}', '192.0.2.77', date_trunc('hour', now(), 'UTC') FROM generate_series(1, ${count})`,
      );
    await insert("Firefox", 9);
    const empty = await leitung.get("/datenschutz/statistik");
    expect(empty.status).toBe(200);
    expect(empty.text).toContain("Noch zu wenig");
    await insert("Chrome", 30);
    await insert("Edge", 12, "Windows", "Tablet");
    await insert("Safari", 4, "iOS", "Smartphone");
    const { text } = await leitung.get("/datenschutz/statistik");
    const shown = [
      ...text.matchAll(
        /<th scope="row" data-titel="Angabe">([^<]+)<\/th><td data-titel="Wert">([^<]+)<\/td><td data-titel="Anzahl">(\d+)</g,
      ),
    ].map(([, angabe, wert, anzahl]) => `${angabe} ${wert} ${anzahl}`);
    expect(shown.sort()).toEqual(
      // 9 + 4 are enough together; of systems 4 are not, and take the next larger group with them.
      [
        "Browser Chrome 30",
        "Browser Edge 12",
        "Browser übrige 13",
        "Betriebssystem übrige 55",
        "Gerätetyp PC 39",
        "Gerätetyp übrige 16",
      ].sort(),
    );
    expect(text).not.toContain("192.0.2.77");
    const lehrer = await school.angemeldet(konten[0] as TestKonto);
    expect((await lehrer.get("/datenschutz/statistik")).status).toBe(403);
  });

  test("R54 R56 no log of the school holds an address or a browser, whatever goes right or wrong", async () => {
    const directory = await mkdtemp(join(tmpdir(), "classmind-app-"));
    await bundleTenantApp(join(directory, "app"));
    const port = 18_437;
    const child = spawn(process.execPath, [join(directory, "app", "main.mjs"), "serve"], {
      env: { ...school.environment, CLASSMIND_LISTEN_PORT: String(port) },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let log = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (part) => (log += String(part)));
    await expect.poll(() => log, { timeout: 15_000 }).toContain("ready");
    const visitor = new Besucher({ port, host: school.host });
    visitor.address = "198.51.100.123";
    const agent = { "user-agent": "Markenbrowser/47.11" };
    for (const path of ["/anmelden", "/gibt-es-nicht", "/konten", "/%E0%A4%A"]) await visitor.get(path, agent);
    await visitor.post("/anmelden", { benutzername: "markenname", passwort: "falsch" }, agent);
    await school.database.query("ALTER TABLE anmeldebremse RENAME TO anmeldebremse_weg");
    expect((await visitor.post("/anmelden", { benutzername: "markenname", passwort: "falsch" }, agent)).status).toBe(
      500,
    );
    await school.database.query("ALTER TABLE anmeldebremse_weg RENAME TO anmeldebremse");
    child.kill("SIGTERM");
    await once(child, "close");
    expect(log).toContain("request failed");
    expect(log).not.toMatch(/198\.51\.100|Markenbrowser|markenname/);
    await rm(directory, { recursive: true });
  }, 60_000);
});

test("R53 families are told from what browsers call themselves, also where they go by the names of others", () => {
  const cases: ReadonlyArray<readonly [string, string]> = [
    [firefox, "Firefox Windows PC"],
    [chrome, "Chrome Linux PC"],
    [
      "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36 Edg/143.0.0.0",
      "Edge Windows PC",
    ],
    [
      "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15",
      "Safari macOS PC",
    ],
    [
      "Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1",
      "Safari iOS Smartphone",
    ],
    [
      "Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/143.0.0.0 Mobile/15E148 Safari/604.1",
      "Chrome iOS Smartphone",
    ],
    [
      "Mozilla/5.0 (iPad; CPU OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/146.0 Mobile/15E148 Safari/605.1.15",
      "Firefox iOS Tablet",
    ],
    [
      "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Mobile Safari/537.36",
      "Chrome Android Smartphone",
    ],
    [
      "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36",
      "Chrome Android Tablet",
    ],
    ["Mozilla/5.0 (Android 15; Mobile; rv:146.0) Gecko/146.0 Firefox/146.0", "Firefox Android Smartphone"],
    [
      "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile Safari/537.36",
      "andere Android Smartphone",
    ],
    [
      "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36",
      "Chrome Linux PC",
    ],
    ["Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "andere andere andere"],
    ["curl/8.14.1", "andere andere andere"],
    ["", "andere andere andere"],
    ["x".repeat(100_000), "andere andere andere"],
  ];
  const words = ({ browser, betriebssystem, geraetetyp }: Geraet) => `${browser} ${betriebssystem} ${geraetetyp}`;
  for (const [agent, expected] of cases) expect(words(geraetAus(agent)), agent.slice(0, 200)).toBe(expected);
});
