import { type Database, isReferenced, type Transaction } from "../database/database.ts";
import { type Counts, type Erasure, ofJournal, stepRows, sum } from "./erasure.ts";

/**
 * Erases people: first the key, with a word in the register, which no backup holds; then row by row what is about them, each step a
 * transaction of its own; the person last. Cut off anywhere, whoever comes next finds them in the register and goes on. A restored school
 * finds in it whom its older rows still know, and does the same before it opens.
 */

/** What an erasure needs of the app. */
export interface Eraser {
  readonly database: Database;
  readonly now: () => Date;
  /** Of all features and the ground, in their order (`inOrder`). */
  readonly erasures: readonly Erasure[];
  /** Notes in the journal how many rows of what went, and of whom by a sign that nothing else has. */
  record(tx: Transaction, sign: string, counts: Counts): Promise<void>;
  /** Asked between two steps: false stops it, where the next time goes on. */
  readonly goOn?: () => boolean;
}

/** So often it is begun anew when another row of this person came meanwhile, before it is left to the next time. */
const mostRounds = 5;

/**
 * Erases everybody who is due, and whoever was begun.
 * @param options.today day of the school (ISO 8601), if the database's clock has reached it; without it those alone who stand in the register: before a school opens
 * @returns how many people, and how many rows of each kind
 * @throws the first failure, after all others had their turn
 */
export async function eraseDue(eraser: Eraser, options: { readonly today?: string }): Promise<Counts> {
  const { database, now } = eraser;
  const due = await database.as({}, (tx) =>
    tx.all<{ person_id: string }>("SELECT person_id FROM offene_loeschungen($1::date)", [options.today ?? null]),
  );
  let done: Counts = {};
  const failures: unknown[] = [];
  for (const { person_id } of due) {
    if (eraser.goOn?.() === false) break;
    try {
      const sign = await database.as({ jetzt: now() }, (tx) => begin(tx, person_id, options.today));
      if (sign === undefined) continue;
      done = sum(done, await eraseOne(eraser, person_id, sign), { erasedPeople: 1 });
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) {
    throw failures[0];
  }
  return done;
}

/** The sign of somebody in the register; undefined for somebody who is not due any more. */
async function begin(tx: Transaction, person: string, today: string | undefined): Promise<string | undefined> {
  const row = await tx.one<{ sign: string | null }>("SELECT loeschung_beginnen($1, $2::date) AS sign", [
    person,
    today ?? null,
  ]);
  return row?.sign ?? undefined;
}

/** Everything about one person who stands in the register. */
async function eraseOne(eraser: Eraser, person: string, sign: string): Promise<Counts> {
  let done: Counts = {};
  for (let round = 1; ; round += 1) {
    for (const erasure of eraser.erasures) {
      done = sum(done, await untilNothingIsLeft(eraser, erasure, person, sign));
    }
    try {
      return sum(done, await last(eraser, person, sign));
    } catch (error) {
      if (!isReferenced(error) || round >= mostRounds) throw error;
    }
  }
}

async function untilNothingIsLeft(eraser: Eraser, erasure: Erasure, person: string, sign: string): Promise<Counts> {
  let done: Counts = {};
  for (;;) {
    const step = await eraser.database.as({ jetzt: eraser.now() }, async (tx) => {
      const counts = await erasure.step(tx, person);
      if (Object.keys(counts).length > 0) await eraser.record(tx, sign, counts);
      return counts;
    });
    done = sum(done, step);
    // Of no kind as many as a step takes: there are no more. What comes meanwhile is found when the person goes.
    if (Object.values(step).every((rows) => rows < stepRows)) return done;
  }
}

/** The person, and what was written about them since: one transaction. */
function last(eraser: Eraser, person: string, sign: string): Promise<Counts> {
  return eraser.database.as({ jetzt: eraser.now() }, async (tx) => {
    const gone = await tx.one<{ done: Counts }>("SELECT person_endgueltig_loeschen($1) AS done", [person]);
    const counts = sum(gone?.done ?? {}, await ofJournal.step(tx, person));
    await eraser.record(tx, sign, counts);
    return counts;
  });
}

/** For so long somebody who had a page open when a person was erased may have written in the journal about them; milliseconds. */
const lateMs = 3 * 24 * 60 * 60 * 1000;

/** Cleans what the journal was told of people while they were erased. Returns how many entries. */
export async function cleanLateEntries({ database, now }: Pick<Eraser, "database" | "now">): Promise<Counts> {
  const since = new Date(now().getTime() - lateMs);
  const people = await database.as({}, (tx) =>
    tx.all<{ person_id: string }>("SELECT person_id FROM kuerzlich_geloeschte($1)", [since]),
  );
  let done: Counts = {};
  for (const { person_id } of people) {
    done = sum(done, await database.as({}, (tx) => ofJournal.step(tx, person_id)));
  }
  return done;
}
