import { randomUUID } from "node:crypto";
import type { Transaction } from "../database/database.ts";
import type { Resource } from "../gate/rights.ts";

export interface Entry<Deed extends string> {
  /** Who did it; undefined for the operator's commands. */
  readonly by: string | undefined;
  readonly resource: Resource<string, Deed>;
  readonly deed: NoInfer<Deed>;
  /** What it was done to. */
  readonly object: string;
  /** Old and new values, never passwords, contents or anything that is stored encrypted. */
  readonly values?: object;
}

/** Appends to the journal in the same transaction as the change it records, so that neither exists alone (R43). */
export async function writeJournal<Deed extends string>(tx: Transaction, now: Date, entry: Entry<Deed>): Promise<void> {
  await tx.run(
    `INSERT INTO journal.eintrag (id, zeit, konto_id, ressource, aktion, objekt, werte)
     VALUES ($1, $2, $3, $4, $5, $6, $7)`,
    [
      randomUUID(),
      now,
      entry.by ?? null,
      entry.resource.name,
      entry.deed,
      entry.object,
      JSON.stringify(entry.values ?? {}),
    ],
  );
}
