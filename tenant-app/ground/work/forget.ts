import type { Database } from "../database/database.ts";

/** Where and when to forget: a part of the app. */
interface Forgetting {
  readonly database: Database;
  now(): Date;
}

/**
 * Forgets what is older than it is kept, by a function of a migration, `(before)`, which yields how many there were.
 * @param sql the function's name
 * @param keptMs how long it is kept, milliseconds
 */
export async function forgetOlder({ database, now }: Forgetting, sql: string, keptMs: number): Promise<number> {
  const row = await database.as({}, (tx) =>
    tx.one<{ anzahl: number }>(`SELECT ${sql}($1) AS anzahl`, [new Date(now().getTime() - keptMs)]),
  );
  return row?.anzahl ?? 0;
}
