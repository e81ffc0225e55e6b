import { randomUUID } from "node:crypto";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { tidyUp } from "../../tenant-app/ground/work/daily.ts";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";
import { asOperator } from "../fixtures/school-operator.ts";
import { type Besucher, werteIn } from "../fixtures/school-visitor.ts";

/** The journal put to use: what was done to marks behind the app's back is found and put right, what an account did is taken back. */

let school: TestSchool;
let max: TestKonto;
let lehrer: Besucher;
let andere: Besucher;
let kurs: string;
const why = { reason: "Verdacht auf ein gestohlenes Passwort", by: "anna@betrieb" };

beforeAll(async () => {
  school = await startSchool();
  max = await school.konto("Max", "Mathe", "lehrer");
  lehrer = await school.angemeldet(max);
  const zweite = await school.konto("Zora", "Zweit", "lehrer");
  andere = await school.angemeldet(zweite);
  const [jahr, fach] = [randomUUID(), randomUUID()];
  kurs = randomUUID();
  const today = "daterange(heute() - 9, heute() + 9)";
  for (const [sql, values] of [
    ["INSERT INTO schuljahr VALUES ($1, 'Ein Jahr', heute() - 100, heute() + 100, heute())", [jahr]],
    ["INSERT INTO fach VALUES ($1, 'M', 'Mathematik')", [fach]],
    ["INSERT INTO kurs VALUES ($1, $2, $3, 'Mathe 5a')", [kurs, jahr, fach]],
    [`INSERT INTO unterrichtsauftrag VALUES (gen_random_uuid(), $1, $2, ${today})`, [kurs, max.id]],
    [`INSERT INTO unterrichtsauftrag VALUES (gen_random_uuid(), $1, $2, ${today})`, [kurs, zweite.id]],
  ] as const)
    await school.database.query(sql, values);
  for (const name of ["Anton", "Berta", "Cäsar"]) {
    const { id } = await school.konto(name, "Kind", "schueler");
    await school.database.query(`INSERT INTO einschreibung VALUES (gen_random_uuid(), $1, $2, ${today})`, [kurs, id]);
  }
  await lehrer.fuelle(page(), { name: "Test" }, `/noten/kurse/${kurs}/leistungen`);
});
// Each test finds the same three marks, without a trace of the ones before.
beforeEach(async () => {
  await school.database.query("DELETE FROM note");
  await school.database.query("DELETE FROM halbjahresnote");
  await school.database.query("DELETE FROM betreiberzugriff");
  await school.database.query("ALTER TABLE journal.eintrag DISABLE TRIGGER ALL");
  await school.database.query("ALTER TABLE journal.glied DISABLE TRIGGER ALL");
  await school.database.query("DELETE FROM journal.glied");
  await school.database.query("DELETE FROM journal.eintrag");
  await school.database.query("ALTER TABLE journal.eintrag ENABLE TRIGGER ALL");
  await school.database.query("ALTER TABLE journal.glied ENABLE TRIGGER ALL");
  await enter(lehrer, { n0_0: "1", n1_0: "2", n2_0: "3", n0_h: "1" });
});

const page = () => `/noten/kurse/${kurs}?halbjahr=2`;
async function enter(wer: Besucher, cells: Record<string, string>): Promise<void> {
  const answer = await wer.fuelle(page(), cells, `/noten/kurse/${kurs}`);
  expect(answer.location).toContain("erledigt=noten");
}
async function shown(): Promise<Record<string, string>> {
  const values = werteIn((await lehrer.get(page())).text, `/noten/kurse/${kurs}`);
  return Object.fromEntries(["n0_0", "n1_0", "n2_0", "n0_h"].map((cell) => [cell, String(values[cell])]));
}
const all = { n0_0: "1", n1_0: "2", n2_0: "3", n0_h: "1" };

