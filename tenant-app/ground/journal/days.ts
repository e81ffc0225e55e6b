import type { Transaction } from "../database/database.ts";

/** Days for which the journal has partitions ahead. */
const daysAhead = 14;

/** Makes the journal's partitions of today and the days to come; returns how many were new. What is not made in time lies with the rest. */
export async function addJournalDays(tx: Pick<Transaction, "one">, now: Date): Promise<number> {
  const row = await tx.one<{ neu: number }>(
    "SELECT journal.tage_anlegen(($1::timestamptz AT TIME ZONE 'UTC')::date, $2) AS neu",
    [now, daysAhead],
  );
  return row?.neu ?? 0;
}

/** Days for which the journal is kept (R32). */
const daysKept = 30;

/** Forgets the journal's days that are past their time; returns how many partitions went. The database's own clock must agree. */
export async function forgetJournalDays(tx: Pick<Transaction, "one">, now: Date): Promise<number> {
  const row = await tx.one<{ weg: number }>(
    "SELECT journal.tage_loeschen(($1::timestamptz AT TIME ZONE 'UTC')::date - $2::integer) AS weg",
    [now, daysKept],
  );
  return row?.weg ?? 0;
}
