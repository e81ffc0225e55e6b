import { isRefusedBy, type Transaction } from "../../ground/database/database.ts";
import { Refused } from "../../ground/gate/refusal.ts";
import { resource } from "../../ground/gate/rights.ts";
import { InputProblem } from "../../ground/pages/input.ts";

/** What rules say of roles. */
export const Rolle = resource({
  name: "Rolle",
  title: "Rollen",
  actions: { lesen: ["ansehen", "schule"], bearbeiten: ["ändern und zuweisen", "schule"] },
  deeds: ["anlegen", "loeschen", "zuweisen"],
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
