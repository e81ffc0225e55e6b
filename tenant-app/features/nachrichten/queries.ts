import type { App } from "../../ground/app.ts";
import { textOrUnreadable } from "../../ground/crypto/damaged.ts";
import type { Transaction } from "../../ground/database/database.ts";
import { type Cut, choose, type Listed, type Slice } from "../../ground/pages/keyset.ts";
import { nameDerPerson, sortiertNachName } from "../personen/public.ts";
import { oeffneBetreff, type VerschlosseneNachricht } from "./inhalt.ts";

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

/** One page of messages, newest first. */
export interface Nachrichtenseite extends Slice {
  readonly zeilen: readonly Nachrichtenzeile[];
}

/** Messages the account received. */
export function posteingang(tx: Transaction, app: App, ich: string, cut: Cut | undefined): Promise<Nachrichtenseite> {
  return seite(tx, app, cut, {
    listed: {
      from: "nachricht_empfaenger e WHERE e.konto_id = $1",
      values: [ich],
      at: "e.gesendet_am",
      id: "e.nachricht_id",
    },
    columns: `${nameDerPerson("n.absender_id")} AS mit, e.gelesen_am IS NULL AS ungelesen`,
    join: `(nachricht n JOIN nachricht_empfaenger e ON e.nachricht_id = n.id AND e.konto_id = $1) ON n.id = gewaehlt.id`,
  });
}

/** Messages the account wrote. */
export function gesendete(tx: Transaction, app: App, ich: string, cut: Cut | undefined): Promise<Nachrichtenseite> {
  return seite(tx, app, cut, {
    listed: { from: "nachricht n WHERE n.absender_id = $1", values: [ich], at: "n.gesendet_am", id: "n.id" },
    columns: `false AS ungelesen,
            (SELECT string_agg(wer, ', ') FROM (
               SELECT ${nameDerPerson("e.konto_id")} AS wer FROM nachricht_empfaenger e
                WHERE e.nachricht_id = n.id ORDER BY ${sortiertNachName("e.konto_id")} LIMIT 4) AS erste)
            || CASE WHEN (SELECT count(*) FROM nachricht_empfaenger e WHERE e.nachricht_id = n.id) > 4 THEN ' und weitere' ELSE '' END AS mit`,
    join: "nachricht n ON n.id = gewaehlt.id",
  });
}

/** What tells the two lists apart, as pieces of SQL. */
interface Liste {
  readonly listed: Listed;
  /** `mit` and `ungelesen`. */
  readonly columns: string;
  /** Messages as `n`, and what the columns need besides. */
  readonly join: string;
}

async function seite(
  tx: Transaction,
  app: App,
  cut: Cut | undefined,
  { listed, columns, join }: Liste,
): Promise<Nachrichtenseite> {
  const shown = {
    columns: `n.id, n.schluessel, n.betreff, n.gesendet_am, ${columns},
            (SELECT count(*)::int FROM nachricht_datei nd WHERE nd.nachricht_id = n.id) AS anhaenge`,
    join,
  };
  const { slice, rows } = await choose<Row>(tx, listed, shown, cut);
  return { ...slice, zeilen: rows.map((row) => klar(app, row)) };
}

function klar(app: App, { schluessel, betreff, mit, ...row }: Row): Nachrichtenzeile {
  return {
    ...row,
    betreff: textOrUnreadable(app.log, () => oeffneBetreff(app.fieldKey, row.id, { schluessel, betreff })),
    mit: mit ?? "Nicht mehr vorhandenes Konto",
  };
}

/** A message as one of its people sees it. */
export interface LesbareNachricht extends VerschlosseneNachricht {
  readonly id: string;
  readonly absender_id: string | null;
  readonly absender: string | null;
  readonly gesendet_am: Date;
  /** How many attachments their owner has deleted since. */
  readonly geloeschte: number;
}

/** A message. */
export function ladeNachricht(tx: Transaction, id: string): Promise<LesbareNachricht | undefined> {
  return tx.one<LesbareNachricht>(
    `SELECT n.id, n.absender_id, ${nameDerPerson("n.absender_id")} AS absender, n.gesendet_am, n.schluessel, n.betreff, n.inhalt,
            coalesce((SELECT g.anzahl FROM nachricht_anhang_geloescht g WHERE g.nachricht_id = n.id), 0) AS geloeschte
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
    `SELECT ${nameDerPerson("e.konto_id")} AS name, e.gelesen_am IS NOT NULL AS gelesen
       FROM nachricht_empfaenger e WHERE e.nachricht_id = $1 ORDER BY ${sortiertNachName("e.konto_id")}`,
    [id],
  );
}

/** Accounts to which a message was sent: all for its sender. */
export async function empfaengerIds(tx: Transaction, id: string): Promise<string[]> {
  const rows = await tx.all<{ konto_id: string }>(
    "SELECT e.konto_id FROM nachricht_empfaenger e WHERE e.nachricht_id = $1",
    [id],
  );
  return rows.map((row) => row.konto_id);
}