const command = (name: string, input: object) => asOperator(school, name, { ...why, ...input });
/** As somebody who owns the database server. */
const behindTheBack = (sql: string, values: readonly unknown[] = []) => school.database.query(sql, values);
const found = async () =>
  (await command("verify-journal", {})).findings.map(({ what }: { what: string }) => what).sort();

describe("verify", () => {
  test("R30 finds nothing where nothing was done, also after marks were changed, removed and taken back in the app", async () => {
    expect(await command("verify-journal", {})).toEqual({ marks: 4, chain: [], findings: [] });
    await enter(lehrer, { n0_0: "2", n1_0: "" });
    await lehrer.fuelle(page(), {}, `/noten/kurse/${kurs}/zuruecknehmen`);
    expect(await command("verify-journal", {})).toEqual({ marks: 4, chain: [], findings: [] });
  });

  test("R30 finds a mark that was changed, removed, brought back or added behind the app's back", async () => {
    const [first] = await behindTheBack(
      "SELECT n.id, n.leistung_id, n.kurs_id, n.person_id, n.verschlossen FROM note n ORDER BY n.id LIMIT 1",
    );
    // An older state of the same mark, put in again: it opens, and is not what the journal has last.
    await enter(lehrer, { n0_0: "5", n1_0: "5", n2_0: "5" });
    await behindTheBack("UPDATE note SET verschlossen = $2 WHERE id = $1", [first?.id, first?.verschlossen]);
    expect(await found()).toEqual(["changed"]);
    await behindTheBack("DELETE FROM note WHERE id = $1", [first?.id]);
    expect(await found()).toEqual(["missing"]);
    await behindTheBack("UPDATE halbjahresnote SET verschlossen = 'kaputt'");
    expect(await found()).toEqual(["missing", "unreadable"]);
    await behindTheBack(
      "INSERT INTO note (id, leistung_id, kurs_id, person_id, verschlossen, geaendert_am) VALUES (gen_random_uuid(), $1, $2, $3, $4, now() + interval '1 hour')",
      [first?.leistung_id, first?.kurs_id, first?.person_id, first?.verschlossen],
    );
    expect(await found()).toEqual(["missing", "unreadable", "without-entry"]);
  });

  test("R30 R44 finds marks that were swapped between two tests or two children, and puts each back where it was entered", async () => {
    await lehrer.fuelle(page(), { name: "Zweiter" }, `/noten/kurse/${kurs}/leistungen`);
    const zweiter = (await behindTheBack("SELECT id FROM leistung WHERE name = 'Zweiter'"))[0]?.id;
    await behindTheBack("UPDATE note SET leistung_id = $1 WHERE id = (SELECT n.id FROM note n ORDER BY n.id LIMIT 1)", [
      zweiter,
    ]);
    expect(await found()).toEqual(["moved"]);
    expect(await command("rebuild-marks", {})).toEqual({ rebuilt: 1, left: [] });
    expect(await found()).toEqual([]);
    await behindTheBack("DELETE FROM leistung WHERE id = $1", [zweiter]);
    expect(await shown()).toEqual(all);
  });

  test("R44 a mark that vanished behind the back and was entered anew stays as it was entered anew", async () => {
    await behindTheBack("DELETE FROM note WHERE id = (SELECT n.id FROM note n ORDER BY n.id LIMIT 1)");
    const before = await shown();
    const gone = Object.keys(before).find((cell) => before[cell] === "") ?? "";
    await enter(lehrer, { [gone]: "5" });
    expect(await found()).toEqual(["missing"]);
    expect(await command("rebuild-marks", {})).toEqual({ rebuilt: 1, left: [] });
    expect(await shown()).toEqual({ ...all, [gone]: "5" });
    expect(await found()).toEqual([]);
    // And if the new one vanishes as well, that is what comes back.
    await behindTheBack("DELETE FROM note");
    await command("rebuild-marks", {});
    expect(await shown()).toEqual({ ...all, [gone]: "5" });
    expect(await found()).toEqual([]);
  });

  test("R44 of two marks that were swapped one alone is put back: the other one comes back with it, and is not lost", async () => {
    await lehrer.fuelle(page(), { name: "Zweiter" }, `/noten/kurse/${kurs}/leistungen`);
    const zweiter = (await behindTheBack("SELECT id FROM leistung WHERE name = 'Zweiter'"))[0]?.id;
    const { text } = await lehrer.get(page());
    const spalte = (name: string) =>
      new RegExp(`name="(n0_\\d+)"[^>]*aria-label="[^"]*, ${name}"`).exec(text)?.[1] ?? "";
    await enter(lehrer, { [spalte("Zweiter")]: "6" });
    const cells = async () => {
      const values = werteIn((await lehrer.get(page())).text, `/noten/kurse/${kurs}`);
      return [values[spalte("Test")], values[spalte("Zweiter")]];
    };
    expect(await cells()).toEqual(["1", "6"]);
    const [b] = await behindTheBack("DELETE FROM note WHERE leistung_id = $1 RETURNING *", [zweiter]);
    const [a] = await behindTheBack(
      "SELECT n.id, n.leistung_id FROM note n WHERE n.person_id = $1 AND n.leistung_id <> $2",
      [b?.person_id, zweiter],
    );
    await behindTheBack("UPDATE note SET leistung_id = $2 WHERE id = $1", [a?.id, zweiter]);
    await behindTheBack(
      "INSERT INTO note (id, leistung_id, kurs_id, person_id, verschlossen, geaendert_am) VALUES ($1, $2, $3, $4, $5, $6)",
      [b?.id, a?.leistung_id, b?.kurs_id, b?.person_id, b?.verschlossen, b?.geaendert_am],
    );
    expect(await found()).toEqual(["moved", "moved"]);
    await command("rebuild-marks", { marks: [a?.id] });
    expect(await cells()).toEqual(["1", "6"]);
    expect(await found()).toEqual([]);
    await behindTheBack("DELETE FROM note WHERE leistung_id = $1", [zweiter]);
    await behindTheBack("DELETE FROM leistung WHERE id = $1", [zweiter]);
  });

  test("R44 while marks are put back nobody enters any", async () => {
    await behindTheBack("DELETE FROM note");
    await Promise.all([command("rebuild-marks", {}), enter(andere, { n0_h: "2" })]);
    expect(await shown()).toEqual({ ...all, n0_h: "2" });
    expect(await found()).toEqual([]);
  });

  test("R30 R57 somebody whose key was destroyed is no finding, and gets no mark any more: the page says so, and stores nothing", async () => {
    const dora = await school.konto("Dora", "Kind", "schueler");
    await behindTheBack(
      "INSERT INTO einschreibung VALUES (gen_random_uuid(), $1, $2, daterange(heute() - 9, heute() + 9))",
      [kurs, dora.id],
    );
    await enter(lehrer, { n3_0: "2" });
    await asOperator(school, "destroy-person-key", { person: dora.id });
    expect(await found()).toEqual([]);
    const refused = await lehrer.fuelle(page(), { n0_0: "2", n3_0: "3" }, `/noten/kurse/${kurs}`);
    expect(refused.status).toBe(422);
    expect(refused.text).toContain("Dora Kind: Die Daten dieser Person sind endgültig gelöscht");
    expect(await shown()).toEqual(all);
    await behindTheBack("DELETE FROM einschreibung WHERE person_id = $1", [dora.id]);
  });

  test("R30 finds an entry that is gone, and one that was changed: the chain does not hold", async () => {
    await behindTheBack("ALTER TABLE journal.eintrag DISABLE TRIGGER ALL");
    await behindTheBack("DELETE FROM journal.eintrag WHERE id = (SELECT eintrag FROM journal.glied WHERE nummer = 2)");
    await behindTheBack(
      "UPDATE journal.eintrag SET objekt = 'anders' WHERE id = (SELECT eintrag FROM journal.glied WHERE nummer = 4)",
    );
    await behindTheBack("ALTER TABLE journal.eintrag ENABLE TRIGGER ALL");
    const { chain } = await command("verify-journal", {});
    expect(chain).toEqual([
      { link: 2, what: "entry missing" },
      { link: 4, what: "entry changed" },
    ]);
  });
});

