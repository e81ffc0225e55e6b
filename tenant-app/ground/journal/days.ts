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
