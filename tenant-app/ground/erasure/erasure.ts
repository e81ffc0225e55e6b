import type { Transaction } from "../database/database.ts";

/** What was done, by a name for each kind of row, in numbers: a purge tells how many and never what. */
export type Counts = Readonly<Record<string, number>>;

/** At most so many rows of a kind go in one step. */
export const stepRows = 500;

/** What becomes of a feature's rows about somebody who is erased. What was chosen for their contents stands in the register: the database knows it. */
export interface Erasure {
  /** Every column that names a person, as `table.column`: a test finds those that no feature speaks of. */
  readonly columns: readonly string[];
  /**
   * One step, of at most a second, in one transaction: repeated until it has nothing left to do and says so with an empty object.
   * @throws what the database says to somebody who is not in the register
   */
  step(tx: Transaction, person: string): Promise<Counts>;
}

/**
 * An erasure by a function of the feature's migration, `(person, rows at most)` or `(person)`, which yields the counts as JSON.
 * @param sql the function's name
 */
export function erasedBy(sql: string, columns: readonly string[], options: { readonly bounded?: true } = {}): Erasure {
  const call = options.bounded ? `${sql}($1, ${stepRows})` : `${sql}($1)`;
  return {
    columns,
    step: async (tx, person) => (await tx.one<{ done: Counts }>(`SELECT ${call} AS done`, [person]))?.done ?? {},
  };
}

/** Several erasures of one feature as one. */
export function together(...all: readonly Erasure[]): Erasure {
  return {
    columns: all.flatMap(({ columns }) => columns),
    step: async (tx, person) => {
      const done: Counts[] = [];
      for (const { step } of all) done.push(await step(tx, person));
      return sum(...done);
    },
  };
}

/** Adds counts up. */
export function sum(...counts: readonly Counts[]): Counts {
  const total: Record<string, number> = {};
  for (const [name, count] of counts.flatMap((one) => Object.entries(one))) {
    total[name] = (total[name] ?? 0) + count;
  }
  return total;
}

/** What an account has of one kind, for those who decide what becomes of it; the words are for people. */
export interface Holding {
  readonly name: string;
  readonly count: number;
  /** What becomes of it when contents go, and when they stay without a name. */
  readonly gone: string;
  readonly anonymous: string;
}

/** Counts what somebody has, as `Feature.holdings`. */
export type Holdings = (tx: Transaction, person: string) => Promise<readonly Holding[]>;

/**
 * Holdings by a function of the feature's migration, `(person)`, which yields counts as JSON.
 * @param words of each count its name, what becomes of it when contents go, and what when they stay; one text for both
 */
export function heldBy(sql: string, words: Readonly<Record<string, readonly [string, string, string?]>>): Holdings {
  return async (tx, person) => {
    const counts = (await tx.one<{ held: Counts }>(`SELECT ${sql}($1) AS held`, [person]))?.held ?? {};
    return Object.entries(words).flatMap(([key, [name, gone, anonymous = gone]]) => {
      const count = counts[key] ?? 0;
      return count > 0 ? [{ name, count, gone, anonymous }] : [];
    });
  };
}

/** The ground's own rows about people. */
const ofGround: Erasure = erasedBy("arbeiten_der_person_loeschen", ["hintergrundarbeit.person_id"], { bounded: true });

/** The journal is cleaned and not removed: it keeps that something was done. */
export const ofJournal: Erasure = {
  columns: [
    "journal.eintrag.konto_id",
    "journal.eintrag.person_id",
    "journal.eintrag.objekt",
    "journal.geschrieben.objekt",
  ],
  step: async (tx, person) => {
    const row = await tx.one<{ done: number }>("SELECT journal.bereinigen($1, $2) AS done", [person, stepRows]);
    return row && row.done > 0 ? { protokolleintraege: row.done } : {};
  },
};

/**
 * Those who refer to others come first: the order of the register, backwards; the ground's own before and after.
 * @param ofFeatures in the order of the register
 */
export function inOrder(ofFeatures: readonly Erasure[]): readonly Erasure[] {
  return [ofGround, ...ofFeatures.toReversed(), ofJournal];
}
