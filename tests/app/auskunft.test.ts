import { randomUUID } from "node:crypto";
import { gunzipSync } from "node:zlib";
import { compactDecrypt, exportJWK, generateKeyPair } from "jose";
import { beforeAll, describe, expect, test } from "vitest";
import { bericht } from "../../tenant-app/features/datenschutz/operator.ts";
import { liesSchema, personenspalten, type Schema, type Spalte } from "../../tenant-app/features/datenschutz/schema.ts";
import { verschliesse } from "../../tenant-app/features/noten/inhalt.ts";
import { register } from "../../tenant-app/features.ts";
import { sealFor } from "../../tenant-app/ground/crypto/personal.ts";
import { openDatabase } from "../../tenant-app/ground/database/database.ts";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";
import { rolePassword } from "../fixtures/school-database.ts";
import { asOperator } from "../fixtures/school-operator.ts";
import type { Besucher } from "../fixtures/school-visitor.ts";

let school: TestSchool;
let anna: TestKonto;
let bert: TestKonto;
let lehrerin: Besucher;
let schueler: Besucher;
let administrator: Besucher;
let schema: Schema;
beforeAll(async () => {
  school = await startSchool();
  anna = await school.konto("Anna", "Arendt", "lehrer");
  bert = await school.konto("Bert", "Brecht", "schueler");
  lehrerin = await school.angemeldet(anna);
  schueler = await school.angemeldet(bert);
  administrator = await school.angemeldet(await school.konto("Ada", "Min", "administrator"));
  schema = await alsBesitzer(liesSchema);
});

async function alsBesitzer<T>(work: Parameters<ReturnType<typeof openDatabase>["as"]>[1]): Promise<T> {
  const database = openDatabase({ ...school.database, user: "school_owner", password: rolePassword, max: 1 });
  try {
    return (await database.as({}, async (tx) => {
      await tx.run("SELECT set_config('classmind.umbau', 'ja', true)");
      return work(tx);
    })) as T;
  } finally {
    await database.close();
  }
}

const identity = { how: "Personalausweis im Sekretariat", by: "Frau Amt", on: "2026-11-02" };
const asked = { reason: "Antrag der Eltern", by: "olga", request: "DS-2026-17", identity };

/** The report about somebody, as it arrives at whoever asked for it. */
async function auskunft(person: string) {
  const pair = await generateKeyPair("ECDH-ES", { crv: "X25519", extractable: true });
  const { kty, crv, x } = await exportJWK(pair.publicKey);
  const answer = await asOperator(school, "disclose-person", { ...asked, person, recipient: { kty, crv, x } });
  const { plaintext } = await compactDecrypt(answer.sealedReport, pair.privateKey);
  const report = bericht.parse(JSON.parse(gunzipSync(plaintext).toString("utf8")));
  return { answer, report, text: JSON.stringify(report) };
}

async function recipient() {
  const { kty, crv, x } = await exportJWK((await generateKeyPair("ECDH-ES", { crv: "X25519" })).publicKey);
  return { kty, crv, x };
}

let count = 0;
/** A value of a type that stands nowhere else, as the report shows it, and as SQL. */
function marker({ typ, name }: Spalte, where: string): readonly [sql: string, shown: string] | undefined {
  count += 1;
  const day = new Date(Date.UTC(2031, 0, 1) + count * 86_400_000).toISOString().slice(0, 10);
  switch (typ) {
    case "text":
      return [`'marke-${where}-${name}-${count}'`, `marke-${where}-${name}-${count}`];
    case "uuid": {
      const id = randomUUID();
      return [`'${id}'`, id];
    }
    case "date":
      return [`'${day}'`, day];
    case "timestamp with time zone":
      return [`'${day} 11:22:33+00'`, `${day} 11:22:33`];
    case "daterange":
      return [`'[${day},2060-01-01)'`, `[${day},2060-01-01)`];
    case "jsonb":
      return [`'{"marke${count}": null}'`, `marke${count}`];
    case "integer":
    case "bigint":
    case "numeric":
      return [`${7_000_000 + count}`, `${7_000_000 + count}`];
    case "smallint":
      return [`${20_000 + count}`, `${20_000 + count}`];
    default:
      return undefined;
  }
}

