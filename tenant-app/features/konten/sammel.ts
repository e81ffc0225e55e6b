import type { Transaction } from "../../ground/database/database.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { InputProblem } from "../../ground/pages/input.ts";
import { gefundenePersonen, listenname, type Namensangaben, vollerName } from "../personen/public.ts";
import { gibRollen, Rolle } from "../rollen/public.ts";
import { personenDerGruppe } from "../struktur/public.ts";
import { neuesEinmalpasswort, setzeEinmalpasswort } from "../zugang/public.ts";
import { gibKonto } from "./anlegen.ts";
import type { NeuerZugang } from "./commands.ts";
import { Konto } from "./public.ts";

/** Accounts for a whole class or course at once, with slips to print. */

export interface Mitglied extends Namensangaben {
  readonly id: string;
  readonly name: string;
  /** Undefined: without an account. */
  readonly benutzername: string | undefined;
  readonly angemeldet: boolean;
}

/** Who is in a class or course today, by name, and whether they have an account. */
export async function mitgliederMitZugang(tx: Transaction, gruppe: string): Promise<readonly Mitglied[]> {
  const people = await gefundenePersonen(tx, await personenDerGruppe(tx, gruppe));
  const rows = await tx.all<{ id: string; benutzername: string; angemeldet: boolean }>(
    `SELECT k.id, k.benutzername, k.erste_anmeldung_am IS NOT NULL AS angemeldet FROM konto k
      WHERE k.id = ANY ($1::uuid[]) AND k.geloescht_am IS NULL`,
    [people.map(({ id }) => id)],
  );
  const accounts = new Map(rows.map((row) => [row.id, row]));
  return people.map((person) => ({
    ...person,
    name: listenname(person),
    benutzername: accounts.get(person.id)?.benutzername,
    angemeldet: accounts.get(person.id)?.angemeldet ?? false,
  }));
}

export interface Zettel extends NeuerZugang {
  readonly name: string;
}

/**
 * Gives everybody of a class or course who has none an account, in the role of pupils; and, if that is asked for, those who have never signed
 * in a new one-time password. All or nothing.
 * @param vorgang of the form: a password that it has set already is not set again
 * @throws InputProblem when there is nobody to do that for
 */
export function legeZugaengeAn(
  visit: PersonVisit,
  gruppe: string,
  auchNeuePasswoerter: boolean,
  vorgang: string,
): Promise<readonly Zettel[]> {
  return visit.transaction(async (tx) => {
    const zettel: Zettel[] = [];
    for (const mitglied of await mitgliederMitZugang(tx, gruppe)) {
      if (mitglied.benutzername === undefined) {
        zettel.push(await neuesKonto(tx, visit, mitglied, vorgang));
      } else if (auchNeuePasswoerter && !mitglied.angemeldet && mitglied.id !== visit.person.accountId) {
        zettel.push(await neuesPasswort(tx, visit, mitglied, mitglied.benutzername, vorgang));
      }
    }
    if (zettel.length === 0) {
      const text = "In dieser Gruppe haben alle schon ein Konto. Es wurde nichts angelegt.";
      throw new InputProblem({ field: "gruppe", text });
    }
    return zettel;
  });
}

async function neuesKonto(tx: Transaction, visit: PersonVisit, person: Mitglied, vorgang: string): Promise<Zettel> {
  const { einmalpasswort, pruefwert } = neuesEinmalpasswort();
  // Their mail address they enter themselves, if they have one.
  const benutzername = await gibKonto(tx, visit.now, { ...person, email: "" });
  await setzeEinmalpasswort(tx, visit.now, { kontoId: person.id, pruefwert, vorgang });
  // Who may not give roles makes accounts without one, as with a single account.
  const rollen = visit.may(Rolle.right("bearbeiten"), "schule") ? await gibRollen(tx, person.id, ["schueler"]) : [];
  const values = { neu: { benutzername, rollen } };
  await visit.record(tx, { resource: Konto, deed: "anlegen", object: person.id, person: person.id, values });
  return { name: vollerName(person), benutzername, einmalpasswort };
}

async function neuesPasswort(
  tx: Transaction,
  visit: PersonVisit,
  person: Mitglied,
  benutzername: string,
  vorgang: string,
): Promise<Zettel> {
  const { einmalpasswort, pruefwert } = neuesEinmalpasswort();
  if (!(await setzeEinmalpasswort(tx, visit.now, { kontoId: person.id, pruefwert, vorgang }))) {
    const text =
      "Mit diesem Formular wurden schon Einmalpasswörter gesetzt und angezeigt; es wurden keine weiteren gesetzt. Öffnen Sie die Seite neu, wenn Sie neue brauchen.";
    throw new InputProblem({ field: "gruppe", text });
  }
  await visit.record(tx, { resource: Konto, deed: "einmalpasswort", object: person.id, person: person.id });
  return { name: vollerName(person), benutzername, einmalpasswort };
}
