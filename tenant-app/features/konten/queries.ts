import type { Transaction } from "../../ground/database/database.ts";
import { likePattern, plainLetters } from "../../ground/database/search.ts";
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

const columns = `k.id, k.benutzername, k.vorname, k.nachname, k.email, k.angelegt_am, k.gesperrt_am, k.erste_anmeldung_am, k.version,
  ${rollennamen("k.id")} AS rollen`;

/** An account; deleted ones are not found. */
export function ladeKonto(tx: Transaction, id: string): Promise<Kontozeile | undefined> {
  return tx.one<Kontozeile>(`SELECT ${columns} FROM konto k WHERE k.id = $1 AND k.geloescht_am IS NULL`, [id]);
}

export const pageSize = 25;

export interface Kontenseite {
  readonly konten: readonly Kontozeile[];
  readonly gesamt: number;
  readonly seite: number;
  readonly seiten: number;
}

/** One page of accounts by name; `suche` finds parts of first, last and user names, umlauts spelled either way. */
export async function listeKonten(tx: Transaction, suche: string, seite: number): Promise<Kontenseite> {
  const pattern = likePattern(plainLetters(suche.trim().slice(0, 100)).replace(/\s+/g, " "));
  const where = "k.geloescht_am IS NULL AND (k.suchname LIKE $1 OR k.benutzername LIKE $1)";
  const count = await tx.one<{ gesamt: number }>(`SELECT count(*)::int AS gesamt FROM konto k WHERE ${where}`, [
    pattern,
  ]);
  const gesamt = count?.gesamt ?? 0;
  const seiten = Math.max(1, Math.ceil(gesamt / pageSize));
  const current = Math.min(Math.max(1, seite), seiten);
  const konten = await tx.all<Kontozeile>(
    `SELECT ${columns} FROM konto k WHERE ${where} ORDER BY k.nachname, k.vorname, k.id LIMIT $2 OFFSET $3`,
    [pattern, pageSize, (current - 1) * pageSize],
  );
  return { konten, gesamt, seite: current, seiten };
}