/** What is planted in a column: as SQL, and as the report shows it if that can be told. */
function planted(
  tabelle: string,
  spalte: Spalte,
  own: ReadonlySet<string>,
  eigene: string,
  person: string,
): readonly [sql: string, shown: string | undefined] {
  const key = `${tabelle}.${spalte.name}`;
  if (spalte.name === eigene) return [`'${person}'`, undefined];
  const fixed = instead[key] ?? byType[spalte.typ];
  if (fixed) return fixed;
  if (own.has(spalte.name)) return [`'${randomUUID()}'`, undefined];
  const made = marker(spalte, tabelle);
  if (!made) throw new Error(`${key}: say in this test what stands in a ${spalte.typ}`);
  return made;
}

const byType: Readonly<Record<string, readonly [sql: string, shown: string | undefined]>> = {
  boolean: ["true", "true"],
  bytea: ["'\\x00'", undefined],
  xid8: ["'9999999'", "9999999"],
};

/** What a rule of the database does not take as it comes. */
const instead: Readonly<Record<string, readonly [sql: string, shown: string]>> = {
  "person.suchtext": ["DEFAULT", "mark"],
  // Copies of the person's, whatever is written.
  "konto.vorname": ["'x'", "marke-person-vorname"],
  "konto.nachname": ["'x'", "marke-person-nachname"],
  "konto.suchname": ["'x'", "person"],
  "konto.benutzername": ["'marke.benutzer'", "marke.benutzer"],
  "halbjahresnote.halbjahr": ["2", "2"],
  "noteneingabe.halbjahr": ["2", "2"],
  "hintergrundarbeit.ausgang": ["'gescheitert'", "gescheitert"],
  "schluessel.vernichtet.inhalte": ["'weg'", "weg"],
  "loeschung.inhalte": ["'weg'", "weg"],
  "eingelesene_person.art": ["'schueler'", "schueler"],
  "eingelesene_person.geburt": [`'\\x${"ab".repeat(32)}'`, "vorhanden"],
  "fremde_kennung.quelle": ["'asv'", "asv"],
  "fremde_kennung.kennung": [`'\\x${"ab".repeat(32)}'`, "vorhanden"],
  "schluessel.person.verpackt": [`'\\x01${"ab".repeat(60)}'`, "vorhanden"],
};

