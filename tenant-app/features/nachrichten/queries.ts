import type { KeyObject } from "node:crypto";
import type { Transaction } from "../../ground/database/database.ts";
import { nameDesKontos, sortiertNachName } from "../konten/public.ts";
import { oeffneBetreff, type VerschlosseneNachricht } from "./inhalt.ts";

export const pageSize = 25;

export interface Nachrichtenzeile {
  readonly id: string;
  readonly betreff: string;
  /** Sender in the inbox, recipients among the sent. */
  readonly mit: string;
  readonly gesendet_am: Date;
  readonly ungelesen: boolean;
  readonly anhaenge: number;
}

interface Row {
  id: string;
  schluessel: Buffer;
  betreff: Buffer;
  mit: string | null;
  gesendet_am: Date;
  ungelesen: boolean;
  anhaenge: number;
}

/** One page of messages, newest first, and whether there are more. */
export interface Nachrichtenseite {
  readonly zeilen: readonly Nachrichtenzeile[];
  readonly weitere: boolean;
}

const attachments = "(SELECT count(*)::int FROM nachricht_datei nd WHERE nd.nachricht_id = n.id) AS anhaenge";

/** Messages the account received. `seite` counts from 1. */
export async function posteingang(
  tx: Transaction,
  fieldKey: KeyObject,
  ich: string,
  seite: number,
): Promise<Nachrichtenseite> {
  const rows = await tx.all<Row>(
    `SELECT n.id, n.schluessel, n.betreff, ${nameDesKontos("n.absender_id")} AS mit, n.gesendet_am,
            e.gelesen_am IS NULL AS ungelesen, ${attachments}
       FROM nachricht_empfaenger e JOIN nachricht n ON n.id = e.nachricht_id
      WHERE e.konto_id = $1 ORDER BY e.gesendet_am DESC, e.nachricht_id LIMIT $2 OFFSET $3`,
    [ich, pageSize + 1, (seite - 1) * pageSize],
  );
  return asPage(fieldKey, rows);
}

/** Messages the account wrote. */
export async function gesendete(
  tx: Transaction,
  fieldKey: KeyObject,
  ich: string,
  seite: number,
): Promise<Nachrichtenseite> {
  const rows = await tx.all<Row>(
    `SELECT n.id, n.schluessel, n.betreff, n.gesendet_am, false AS ungelesen, ${attachments},
            (SELECT string_agg(wer, ', ') FROM (
               SELECT ${nameDesKontos("e.konto_id")} AS wer FROM nachricht_empfaenger e
                WHERE e.nachricht_id = n.id ORDER BY ${sortiertNachName("e.konto_id")} LIMIT 4) AS erste)
            || CASE WHEN (SELECT count(*) FROM nachricht_empfaenger e WHERE e.nachricht_id = n.id) > 4 THEN ' und weitere' ELSE '' END AS mit
       FROM nachricht n WHERE n.absender_id = $1 ORDER BY n.gesendet_am DESC, n.id LIMIT $2 OFFSET $3`,
    [ich, pageSize + 1, (seite - 1) * pageSize],
  );
  return asPage(fieldKey, rows);
}

function asPage(fieldKey: KeyObject, rows: readonly Row[]): Nachrichtenseite {
  return {
    weitere: rows.length > pageSize,
    zeilen: rows.slice(0, pageSize).map(({ schluessel, betreff, mit, ...row }) => ({
      ...row,
      betreff: oeffneBetreff(fieldKey, row.id, { schluessel, betreff }),
      mit: mit ?? "Nicht mehr vorhandenes Konto",
    })),
  };
}

/** A message as one of its people sees it. */
export interface LesbareNachricht extends VerschlosseneNachricht {
  readonly id: string;
  readonly absender_id: string | null;
  readonly absender: string | null;
  readonly gesendet_am: Date;
}

/** A message. */
export function ladeNachricht(tx: Transaction, id: string): Promise<LesbareNachricht | undefined> {
  return tx.one<LesbareNachricht>(
    `SELECT n.id, n.absender_id, ${nameDesKontos("n.absender_id")} AS absender, n.gesendet_am, n.schluessel, n.betreff, n.inhalt
       FROM nachricht n WHERE n.id = $1`,
    [id],
  );
}

export interface Empfaenger {
  readonly name: string;
  readonly gelesen: boolean;
}

/** Recipients of a message: all for its sender; row-level security shows a recipient only themselves. */
export function empfaenger(tx: Transaction, id: string): Promise<Empfaenger[]> {
  return tx.all<Empfaenger>(
    `SELECT ${nameDesKontos("e.konto_id")} AS name, e.gelesen_am IS NOT NULL AS gelesen
       FROM nachricht_empfaenger e WHERE e.nachricht_id = $1 ORDER BY ${sortiertNachName("e.konto_id")}`,
    [id],
  );
}
