import type { Transaction } from "../../ground/database/database.ts";
import { type NumberedPage, numbered } from "../../ground/pages/numbered.ts";
import { gefunden, mitPerson, nachNamen } from "../personen/public.ts";
import { rollennamen } from "../rollen/public.ts";

/** An account as the administration sees it. */
export interface Kontozeile {
  readonly id: string;
  readonly benutzername: string;
  readonly vorname: string;
  readonly nachname: string;
  readonly email: string;
  readonly angelegt_am: Date;
  readonly gesperrt_am: Date | null;
  readonly erste_anmeldung_am: Date | null;
  readonly version: number;
  readonly rollen: readonly string[];
}

const columns = `k.id, k.benutzername, p.vorname, p.nachname, k.email, k.angelegt_am, k.gesperrt_am, k.erste_anmeldung_am, k.version,
  ${rollennamen("k.id")} AS rollen`;

/** An account; deleted ones are not found. */
export function ladeKonto(tx: Transaction, id: string): Promise<Kontozeile | undefined> {
  return tx.one<Kontozeile>(
    `SELECT ${columns} FROM konto k ${mitPerson("k.id")} WHERE k.id = $1 AND k.geloescht_am IS NULL`,
    [id],
  );
}

/** One page of accounts by name; `suche` finds people by words of their names in any order, and by user names. */
export function listeKonten(tx: Transaction, suche: string, query: URLSearchParams): Promise<NumberedPage<Kontozeile>> {
  const from = `FROM konto k ${mitPerson("k.id")} WHERE k.geloescht_am IS NULL AND ${gefunden("$1", "k.benutzername")}`;
  return numbered<Kontozeile>(tx, { columns, from, order: nachNamen, values: [suche] }, query);
}
