import { randomUUID } from "node:crypto";
import type { Transaction } from "../database/database.ts";

export interface Eintrag {
  /** Who did it; undefined for the operator's commands. */
  readonly kontoId: string | undefined;
  readonly ressource: string;
  readonly aktion: string;
  readonly objekt: string;
  /** Old and new values, never passwords, contents or anything that is stored encrypted. */
  readonly werte?: object;
}

/** Appends to the journal in the same transaction as the change it records, so that neither exists alone (R43). */
export async function journalisiere(tx: Transaction, now: Date, eintrag: Eintrag): Promise<void> {
  await tx.run(
    `INSERT INTO journal.eintrag (id, zeit, konto_id, ressource, aktion, objekt, werte)
     VALUES ($1, $2, $3, $4, $5, $6, $7)`,
    [
      randomUUID(),
      now,
      eintrag.kontoId ?? null,
      eintrag.ressource,
      eintrag.aktion,
      eintrag.objekt,
      JSON.stringify(eintrag.werte ?? {}),
    ],
  );
}
