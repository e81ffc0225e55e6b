import { isRefusedBy, type Transaction } from "../../ground/database/database.ts";
import { Refused } from "../../ground/gate/refusal.ts";
import { managing, type Right, resource, type Scope, scopes } from "../../ground/gate/rights.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { germanDay } from "../../ground/pages/days.ts";
import { InputProblem } from "../../ground/pages/input.ts";

/** What rules say of roles. */
export const Rolle = resource({
  name: "Rolle",
  title: "Rollen",
  actions: { lesen: ["ansehen", "schule"], bearbeiten: ["ändern und zuweisen", "schule"] },
  deeds: ["anlegen", "loeschen", "zuweisen"],
  sensitive: managing,
});

/**
 * Runs what may take an administrator from the school. The database refuses at commit when nobody would be left who can manage accounts
 * and roles, whoever else changes what at the same time; that becomes a refusal in words.
 */
export async function bewahreAdministrator<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isRefusedBy(error, "CM001")) {
      throw new Refused(
        409,
        "Jemand muss die Schule verwalten können",
        "Danach gäbe es kein Konto mehr, das Konten und Rollen verwalten darf. Es wurde nichts geändert. Geben Sie diese Rechte zuerst einem anderen Konto, das nicht gesperrt ist.",
      );
    }
    throw error;
  }
}

export interface Rollenwahl {
  readonly id: string;
  readonly name: string;
  readonly aktiv: boolean;
  readonly gewaehlt: boolean;
}

/** All roles, and which of them the account has. */
export function rollenDesKontos(tx: Transaction, kontoId: string | null): Promise<Rollenwahl[]> {
  return tx.all<Rollenwahl>(
    `SELECT r.id, r.name, r.aktiv, EXISTS (SELECT FROM konto_rolle kr WHERE kr.rolle_id = r.id AND kr.konto_id = $1) AS gewaehlt
       FROM rolle r ORDER BY r.rang, r.name`,
    [kontoId],
  );
}

/** Adds roles; returns their names. Throws InputProblem when one does not exist: it may have been deleted meanwhile. */
export async function gibRollen(tx: Transaction, kontoId: string, rollen: readonly string[]): Promise<string[]> {
  const wanted = [...new Set(rollen)];
  const known = await tx.all<{ id: string }>("SELECT id FROM rolle WHERE id = ANY ($1::text[])", [wanted]);
  if (known.length < wanted.length) {
    throw new InputProblem({
      field: "rolle",
      text: "Eine der gewählten Rollen gibt es nicht mehr. Bitte wählen Sie neu.",
    });
  }
  await tx.run(
    "INSERT INTO konto_rolle (konto_id, rolle_id) SELECT $1, rolle FROM unnest($2::text[]) AS rolle ON CONFLICT DO NOTHING",
    [kontoId, known.map(({ id }) => id)],
  );
  return known.map(({ id }) => id);
}

/** Takes all roles but these. */
export async function nimmRollen(tx: Transaction, kontoId: string, ausser: readonly string[]): Promise<void> {
  await tx.run("DELETE FROM konto_rolle WHERE konto_id = $1 AND rolle_id <> ALL ($2::text[])", [kontoId, ausser]);
}

/** SQL: names of all roles of the account that a column names, in their order. */
export const rollennamen = (spalte: string): string =>
  `ARRAY(SELECT r.name FROM konto_rolle kr JOIN rolle r ON r.id = kr.rolle_id WHERE kr.konto_id = ${spalte} ORDER BY r.rang, r.name)`;

/** SQL: names of the roles in use, as one text. */
export const rollentext = (spalte: string): string =>
  `coalesce((SELECT string_agg(r.name, ', ' ORDER BY r.rang, r.name) FROM konto_rolle kr JOIN rolle r ON r.id = kr.rolle_id AND r.aktiv
    WHERE kr.konto_id = ${spalte}), '')`;

/** SQL: whether the account that a column names has a role whose people may be addressed by everybody. */
export const istAnsprechbar = (spalte: string): string =>
  `EXISTS (SELECT FROM konto_rolle kr JOIN rolle r ON r.id = kr.rolle_id AND r.aktiv AND r.ansprechbar WHERE kr.konto_id = ${spalte})`;

/**
 * „Warum darf ich das sehen?“, answered by the definition that the gate and row-level security ask: the rule of which role, and what is
 * true of the object, since and until when.
 */

/** What a reason is about, as its sentences need it. */
export interface Worte {
  /** As in „Sie unterrichten den Kurs Mathematik 5a“. */
  readonly unterricht: string;
  /** As in „Ihre Rolle darf Noten der ganzen Schule ansehen“. */
  readonly schule: string;
}

