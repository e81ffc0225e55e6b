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

/** Adds counts up. */
export function sum(...counts: readonly Counts[]): Counts {
  const total: Record<string, number> = {};
  for (const [name, count] of counts.flatMap((one) => Object.entries(one))) {
    total[name] = (total[name] ?? 0) + count;
  }
  return total;
}
