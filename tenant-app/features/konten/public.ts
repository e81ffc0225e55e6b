import type { Transaction } from "../../ground/database/database.ts";
import { managing, resource } from "../../ground/gate/rights.ts";
import { findePersonOhneKonto, mitPerson, type Namensangaben, nachNamen, personenname } from "../personen/public.ts";
import { gibVielenRollen } from "../rollen/public.ts";
import { email as mailadresse } from "./anlegen.ts";
import { baseUserName, freeUserName } from "./benutzername.ts";

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
  deeds: [
    "entsperren",
    "einmalpasswort",
    "passwort",
    "passwortcode",
    "zweitfaktor",
    "loeschung-zuruecknehmen",
    "bereinigen",
  ],
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

/** An account that is to be deleted, or was marked for it. */
export interface Zuloeschendes {
  readonly id: string;
  readonly benutzername: string;
  readonly vorname: string;
  readonly nachname: string;
  readonly version: number;
}

/** An account, also one that is marked for deletion. */
export function ladeZuloeschendes(tx: Transaction, id: string): Promise<Zuloeschendes | undefined> {
  return tx.one<Zuloeschendes & Record<string, unknown>>(
    `SELECT k.id, k.benutzername, p.vorname, p.nachname, k.version FROM konto k ${mitPerson("k.id")} WHERE k.id = $1`,
    [id],
  );
}

/** SQL: joins the account whose id a column holds, as `k`, and its person as `p`. */
export const mitKonto = (spalte: string): string => `JOIN konto k ON k.id = ${spalte} ${mitPerson("k.id")}`;

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

// Accounts for many people at once, in a few statements.

export interface Kontowunsch extends Namensangaben {
  /** Of the person. */
  readonly id: string;
  /** What is no mail address counts as none: they enter theirs themselves. */
  readonly email: string;
  /** Undefined: whoever makes it may not give roles. */
  readonly rolle: "schueler" | "lehrer" | undefined;
}

/** Whether an account could have this mail address. */
export const istMailadresse = (text: string): boolean => mailadresse.safeParse(text).success;

export interface NeuesKonto extends Pick<Kontowunsch, "id" | "email" | "rolle"> {
  readonly benutzername: string;
}

/** Who has an account, by id. */
export async function personenMitKonto(tx: Transaction): Promise<ReadonlySet<string>> {
  const rows = await tx.all<{ id: string }>("SELECT k.id FROM konto k");
  return new Set(rows.map(({ id }) => id));
}

/**
 * Gives each of these people, who have none, an account without a password: one-time passwords are given with the slips. Somebody who takes a
 * user name at the same moment makes it fail as a whole (`konto_benutzername_key`).
 * @returns what was made; the caller journals each, as resource Konto
 */
export async function gibVielenKonten(
  tx: Transaction,
  now: Date,
  wuensche: readonly Kontowunsch[],
): Promise<readonly NeuesKonto[]> {
  const vergeben = new Set(
    (await tx.all<{ benutzername: string }>("SELECT k.benutzername FROM konto k")).map(
      ({ benutzername }) => benutzername,
    ),
  );
  const neue: NeuesKonto[] = [];
  for (const { id, vorname, nachname, email, rolle } of wuensche) {
    const benutzername = freeUserName(await baseUserName(vorname, nachname), vergeben);
    vergeben.add(benutzername);
    const geprueft = mailadresse.safeParse(email);
    neue.push({ id, benutzername, email: geprueft.success ? geprueft.data : "", rolle });
  }
  await tx.run(
    `INSERT INTO konto (id, benutzername, email, angelegt_am)
     SELECT x.id, x.benutzername, x.email, $2 FROM json_to_recordset($1::json) AS x (id uuid, benutzername text, email text)`,
    [JSON.stringify(neue), now],
  );
  await gibVielenRollen(
    tx,
    neue.flatMap(({ id, rolle }) => (rolle === undefined ? [] : [{ id, rolle }])),
  );
  return neue;
}