function seit(ab: string | null, bis: string | null): string {
  const von = ab === null ? "" : ` ${bis === null ? "seit dem" : "vom"} ${germanDay(ab)}`;
  return bis === null ? von : `${von} bis zum ${germanDay(bis)}`;
}

function satz(scope: Scope, worte: Worte, ab: string | null, bis: string | null): string {
  switch (scope) {
    case "schule":
      return `Ihre Rolle darf ${worte.schule}.`;
    case "unterrichtet":
      return `Sie unterrichten ${worte.unterricht}${seit(ab, bis)}.`;
    case "eigen":
      return "Es geht um Sie selbst.";
    case "kind":
      return `Es geht um Ihr Kind${ab === null ? "" : `; so ist es${seit(ab, bis)} eingetragen`}.`;
    case "mitglied":
      return `Sie gehören dazu${seit(ab, bis)}.`;
  }
}

/** What reasons are asked for: to do something to an object. */
export interface Gefragt {
  readonly id: string;
  /** What the view calls it, if not as the right does. */
  readonly aktion?: string;
  readonly worte: Worte;
}

/**
 * Reasons for which the person may do something to an object, in sentences; none if they may not.
 * @param view in the schema `bezug`, one that says since when: `(id, aktion, umfang, gilt)`
 */
export async function warum(
  tx: Transaction,
  visit: PersonVisit,
  right: Right,
  view: string,
  gefragt: Gefragt,
): Promise<readonly string[]> {
  const [gruende = []] = await warumJe(tx, visit, right, view, [gefragt]);
  return gruende;
}

/** The same of many objects at once, each in its place. */
export async function warumJe(
  tx: Transaction,
  visit: PersonVisit,
  right: Right,
  view: string,
  gefragte: readonly Gefragt[],
): Promise<ReadonlyArray<readonly string[]>> {
  const mine = visit.person.rules.filter((rule) => rule.resource === right.resource && rule.action === right.action);
  const aktionDer = ({ aktion = right.action }: Gefragt) => aktion;
  const [rows, rollen] = await Promise.all([
    tx.all<{ id: string; aktion: string; umfang: string; ab: string | null; bis: string | null }>(
      `SELECT DISTINCT b.id, b.aktion, b.umfang, lower(b.gilt)::text AS ab, (upper(b.gilt) - 1)::text AS bis FROM bezug.${view} b
        WHERE b.id = ANY ($1::uuid[]) AND b.aktion = ANY ($2::text[]) AND b.umfang = ANY ($3::text[]) ORDER BY b.umfang, ab`,
      [gefragte.map(({ id }) => id), [...new Set(gefragte.map(aktionDer))], mine.map(({ scope }) => scope)],
    ),
    tx.all<{ id: string; name: string }>("SELECT r.id, r.name FROM rolle r WHERE r.id = ANY ($1::text[])", [
      mine.map(({ role }) => role),
    ]),
  ]);
  const namen = new Map(rollen.map((rolle) => [rolle.id, rolle.name]));
  return gefragte.map((eine) =>
    rows.flatMap(({ id, aktion, umfang, ab, bis }) => {
      const scope = scopes.find((known) => known === umfang);
      if (scope === undefined || id !== eine.id || aktion !== aktionDer(eine)) return [];
      const dafuer = mine.filter((rule) => rule.scope === scope).map(({ role }) => `„${namen.get(role) ?? role}“`);
      const dazu = dafuer.length === 1 ? `Rolle ${dafuer[0]}` : `Rollen ${dafuer.join(" und ")}`;
      return [`${satz(scope, eine.worte, ab, bis)} (${dazu})`];
    }),
  );
}

/** Who has one of these roles, by id; whether it is in use or not. */
export async function personenMitRolle(
  tx: Transaction,
  ...rollen: readonly string[]
): Promise<ReadonlyMap<string, string>> {
  const rows = await tx.all<{ id: string; rolle: string }>(
    "SELECT kr.konto_id AS id, kr.rolle_id AS rolle FROM konto_rolle kr WHERE kr.rolle_id = ANY ($1::text[])",
    [rollen],
  );
  return new Map(rows.map(({ id, rolle }) => [id, rolle]));
}

/** Gives many accounts a role each. Row-level security refuses all of it when one is above whoever gives it. */
export async function gibVielenRollen(
  tx: Transaction,
  konten: ReadonlyArray<{ readonly id: string; readonly rolle: string }>,
): Promise<void> {
  await tx.run(
    `INSERT INTO konto_rolle (konto_id, rolle_id)
     SELECT x.id, x.rolle FROM json_to_recordset($1::json) AS x (id uuid, rolle text) ON CONFLICT DO NOTHING`,
    [JSON.stringify(konten.map(({ id, rolle }) => ({ id, rolle })))],
  );
}
