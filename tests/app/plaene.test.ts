import pg from "pg";
import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { features } from "../../tenant-app/features.ts";
import { openDatabase } from "../../tenant-app/ground/database/database.ts";
import { inventSchool } from "../../tenant-app/ground/generator/generate.ts";
import type { Kind } from "../../tenant-app/ground/generator/invented.ts";
import { startSchool, type TestSchool } from "../fixtures/school.ts";
import { rolePassword } from "../fixtures/school-database.ts";
import type { Besucher } from "../fixtures/school-visitor.ts";

/**
 * How the database goes about the pages' statements, in a school of some size: what concerns the acting person alone is asked once a
 * statement and not for each row, and a list does not read what it does not show.
 */

const password = "Vier Wale im Watt";
const size = { pupils: 400, teachers: 30, messages: 60 };
let school: TestSchool;
const people = new Map<Kind, { readonly id: string; readonly browser: Besucher }>();
beforeAll(async () => {
  school = await startSchool();
  const { fieldKey } = school.serving.app;
  const database = openDatabase({ ...school.database, user: "school_owner", password: rolePassword, statementMs: 0 });
  const invented = await inventSchool(features, { database, fieldKey, now: school.now(), size, seed: 7, password });
  await database.close();
  await gradedBefore();
  await school.database.query("ANALYZE");
  for (const kind of ["pupil", "teacher", "head", "administrator"] as const) {
    const id = invented.find((one) => one.kind === kind)?.id ?? "";
    const [konto] = await school.database.query<{ benutzername: string }>(
      "SELECT benutzername FROM konto WHERE id = $1",
      [id],
    );
    people.set(kind, {
      id,
      browser: await school.angemeldet({ id, benutzername: konto?.benutzername ?? "", passwort: password }),
    });
  }
});
afterEach(() => vi.restoreAllMocks());

/** What was graded in the years before, in courses of then. */
async function gradedBefore(): Promise<void> {
  await school.database.query(
    `WITH jahr AS (INSERT INTO schuljahr VALUES (gen_random_uuid(), 'damals', '2020-08-01', '2021-07-31', '2021-02-01') RETURNING id),
          kurse AS (INSERT INTO kurs (id, schuljahr_id, fach_id, name)
                    SELECT gen_random_uuid(), jahr.id, (SELECT id FROM fach LIMIT 1), 'Kurs ' || n FROM jahr, generate_series(1, 400) n RETURNING id)
     INSERT INTO leistung (id, kurs_id, halbjahr, kategorie_id, name, datum)
     SELECT gen_random_uuid(), kurse.id, 1 + n % 2, '00000000-0000-4000-8000-000000000011', 'Test ' || n, '2021-01-01'
       FROM kurse, generate_series(1, 50) n`,
  );
}

interface Plan {
  readonly "Node Type": string;
  readonly "Relation Name"?: string;
  readonly "Parent Relationship"?: string;
  readonly "Actual Rows"?: number;
  readonly "Actual Loops"?: number;
  readonly "Rows Removed by Filter"?: number;
  readonly Plans?: readonly Plan[];
  readonly [more: string]: unknown;
}

