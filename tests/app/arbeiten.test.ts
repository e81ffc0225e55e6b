import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { features } from "../../tenant-app/features.ts";
import { serveConfig } from "../../tenant-app/ground/config.ts";
import { assemble, type Feature } from "../../tenant-app/ground/feature.ts";
import { InputProblem } from "../../tenant-app/ground/pages/input.ts";
import { serve } from "../../tenant-app/ground/serve/serve.ts";
import { tidyUp } from "../../tenant-app/ground/work/daily.ts";
import { registered, type StepOutcome, WorkRefused, type WorkStep } from "../../tenant-app/ground/work/kind.ts";
import { orderForSchool } from "../../tenant-app/ground/work/orders.ts";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";
import type { Besucher } from "../fixtures/school-visitor.ts";
import { until } from "../fixtures/until.ts";
import { spielzeug, uebernehmen } from "./spielzeug/feature.ts";
import { Wunsch } from "./spielzeug/public.ts";

/** What takes longer than a request: begun by a form, done in the background, whatever happens meanwhile. */

/** What a test does before a step of the toy's work. */
let before: (step: WorkStep) => Promise<void> = async () => undefined;
/** What the school's own work does. */
let own: (step: WorkStep) => Promise<StepOutcome> = async () => ({ finished: { text: "x" }, done: 0 });
const watched = registered({
  ...uebernehmen,
  step: async (step, order) => {
    await before(step);
    return uebernehmen.step(step, order);
  },
});
const ofSchool = registered({
  name: "der-schule",
  title: "Der Schule",
  order: z.object({}),
  step: (step) => own(step),
});
const toy: Feature = { ...spielzeug, work: [watched, ofSchool] };
const register = assemble([...features, toy]);

let school: TestSchool;
let admin: Besucher;
let konto: TestKonto;
let schueler: Besucher;
beforeAll(async () => {
  const migration = await readFile(path.join(import.meta.dirname, "spielzeug/migration.sql"), "utf8");
  school = await startSchool({ register, migration });
  admin = await school.angemeldet(await school.konto("Ada", "Min", "administrator"));
});
beforeEach(async () => {
  konto = await school.konto("Bert", "Brecht", "schueler");
  schueler = await school.angemeldet(konto);
});
let letGoOfAll = (): void => undefined;
afterEach(() => {
  before = async () => undefined;
  letGoOfAll();
});

const attemptsOf = async (where: string) =>
  (
    await school.database.query<{ versuche: number }>("SELECT versuche FROM hintergrundarbeit WHERE id = $1", [
      where.split("/").at(-1),
    ])
  )[0]?.versuche;
/** Until it is so. */
const comes = (what: string, look: () => Promise<boolean>) => until(what, async () => (await look()) || undefined);
const lines = (count: number) => Array.from({ length: count }, (_, index) => `Wunsch ${index}`).join("\n");
async function order(count = 12, vorgang: string = randomUUID()): Promise<string> {
  await schueler.get("/wuensche");
  const { status, location } = await schueler.post("/wuensche/uebernehmen", { texte: lines(count), vorgang });
  expect(status).toBe(303);
  return location ?? "";
}
const wishes = async () =>
  (
    await school.database.query<{ text: string }>(
      "SELECT text FROM wunsch WHERE konto_id = $1 ORDER BY length(text), text",
      [konto.id],
    )
  ).map(({ text }) => text);
const ended = (where: string, words: string) =>
  comes(`work that is ${words}`, async () => (await schueler.get(where)).text.includes(`>${words}</span>`));
/** Moves the right to make wishes from pupils to a role that nobody has, or back: in the school nobody holds it to give it back. */
async function takesRight(from: "schueler" | "andere"): Promise<void> {
  const client = await school.database.connect("school_owner");
  const [owner, after] = from === "schueler" ? ["schueler", "eltern"] : ["eltern", "schueler"];
  try {
    await client.query("SET classmind.umbau = 'ja'");
    await client.query(
      "UPDATE recht SET rolle_id = $2 WHERE ressource = 'Wunsch' AND aktion = 'anlegen' AND rolle_id = $1",
      [owner, after],
    );
  } finally {
    await client.end();
  }
}
/** Holds the work before its step from this cursor until it is let go. */
function hold(at: string): { readonly reached: Promise<void>; letGo(): void } {
  const gate = Promise.withResolvers<void>();
  const arrival = Promise.withResolvers<void>();
  letGoOfAll = gate.resolve;
  before = async ({ cursor }) => {
    if (cursor === at) {
      arrival.resolve();
      await gate.promise;
    }
  };
  return { reached: arrival.promise, letGo: gate.resolve };
}

