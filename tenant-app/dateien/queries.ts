import { open, openText, type Place } from "../crypto/felder.ts";
import type { Transaction } from "../database/database.ts";
import type { Found } from "../gate/route.ts";

export const pageSize = 25;

export const place = (column: "schluessel" | "name", row: string): Place => ({ table: "datei", column, row });

export interface Dateizeile {
  readonly id: string;
  readonly name: string;
  /** Bytes. */
  readonly groesse: number;
  readonly hochgeladen_am: Date;
  readonly besitzer: string;
  readonly geteilt: boolean;
}

export interface Dateiseite {
  readonly zeilen: readonly Dateizeile[];
  readonly weitere: boolean;
}

interface Row {
  id: string;
  schluessel: Buffer;
  name: Buffer;
  groesse: number;
  hochgeladen_am: Date;
  besitzer: string;
  geteilt: boolean;
}

const columns = `d.id, d.schluessel, d.name, d.groesse::float8 AS groesse, d.hochgeladen_am,
  k.vorname || ' ' || k.nachname AS besitzer,
  (EXISTS (SELECT FROM datei_freigabe f WHERE f.datei_id = d.id)
   OR EXISTS (SELECT FROM nachricht_datei nd WHERE nd.datei_id = d.id)) AS geteilt`;

/** Files that the account owns, newest first. `seite` counts from 1. */
export async function eigeneDateien(
  tx: Transaction,
  fieldKey: Buffer,
  ich: string,
  seite: number,
): Promise<Dateiseite> {
  const rows = await tx.all<Row>(
    `SELECT ${columns} FROM datei d JOIN konto k ON k.id = d.besitzer_id WHERE d.besitzer_id = $1
      ORDER BY d.hochgeladen_am DESC, d.id LIMIT $2 OFFSET $3`,
    [ich, pageSize + 1, (seite - 1) * pageSize],
  );
  return asPage(fieldKey, rows);
}

/** Files that others gave the account to read, newest first. */
export async function geteilteDateien(
  tx: Transaction,
  fieldKey: Buffer,
  ich: string,
  seite: number,
): Promise<Dateiseite> {
  const rows = await tx.all<Row>(
    `SELECT ${columns} FROM datei_freigabe f JOIN datei d ON d.id = f.datei_id JOIN konto k ON k.id = d.besitzer_id
      WHERE f.konto_id = $1 AND d.besitzer_id <> $1 ORDER BY f.freigegeben_am DESC, d.id LIMIT $2 OFFSET $3`,
    [ich, pageSize + 1, (seite - 1) * pageSize],
  );
  return asPage(fieldKey, rows);
}

/** Files attached to a message that the account may read. */
export async function anhaengeDerNachricht(
  tx: Transaction,
  fieldKey: Buffer,
  nachrichtId: string,
): Promise<Dateizeile[]> {
  const rows = await tx.all<Row>(
    `SELECT ${columns} FROM nachricht_datei nd JOIN datei d ON d.id = nd.datei_id JOIN konto k ON k.id = d.besitzer_id
      WHERE nd.nachricht_id = $1 ORDER BY d.hochgeladen_am, d.id`,
    [nachrichtId],
  );
  return rows.map((row) => clear(fieldKey, row));
}

export interface Datei {
  readonly id: string;
  readonly besitzer_id: string;
  readonly besitzer: string;
  readonly schluessel: Buffer;
  readonly name: Buffer;
  readonly groesse: number;
  readonly hochgeladen_am: Date;
}

/** A file and how it stands to the account: its own, or shown to it by sharing or a message (R21, R22). */
export async function findeDatei(
  tx: Transaction,
  id: string | undefined,
  ich: string,
): Promise<Found<Datei> | undefined> {
  const datei = await tx.one<Datei & { gezeigt: boolean }>(
    `SELECT d.id, d.besitzer_id, k.vorname || ' ' || k.nachname AS besitzer, d.schluessel, d.name,
            d.groesse::float8 AS groesse, d.hochgeladen_am, datei_mir_gezeigt(d.id) AS gezeigt
       FROM datei d JOIN konto k ON k.id = d.besitzer_id WHERE d.id = $1`,
    [id],
  );
  if (!datei) {
    return undefined;
  }
  const eigen = datei.besitzer_id === ich;
  return { object: datei, bezug: { eigen, mitglied: eigen || datei.gezeigt } };
}

/** The file's own key and its name in clear. Throws UnreadableField. */
export function oeffneDatei(
  fieldKey: Buffer,
  row: Pick<Datei, "id" | "schluessel" | "name">,
): { key: Buffer; name: string } {
  const key = open(fieldKey, place("schluessel", row.id), row.schluessel);
  return { key, name: openText(key, place("name", row.id), row.name) };
}

/** Who may read the file besides its owner, by sharing. */
export async function freigaben(tx: Transaction, dateiId: string): Promise<string[]> {
  const rows = await tx.all<{ konto_id: string }>("SELECT konto_id FROM datei_freigabe WHERE datei_id = $1", [dateiId]);
  return rows.map((row) => row.konto_id);
}

function asPage(fieldKey: Buffer, rows: readonly Row[]): Dateiseite {
  return { weitere: rows.length > pageSize, zeilen: rows.slice(0, pageSize).map((row) => clear(fieldKey, row)) };
}

function clear(fieldKey: Buffer, row: Row): Dateizeile {
  const { schluessel: _key, ...rest } = row;
  return { ...rest, name: oeffneDatei(fieldKey, row).name };
}
