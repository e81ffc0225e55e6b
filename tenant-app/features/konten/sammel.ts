import { isDuplicate, type Transaction } from "../../ground/database/database.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { entryOf } from "../../ground/journal/write.ts";
import { InputProblem } from "../../ground/pages/input.ts";
import { gefundenePersonen, listenname, type Namensangaben, vollerName } from "../personen/public.ts";
import { personenMitRolle, Rolle } from "../rollen/public.ts";
import { personenDerGruppe, schuleVonHeute } from "../struktur/public.ts";
import { neuesEinmalpasswort, setzeEinmalpasswoerter } from "../zugang/public.ts";
import type { NeuerZugang } from "./commands.ts";
import { gibVielenKonten, Konto } from "./public.ts";

/** Accounts for a whole class, course, all classes or all teachers at once, with slips to print. */

/** Groups that are more than one class or course. */
export const alleKlassen = "klassen";
export const lehrkraefte = "lehrkraefte";

export interface Mitglied extends Namensangaben {
  readonly id: string;
  readonly name: string;
  /** Undefined: without an account. */
  readonly benutzername: string | undefined;
  readonly angemeldet: boolean;
  /** Whether the acting account may give them a password: not to who manages more than they do. */
  readonly darf: boolean;
  /** Class under which their slip is sorted; empty where there is but one group. */
  readonly unter: string;
}

export interface Mitglieder {
  readonly mitglieder: readonly Mitglied[];
  /** Names of those whose account is marked for deletion: they belong to the group still, and get neither an account nor a slip. */
  readonly vorgemerkt: readonly string[];
}

/** Who belongs to a group today, by class and name, and whether they have an account. */
export async function mitgliederMitZugang(tx: Transaction, gruppe: string): Promise<Mitglieder> {
  const unter = await personenIn(tx, gruppe);
  const people = await gefundenePersonen(tx, [...unter.keys()]);
  const rows = await tx.all<{ id: string; benutzername: string; angemeldet: boolean; darf: boolean; geht: boolean }>(
    `SELECT k.id, k.benutzername, k.erste_anmeldung_am IS NOT NULL AS angemeldet, steht_nicht_ueber_mir(k.id) AS darf,
            k.geloescht_am IS NOT NULL AS geht
       FROM konto k WHERE k.id = ANY ($1::uuid[])`,
    [people.map(({ id }) => id)],
  );
  const accounts = new Map(rows.map((row) => [row.id, row]));
  const folge = [...new Set(unter.values())];
  const gehen = new Set(rows.filter(({ geht }) => geht).map(({ id }) => id));
  const mitglieder = people
    .filter(({ id }) => !gehen.has(id))
    .map((person) => ({
      ...person,
      name: listenname(person),
      benutzername: accounts.get(person.id)?.benutzername,
      angemeldet: accounts.get(person.id)?.angemeldet ?? false,
      darf: accounts.get(person.id)?.darf ?? true,
      unter: unter.get(person.id) ?? "",
    }))
    .sort((a, b) => folge.indexOf(a.unter) - folge.indexOf(b.unter));
  return { mitglieder, vorgemerkt: people.filter(({ id }) => gehen.has(id)).map(vollerName) };
}

/** People of a group, each with the class that their slip is sorted under. */
async function personenIn(tx: Transaction, gruppe: string): Promise<ReadonlyMap<string, string>> {
  if (gruppe !== alleKlassen && gruppe !== lehrkraefte) {
    return new Map((await personenDerGruppe(tx, gruppe)).map((id) => [id, ""]));
  }
  const { inKlassen, lehrend } = await schuleVonHeute(tx);
  if (gruppe === alleKlassen) return new Map(inKlassen.map(({ id, klasse }) => [id, `Klasse ${klasse}`]));
  const mitRolle = await personenMitRolle(tx, "lehrer");
  return new Map([...lehrend, ...mitRolle.keys()].map((id) => [id, ""]));
}

export interface Zettel extends NeuerZugang {
  readonly name: string;
  readonly unter: string;
}

