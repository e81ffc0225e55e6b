import type { Transaction } from "../database/database.ts";
import type { PersonVisit } from "../gate/visit.ts";
import { plainLetters } from "../konto/benutzername.ts";
import { likePattern } from "../konto/queries.ts";

/** Somebody who can be written to or given a file: a name and roles, nothing more. */
export interface Ansprechperson {
  readonly id: string;
  readonly name: string;
  readonly rollen: string;
}

/**
 * Who may be addressed: with the right for the whole school everybody; otherwise those whose role is there to be
 * spoken to, and whoever has written first. Parameters: $1 the person, $2 whether everybody.
 */
const reachable = `k.geloescht_am IS NULL AND k.gesperrt_am IS NULL AND k.id <> $1 AND ($2
   OR EXISTS (SELECT FROM konto_rolle kr JOIN rolle r ON r.id = kr.rolle_id AND r.aktiv AND r.ansprechbar WHERE kr.konto_id = k.id)
   OR EXISTS (SELECT FROM nachricht n JOIN nachricht_empfaenger e ON e.nachricht_id = n.id AND e.konto_id = $1
               WHERE n.absender_id = k.id))`;

const columns = `k.id, k.vorname || ' ' || k.nachname AS name,
  coalesce((SELECT string_agg(r.name, ', ' ORDER BY r.rang) FROM konto_rolle kr JOIN rolle r ON r.id = kr.rolle_id AND r.aktiv
             WHERE kr.konto_id = k.id), '') AS rollen`;

export const mostFound = 20;

/** People whose name contains the words; nobody for fewer than two letters. At most `mostFound`. */
export async function suchePersonen(tx: Transaction, visit: PersonVisit, suche: string): Promise<Ansprechperson[]> {
  const plain = plainLetters(suche.trim().slice(0, 100)).replace(/\s+/g, " ");
  if (plain.length < 2 || !visit.may("Adressbuch", "lesen")) {
    return [];
  }
  return tx.all<Ansprechperson>(
    `SELECT ${columns} FROM konto k WHERE ${reachable} AND k.suchname LIKE $3 ORDER BY k.nachname, k.vorname, k.id LIMIT $4`,
    [visit.person.kontoId, everybody(visit), likePattern(plain), mostFound],
  );
}

/** Those of the wanted people who may be addressed; others are left out without a word. */
export async function erreichbare(
  tx: Transaction,
  visit: PersonVisit,
  ids: readonly string[],
): Promise<Ansprechperson[]> {
  const wanted = ids.filter((id) => /^[0-9a-f-]{36}$/.test(id)).slice(0, 500);
  if (wanted.length === 0 || !visit.may("Adressbuch", "lesen")) {
    return [];
  }
  return tx.all<Ansprechperson>(
    `SELECT ${columns} FROM konto k WHERE ${reachable} AND k.id::text = ANY ($3::text[]) ORDER BY k.nachname, k.vorname, k.id`,
    [visit.person.kontoId, everybody(visit), wanted],
  );
}

function everybody(visit: PersonVisit): boolean {
  return visit.may("Adressbuch", "lesen", "schule");
}

export interface Personenwahl {
  readonly gewaehlt: readonly Ansprechperson[];
  readonly gefunden: readonly Ansprechperson[];
  readonly suche: string;
  readonly gesucht: boolean;
}

/** The state of a "choose people" part of a form: `an` are those ticked, `suche` is what was looked for. */
export async function personenwahl(
  tx: Transaction,
  visit: PersonVisit,
  an: readonly string[],
  suche: string,
): Promise<Personenwahl> {
  const gewaehlt = await erreichbare(tx, visit, an);
  const chosen = new Set(gewaehlt.map((person) => person.id));
  const gefunden = (await suchePersonen(tx, visit, suche)).filter((person) => !chosen.has(person.id));
  return { gewaehlt, gefunden, suche, gesucht: suche.trim() !== "" };
}