describe("R49 the report of all that is stored about somebody", () => {
  test("R49 holds a marker planted in every column of every table about that person, each with its purpose", async () => {
    const spalten = personenspalten(schema, register.disclosure);
    const person = randomUUID();
    const expected: [string, string, string][] = [];
    const client = await school.database.connect("postgres");
    await client.query("SET session_replication_role = replica");
    for (const [name, own] of spalten) {
      const tabelle = schema.tabellen.get(name);
      if (!tabelle) throw new Error(name);
      // Of each column that names somebody once: it alone must suffice.
      for (const eigene of own) {
        const values = tabelle.spalten.map((spalte) => planted(name, spalte, own, eigene, person));
        await client.query(
          `INSERT INTO ${tabelle.quoted} (${tabelle.spalten.map((spalte) => `"${spalte.name}"`).join(", ")})
           VALUES (${values.map(([sql]) => sql).join(", ")})`,
        );
        tabelle.spalten.forEach((spalte, index) => {
          const shown = values[index]?.[1];
          const told = register.disclosure[`${name}.${spalte.name}`];
          if (shown !== undefined && !told?.open)
            expected.push([name, spalte.name, told?.withheld ? "vorhanden" : shown]);
        });
      }
    }
    await client.end();
    const { report } = await auskunft(person);
    const missing = expected.filter(([tabelle, spalte, shown]) => {
      const found = report.abschnitte.filter((one) => one.tabelle === tabelle && one.art === "ueber");
      return !found.some(({ spalten: columns, zeilen }) => {
        const index = columns.findIndex(({ name, zweck }) => name === spalte && zweck.length > 3);
        return index >= 0 && zeilen.some((zeile) => zeile[index]?.includes(shown));
      });
    });
    expect(missing).toEqual([]);
    expect(expected.length).toBeGreaterThan(90);
    expect(new Set(expected.map(([tabelle]) => tabelle)).size).toBeGreaterThan(20);
  });

  test("R49 knows of every column what it is: none names somebody by an id, and none is sealed, of which nobody says so", () => {
    const spalten = personenspalten(schema, register.disclosure);
    // Ids of what is no person.
    const others = new Set(
      "datei_abraum.id zugang.vorgang einmalpasswort_formular.vorgang schluessel.person.kennung journal.glied.eintrag noteneingabe_schritt.note_id schluessel.vernichtet.zeichen klassenmitglied.sammlung klassenleitung.sammlung unterrichtsauftrag.sammlung einschreibung.sammlung journal.bereinigt.eintrag journal.bereinigt.zeichen".split(
        " ",
      ),
    );
    const refers = new Set(schema.verweise.map(({ tabelle, spalte }) => `${tabelle}.${spalte}`));
    const unknown: string[] = [];
    for (const { name, spalten: columns, zweck } of schema.tabellen.values()) {
      if (name === "schema_migration") continue;
      expect(zweck, name).toBeTruthy();
      for (const spalte of columns) {
        const key = `${name}.${spalte.name}`;
        const told = register.disclosure[key];
        const isKnown =
          spalte.name === "id" || refers.has(key) || spalten.get(name)?.has(spalte.name) || others.has(key);
        if (spalte.typ === "uuid" && !isKnown) unknown.push(key);
        if (spalte.typ === "bytea" && spalten.has(name) && !told?.open && !told?.withheld) unknown.push(key);
      }
    }
    expect(unknown).toEqual([]);
    const columns = new Set(
      [...schema.tabellen.values()].flatMap(({ name, spalten: all }) => all.map((one) => `${name}.${one.name}`)),
    );
    expect(Object.keys(register.disclosure).filter((key) => !columns.has(key))).toEqual([]);
  });

  test("R49 opens what is sealed: contact data, marks, messages, drafts, files, and what the journal says of the person", async () => {
    await pflanzeKontakt();
    const message = randomUUID();
    const fields = {
      vorgang: message,
      an: [anna.id],
      betreff: "Marke Betreff",
      inhalt: "Marke Inhalt",
      schritt: "senden",
    };
    expect((await schueler.fuelle("/nachrichten/neu", fields, "/nachrichten")).status).toBe(303);
    const received = {
      vorgang: randomUUID(),
      an: [bert.id],
      betreff: "Marke erhalten",
      inhalt: "x",
      schritt: "senden",
    };
    expect((await lehrerin.fuelle("/nachrichten/neu", received, "/nachrichten")).status).toBe(303);
    await schueler.get("/dateien");
    await schueler.upload("Marke Datei.pdf", Buffer.from("x"));
    await alsBesitzer(async (tx) => {
      const seal = await sealFor(tx, school.serving.app.fieldKey, bert.id, school.now());
      const [jahr, fach, kurs, note] = [randomUUID(), randomUUID(), randomUUID(), randomUUID()];
      await tx.run(
        "INSERT INTO schuljahr (id, name, von, zweites_halbjahr_ab, bis) VALUES ($1, '26', '2026-08-01', '2027-02-01', '2027-07-31')",
        [jahr],
      );
      await tx.run("INSERT INTO fach (id, kuerzel, name) VALUES ($1, 'MA', 'Mathe')", [fach]);
      await tx.run("INSERT INTO kurs (id, schuljahr_id, fach_id, name) VALUES ($1, $2, $3, 'Markenkurs')", [
        kurs,
        jahr,
        fach,
      ]);
      await tx.run(
        "INSERT INTO halbjahresnote (id, kurs_id, halbjahr, person_id, verschlossen, geaendert_am) VALUES ($1, $2, 1, $3, $4, now())",
        [note, kurs, bert.id, verschliesse(seal, "halbjahresnote", note, { note: "2+" })],
      );
      await tx.run(
        "INSERT INTO nachricht_entwurf (id, person_id, verschlossen, geaendert_am) VALUES ($1, $2, $3, now())",
        [
          jahr,
          bert.id,
          seal({ table: "nachricht_entwurf", column: "verschlossen", row: jahr }, '{"betreff":"Marke Entwurf"}'),
        ],
      );
    });
    const { report, text } = await auskunft(bert.benutzername);
    for (const marke of [
      "Markenweg 7",
      "Marke Betreff",
      "Marke Inhalt",
      "Marke erhalten",
      "Marke Datei.pdf",
      "Markenkurs",
      "Marke Entwurf",
      "Anna Arendt",
    ]) {
      expect(text, marke).toContain(marke);
    }
    const marks = report.abschnitte.find(({ tabelle }) => tabelle === "halbjahresnote");
    expect(marks?.zeilen.flat()).toContain("2+");
    expect(marks?.zeilen.flat().join()).toContain("Markenkurs");
    expect(report.abschnitte.slice(0, 3).map(({ tabelle }) => tabelle)).toEqual(["person", "konto", "kontaktdaten"]);
    expect(text).not.toContain("nicht lesbar");
    // Nothing with which somebody could pass for the person, and nobody else's affairs.
    const [zugang] = await school.database.query<{ passwort: string }>(
      "SELECT passwort FROM zugang WHERE konto_id = $1",
      [bert.id],
    );
    expect(text).not.toContain(zugang?.passwort);
    expect(text).not.toContain(anna.benutzername);
    const journal = report.abschnitte.find(({ tabelle }) => tabelle === "journal.eintrag");
    expect(JSON.stringify(journal)).toContain("auskunft");
  });

  test("R49 is refused without a request and without how, by whom and when the identity was checked; then nothing is read or noted", async () => {
    const before = await school.database.query("SELECT FROM betreiberzugriff");
    const whole = { ...asked, person: bert.benutzername, recipient: await recipient() };
    for (const lacking of [
      { ...whole, request: undefined },
      { ...whole, request: " " },
      { ...whole, identity: undefined },
      { ...whole, identity: { ...identity, how: "" } },
      { ...whole, identity: { ...identity, by: "" } },
      { ...whole, identity: { ...identity, on: "gestern" } },
      { ...whole, identity: { ...identity, on: "2999-01-01" } },
      { ...whole, reason: undefined },
      { ...whole, person: "niemand" },
    ]) {
      await expect(asOperator(school, "disclose-person", lacking)).rejects.toThrow();
    }
    expect(await school.database.query("SELECT FROM betreiberzugriff")).toHaveLength(before.length);
  });

  test("R48 R49 the school is shown that it was made, for whom, and why; nothing of it leaves in clear", async () => {
    const { answer } = await auskunft(bert.benutzername);
    expect(Object.keys(answer).sort()).toEqual(["person", "rows", "sealedReport", "tables"]);
    expect(answer.sealedReport).toMatch(/^[\w-]+\.[\w-]*\.[\w-]+\.[\w-]+\.[\w-]+$/);
    const { text } = await administrator.get("/betreiber");
    for (const words of [
      `Auskunft über ${bert.benutzername}`,
      "DS-2026-17",
      "Personalausweis im Sekretariat",
      "Antrag der Eltern",
      "olga",
    ]) {
      expect(text).toContain(words);
    }
    // The next report says so itself, of this person and of nobody whose user name begins alike.
    const again = await auskunft(bert.benutzername);
    expect(again.report.abschnitte.some(({ tabelle }) => tabelle === "betreiberzugriff")).toBe(true);
    const other = await school.konto("Bert", "Brecht", "schueler");
    expect(other.benutzername).toBe(`${bert.benutzername}2`);
    const theirs = await auskunft(other.benutzername);
    const rows = theirs.report.abschnitte.find(({ tabelle }) => tabelle === "betreiberzugriff")?.zeilen ?? [];
    expect(rows).toHaveLength(1);
  });
});

