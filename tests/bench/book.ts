import type { KeyObject } from "node:crypto";
import { randomUUID } from "node:crypto";
import { verschliesse } from "../../tenant-app/features/noten/inhalt.ts";
import { type PersonalSeal, sealFor } from "../../tenant-app/ground/crypto/personal.ts";
import type { Database } from "../../tenant-app/ground/database/database.ts";

/** A full book of marks in an invented school: a course of so many pupils, with so many columns. */

const COLUMNS = 12;
const PUPILS = 30;
const ORAL = "00000000-0000-4000-8000-000000000012";
const MARKS = ["1", "1-", "2+", "2", "2-", "3+", "3", "3-", "4+", "4", "5"];

export interface FullBook {
  readonly course: string;
  /** Account of who teaches it, and of one who takes part. */
  readonly teacher: string;
  readonly pupil: string;
}

/** The course that the book is of: the one with the most pupils up to as many as are wanted. */
const CHOSEN = `
  SELECT a.kurs_id AS course, min(a.person_id::text) AS teacher
    FROM unterrichtsauftrag a JOIN einschreibung e ON e.kurs_id = a.kurs_id AND e.gueltig @> CURRENT_DATE
   WHERE a.gueltig @> CURRENT_DATE GROUP BY a.kurs_id HAVING count(DISTINCT e.person_id) <= ${PUPILS}
   ORDER BY count(DISTINCT e.person_id) DESC, a.kurs_id LIMIT 1`;

/** Finds the book. @throws Error in a school without courses */
export async function findBook(ask: (statement: string) => Promise<readonly FullBook[]>): Promise<FullBook> {
  const [chosen] = await ask(CHOSEN);
  if (chosen === undefined) throw new Error("the invented school has no course");
  const [one] = await ask(
    `SELECT min(person_id::text) AS pupil FROM einschreibung WHERE kurs_id = '${chosen.course}' AND gueltig @> CURRENT_DATE`,
  );
  return { ...chosen, pupil: one?.pupil ?? "" };
}

/** Adds columns to the book until it has as many as are wanted, with a mark in each cell. As the owner of the database. */
export async function fillBook(database: Database, fieldKey: KeyObject, { course }: FullBook): Promise<void> {
  await database.as({}, async (tx) => {
    await tx.run("SELECT set_config('classmind.umbau', 'ja', true)");
    const there = await tx.all<{ halbjahr: number; datum: string }>(
      "SELECT halbjahr, datum::text FROM leistung WHERE kurs_id = $1",
      [course],
    );
    const pupils = await tx.all<{ person_id: string }>(
      "SELECT DISTINCT person_id FROM einschreibung WHERE kurs_id = $1 AND gueltig @> (SELECT heute())",
      [course],
    );
    const seals = new Map<string, PersonalSeal>();
    for (const { person_id } of pupils) seals.set(person_id, await sealFor(tx, fieldKey, person_id, new Date()));
    for (let number = there.length; number < COLUMNS; number += 1) {
      const column = randomUUID();
      await tx.run(
        `INSERT INTO leistung (id, kurs_id, halbjahr, kategorie_id, name, datum) VALUES ($1, $2, $3, $4, $5, $6)`,
        [column, course, there[0]?.halbjahr ?? 1, ORAL, `Stunde ${number}`, there[0]?.datum ?? "2026-09-01"],
      );
      for (const [at, { person_id }] of pupils.entries()) {
        const [id, seal] = [randomUUID(), seals.get(person_id)];
        if (seal === undefined) continue;
        await tx.run(
          "INSERT INTO note (id, leistung_id, kurs_id, person_id, verschlossen, geaendert_am) VALUES ($1, $2, $3, $4, $5, now())",
          [
            id,
            column,
            course,
            person_id,
            verschliesse(seal, "note", id, { note: MARKS[(at + number) % MARKS.length] ?? "3" }),
          ],
        );
      }
    }
  });
}

/** The same marks for the bare page: nothing sealed, no rights. */
export const BARE_MARKS = [
  `CREATE TABLE bare_note AS SELECT n.id, n.leistung_id, n.kurs_id, n.person_id, (1 + abs(hashtext(n.id::text)) % 5)::text AS wert FROM note n`,
  "CREATE INDEX ON bare_note (kurs_id)",
  "CREATE INDEX ON bare_note (person_id)",
  "ALTER TABLE bare_note ENABLE ROW LEVEL SECURITY",
];
