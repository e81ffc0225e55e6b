import type { Transaction } from "../../ground/database/database.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { StaleForm } from "../../ground/pages/stale.ts";
import { Konto, mitKonto, type Zuloeschendes } from "../konten/public.ts";
import { nachNamen, personenname } from "../personen/public.ts";
import { bewahreAdministrator } from "../rollen/public.ts";

/** Marking an account for deletion, and taking that back. */

export type Inhaltswahl = "weg" | "anonym";

/** A deletion that is marked. */
export interface Vorgemerkte {
  readonly id: string;
  readonly name: string;
  readonly benutzername: string;
  readonly inhalte: Inhaltswahl;
  readonly vorgemerkt_am: Date;
  /** ISO 8601. */
  readonly faellig: string;
  /** When its archive was fetched last. */
  readonly abgerufen_am: Date | null;
}

const columns = `l.person_id AS id, ${personenname} AS name, k.benutzername, l.inhalte, l.vorgemerkt_am, l.faellig_am::text AS faellig,
  (SELECT max(a.am) FROM archivabruf a WHERE a.person_id = l.person_id) AS abgerufen_am`;

/** Pieces of SQL of the list of those that are marked, who goes first standing first. */
export const vorgemerkte = {
  columns,
  from: `FROM loeschung l ${mitKonto("l.person_id")}`,
  order: `l.faellig_am, ${nachNamen}`,
  values: [],
};

/** How the deletion of somebody stands; undefined if none is marked. */
export function ladeVorgemerkte(tx: Transaction, id: string): Promise<Vorgemerkte | undefined> {
  return tx.one<Vorgemerkte & Record<string, unknown>>(
    `SELECT ${columns} FROM loeschung l ${mitKonto("l.person_id")} WHERE l.person_id = $1`,
    [id],
  );
}

/** When somebody's archive was fetched last, and the day on which they would go if they were marked now. */
export async function standDesArchivs(
  tx: Transaction,
  id: string,
): Promise<{ readonly abgerufen: Date | undefined; readonly faellig: string }> {
  const row = await tx.one<{ abgerufen: Date | null; faellig: string }>(
    "SELECT (SELECT max(a.am) FROM archivabruf a WHERE a.person_id = $1) AS abgerufen, (heute() + 30)::text AS faellig",
    [id],
  );
  return { abgerufen: row?.abgerufen ?? undefined, faellig: row?.faellig ?? "" };
}

/**
 * Marks an account: its access ends with this transaction (R35).
 * @throws StaleForm when it was changed since the form was filled in, or marked meanwhile; Refused when nobody would be left to manage the school
 */
export function merkeVor(
  visit: PersonVisit,
  { id }: Zuloeschendes,
  { inhalte, version }: { readonly inhalte: Inhaltswahl; readonly version: number },
): Promise<void> {
  return bewahreAdministrator(() =>
    visit.transaction(async (tx) => {
      const row = await tx.one<{ gemerkt: boolean }>("SELECT loeschung_vormerken($1, $2, $3, $4) AS gemerkt", [
        id,
        inhalte,
        version,
        visit.now,
      ]);
      if (row?.gemerkt !== true) throw new StaleForm();
      const { abgerufen } = await standDesArchivs(tx, id);
      const values = { neu: { inhalte, archiv: abgerufen ? "angeboten und abgerufen" : "angeboten, nicht abgerufen" } };
      await visit.record(tx, { resource: Konto, deed: "loeschen", object: id, person: id, values });
    }),
  );
}

/** Takes it back: everything is as before. False if it was not marked any more, or is being done. */
export function nimmZurueck(visit: PersonVisit, { id }: Zuloeschendes): Promise<boolean> {
  return visit.transaction(async (tx) => {
    const row = await tx.one<{ zurueck: boolean }>("SELECT loeschung_zuruecknehmen($1) AS zurueck", [id]);
    if (row?.zurueck !== true) return false;
    await visit.record(tx, { resource: Konto, deed: "loeschung-zuruecknehmen", object: id, person: id });
    return true;
  });
}
