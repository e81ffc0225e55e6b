import type { Transaction } from "../../ground/database/database.ts";
import { managing, resource } from "../../ground/gate/rights.ts";
import { findePersonOhneKonto, mitPerson, nachNamen, personenname } from "../personen/public.ts";

/** What rules say of accounts. */
export const Konto = resource({
  name: "Konto",
  title: "Konten",
  actions: {
    lesen: ["ansehen", "eigen", "schule"],
    anlegen: ["anlegen", "schule"],
    bearbeiten: ["ändern", "eigen", "schule"],
    sperren: ["sperren", "schule"],
    loeschen: ["löschen", "schule"],
  },
  deeds: ["entsperren", "einmalpasswort", "passwort", "zweitfaktor"],
  sensitive: managing,
});

export const Kontaktdaten = resource({
  name: "Kontaktdaten",
  title: "Kontaktdaten",
  actions: { lesen: ["ansehen", "eigen", "schule"], bearbeiten: ["ändern", "eigen", "schule"] },
  deeds: ["verschliessen"],
  sensitive: managing,
});

/** Accounts by their ids, in the order of their names; those that are gone are left out. */
export function kontenMitNamen(
  tx: Transaction,
  ids: readonly string[],
): Promise<Array<Ansprechkonto & { readonly gesperrt: boolean }>> {
  return tx.all<Ansprechkonto & { readonly gesperrt: boolean }>(
    `SELECT k.id, ${personenname} AS name, k.gesperrt_am IS NOT NULL AS gesperrt FROM konto k ${mitPerson("k.id")}
      WHERE k.id::text = ANY ($1::text[]) AND k.geloescht_am IS NULL ORDER BY ${nachNamen}`,
    [ids],
  );
}

/** SQL: whether the account that a column names is there and not deleted; of a person: whether they have one. */
export const istVorhanden = (spalte: string): string =>
  `EXISTS (SELECT FROM konto k WHERE k.id = ${spalte} AND k.geloescht_am IS NULL)`;

export interface Anmeldekonto {
  readonly id: string;
  readonly gesperrt: boolean;
}

/** The account with this user name, deleted ones excepted. */
export function kontoZurAnmeldung(tx: Transaction, benutzername: string): Promise<Anmeldekonto | undefined> {
  return tx.one<Anmeldekonto>("SELECT id, gesperrt FROM konto_zur_anmeldung($1)", [benutzername]);
}

/** Somebody by user name or id, with an account or without: for the operator, who sees those that were deleted as well. */
export async function findePerson(
  tx: Transaction,
  wer: string,
): Promise<{ readonly id: string; readonly benutzername?: string } | undefined> {
  const konto = await tx.one<{ id: string; benutzername: string }>(
    "SELECT k.id, k.benutzername FROM konto k WHERE k.benutzername = $1 OR k.id::text = $1",
    [wer],
  );
  return konto ?? findePersonOhneKonto(tx, wer);
}

/** Notes an account's first login. */
export async function merkeErsteAnmeldung(tx: Transaction, kontoId: string, now: Date): Promise<void> {
  await tx.run("UPDATE konto SET erste_anmeldung_am = $2 WHERE id = $1 AND erste_anmeldung_am IS NULL", [kontoId, now]);
}

/** Somebody who can be addressed: a name, nothing more. */
export interface Ansprechkonto {
  readonly id: string;
  readonly name: string;
}

/**
 * Accounts that can be addressed, by name: neither locked nor deleted, and not one's own.
 * @param bedingung SQL about `k.id` and the person joined as `p`; its parameters begin at $2
 * @param ich one's own account
 * @param spalten further SQL columns about `k.id`
 */
export function ansprechbareKonten<Row extends Ansprechkonto>(
  tx: Transaction,
  ich: string,
  {
    bedingung,
    werte,
    spalten,
    hoechstens,
    verhinderte,
  }: {
    readonly bedingung: string;
    readonly werte: readonly unknown[];
    readonly spalten: string;
    readonly hoechstens: number;
    /** Those that are locked or deleted, in place of the others. */
    readonly verhinderte?: true;
  },
): Promise<Row[]> {
  return tx.all<Row>(
    `SELECT k.id, ${personenname} AS name, ${spalten} FROM konto k ${mitPerson("k.id")}
      WHERE (k.geloescht_am IS NULL AND k.gesperrt_am IS NULL) = ${verhinderte !== true} AND k.id <> $1 AND (${bedingung})
      ORDER BY ${nachNamen} LIMIT ${hoechstens}`,
    [ich, ...werte],
  );
}
