import { createSecretKey, randomBytes } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import { features } from "../../tenant-app/features.ts";
import { openDatabase } from "../../tenant-app/ground/database/database.ts";
import { inventSchool } from "../../tenant-app/ground/generator/generate.ts";
import { inventPeople, seededRandom } from "../../tenant-app/ground/generator/invented.ts";
import { startSchool, type TestSchool } from "../fixtures/school.ts";
import { rolePassword } from "../fixtures/school-database.ts";
import { asOperator } from "../fixtures/school-operator.ts";

/** Schools of any size whose people do not exist. */

const size = { pupils: 300, teachers: 20, messages: 10 };
const password = "Vier Wale im Watt";
let school: TestSchool;
beforeAll(async () => {
  school = await startSchool();
  const database = openDatabase({
    ...school.database,
    user: "school_owner",
    password: rolePassword,
    max: 1,
    statementMs: 0,
  });
  const { fieldKey } = school.serving.app;
  await inventSchool(features, { database, fieldKey, now: school.now(), size, seed: 7, password });
  await database.close();
});

describe("an invented school", () => {
  test("is the same for the same seed, and another for another", () => {
    const invent = (seed: number) => inventPeople(seededRandom(seed), size);
    expect(invent(7)).toEqual(invent(7));
    expect(invent(7)).not.toEqual(invent(8));
  });

  test("has people of every kind, namesakes and names of other scripts among them, all with user names of their own", async () => {
    const rows = await school.database.query<{ rolle_id: string; zahl: number }>(
      "SELECT rolle_id, count(*)::int AS zahl FROM konto_rolle GROUP BY 1 ORDER BY 1",
    );
    expect(rows).toEqual([
      { rolle_id: "administrator", zahl: 1 },
      { rolle_id: "lehrer", zahl: 20 },
      { rolle_id: "schueler", zahl: 300 },
      { rolle_id: "schulleitung", zahl: 1 },
    ]);
    const [found] = await school.database.query<{ namesakes: boolean; scripts: boolean; names: boolean }>(
      `SELECT count(*) <> count(DISTINCT vorname || ' ' || nachname) AS namesakes,
              bool_or(nachname ~ '[^\\u0000-\\u024f]') AS scripts, count(*) = count(DISTINCT benutzername) AS names FROM konto`,
    );
    expect(found).toEqual({ namesakes: true, scripts: true, names: true });
  });

  test("can be used like any other: its people sign in, and read what they were written", async () => {
    const [somebody] = await school.database.query<{ benutzername: string }>(
      `SELECT k.benutzername FROM konto k JOIN nachricht_empfaenger e ON e.konto_id = k.id
        GROUP BY k.id ORDER BY count(*) DESC LIMIT 1`,
    );
    const browser = school.besucher();
    expect((await browser.meldeAn(somebody?.benutzername ?? "", password)).location).toBe("/");
    const inbox = await browser.get("/nachrichten");
    expect(inbox.text).not.toContain("Nicht lesbar");
    const id = /href="\/nachrichten\/([0-9a-f-]{36})"/.exec(inbox.text)?.[1];
    expect((await browser.get(`/nachrichten/${id}`)).text).toContain("Guten Tag,");
  });

  test("is whole or not there: a second one in the same school changes nothing", async () => {
    const count = () =>
      school.database.query(
        "SELECT (SELECT count(*) FROM konto) AS konten, (SELECT count(*) FROM nachricht) AS nachrichten",
      );
    const before = await count();
    const database = openDatabase({ ...school.database, user: "school_owner", password: rolePassword, max: 1 });
    const again = { database, fieldKey: createSecretKey(randomBytes(32)), now: school.now(), size, seed: 7, password };
    await expect(inventSchool(features, again)).rejects.toThrow("has people already");
    await database.close();
    expect(await count()).toEqual(before);
  });
});

describe("a demo, filled by the operator's program", () => {
  test("has classes, courses and messages of people without passwords, and whoever the administrator gives one signs in", async () => {
    const demo = await startSchool();
    const admin = await demo.konto("Anna", "Amt", "administrator");
    await demo.database.query("UPDATE konto SET erster_administrator = true");
    const invent = () => asOperator(demo, "invent-school", {});
    const filled = await invent();
    expect(filled).toEqual({ people: 171 });
    // Repeated, as after a kill, it changes nothing.
    expect(await invent()).toEqual({ people: 0, existing: true });

    const [counted] = await demo.database.query(
      `SELECT (SELECT count(*)::int FROM konto) AS konten, (SELECT count(*)::int FROM zugang) AS zugaenge,
              (SELECT count(*)::int FROM konto_rolle WHERE rolle_id = 'administrator') AS administratoren,
              (SELECT count(*) > 5 FROM klasse) AS klassen, (SELECT count(*) > 50 FROM kurs) AS kurse,
              (SELECT count(*) > 150 FROM nachricht) AS nachrichten,
              (SELECT count(*) > 4000 FROM note) AS noten`,
    );
    expect(counted).toEqual({
      konten: 172,
      zugaenge: 1,
      administratoren: 1,
      klassen: true,
      kurse: true,
      nachrichten: true,
      noten: true,
    });

    const [teacher] = await demo.database.query<{ id: string; benutzername: string }>(
      "SELECT k.id, k.benutzername FROM konto k JOIN konto_rolle r ON r.konto_id = k.id WHERE r.rolle_id = 'lehrer' LIMIT 1",
    );
    const browser = await demo.angemeldet(admin);
    const page = `/konten/${teacher?.id}`;
    const { text } = await browser.fuelle(page, {}, `${page}/einmalpasswort`);
    const einmal = /id="einmalpasswort">([^<]+)</.exec(text)?.[1] ?? "";
    const other = demo.besucher();
    expect((await other.meldeAn(teacher?.benutzername ?? "", einmal)).location).toBe("/passwort");
  });
});
