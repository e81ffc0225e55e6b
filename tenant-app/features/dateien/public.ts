import type { KeyObject } from "node:crypto";
import { openKey, openText, type Place } from "../../ground/crypto/fields.ts";
import type { Transaction } from "../../ground/database/database.ts";
import { resource } from "../../ground/gate/rights.ts";
import { nameDesKontos } from "../konten/public.ts";
import { istAngehaengt } from "../nachrichten/public.ts";

/** What rules say of files. */
export const Datei = resource({
  name: "Datei",
  title: "Dateien",
  actions: { lesen: "lesen", anlegen: "hochladen", bearbeiten: "freigeben", loeschen: "löschen" },
  deeds: ["freigeben"],
});

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

export interface Row {
  id: string;
  schluessel: Buffer;
  name: Buffer;
  groesse: number;
  hochgeladen_am: Date;
  besitzer: string;
  geteilt: boolean;
}

export const columns = `d.id, d.schluessel, d.name, d.groesse::float8 AS groesse, d.hochgeladen_am,
  ${nameDesKontos("d.besitzer_id")} AS besitzer,
  (EXISTS (SELECT FROM datei_freigabe f WHERE f.datei_id = d.id) OR ${istAngehaengt("d.id")}) AS geteilt`;

/** Files that the account owns, newest first. `seite` counts from 1. */
export async function eigeneDateien(
  tx: Transaction,
  fieldKey: KeyObject,
  ich: string,
  seite: number,
): Promise<Dateiseite> {
  const rows = await tx.all<Row>(
    `SELECT ${columns} FROM datei d WHERE d.besitzer_id = $1
      ORDER BY d.hochgeladen_am DESC, d.id LIMIT $2 OFFSET $3`,
    [ich, pageSize + 1, (seite - 1) * pageSize],
  );
  return asPage(fieldKey, rows);
}

/**
 * Files that another feature shows, oldest first.
 * @param welche SQL that yields ids of files
 */
export async function gezeigteDateien(
  tx: Transaction,
  fieldKey: KeyObject,
  welche: string,
  werte: readonly unknown[],
): Promise<Dateizeile[]> {
  const rows = await tx.all<Row>(
    `SELECT ${columns} FROM datei d WHERE d.id IN (${welche}) ORDER BY d.hochgeladen_am, d.id`,
    werte,
  );
  return rows.map((row) => clear(fieldKey, row));
}

/** Those of the files that are the account's own; at most 20. */
export async function eigeneVon(tx: Transaction, ids: readonly string[], ich: string): Promise<string[]> {
  const wanted = ids.filter((id) => /^[0-9a-f-]{36}$/.test(id)).slice(0, 20);
  const rows = await tx.all<{ id: string }>(
    "SELECT d.id FROM datei d WHERE d.id::text = ANY ($1::text[]) AND d.besitzer_id = $2",
    [wanted, ich],
  );
  return rows.map(({ id }) => id);
}

/** The file's own key and its name in clear. Throws UnreadableField. */
export function oeffneDatei(
  fieldKey: KeyObject,
  row: Pick<Row, "id" | "schluessel" | "name">,
): { key: KeyObject; name: string } {
  const key = openKey(fieldKey, place("schluessel", row.id), row.schluessel);
  return { key, name: openText(key, place("name", row.id), row.name) };
}

/** One page of rows that were read one too many. */
export function asPage(fieldKey: KeyObject, rows: readonly Row[]): Dateiseite {
  return { weitere: rows.length > pageSize, zeilen: rows.slice(0, pageSize).map((row) => clear(fieldKey, row)) };
}

function clear(fieldKey: KeyObject, row: Row): Dateizeile {
  const { schluessel: _key, ...rest } = row;
  return { ...rest, name: oeffneDatei(fieldKey, row).name };
}
