import type { Transaction } from "../../ground/database/database.ts";

export interface Zugang {
  readonly passwort: string;
  readonly einmalig_bis: Date | null;
}

/** The account's own password hash; only visible to a transaction that acts as this account. */
export function eigenerZugang(tx: Transaction, kontoId: string): Promise<Zugang | undefined> {
  return tx.one<Zugang>("SELECT passwort, einmalig_bis FROM zugang WHERE konto_id = $1", [kontoId]);
}
