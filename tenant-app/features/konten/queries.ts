import type { Transaction } from "../../ground/database/database.ts";
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

export const pageSize = 25;

export interface Kontenseite {
  readonly konten: readonly Kontozeile[];
  readonly gesamt: number;
  readonly seite: number;
  readonly seiten: number;
}

/** One page of accounts by name; `suche` finds people by words of their names in any order, and by user names. */
export async function listeKonten(tx: Transaction, suche: string, seite: number): Promise<Kontenseite> {
  const from = `FROM konto k ${mitPerson("k.id")} WHERE k.geloescht_am IS NULL AND ${gefunden("$1", "k.benutzername")}`;
  const count = await tx.one<{ gesamt: number }>(`SELECT count(*)::int AS gesamt ${from}`, [suche]);
  const gesamt = count?.gesamt ?? 0;
  const seiten = Math.max(1, Math.ceil(gesamt / pageSize));
  const current = Math.min(Math.max(1, seite), seiten);
  const konten = await tx.all<Kontozeile>(`SELECT ${columns} ${from} ORDER BY ${nachNamen} LIMIT $2 OFFSET $3`, [
    suche,
    pageSize,
    (current - 1) * pageSize,
  ]);
  return { konten, gesamt, seite: current, seiten };
}
