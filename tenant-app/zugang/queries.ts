import type { Transaction } from "../database/database.ts";

export interface Anmeldekonto {
  readonly id: string;
  readonly gesperrt: boolean;
}

/** The account with this user name, deleted ones excepted. */
export function findeKonto(tx: Transaction, benutzername: string): Promise<Anmeldekonto | undefined> {
  return tx.one<Anmeldekonto>(
    "SELECT id, gesperrt_am IS NOT NULL AS gesperrt FROM konto WHERE benutzername = $1 AND geloescht_am IS NULL",
    [benutzername],
  );
}

export interface Zugang {
  readonly passwort: string;
  readonly einmalig_bis: Date | null;
}

/** The account's own password hash; only visible to a transaction that acts as this account. */
export function eigenerZugang(tx: Transaction, kontoId: string): Promise<Zugang | undefined> {
  return tx.one<Zugang>("SELECT passwort, einmalig_bis FROM zugang WHERE konto_id = $1", [kontoId]);
}