describe("rebuild", () => {
  test("R44 brings back what is gone or wrong as the journal has it last, journaled itself; what has no entry is left and named", async () => {
    await enter(lehrer, { n1_0: "4" });
    await behindTheBack("DELETE FROM note");
    await behindTheBack("UPDATE halbjahresnote SET verschlossen = 'kaputt'");
    expect(await command("rebuild-marks", {})).toEqual({ rebuilt: 4, left: [] });
    expect(await shown()).toEqual({ ...all, n1_0: "4" });
    expect(await found()).toEqual([]);
    expect(await command("rebuild-marks", {})).toEqual({ rebuilt: 0, left: [] });
    const [entries] = await behindTheBack(
      "SELECT count(*)::int AS zahl FROM journal.eintrag WHERE aktion = 'zuruecknehmen' AND konto_id IS NULL",
    );
    expect(entries).toEqual({ zahl: 4 });
  });
});

describe("undo", () => {
  test("R45 what an account did since a time is shown first, then taken back; what others did since is a conflict and stays", async () => {
    school.travel(60_000);
    const since = school.now().toISOString();
    school.travel(1_000);
    // The thief: changes one, removes one, and changes one that somebody puts right afterwards.
    await enter(lehrer, { n0_0: "6", n1_0: "", n2_0: "6" });
    school.travel(1_000);
    await enter(andere, { n2_0: "3+" });
    const preview = await command("undo-account", { username: max.benutzername, since });
    expect([preview.applied, preview.marks.length, preview.conflicts.length]).toEqual([false, 2, 1]);
    expect(await shown()).toEqual({ n0_0: "6", n1_0: "", n2_0: "3+", n0_h: "1" });
    const done = await command("undo-account", { username: max.benutzername, since, apply: true });
    expect([done.applied, done.marks.length, done.conflicts.length]).toEqual([true, 2, 1]);
    expect(await shown()).toEqual({ ...all, n2_0: "3+" });
    expect(await found()).toEqual([]);
    await expect(command("undo-account", { username: "niemand", since })).rejects.toThrow("no account");
  });

  test("R45 is about what stands in a cell, whatever row that is: emptied and filled again, and filled by somebody else", async () => {
    school.travel(60_000);
    const since = school.now().toISOString();
    school.travel(1_000);
    await enter(lehrer, { n0_0: "", n1_0: "", n2_0: "" });
    await enter(lehrer, { n0_0: "6" });
    await enter(andere, { n1_0: "2-" });
    const done = await command("undo-account", { username: max.benutzername, since, apply: true });
    expect([done.marks.length, done.conflicts.length]).toEqual([2, 1]);
    expect(await shown()).toEqual({ n0_0: "1", n1_0: "2-", n2_0: "3", n0_h: "1" });
    expect(await found()).toEqual([]);
    // Repeated, it takes back nothing: the operator's own entries are somebody else's.
    expect((await command("undo-account", { username: max.benutzername, since, apply: true })).marks).toEqual([]);
    expect(await shown()).toEqual({ n0_0: "1", n1_0: "2-", n2_0: "3", n0_h: "1" });
  });

  test("R45 a mark whose column is gone cannot come back: it is named, and the rest is taken back", async () => {
    await lehrer.fuelle(page(), { name: "Kurz da" }, `/noten/kurse/${kurs}/leistungen`);
    const [row] = await behindTheBack("SELECT id FROM leistung WHERE name = 'Kurz da'");
    const column = String(row?.id);
    const { text } = await lehrer.get(page());
    const field = /name="(n0_\d+)"[^>]*aria-label="[^"]*, Kurz da"/.exec(text)?.[1] ?? "";
    await enter(lehrer, { [field]: "2" });
    school.travel(60_000);
    const since = school.now().toISOString();
    school.travel(1_000);
    const now = (await lehrer.get(page())).text;
    const test0 = /name="(n0_\d+)"[^>]*aria-label="[^"]*, Test"/.exec(now)?.[1] ?? "";
    await enter(lehrer, { [field]: "", [test0]: "6" });
    await lehrer.get(`/noten/leistungen/${column}`);
    expect((await lehrer.post(`/noten/leistungen/${column}/loeschen`, {})).status).toBe(303);
    const done = await command("undo-account", { username: max.benutzername, since, apply: true });
    expect([done.marks.length, done.conflicts.length, done.others.Note]).toEqual([1, 1, 1]);
    expect((await shown()).n0_0).toBe("1");
  });

  test("R48 the school sees each of them with its reason; without one nothing is done", async () => {
    await command("verify-journal", {});
    await command("rebuild-marks", {});
    const leitung = await school.angemeldet(await school.konto("Lea", "Leitung", "schulleitung"));
    const { text } = await leitung.get("/betreiber");
    expect(text).toContain("Protokoll geprüft");
    expect(text).toContain("Verdacht auf ein gestohlenes Passwort");
    expect(text).toContain("anna@betrieb");
    expect((await lehrer.get("/betreiber")).status).toBe(403);
    await expect(command("verify-journal", { reason: "" })).rejects.toThrow();
  });
});