interface Asked {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** What the app asks the database for while somebody looks at a page. */
async function statementsOf(browser: Besucher, path: string): Promise<readonly Asked[]> {
  const asked: Asked[] = [];
  const { query } = pg.Client.prototype;
  vi.spyOn(pg.Client.prototype, "query").mockImplementation(function (this: pg.Client, ...args: unknown[]) {
    const [config] = args;
    if (typeof config === "object" && config !== null && "text" in config) {
      asked.push({ values: [], ...config } as unknown as Asked);
    }
    return Reflect.apply(query, this, args);
  } as typeof query);
  const { status } = await browser.get(path);
  vi.restoreAllMocks();
  expect(status, path).toBe(200);
  return asked.filter(({ text }) => /^\s*(WITH|SELECT)/i.test(text) && !/set_config|person_der_sitzung/.test(text));
}

const conditions = ["Filter", "Join Filter", "Index Cond", "Recheck Cond", "Hash Cond"];
function* nodesOf(plan: Plan): Generator<Plan> {
  yield plan;
  for (const child of plan.Plans ?? []) yield* nodesOf(child);
}

async function planOf(client: pg.Client, { text, values }: Asked): Promise<Plan> {
  const { rows } = await client.query<{ "QUERY PLAN": ReadonlyArray<{ readonly Plan: Plan }> }>(
    `EXPLAIN (ANALYZE, FORMAT JSON) ${text}`,
    [...values],
  );
  const [found] = rows[0]?.["QUERY PLAN"] ?? [];
  if (found === undefined) throw new Error(`there is no plan of ${text}`);
  return found.Plan;
}

/** Asked once a row, each of these is a query of its own. */
const aboutThePerson =
  /\b(meine_umfaenge|ich|einsehbare_kurse|steht_nicht_ueber_mir|verwaltet_nicht_mehr_als_ich|darf|heute)\(/;

/** A page with the ids that it is about: oneself, a course that one teaches or else any, a class. */
async function addressFor(person: string, path: string): Promise<string> {
  const [found] = await school.database.query<{ kurs: string; klasse: string }>(
    `SELECT (SELECT k.id FROM kurs k LEFT JOIN unterrichtsauftrag u ON u.kurs_id = k.id AND u.person_id = $1 ORDER BY u.id, k.id LIMIT 1) AS kurs,
            (SELECT id FROM klasse ORDER BY id LIMIT 1) AS klasse`,
    [person],
  );
  return path
    .replace(":ich", person)
    .replace(":kurs", found?.kurs ?? "")
    .replace(":klasse", found?.klasse ?? "");
}

describe("a page's statements", () => {
  test("that ask for each row are found by what follows", async () => {
    const client = await school.database.connect("school_app");
    try {
      const text = "SELECT FROM recht WHERE umfang = ANY (meine_umfaenge(ressource, aktion))";
      const found = [...nodesOf(await planOf(client, { text, values: [] }))].some((node) =>
        conditions.some((name) => aboutThePerson.test(String(node[name] ?? ""))),
      );
      expect(found).toBe(true);
    } finally {
      await client.end();
    }
  });

  test.each<[Kind, string]>([
    ["pupil", "/nachrichten"],
    ["teacher", "/nachrichten"],
    ["teacher", "/nachrichten/gesendet"],
    ["teacher", "/dateien"],
    ["pupil", "/dateien/geteilt"],
    ["teacher", "/kurse"],
    ["teacher", "/klassen"],
    ["pupil", "/kurse"],
    ["administrator", "/konten"],
    ["administrator", "/konten?suche=mueller"],
    ["administrator", "/personen"],
    ["administrator", "/klassen"],
    ["head", "/unterrichtsauftraege"],
    ["pupil", "/noten/:ich"],
    ["teacher", "/noten"],
    ["teacher", "/noten/kurse/:kurs"],
    ["head", "/noten/kurse/:kurs"],
    ["head", "/noten/klassen/:klasse"],
  ])(
    "as %s, %s: who asks is asked once, and no table of messages, files or marks is read from end to end",
    async (kind, path) => {
      const person = people.get(kind);
      if (!person) throw new Error(kind);
      const statements = await statementsOf(person.browser, await addressFor(person.id, path));
      expect(statements.length).toBeGreaterThan(0);
      const client = await school.database.connect("school_app");
      try {
        await client.query("BEGIN");
        await client.query("SELECT set_config('classmind.konto', $1, true), set_config('classmind.jetzt', $2, true)", [
          person.id,
          school.now().toISOString(),
        ]);
        for (const asked of statements) {
          for (const node of nodesOf(await planOf(client, asked))) {
            const told = `${asked.text}\n${JSON.stringify({ ...node, Plans: undefined })}`;
            for (const condition of conditions) expect(String(node[condition] ?? ""), told).not.toMatch(aboutThePerson);
            const whole =
              node["Node Type"] === "Seq Scan" &&
              /^(nachricht|datei|note$|halbjahresnote|leistung)/.test(node["Relation Name"] ?? "");
            // An empty table is read from end to end at no cost.
            expect(whole && (node["Actual Rows"] ?? 0) + (node["Rows Removed by Filter"] ?? 0) > 100, told).toBe(false);
          }
        }
      } finally {
        await client.end();
      }
    },
  );
});
