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

  test("of one person who asks for many slow pages at once, others notice nothing", async () => {
    const [greedy, other] = [await school.angemeldet(anna), await school.angemeldet(bert)];
    const client = await school.database.connect("postgres");
    await client.query("BEGIN");
    await client.query("LOCK TABLE schuljahr IN ACCESS EXCLUSIVE MODE");
    const slow = Array.from({ length: 12 }, () => greedy.get("/kurse"));
    try {
      await new Promise((resolve) => setTimeout(resolve, 300));
      for (let page = 0; page < 5; page += 1) {
        const { result, ms } = await timed(other.get("/"));
        expect(result.status).toBe(200);
        expect(ms).toBeLessThan(1_000);
      }
    } finally {
      await client.end();
    }
    for (const { status } of await Promise.all(slow)) expect([200, 503]).toContain(status);
    expect((await greedy.get("/kurse")).status).toBe(200);
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
      for (let pause = 5; writing; pause = pause > 1_000 ? 5 : pause * 1.5) {
        await cutOff(client);
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    });
    const acknowledged: string[] = [];
    const statuses = new Set<number>();
    const both = () => acknowledged.length > 0 && statuses.has(503);
    for (let round = 0; round < 60 || (!both() && round < 1_000); round += 1) {
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
