import type { Transaction } from "../../ground/database/database.ts";
import { resource } from "../../ground/gate/rights.ts";

/** What rules say of roles. */
export const Rolle = resource({
  name: "Rolle",
  title: "Rollen",
  actions: { lesen: "ansehen", bearbeiten: "ändern und zuweisen" },
  deeds: ["zuweisen"],
});

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

/** Adds those of the wanted roles that exist; returns them. */
export async function gibRollen(tx: Transaction, kontoId: string, rollen: readonly string[]): Promise<string[]> {
  const known = await tx.all<{ id: string }>("SELECT id FROM rolle WHERE id = ANY ($1::text[])", [rollen]);
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