test("R19 R48 R49 of somebody without an account the operator's accesses are told, and name nobody once the person is deleted by hand", async () => {
  const id = randomUUID();
  const vater = "INSERT INTO person (id, vorname, nachname, angelegt_am) VALUES ($1, 'Viktor', 'Vater', now())";
  await school.database.query(vater, [id]);
  const { report } = await auskunft(id);
  const told = report.abschnitte.find(({ tabelle }) => tabelle === "betreiberzugriff")?.zeilen ?? [];
  expect(told).toHaveLength(1);
  expect(told.flat().join()).toContain("Auskunft über die Person");
  const naming = () => school.database.query("SELECT FROM betreiberzugriff WHERE was LIKE '%' || $1 || '%'", [id]);
  expect(await naming()).toHaveLength(1);
  await school.database.query("DELETE FROM person WHERE id = $1", [id]);
  expect(await naming()).toEqual([]);
  expect((await administrator.get("/betreiber")).text).toContain("Auskunft über eine gelöschte Person erstellt");
});

async function pflanzeKontakt(): Promise<void> {
  await alsBesitzer(async (tx) => {
    const seal = await sealFor(tx, school.serving.app.fieldKey, bert.id, school.now());
    await tx.run(
      "INSERT INTO kontaktdaten (konto_id, geaendert_am, anschrift_verschlossen, verschlossen_am) VALUES ($1, now(), $2, now())",
      [bert.id, seal({ table: "kontaktdaten", column: "anschrift", row: bert.id }, "Markenweg 7")],
    );
  });
}
