import type { Transaction } from "../../ground/database/database.ts";
import { resource } from "../../ground/gate/rights.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { type InputError, InputProblem } from "../../ground/pages/input.ts";
import { type Ansprechkonto, ansprechbareKonten, kontenMitNamen } from "../konten/public.ts";
import { hatGeschrieben } from "../nachrichten/public.ts";
import { gefunden, namenDer } from "../personen/public.ts";
import { istAnsprechbar, rollentext } from "../rollen/public.ts";
import { type Gruppe, gruppenVonHeute, klasseVon, personenDerGruppe } from "../struktur/public.ts";

/** What rules say of finding people. */
export const Adressbuch = resource({
  name: "Adressbuch",
  title: "Adressbuch",
  actions: { lesen: ["Personen finden", "mitglied", "schule"] },
});

/** Somebody who can be written to or given a file: a name, and what tells them from others of that name. */
export interface Ansprechperson extends Ansprechkonto {
  /** Class and roles; of namesakes the user name, too. */
  readonly zusatz: string;
}

interface Zeile extends Ansprechkonto {
  readonly klasse: string | null;
  readonly rollen: string;
  readonly benutzername: string;
}
const zusatzspalten = `${rollentext("k.id")} AS rollen, ${klasseVon("k.id")} AS klasse, k.benutzername`;

/** People as they are shown: two of one name in one list are told apart, for those who may know everybody by the user name if need be. */
function mitZusatz(visit: PersonVisit, rows: readonly Zeile[]): Ansprechperson[] {
  return rows.map(({ id, name, klasse, rollen, benutzername }) => {
    const doppelt = everybody(visit) && rows.some((other) => other.id !== id && other.name === name);
    const parts = [klasse ?? "", rollen, doppelt ? benutzername : ""];
    return { id, name, zusatz: parts.filter((text) => text !== "").join(" · ") };
  });
}

/**
 * SQL: who may be addressed. With the right for the whole school everybody ($2); otherwise those whose role is there to be
 * spoken to, and whoever has written first ($1: the person).
 */
const reachable = `$2 OR ${istAnsprechbar("k.id")} OR ${hatGeschrieben("k.id", "$1")}`;

/** A search shows no more at once, and says so. */
const mostFound = 20;
/** No more people can be chosen at once, and more are refused. */
export const mostChosen = 500;

/** What a search found, and how many there are in all. */
interface Found {
  readonly personen: readonly Ansprechperson[];
  readonly insgesamt: number;
}

/** People whose name contains the words; nobody for nothing to look for. */
async function suchePersonen(tx: Transaction, visit: PersonVisit, suche: string): Promise<Found> {
  if (suche.trim() === "" || !visit.may(Adressbuch.right("lesen"))) {
    return { personen: [], insgesamt: 0 };
  }
  const rows = await ansprechbareKonten<Zeile & { readonly insgesamt: number }>(tx, visit.person.accountId, {
    bedingung: `(${reachable}) AND ${gefunden("$3")}`,
    werte: [everybody(visit), suche],
    spalten: `${zusatzspalten}, (count(*) OVER ())::int AS insgesamt`,
    hoechstens: mostFound,
  });
  return { personen: mitZusatz(visit, rows), insgesamt: rows[0]?.insgesamt ?? 0 };
}

/** Those of the wanted people who may be addressed; `verhinderte`: who might be, were they not locked or gone. */
async function erreichbareVon(
  tx: Transaction,
  visit: PersonVisit,
  ids: readonly string[],
  verhinderte?: true,
): Promise<Ansprechperson[]> {
  const wanted = ids.filter((id) => /^[0-9a-f-]{36}$/.test(id));
  if (wanted.length === 0 || !visit.may(Adressbuch.right("lesen"))) {
    return [];
  }
  const rows = await ansprechbareKonten<Zeile>(tx, visit.person.accountId, {
    bedingung: `(${reachable}) AND k.id::text = ANY ($3::text[])`,
    werte: [everybody(visit), wanted],
    spalten: zusatzspalten,
    hoechstens: mostChosen,
    ...(verhinderte ? { verhinderte } : {}),
  });
  return mitZusatz(visit, rows);
}

/**
 * Exactly the people who were chosen: all of them, or none.
 * @param ids as the form sent them
 * @param ohnehin people who count although they are not to be found any more, such as those who have it already
 * @throws InputProblem, with names and numbers, when there are too many or some can not be addressed any more
 */
export async function alleGewaehlten(
  tx: Transaction,
  visit: PersonVisit,
  ids: readonly string[],
  ohnehin: readonly string[] = [],
): Promise<readonly Ansprechperson[]> {
  const wanted = [...new Set(ids)].filter((id) => !ohnehin.includes(id));
  if (wanted.length > mostChosen) {
    const text = `Sie haben ${wanted.length} Personen gewählt, höchstens ${mostChosen} sind auf einmal möglich. Es wurde nichts gesendet oder gespeichert.`;
    throw new InputProblem({ field: "suche", text });
  }
  const found = await erreichbareVon(tx, visit, wanted);
  const problem = await fehlende(tx, visit, wanted, found);
  if (problem) {
    throw new InputProblem(problem);
  }
  return found;
}

