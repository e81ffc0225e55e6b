import type { Transaction } from "../../ground/database/database.ts";
import { type NumberedPage, numbered } from "../../ground/pages/numbered.ts";
import { istVorhanden } from "../konten/public.ts";
import { klasseVon } from "../struktur/public.ts";
import { gefunden, nachNamen } from "./public.ts";

export interface Personenzeile {
  readonly id: string;
  readonly vorname: string;
  readonly nachname: string;
  readonly version: number;
  readonly angelegt_am: Date;
  /** Today's, if one may know. */
  readonly klasse: string | null;
  readonly konto: boolean;
}

const columns = `p.id, p.vorname, p.nachname, p.version, p.angelegt_am, ${klasseVon("p.id")} AS klasse, ${istVorhanden("p.id")} AS konto`;

export function ladePerson(tx: Transaction, id: string): Promise<Personenzeile | undefined> {
  return tx.one<Personenzeile & Record<string, unknown>>(`SELECT ${columns} FROM person p WHERE p.id = $1`, [id]);
}

/** One page of people by name, found by words of their names in any order. */
export function listePersonen(
  tx: Transaction,
  suche: string,
  query: URLSearchParams,
): Promise<NumberedPage<Personenzeile>> {
  const from = `FROM person p WHERE ${gefunden("$1")}`;
  return numbered<Personenzeile>(tx, { columns, from, order: nachNamen, values: [suche] }, query);
}
