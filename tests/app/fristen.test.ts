import { randomBytes, randomUUID } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import { register } from "../../tenant-app/features.ts";
import { tidyUp } from "../../tenant-app/ground/work/daily.ts";
import { startSchool, type TestKonto, type TestSchool } from "../fixtures/school.ts";

/** How long what is. Each table says it here; one that does not fails the test. */

let school: TestSchool;
let anna: TestKonto;
let kurs: string;
beforeAll(async () => {
  school = await startSchool();
  anna = await school.konto("Anna", "Arendt", "lehrer");
  const [jahr, fach] = [randomUUID(), randomUUID()];
  kurs = randomUUID();
  for (const [sql, values] of [
    ["INSERT INTO schuljahr VALUES ($1, 'Ein Jahr', heute() - 100, heute() + 100, heute())", [jahr]],
    ["INSERT INTO fach VALUES ($1, 'M', 'Mathematik')", [fach]],
    ["INSERT INTO kurs VALUES ($1, $2, $3, 'Mathe 5a')", [kurs, jahr, fach]],
  ] as const)
    await school.database.query(sql, values);
});

const HOUR = 1 / 24;

/** Days after which a row is gone, and a row that is so many days old: the statement, `$1` its age in days. */
interface Frist {
  readonly days: number;
  /** How exactly it is kept, in days; minutes if absent. */
  readonly grain?: number;
  insert(): readonly [sql: string, values: readonly unknown[]];
}
const ago = "now() - $1 * interval '1 day'";

const FRISTEN: Readonly<Record<string, Frist>> = {
  sitzung: {
    days: 2 * HOUR,
    insert: () => [
      `INSERT INTO sitzung (schluessel, sicherheit, konto_id, begonnen_am, zuletzt_am) VALUES ($2, $2, $3, ${ago}, ${ago})`,
      [randomBytes(32), anna.id],
    ],
  },
  anmeldebremse: {
    days: 1,
    insert: () => [`INSERT INTO anmeldebremse (eimer, fehler, zuletzt_am) VALUES ($2, 1, ${ago})`, [randomBytes(32)]],
  },
  einmalpasswort_formular: {
    days: 30,
    insert: () => [
      `INSERT INTO einmalpasswort_formular (konto_id, vorgang, am) VALUES ($2, $3, ${ago})`,
      [anna.id, randomUUID()],
    ],
  },
  passwortcode: {
    days: 1,
    insert: () => [
      `INSERT INTO passwortcode (konto_id, pruefwert, gueltig_bis, angefordert_am, gezaehlt_seit, anzahl)
       VALUES ($2, 'x', ${ago} + interval '30 minutes', ${ago}, ${ago}, 1)
       ON CONFLICT (konto_id) DO UPDATE SET gueltig_bis = excluded.gueltig_bis, gezaehlt_seit = excluded.gezaehlt_seit`,
      [anna.id],
    ],
  },
  noteneingabe: {
    days: 30,
    insert: () => [
      `INSERT INTO noteneingabe (id, kurs_id, halbjahr, konto_id, zeit) VALUES ($2, $3, 1, $4, ${ago})`,
      [randomUUID(), kurs, anna.id],
    ],
  },
  hintergrundarbeit: {
    days: 30,
    insert: () => [
      `INSERT INTO hintergrundarbeit (id, art, person_id, auftrag, angelegt_am, beendet_am, ausgang)
       VALUES ($2, 'x', $3, '\\x00', ${ago}, ${ago}, 'fertig')`,
      [randomUUID(), anna.id],
    ],
  },
  auftragsaenderung: {
    days: 30,
    insert: () => [
      `INSERT INTO auftragsaenderung (zeit, konto_id, kurs_id, person_id) VALUES (${ago}, $2, $3, $2)`,
      [anna.id, kurs],
    ],
  },
  betreiberzugriff: {
    days: 365,
    insert: () => [
      `INSERT INTO betreiberzugriff (id, zeit, was, grund, von) VALUES ($2, ${ago}, 'Geprüft', 'Test', 'root')`,
      [randomUUID()],
    ],
  },
  verbindung: {
    // A day before the thirty that are promised, whenever the daily work comes.
    days: 29,
    grain: 2 * HOUR,
    insert: () => [
      `INSERT INTO verbindung VALUES ('Firefox', 'Linux', 'PC', '192.0.2.1', date_trunc('hour', ${ago}, 'UTC'))`,
      [],
    ],
  },
  datei_entfernung: {
    days: 30,
    insert: () => [
      `INSERT INTO datei_entfernung (id, besitzer_id, verschlossen, entfernt_am, gelesen_am)
       VALUES ($2, $3, '\\x00', ${ago} - interval '90 days', ${ago})`,
      [randomUUID(), anna.id],
    ],
  },
  einlesung: {
    days: 1,
    insert: () => [
      `INSERT INTO einlesung (id, person_id, angaben, begonnen_am) VALUES ($2, $3, '\\x00', ${ago})`,
      [randomUUID(), anna.id],
    ],
  },
  datei_abraum: {
    days: 1,
    insert: () => [`INSERT INTO datei_abraum (id, geloescht_am) VALUES ($2, ${ago})`, [randomUUID()]],
  },
};

