import type { Transaction } from "../database/database.ts";
import type { Relation } from "./rights.ts";

/**
 * What is true of one object for the acting account, as the database defines it.
 * @param view in the schema `bezug`, as a route declares it
 */
export async function relationTo(tx: Transaction, view: string, id: string, action: string): Promise<Relation> {
  const rows = await tx.all<{ umfang: string }>(
    `SELECT DISTINCT umfang FROM bezug.${view} WHERE id = $1 AND aktion = $2`,
    [id, action],
  );
  return Object.fromEntries(rows.map(({ umfang }) => [umfang, true]));
}
