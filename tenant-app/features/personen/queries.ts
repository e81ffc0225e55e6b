import type { Transaction } from "../../ground/database/database.ts";
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

const pageSize = 25;

export interface Personenseite {
  readonly personen: readonly Personenzeile[];
  readonly gesamt: number;
  readonly seite: number;
  readonly seiten: number;
}

/** One page of people by name, found by words of their names in any order. */
export async function listePersonen(tx: Transaction, suche: string, seite: number): Promise<Personenseite> {
  const from = `FROM person p WHERE ${gefunden("$1")}`;
  const gesamt = (await tx.one<{ gesamt: number }>(`SELECT count(*)::int AS gesamt ${from}`, [suche]))?.gesamt ?? 0;
  const seiten = Math.max(1, Math.ceil(gesamt / pageSize));
  const current = Math.min(Math.max(1, seite), seiten);
  const personen = await tx.all<Personenzeile & Record<string, unknown>>(
    `SELECT ${columns} ${from} ORDER BY ${nachNamen} LIMIT $2 OFFSET $3`,
    [suche, pageSize, (current - 1) * pageSize],
  );
  return { personen, gesamt, seite: current, seiten };
}