describe("work in the background", () => {
  test("is begun by a form, says how far it is, and what came of it; each deed is in the journal, by whom it was ordered", async () => {
    const { reached, letGo } = hold("5");
    const where = await order();
    expect(where).toMatch(/^\/arbeiten\/[0-9a-f-]{36}$/);
    await reached;
    // Counted before it is made: what ends the process each time is given up some time.
    expect(await attemptsOf(where)).toBe(1);
    const running = await schueler.get(where);
    expect(running.text).toContain("5 von 12");
    expect(running.headers.refresh).toBe(`3;url=${where}`);
    expect((await schueler.get(`${where}?ruhig=ja`)).headers.refresh).toBeUndefined();
    letGo();
    await ended(where, "fertig");
    const over = await schueler.get(where);
    expect(over.text).toContain("12 Wünsche sind notiert.");
    expect(over.text).toContain('href="/wuensche"');
    expect(over.headers.refresh).toBeUndefined();
    expect((await schueler.get("/arbeiten")).text).toContain("fertig · 12 von 12");
    expect(await wishes()).toHaveLength(12);
    const entries = await school.database.query(
      "SELECT FROM journal.eintrag WHERE konto_id = $1 AND ressource = 'Wunsch' AND aktion = 'anlegen'",
      [konto.id],
    );
    expect(entries).toHaveLength(12);
  });

  test("a form sent twice is one order", async () => {
    const vorgang = randomUUID();
    expect(await order(3, vorgang)).toBe(await order(3, vorgang));
    await ended(`/arbeiten/${vorgang}`, "fertig");
    expect(await wishes()).toHaveLength(3);
  });

  test("a connection that is killed in the middle of a step: the step was never, and is done again, once", async () => {
    let killed = false;
    before = async ({ cursor, tx }) => {
      if (cursor === "5" && !killed) {
        killed = true;
        const row = await tx.one<{ pid: number }>("SELECT pg_backend_pid() AS pid");
        await school.database.query("SELECT pg_terminate_backend($1)", [row?.pid]);
      }
    };
    const where = await order();
    await comes("the kill", async () => killed);
    school.travel(60_000);
    school.serving.app.wakeWorker();
    await ended(where, "fertig");
    expect(await wishes()).toEqual(lines(12).split("\n"));
  });

  test("what a process leaves behind another goes on with, at its start; two at once do nothing twice", async () => {
    const { reached, letGo } = hold("5");
    const where = await order(40);
    await reached;
    const another = await serve(serveConfig(school.environment), register, { now: school.now, logLevel: "silent" });
    try {
      letGo();
      for (let i = 0; i < 5; i += 1) {
        another.app.wakeWorker();
        school.serving.app.wakeWorker();
      }
      await ended(where, "fertig");
      expect(await wishes()).toEqual(lines(40).split("\n"));
    } finally {
      await another.stop();
    }
  });

  test("R4 a right that was taken meanwhile stops it, in words; what was done until then stands", async () => {
    const { reached, letGo } = hold("5");
    const where = await order();
    await reached;
    await takesRight("schueler");
    letGo();
    await ended(where, "nicht möglich").finally(() => takesRight("andere"));
    expect((await schueler.get(where)).text).toContain("Dafür fehlt Ihnen inzwischen das Recht");
    // The step that was running when the right went is refused by the database.
    expect([5, 10]).toContain((await wishes()).length);
  });

  test("of an account that was locked meanwhile nothing more is done", async () => {
    const { reached, letGo } = hold("5");
    const where = await order();
    await reached;
    await admin.get(`/konten/${konto.id}`);
    await admin.post(`/konten/${konto.id}/sperren`, {});
    letGo();
    const id = where.split("/").at(-1);
    await comes("the refusal", async () => {
      const [row] = await school.database.query("SELECT ausgang FROM hintergrundarbeit WHERE id = $1", [id]);
      return row?.ausgang === "abgelehnt";
    });
    expect([5, 10]).toContain((await wishes()).length);
  });

  test("can be called off: the running step is finished, no other begun", async () => {
    const { reached, letGo } = hold("5");
    // Many steps: whoever waits for the row may be overtaken by the next one, as the database has it.
    const where = await order(200);
    await reached;
    await schueler.get(where);
    const calledOff = schueler.post(`${where}/abbrechen`, {});
    await comes("that it waits for the step", async () => {
      const waiting = await school.database.query(
        "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE hintergrundarbeit%' AND datname = current_database()",
      );
      return waiting.length > 0;
    });
    letGo();
    expect((await calledOff).location).toBe(`${where}?erledigt=abgebrochen`);
    expect((await schueler.get(where)).text).toContain("Was bis dahin getan war, gilt.");
    expect((await schueler.post(`${where}/abbrechen`, {})).location).toBe(`${where}?erledigt=schon-zu-ende`);
    expect((await wishes()).length).toBeLessThan(200);
  });

  test("is nobody else's to see or to call off, whatever they may", async () => {
    const where = await order(3);
    const anderer = await school.angemeldet(await school.konto("Carla", "Clausen", "schueler"));
    for (const other of [anderer, admin]) {
      expect((await other.get(where)).status).toBe(404);
      await other.get("/");
      expect((await other.post(`${where}/abbrechen`, {})).status).toBe(404);
      expect((await other.get("/arbeiten")).text).not.toContain(where);
    }
    await ended(where, "fertig");
  });

  test("one person has three at once, and is told so with the fourth; nobody else waits for them", async () => {
    const { letGo } = hold("");
    for (let i = 0; i < 3; i += 1) await order(3);
    const fourth = await schueler.post("/wuensche/uebernehmen", { texte: "x", vorgang: randomUUID() });
    expect(fourth.status).toBe(422);
    expect(fourth.text).toContain("Es laufen schon 3 Arbeiten für Sie");
    letGo();
    await comes("nine wishes", async () => (await wishes()).length === 9);
  });

  test("what fails again and again is given up, and keeps nobody else's from being done", async () => {
    before = async ({ accountId }) => {
      if (accountId === failing) throw new Error("broken");
    };
    const failing = konto.id;
    const halfAnHour = 1_800_000;
    const broken = schueler;
    const where = await order(3);
    konto = await school.konto("Dora", "Dorn", "schueler");
    schueler = await school.angemeldet(konto);
    await ended(await order(3), "fertig");
    const attempts = async () => {
      const [row] = await school.database.query<{ versuche: number; offen: boolean }>(
        "SELECT versuche, beendet_am IS NULL AS offen FROM hintergrundarbeit WHERE id = $1",
        [where.split("/").at(-1)],
      );
      return row ?? { versuche: 0, offen: true };
    };
    for (let attempt = 1; attempt <= 5; attempt += 1) {
      await comes(`attempt ${attempt}`, async () => (await attempts()).versuche >= attempt);
      school.travel(halfAnHour);
      school.serving.app.wakeWorker();
    }
    await comes("the end", async () => !(await attempts()).offen);
    school.travel((-5 * 3_600_000) / 2);
    const page = await broken.get(where);
    expect(page.text).toContain(">fehlgeschlagen</span>");
    expect(page.text).toContain("Dabei ist mehrmals ein Fehler aufgetreten");
    await tidyUp(school.serving.app, []);
    expect((await broken.get(where)).status).toBe(200);
  });

  test("a clock that was set back keeps nothing waiting", async () => {
    const failing = konto.id;
    let broken = true;
    before = async ({ accountId }) => {
      if (broken && accountId === failing) throw new Error("broken");
    };
    const where = await order(3);
    await comes("the failure", async () => (await attemptsOf(where)) === 1);
    await school.database.query("UPDATE hintergrundarbeit SET pacht_bis = $2 WHERE id = $1", [
      where.split("/").at(-1),
      new Date(school.now().getTime() + 24 * 3_600_000),
    ]);
    broken = false;
    school.serving.app.wakeWorker();
    await ended(where, "fertig");
  });

  test.each([
    ["by its own error", new WorkRefused("In Zeile 6 fehlt der Name.")],
    ["by that of a form", new InputProblem({ field: "name", text: "In Zeile 6 fehlt der Name." })],
  ])("refuses in words what people can do something about: %s", async (_how, refusal) => {
    before = async ({ cursor }) => {
      if (cursor === "5") throw refusal;
    };
    const where = await order();
    await ended(where, "nicht möglich");
    expect((await schueler.get(where)).text).toContain("In Zeile 6 fehlt der Name.");
    expect(await wishes()).toHaveLength(5);
  });

  test("what was ordered and what came of it lie sealed, and what is long over is forgotten", async () => {
    const where = await order(3);
    await ended(where, "fertig");
    const id = where.split("/").at(-1);
    const [row] = await school.database.query<{ auftrag: Buffer; ergebnis: Buffer }>(
      "SELECT auftrag, ergebnis FROM hintergrundarbeit WHERE id = $1",
      [id],
    );
    expect(row?.auftrag).toHaveLength(0);
    expect(row?.ergebnis.toString("latin1")).not.toContain("notiert");
    school.travel(31 * 24 * 3_600_000);
    await tidyUp(school.serving.app, []);
    expect(await school.database.query("SELECT FROM hintergrundarbeit WHERE id = $1", [id])).toEqual([]);
    school.travel(-31 * 24 * 3_600_000);
  });

  test("a step that gets no further has failed, and is not begun again and again", async () => {
    const { app } = school.serving;
    let steps = 0;
    own = async ({ cursor }) => {
      steps += 1;
      return { cursor, done: 1, total: 2 };
    };
    await orderForSchool(app, ofSchool);
    await comes("the failure", async () => steps > 0);
    const where = await order(3);
    await ended(where, "fertig");
    expect(steps).toBe(1);
    await school.database.query("DELETE FROM hintergrundarbeit WHERE art = 'der-schule'");
  });

  test("the school's own is ordered once at a time, acts for nobody, and needs no right", async () => {
    const { app } = school.serving;
    const seen: unknown[] = [];
    const held = Promise.withResolvers<void>();
    letGoOfAll = held.resolve;
    own = async ({ accountId, tx }) => {
      seen.push(accountId, (await tx.one<{ wer: string | null }>("SELECT ich() AS wer"))?.wer);
      await held.promise;
      return { finished: { text: "x" }, done: 1 };
    };
    const give = () => orderForSchool(app, ofSchool);
    expect(await give()).toBe(true);
    await comes("a step", async () => seen.length > 0);
    expect(await give()).toBe(false);
    held.resolve();
    expect(seen).toEqual([undefined, null]);
    await comes("its end", give);
  });

  test("past the app, nobody begins any in another's name or sees one; a step cannot be told of without having it", async () => {
    const anna = await school.konto("Anna", "Arendt", "lehrer");
    const as = (sql: string, values: readonly unknown[]) =>
      school.serving.app.database.as({ konto: anna.id }, (tx) => tx.all(sql, values));
    const insert =
      "INSERT INTO hintergrundarbeit (id, art, person_id, auftrag, angelegt_am) VALUES ($1, 'wuensche-uebernehmen', $2, '', now())";
    await expect(as(insert, [randomUUID(), konto.id])).rejects.toThrow("row-level security");
    await order(3);
    expect(await as("SELECT FROM hintergrundarbeit", [])).toEqual([]);
    await expect(as("SELECT arbeit_weiter('', 1, 1, 'fertig', NULL, now())", [])).rejects.toThrow("no step");
  });

  test("a kind that people order says what right it needs: without one nobody can", async () => {
    expect(watched.policy).toEqual({ right: Wunsch.right("anlegen") });
    const id = randomUUID();
    await school.serving.app.database.as({ konto: konto.id }, (tx) =>
      tx.run(
        "INSERT INTO hintergrundarbeit (id, art, person_id, auftrag, angelegt_am) VALUES ($1, $2, $3, '', now())",
        [id, ofSchool.name, konto.id],
      ),
    );
    school.serving.app.wakeWorker();
    await ended(`/arbeiten/${id}`, "nicht möglich");
  });
});