/** What to say of those who were chosen and can not be addressed; undefined when there are none. */
export async function fehlende(
  tx: Transaction,
  visit: PersonVisit,
  wanted: readonly string[],
  found: ReadonlyArray<{ readonly id: string }>,
): Promise<InputError | undefined> {
  const missing = wanted.filter((id) => !found.some((person) => person.id === id));
  if (missing.length === 0) {
    return undefined;
  }
  // Nobody is named whom this person could not find anyway.
  const named = (await erreichbareVon(tx, visit, missing, true)).map(({ name }) => name);
  const unnamed = missing.length - named.length;
  const others = unnamed === 1 ? "eine weitere Person" : `${unnamed} weitere Personen`;
  const who = named.length > 0 ? [...named, ...(unnamed > 0 ? [others] : [])].join(", ") : ofThem(missing.length);
  const verb = missing.length === 1 ? "kann" : "können";
  const text = `${who} ${verb} nicht angeschrieben werden. Es wurde nichts gesendet oder gespeichert; die Auswahl zeigt, wer übrig ist.`;
  return { field: "suche", text };
}

function ofThem(count: number): string {
  return count === 1 ? "Eine der gewählten Personen" : `${count} der gewählten Personen`;
}

function everybody(visit: PersonVisit): boolean {
  return visit.may(Adressbuch.right("lesen"), "schule");
}

export interface Personenwahl {
  readonly gewaehlt: readonly Ansprechperson[];
  readonly gefunden: readonly Ansprechperson[];
  /** How many more there are that are not shown. */
  readonly weitere: number;
  readonly suche: string;
  readonly gesucht: boolean;
  /** Classes and courses whose people can be chosen together. */
  readonly gruppen: readonly Gruppe[];
  /** What adding one came to. */
  readonly dazu: { readonly anzahl: number; readonly ohne: string; readonly zuViele: boolean } | undefined;
}

/**
 * The state of a "choose people" part of a form: `an` are those ticked, `suche` is what was looked for.
 * @param ohnehin people who count although they may not be found any more, such as those who have it already
 */
export async function personenwahl(
  tx: Transaction,
  visit: PersonVisit,
  ticked: readonly string[],
  suche: string,
  ohnehin: readonly string[] = [],
): Promise<Personenwahl> {
  const { dazu, an } = await mitGruppe(tx, visit, ticked);
  const found = await erreichbareVon(tx, visit, an);
  const known = new Set(found.map((person) => person.id));
  const anyway = await kontenMitNamen(
    tx,
    an.filter((id) => ohnehin.includes(id) && !known.has(id)),
  );
  const gewaehlt = [
    ...found,
    ...anyway.map(({ id, name, gesperrt }) => ({ id, name, zusatz: gesperrt ? "gesperrt" : "" })),
  ];
  const chosen = new Set(gewaehlt.map((person) => person.id));
  const { personen, insgesamt } = await suchePersonen(tx, visit, suche);
  return {
    gewaehlt,
    gefunden: personen.filter((person) => !chosen.has(person.id)),
    weitere: insgesamt - personen.length,
    suche,
    gesucht: suche.trim() !== "",
    gruppen: everybody(visit) ? await gruppenVonHeute(tx) : [],
    dazu,
  };
}

/** Those ticked, with the people of a class or course if the form asks for one. Who of them cannot be addressed is named. */
async function mitGruppe(
  tx: Transaction,
  visit: PersonVisit,
  ticked: readonly string[],
): Promise<Pick<Personenwahl, "dazu"> & { readonly an: readonly string[] }> {
  if (visit.form.get("schritt") !== "gruppe" || !everybody(visit)) {
    return { dazu: undefined, an: ticked };
  }
  const people = (await personenDerGruppe(tx, visit.form.get("gruppe") ?? "")).filter((id) => !ticked.includes(id));
  const reachable = new Set((await erreichbareVon(tx, visit, people)).map(({ id }) => id));
  const zuViele = ticked.length + reachable.size > mostChosen;
  const missing = people.filter((id) => !reachable.has(id) && id !== visit.person.accountId);
  const ohne = (await namenDer(tx, missing)).join(", ");
  const dazu = { anzahl: zuViele ? 0 : reachable.size, ohne, zuViele };
  return { dazu, an: zuViele ? ticked : [...ticked, ...reachable] };
}

/**
 * Whether a form with such a part asks for people to be found, or to be done. Its first button is the one that the Enter key presses: it
 * looks for people if what to look for has changed since the last time, and else does what the form is for.
 */
export function willSuchen(form: URLSearchParams): boolean {
  const schritt = form.get("schritt");
  const suche = (form.get("suche") ?? "").trim();
  return (
    schritt === "suchen" ||
    schritt === "gruppe" ||
    (schritt === "eingabe" && suche !== (form.get("gesucht") ?? "").trim())
  );
}
