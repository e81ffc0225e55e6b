import type { Transaction } from "../../ground/database/database.ts";
import { likePattern, plainLetters } from "../../ground/database/search.ts";
import { resource } from "../../ground/gate/rights.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { type Ansprechkonto, ansprechbareKonten } from "../konten/public.ts";
import { hatGeschrieben } from "../nachrichten/public.ts";
import { istAnsprechbar, rollentext } from "../rollen/public.ts";

/** What rules say of finding people. */
export const Adressbuch = resource({
  name: "Adressbuch",
  title: "Adressbuch",
  actions: { lesen: ["Personen finden", "mitglied", "schule"] },
});

/** Somebody who can be written to or given a file: a name and roles, nothing more. */
export interface Ansprechperson extends Ansprechkonto {
  readonly rollen: string;
}

/**
 * SQL: who may be addressed. With the right for the whole school everybody ($2); otherwise those whose role is there to be
 * spoken to, and whoever has written first ($1: the person).
 */
const reachable = `$2 OR ${istAnsprechbar("k.id")} OR ${hatGeschrieben("k.id", "$1")}`;

export const mostFound = 20;
/** No more recipients at once. */
const most = 500;

/** People whose name contains the words; nobody for fewer than two letters. At most `mostFound`. */
export async function suchePersonen(tx: Transaction, visit: PersonVisit, suche: string): Promise<Ansprechperson[]> {
  const plain = plainLetters(suche.trim().slice(0, 100)).replace(/\s+/g, " ");
  if (plain.length < 2 || !visit.may(Adressbuch.right("lesen"))) {
    return [];
  }
  return ansprechbareKonten<Ansprechperson>(tx, visit.person.accountId, {
    bedingung: `(${reachable}) AND k.suchname LIKE $3`,
    werte: [everybody(visit), likePattern(plain)],
    spalten: `${rollentext("k.id")} AS rollen`,
    hoechstens: mostFound,
  });
}

/** Those of the wanted people who may be addressed; others are left out without a word. */
export async function erreichbare(
  tx: Transaction,
  visit: PersonVisit,
  ids: readonly string[],
): Promise<Ansprechperson[]> {
  const wanted = ids.filter((id) => /^[0-9a-f-]{36}$/.test(id)).slice(0, most);
  if (wanted.length === 0 || !visit.may(Adressbuch.right("lesen"))) {
    return [];
  }
  return ansprechbareKonten<Ansprechperson>(tx, visit.person.accountId, {
    bedingung: `(${reachable}) AND k.id::text = ANY ($3::text[])`,
    werte: [everybody(visit), wanted],
    spalten: `${rollentext("k.id")} AS rollen`,
    hoechstens: most,
  });
}

function everybody(visit: PersonVisit): boolean {
  return visit.may(Adressbuch.right("lesen"), "schule");
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
