import { createSecretKey, randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { personalKeys } from "../../tenant-app/ground/crypto/personal.ts";
import { type Database, openDatabase } from "../../tenant-app/ground/database/database.ts";
import { addJournalDays } from "../../tenant-app/ground/journal/days.ts";
import { sealedValues } from "../../tenant-app/ground/journal/write.ts";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";
import { rolePassword } from "../fixtures/school-database.ts";
import type { Besucher } from "../fixtures/school-visitor.ts";

/** The journal: nothing is changed without an entry, no entry is changed, and what it holds of a person is sealed with that person's key. */

let school: TestSchool;
let owner: Database;
let adminKonto: TestKonto;
let admin: Besucher;
beforeAll(async () => {
  school = await startSchool();
  owner = openDatabase({ ...school.database, user: "school_owner", password: rolePassword, max: 1 });
  adminKonto = await school.konto("Ada", "Min", "administrator");
  admin = await school.angemeldet(adminKonto);
});
afterAll(() => owner.close());

interface Eintrag {
  readonly id: string;
  readonly person_id: string | null;
  readonly aktion: string;
  readonly werte: unknown;
  readonly verschlossen: Buffer | null;
}

const entriesOf = (objekt: string) =>
  school.database.query<Eintrag>(
    "SELECT id, person_id, aktion, werte, verschlossen FROM journal.eintrag WHERE objekt = $1 ORDER BY zeit, id",
    [objekt],
  );

async function valuesOf({ id, person_id, verschlossen }: Eintrag): Promise<unknown> {
  const schoolKey = createSecretKey(await readFile(join(school.secretsDir, "app-keys", "field-key")));
  return owner.as({}, async (tx) => {
    const keys = await personalKeys(tx, schoolKey, [person_id ?? ""]);
    return JSON.parse(keys.open(person_id ?? "", sealedValues(id), verschlossen ?? Buffer.alloc(0)).toString("utf8"));
  });
}

async function rename(konto: TestKonto, vorname: string): Promise<void> {
  const fields = { vorname, nachname: "Wandel", email: `${vorname.toLowerCase()}@schule.example` };
  expect((await admin.fuelle(`/konten/${konto.id}`, fields)).status).toBe(303);
}

/** As the app does it, but without a word in the journal. */
const silently = (sql: string, values: readonly unknown[]) =>
  school.serving.app.database.as({ konto: adminKonto.id }, (tx) => tx.run(sql, values));

describe("a change of what is journaled", () => {
  test("R43 without its entry is refused at commit, whoever makes it", async () => {
    const konto = await school.konto("Willi", "Wandel", "lehrer");
    const changes: readonly (readonly [string, readonly unknown[]])[] = [
      ["UPDATE person SET vorname = 'Still' WHERE id = $1", [konto.id]],
      ["UPDATE konto SET email = 'still@schule.example' WHERE id = $1", [konto.id]],
      ["UPDATE konto SET gesperrt_am = now() WHERE id = $1", [konto.id]],
      ["INSERT INTO konto_rolle (konto_id, rolle_id) VALUES ($1, 'schueler')", [konto.id]],
      ["DELETE FROM konto_rolle WHERE konto_id = $1", [konto.id]],
      ["INSERT INTO rolle (id, name) VALUES ($1, 'Still')", ["still"]],
      ["DELETE FROM recht WHERE rolle_id = $1", ["eltern"]],
      ["SELECT einmalpasswort_setzen($1, 'x', now() + interval '1 day', now(), gen_random_uuid())", [konto.id]],
    ];
    for (const [sql, values] of changes) {
      await expect(silently(sql, values), sql).rejects.toThrow("without an entry in the journal");
    }
    await expect(
      owner.as({}, (tx) => tx.run("UPDATE konto SET email = 'x@schule.example' WHERE id = $1", [konto.id])),
    ).rejects.toThrow("update of konto without an entry in the journal");
    const [row] = await school.database.query("SELECT email, gesperrt_am FROM konto WHERE id = $1", [konto.id]);
    expect(row).toMatchObject({ gesperrt_am: null, email: expect.not.stringMatching(/^(still|x)@/) });
  });

  test("is not let through by an entry of another transaction, nor by one about something else", async () => {
    const konto = await school.konto("Wanda", "Wandel", "lehrer");
    const other = await school.konto("Anders", "Wandel", "lehrer");
    await rename(konto, "Wanja");
    const change = "UPDATE konto SET email = 'still@schule.example' WHERE id = $1";
    await expect(silently(change, [konto.id])).rejects.toThrow("without an entry");
    const about =
      "INSERT INTO journal.eintrag (id, zeit, ressource, aktion, objekt) VALUES ($1, now(), 'Konto', 'bearbeiten', $2)";
    const withEntryAbout = (objekt: string) =>
      school.serving.app.database.as({ konto: adminKonto.id }, async (tx) => {
        await tx.run(change, [konto.id]);
        await tx.run(about, [randomUUID(), objekt]);
      });
    await expect(withEntryAbout(other.id)).rejects.toThrow("without an entry");
    await withEntryAbout(konto.id);
  });

  test("the app cannot say that it rebuilds the school", async () => {
    await expect(
      school.serving.app.database.as({ konto: adminKonto.id }, async (tx) => {
        await tx.run("SELECT set_config('classmind.umbau', 'ja', true)");
        await tx.run("DELETE FROM recht WHERE rolle_id = 'eltern'");
      }),
    ).rejects.toThrow("without an entry");
  });
});

describe("an entry", () => {
  test("R3 R43 names whom it concerns and which values changed; what they were and are is sealed with that person's key", async () => {
    const konto = await school.konto("Clara", "Wandel", "lehrer");
    await rename(konto, "Klara");
    const entries = await entriesOf(konto.id);
    const entry = entries.find(({ aktion }) => aktion === "bearbeiten");
    expect(entry).toMatchObject({
      person_id: konto.id,
      werte: { alt: ["email", "nachname", "vorname"], neu: expect.arrayContaining(["vorname"]) },
    });
    expect(entry && (await valuesOf(entry))).toMatchObject({ alt: { vorname: "Clara" }, neu: { vorname: "Klara" } });
    const everything = await school.database.query<{ zeile: string }>("SELECT e::text AS zeile FROM journal.eintrag e");
    for (const { zeile } of everything) expect(zeile).not.toMatch(/Clara|Klara|schule\.example/);
  });

  test("of a version before that holds values in clear loses them before it is stored", async () => {
    const id = randomUUID();
    const werte = { alt: { email: "alt@schule.example" }, neu: { email: "neu@schule.example", rollen: ["lehrer"] } };
    await school.serving.app.database.as({ konto: adminKonto.id }, (tx) =>
      tx.run(
        "INSERT INTO journal.eintrag (id, zeit, ressource, aktion, objekt, werte) VALUES ($1, now(), 'Konto', 'bearbeiten', $2, $3)",
        [id, id, JSON.stringify(werte)],
      ),
    );
    expect((await entriesOf(id))[0]?.werte).toEqual({ alt: ["email"], neu: ["email", "rollen"] });
  });

  test("is never changed and never removed, by the owner of the database neither", async () => {
    for (const sql of [
      "UPDATE journal.eintrag SET aktion = 'x'",
      "DELETE FROM journal.eintrag",
      "TRUNCATE journal.eintrag",
      "DELETE FROM journal.glied",
      "UPDATE journal.glied SET pruefwert = ''",
      "TRUNCATE journal.glied",
    ]) {
      await expect(
        owner.as({}, async (tx) => {
          await tx.run("SET LOCAL ROLE school_journal");
          await tx.run(sql);
        }),
        sql,
      ).rejects.toThrow("only added to");
    }
  });

  test("says who acted, whatever the app says; and a table is not emptied past it", async () => {
    const konto = await school.konto("Wer", "War", "lehrer");
    const id = randomUUID();
    await school.serving.app.database.as({ konto: adminKonto.id }, (tx) =>
      tx.run(
        "INSERT INTO journal.eintrag (id, zeit, konto_id, ressource, aktion, objekt) VALUES ($1, now(), $2, 'Konto', 'lesen', 'x')",
        [id, konto.id],
      ),
    );
    const [row] = await school.database.query<{ konto_id: string }>(
      "SELECT konto_id FROM journal.eintrag WHERE id = $1",
      [id],
    );
    expect(row?.konto_id).toBe(adminKonto.id);
    await expect(owner.as({}, (tx) => tx.run("TRUNCATE konto_rolle"))).rejects.toThrow("not emptied");
  });
});

describe("the chain", () => {
  const broken = () => school.database.query<{ was: string; eintrag: string }>("SELECT * FROM journal.pruefen()");

  test("holds, also of many who write at the same moment", async () => {
    const konten = await Promise.all(
      ["Eins", "Zwei", "Drei", "Vier"].map((name) => school.konto(name, "Wandel", "lehrer")),
    );
    const browsers = await Promise.all(konten.map((konto) => school.angemeldet(konto)));
    const rounds = [1, 2, 3, 4, 5];
    await Promise.all(
      browsers.map(async (browser, index) => {
        const passwort = konten[index]?.passwort ?? "";
        for (const round of rounds) {
          const angaben = { email: `e${round}@schule.example`, telefon: String(round), passwort };
          expect((await browser.fuelle("/profil", angaben)).status).toBe(303);
        }
      }),
    );
    expect(await broken()).toEqual([]);
    const [counted] = await school.database.query<{ luecken: number; ohne: number }>(
      `SELECT (SELECT max(nummer) - count(*) FROM journal.glied)::int AS luecken,
              (SELECT count(*) FROM journal.eintrag) - (SELECT count(*) FROM journal.glied) AS ohne`,
    );
    expect(Number(counted?.luecken)).toBe(0);
    expect(Number(counted?.ohne)).toBe(0);
  });

  test.each([
    ["a changed entry", "UPDATE journal.eintrag SET aktion = 'lesen' WHERE id = $1", "entry changed"],
    ["a removed entry", "DELETE FROM journal.eintrag WHERE id = $1", "entry missing"],
    ["a removed link", "DELETE FROM journal.glied WHERE eintrag = $1", "link missing"],
  ])("shows %s", async (_what, sql, was) => {
    const client = await school.database.connect("postgres");
    try {
      await client.query("BEGIN");
      await client.query("SET LOCAL session_replication_role = 'replica'");
      const { rows } = await client.query("SELECT eintrag FROM journal.glied ORDER BY nummer OFFSET 3 LIMIT 1");
      await client.query(sql, [rows[0]?.eintrag]);
      const found = await client.query<{ was: string }>("SELECT was FROM journal.pruefen()");
      expect(found.rows.map((row) => row.was)).toContain(was);
    } finally {
      await client.query("ROLLBACK");
      await client.end();
    }
  });
});

describe("its days", () => {
  const days = async () =>
    (
      await school.database.query<{ name: string }>(
        "SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'journal.eintrag'::regclass",
      )
    ).map(({ name }) => name);
  const inDays = (count: number) => new Date(Date.now() + count * 86_400_000);
  const nameOf = (date: Date) => `eintrag_${date.toISOString().slice(0, 10).replaceAll("-", "")}`;

  test("lie in partitions that are made ahead, each once, by the app itself", async () => {
    expect(await days()).toEqual(expect.arrayContaining([nameOf(new Date()), nameOf(inDays(13))]));
    const add = (now: Date) => school.serving.app.database.as({}, (tx) => addJournalDays(tx, now));
    expect(await add(new Date())).toBe(0);
    expect(await Promise.all([add(inDays(3)), add(inDays(3))]).then((made) => made.sort())).toEqual([0, 3]);
    // However far ahead somebody asks for: no more than there will be soon.
    expect(await add(inDays(4000))).toBeLessThanOrEqual(14);
    expect((await days()).length).toBeLessThan(50);
  });

  test("are not waited for while a dump reads what there is: others write on", async () => {
    const client = await school.database.connect("postgres");
    try {
      await client.query("BEGIN; LOCK TABLE journal.eintrag_rest IN ACCESS SHARE MODE");
      await client.query("SELECT set_config('search_path', '', true)");
      const begun = performance.now();
      const made = school.serving.app.database.as({}, (tx) => addJournalDays(tx, inDays(25)));
      const konto = await school.konto("Indes", "Wandel", "lehrer");
      await rename(konto, "Indessen");
      expect(await made).toBe(0);
      expect(performance.now() - begun).toBeLessThan(4_000);
    } finally {
      await client.end();
    }
  });

  test("one that was not made in time lies with the rest, and stays there", async () => {
    const far = inDays(50);
    await school.serving.app.database.as({}, (tx) =>
      tx.run(
        "INSERT INTO journal.eintrag (id, zeit, ressource, aktion, objekt) VALUES ($1, $2, 'Konto', 'lesen', 'x')",
        [randomUUID(), far],
      ),
    );
    await school.database.query("SELECT journal.tage_anlegen(heute() + 30, 30)");
    expect(await days()).toContain(nameOf(inDays(51)));
    expect(await days()).not.toContain(nameOf(far));
    expect(await school.database.query("SELECT FROM journal.eintrag_rest")).toHaveLength(1);
  });
});