test("R30 the app writes no entry of the past, which would be forgotten at once", async () => {
  const app = await school.database.connect("school_app");
  const write = (age: string) =>
    app.query(
      "INSERT INTO journal.eintrag (id, zeit, ressource, aktion, objekt) VALUES (gen_random_uuid(), now() - $1::interval, 'Konto', 'lesen', 'x')",
      [age],
    );
  await expect(write("31 days")).rejects.toThrow("an entry of the past");
  await write("1 minute");
  await app.end();
});

test("R32 the journal's days go after 30 days, with their links; younger ones stay although the app's clock is ahead", async () => {
  const old = randomUUID();
  await behindTheBack(
    "INSERT INTO journal.eintrag (id, zeit, ressource, aktion, objekt) VALUES ($1, now() - interval '31 days 1 hour', 'Konto', 'lesen', 'alt')",
    [old],
  );
  // A link of before, at the beginning; that of the entry above was made after younger ones, and stays until those go.
  await behindTheBack(
    "INSERT INTO journal.glied (nummer, zeit, eintrag, pruefwert) VALUES (0, now() - interval '31 days 2 hours', gen_random_uuid(), 'x')",
  );
  await behindTheBack(
    "CREATE TABLE journal.eintrag_20200101 PARTITION OF journal.eintrag FOR VALUES FROM ('2020-01-01') TO ('2020-01-02')",
  );
  await behindTheBack("ALTER TABLE journal.eintrag_20200101 OWNER TO school_journal");
  const before = await behindTheBack(
    "SELECT count(*)::int AS n FROM journal.eintrag WHERE zeit > now() - interval '30 days'",
  );
  const { app } = school.serving;
  await tidyUp({ ...app, now: () => new Date(Date.now() + 40 * 86_400_000) }, []);
  expect(await behindTheBack("SELECT FROM journal.eintrag WHERE id = $1", [old])).toEqual([]);
  expect(await behindTheBack("SELECT FROM journal.glied WHERE nummer = 0")).toEqual([]);
  expect(await behindTheBack("SELECT to_regclass('journal.eintrag_20200101') AS da")).toEqual([{ da: null }]);
  expect(
    await behindTheBack("SELECT count(*)::int AS n FROM journal.eintrag WHERE zeit > now() - interval '30 days'"),
  ).toEqual(before);
  expect((await command("verify-journal", {})).chain).toEqual([]);
});