/** What stays until somebody deletes it, or the account, or what it belongs to. */
const BLEIBT = new Set([
  ...[
    "person",
    "konto",
    "kontaktdaten",
    "elternschaft",
    "zugang",
    "zweitfaktor",
    "wiederherstellungscode",
    "zustimmung",
  ],
  ...["rolle", "recht", "konto_rolle"],
  ...[
    "schuljahr",
    "fach",
    "klasse",
    "klassenmitglied",
    "klassenleitung",
    "kurs",
    "unterrichtsauftrag",
    "einschreibung",
  ],
  ...["nachricht", "nachricht_empfaenger", "nachricht_datei", "nachricht_anhang_geloescht", "nachricht_entwurf"],
  ...["datei", "datei_freigabe"],
  // By what people and courses are known again in the next list.
  ...["eingelesene_person", "fremde_kennung", "kurskennung"],
  // Until the account it is about goes, after its thirty days.
  ...["loeschung", "archivabruf"],
  ...[
    "notenprofil",
    "notenkategorie",
    "notenschluessel",
    "notenschluesselstufe",
    "kursnoten",
    "leistung",
    "note",
    "halbjahresnote",
  ],
]);
/** Goes with what it is a part of. */
const MIT: Readonly<Record<string, string>> = { noteneingabe_schritt: "noteneingabe", einlesung_datei: "einlesung" };

describe("what is stored", () => {
  test("says how long, table by table", () => {
    const tables = register.features.flatMap(({ tables: own }) => own);
    const unsaid = tables.filter((table) => !(table in FRISTEN) && !BLEIBT.has(table) && !(table in MIT));
    expect(unsaid).toEqual([]);
  });

  test.each(Object.entries(FRISTEN))(
    "R32 in %s is there a moment before its time, and gone after it",
    async (table, frist) => {
      const count = async () =>
        Number((await school.database.query<{ n: string }>(`SELECT count(*) AS n FROM ${table}`))[0]?.n);
      const moment = frist.grain ?? Math.min(HOUR / 2, frist.days / 10);
      await school.database.query(`DELETE FROM ${table}`);
      const insert = async (age: number) => {
        const [sql, values] = frist.insert();
        await school.database.query(sql, [age, ...values]);
      };
      await insert(frist.days - moment);
      await tidyUp(school.serving.app, register.features);
      expect(await count()).toBe(1);
      await school.database.query(`DELETE FROM ${table}`);
      await insert(frist.days + moment);
      await tidyUp(school.serving.app, register.features);
      expect(await count()).toBe(0);
    },
  );

  test("as a record of what people did, or waits for somebody, is not forgotten early by an app whose clock is ahead", async () => {
    const tables = [
      "auftragsaenderung",
      "betreiberzugriff",
      "einmalpasswort_formular",
      "einlesung",
      "datei_entfernung",
      "verbindung",
    ] as const;
    for (const table of tables) {
      const frist = FRISTEN[table] as Frist;
      const [sql, values] = frist.insert();
      await school.database.query(sql, [Math.min(1, frist.days / 2), ...values]);
    }
    const { app } = school.serving;
    await tidyUp({ ...app, now: () => new Date(Date.now() + 5_000 * 86_400_000) }, register.features).catch(
      () => undefined,
    );
    for (const table of tables) {
      const [row] = await school.database.query<{ n: string }>(`SELECT count(*) AS n FROM ${table}`);
      expect(Number(row?.n), table).toBe(1);
    }
  });
});
