import pg from "pg";
import { beforeAll, describe, expect, test } from "vitest";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";

let school: TestSchool;
let anna: TestKonto;
let bert: TestKonto;
beforeAll(async () => {
  school = await startSchool();
  anna = await school.konto("Anna", "Arendt", "lehrer");
  bert = await school.konto("Bert", "Brecht", "schueler");
});

/** On the same server, but not in the school's database. */
async function outside(work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const { host, port, password } = school.database;
  const client = new pg.Client({ host, port, password, user: "postgres", database: "postgres" });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}

/** Ends every connection of the app. */
function cutOff(client: pg.Client): Promise<unknown> {
  return client.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND usename = 'school_app'",
    [school.database.name],
  );
}

function letIn(client: pg.Client, allowed: boolean): Promise<unknown> {
  return client.query(`ALTER DATABASE ${school.database.name} ALLOW_CONNECTIONS ${allowed}`);
}

async function timed<T>(work: Promise<T>): Promise<{ result: T; ms: number }> {
  const started = performance.now();
  return { result: await work, ms: performance.now() - started };
}

describe("database", () => {
  test("gone: pages are a fast 503 with advice, not ready but alive; back again: works by itself", async () => {
    const browser = await school.angemeldet(anna);
    await outside(async (client) => {
      await letIn(client, false);
      await cutOff(client);
    });
    try {
      for (const path of ["/", "/nachrichten", "/dateien"]) {
        const { result, ms } = await timed(browser.get(path));
        expect(result.status).toBe(503);
        expect(result.headers["retry-after"]).toBe("5");
        expect(result.text).toContain("Gerade nicht erreichbar");
        expect(ms).toBeLessThan(3_000);
      }
      expect((await browser.get("/readyz")).status).toBe(503);
      expect((await browser.get("/livez")).status).toBe(200);
      expect((await browser.get("/startupz")).status).toBe(200);
      expect((await browser.get("/anmelden")).status).toBe(200);
    } finally {
      await outside((client) => letIn(client, true));
    }
    expect((await browser.get("/readyz")).status).toBe(200);
    expect((await browser.get("/")).status).toBe(200);
  });

  test("every connection taken: a fast 503, not ready, and recovery", async () => {
    const browser = await school.angemeldet(anna);
    const { promise: until, resolve: release } = Promise.withResolvers<void>();
    const held = Array.from({ length: 5 }, () => school.serving.app.database.as({}, () => until));
    const page = await timed(browser.get("/"));
    expect(page.result.status).toBe(503);
    expect(page.ms).toBeLessThan(3_500);
    const ready = await timed(browser.get("/readyz"));
    expect(ready.result.status).toBe(503);
    expect(ready.ms).toBeLessThan(3_500);
    release();
    await Promise.all(held);
    expect((await browser.get("/")).status).toBe(200);
    expect((await browser.get("/readyz")).status).toBe(200);
  });

  test("R39 a statement that takes too long refuses the request", async () => {
    const browser = await school.angemeldet(anna);
    const client = await school.database.connect("postgres");
    try {
      await client.query("BEGIN");
      await client.query("LOCK TABLE rolle IN ACCESS EXCLUSIVE MODE");
      const { result, ms } = await timed(browser.get("/nachrichten"));
      expect(result.status).toBe(503);
      expect(ms).toBeLessThan(8_000);
    } finally {
      await client.end();
    }
    expect((await browser.get("/nachrichten")).status).toBe(200);
  });

  test("killed again and again while messages are written: what was acknowledged is there", async () => {
    const browser = await school.angemeldet(anna);
    await browser.get("/nachrichten/neu");
    let writing = true;
    const killer = outside(async (client) => {
      // After pauses of all lengths: on a slow machine, too, some messages are sent between two, and others are struck.
      for (let pause = 5; writing; pause = pause > 150 ? 5 : pause * 1.5) {
        await cutOff(client);
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    });
    const acknowledged: string[] = [];
    const statuses = new Set<number>();
    for (let round = 0; round < 120; round += 1) {
      const vorgang = crypto.randomUUID();
      const answer = await browser.post("/nachrichten", { vorgang, an: [bert.id], betreff: "x", inhalt: "y" });
      statuses.add(answer.status);
      if (answer.status === 303) {
        acknowledged.push(vorgang);
      }
    }
    writing = false;
    await killer;
    expect(statuses).toContain(503);
    expect([...statuses].filter((status) => status !== 303 && status !== 503)).toEqual([]);
    expect(acknowledged.length).toBeGreaterThan(0);
    const rows = await school.database.query<{ id: string; empfaenger: number }>(
      `SELECT id, (SELECT count(*)::int FROM nachricht_empfaenger e WHERE e.nachricht_id = n.id) AS empfaenger
         FROM nachricht n WHERE id = ANY ($1::uuid[])`,
      [acknowledged],
    );
    expect(rows).toHaveLength(acknowledged.length);
    expect(rows.every((row) => row.empfaenger === 1)).toBe(true);
  });
});

describe("a login burst", () => {
  test("is throttled without locking anybody out", async () => {
    const pupils = 260;
    await school.database.query(
      `INSERT INTO konto (id, benutzername, vorname, nachname, email, suchname, angelegt_am)
       SELECT gen_random_uuid(), 'kind' || n, 'Kind', n::text, 'k@schule.example', 'kind', now() FROM generate_series(1, $1::int) n`,
      [pupils],
    );
    await school.database.query(
      `INSERT INTO zugang (konto_id, passwort, geaendert_am)
       SELECT k.id, z.passwort, now() FROM konto k, zugang z WHERE k.benutzername LIKE 'kind%' AND z.konto_id = $1`,
      [anna.id],
    );
    const before = process.memoryUsage().rss;
    const browsers = Array.from({ length: pupils }, () => school.besucher());
    await Promise.all(browsers.map((browser) => browser.get("/anmelden")));
    const sign = (index: number) =>
      browsers[index]?.post("/anmelden", { benutzername: `kind${index + 1}`, passwort: anna.passwort });
    const answers = await Promise.all(browsers.map((_browser, index) => sign(index)));
    const served = answers.filter((answer) => answer?.status === 303);
    const refused = answers.filter((answer) => answer?.status === 503);
    expect(served.length + refused.length).toBe(pupils);
    expect(served.length).toBeGreaterThanOrEqual(200);
    expect(refused.length).toBeGreaterThan(0);
    expect(refused[0]?.headers["retry-after"]).toBe("5");
    expect(refused[0]?.text).toContain("Gerade melden sich sehr viele an");
    expect(process.memoryUsage().rss - before).toBeLessThan(250 * 1024 * 1024);
    // Whoever was sent away simply tries again.
    for (const [index, answer] of answers.entries()) {
      if (answer?.status === 503) {
        expect((await sign(index))?.status).toBe(303);
      }
    }
    expect((await school.besucher().meldeAn(bert.benutzername, bert.passwort)).status).toBe(303);
  });
});