/**
 * Gives everybody of a group who has none an account, in the role of pupils or teachers; and, if that is asked for, those who have never
 * signed in a new one-time password. All or nothing, in a few statements.
 * @param vorgang of the form: a password that it has set already is not set again
 * @throws InputProblem when there is nobody to do that for, or somebody else has just taken a user name
 */
export async function legeZugaengeAn(
  visit: PersonVisit,
  gruppe: string,
  auchNeuePasswoerter: boolean,
  vorgang: string,
): Promise<readonly Zettel[]> {
  try {
    return await visit.transaction((tx, jetzt) => lege(tx, jetzt, { gruppe, auchNeuePasswoerter, vorgang }));
  } catch (error) {
    if (!isDuplicate(error, "konto_benutzername_key") && !isDuplicate(error, "konto_pkey")) throw error;
    const text = "Gerade legt noch jemand Konten an. Es wurde nichts angelegt; bitte versuchen Sie es noch einmal.";
    throw new InputProblem({ field: "gruppe", text });
  }
}

interface Wunsch {
  readonly gruppe: string;
  readonly auchNeuePasswoerter: boolean;
  readonly vorgang: string;
}

async function lege(
  tx: Transaction,
  visit: PersonVisit,
  { gruppe, auchNeuePasswoerter, vorgang }: Wunsch,
): Promise<readonly Zettel[]> {
  const { mitglieder } = await mitgliederMitZugang(tx, gruppe);
  const ohne = mitglieder.filter(({ benutzername }) => benutzername === undefined);
  const nieDa = mitglieder.filter(
    ({ id, benutzername, angemeldet, darf }) =>
      auchNeuePasswoerter && benutzername !== undefined && !angemeldet && darf && id !== visit.person.accountId,
  );
  if (ohne.length + nieDa.length === 0) {
    const text = "In dieser Gruppe haben alle schon ein Konto. Es wurde nichts angelegt.";
    throw new InputProblem({ field: "gruppe", text });
  }
  // Who may not give roles makes accounts without one, as with a single account. Their mail address people enter themselves, if they have one.
  const rolle = !visit.may(Rolle.right("bearbeiten"), "schule")
    ? undefined
    : gruppe === lehrkraefte
      ? "lehrer"
      : "schueler";
  const neue = await gibVielenKonten(
    tx,
    visit.now,
    ohne.map(({ id, vorname, nachname }) => ({ id, vorname, nachname, email: "", rolle })),
  );
  const namen = new Map(neue.map(({ id, benutzername }) => [id, benutzername]));
  const zugaenge = mitglieder
    .filter((mitglied) => namen.has(mitglied.id) || nieDa.includes(mitglied))
    .map((mitglied) => ({ mitglied, ...neuesEinmalpasswort() }));
  const gesetzt = await setzeEinmalpasswoerter(
    tx,
    visit.now,
    vorgang,
    zugaenge.map(({ mitglied, pruefwert }) => ({ kontoId: mitglied.id, pruefwert })),
  );
  if (gesetzt.size < zugaenge.length) {
    const text =
      "Mit diesem Formular wurden schon Einmalpasswörter gesetzt und angezeigt; es wurden keine weiteren gesetzt. Öffnen Sie die Seite neu, wenn Sie neue brauchen.";
    throw new InputProblem({ field: "gruppe", text });
  }
  await visit.recordAll(tx, [
    ...neue.map(({ id, benutzername, rolle: eine }) => {
      const values = { neu: { benutzername, rollen: eine === undefined ? [] : [eine] } };
      return entryOf({ resource: Konto, deed: "anlegen", object: id, person: id, values });
    }),
    ...nieDa.map(({ id }) => entryOf({ resource: Konto, deed: "einmalpasswort", object: id, person: id })),
  ]);
  return zugaenge.map(({ mitglied, einmalpasswort }) => ({
    name: vollerName(mitglied),
    unter: mitglied.unter,
    benutzername: namen.get(mitglied.id) ?? mitglied.benutzername ?? "",
    einmalpasswort,
  }));
}
