import type { KeyObject } from "node:crypto";
import type { App } from "../../ground/app.ts";
import { textOrUnreadable } from "../../ground/crypto/damaged.ts";
import { openKey, openText, type Place } from "../../ground/crypto/fields.ts";
import type { Transaction } from "../../ground/database/database.ts";
import { resource } from "../../ground/gate/rights.ts";
import { InputProblem } from "../../ground/pages/input.ts";
import { type Cut, choose, type Listed, type Slice } from "../../ground/pages/keyset.ts";
import { istAngehaengt } from "../nachrichten/public.ts";
import { nameDerPerson } from "../personen/public.ts";

/** What rules say of files. */
export const Datei = resource({
  name: "Datei",
  title: "Dateien",
  actions: {
    lesen: ["lesen", "eigen", "mitglied"],
    anlegen: ["hochladen", "eigen"],
    bearbeiten: ["freigeben", "eigen"],
    loeschen: ["löschen", "eigen"],
  },
  deeds: ["freigeben", "entfernen"],
});

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

export interface Dateiseite extends Slice {
  readonly zeilen: readonly Dateizeile[];
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

/** SQL: the name of whose the file joined as `d` is. */
export const nameDesBesitzers = `coalesce(${nameDerPerson("d.besitzer_id")}, 'Nicht mehr vorhandenes Konto')`;

const columns = `d.id, d.schluessel, d.name, d.groesse::float8 AS groesse, d.hochgeladen_am,
  ${nameDesBesitzers} AS besitzer,
  (EXISTS (SELECT FROM datei_freigabe f WHERE f.datei_id = d.id) OR ${istAngehaengt("d.id")}) AS geteilt`;

/** Files that the account owns, newest first. */
export async function eigeneDateien(tx: Transaction, app: App, ich: string, cut: Cut | undefined): Promise<Dateiseite> {
  return seite(
    tx,
    app,
    { from: "datei e WHERE e.besitzer_id = $1", values: [ich], at: "e.hochgeladen_am", id: "e.id" },
    cut,
  );
}

/** The account's newest files, and those of the named ones that are its own. */
export async function neuesteUndGenannte(
  tx: Transaction,
  app: App,
  ich: string,
  ids: readonly string[],
): Promise<readonly Dateizeile[]> {
  const { zeilen } = await eigeneDateien(tx, app, ich, undefined);
  const missing = ids.filter((id) => !zeilen.some((datei) => datei.id === id));
  const named = await gezeigteDateien(
    tx,
    app,
    "SELECT e.id FROM datei e WHERE e.id::text = ANY ($1::text[]) AND e.besitzer_id = $2",
    [missing, ich],
  );
  return [...named, ...zeilen];
}

/** One page of a list whose entries are files. */
export async function seite(tx: Transaction, app: App, listed: Listed, cut: Cut | undefined): Promise<Dateiseite> {
  const { slice, rows } = await choose<Row>(tx, listed, { columns, join: "datei d ON d.id = gewaehlt.id" }, cut);
  return { ...slice, zeilen: rows.map((row) => clear(app, row)) };
}

/**
 * Files that another feature shows, oldest first.
 * @param welche SQL that yields ids of files
 */
export async function gezeigteDateien(
  tx: Transaction,
  app: App,
  welche: string,
  werte: readonly unknown[],
): Promise<Dateizeile[]> {
  const rows = await tx.all<Row>(
    `SELECT ${columns} FROM datei d WHERE d.id IN (${welche}) ORDER BY d.hochgeladen_am, d.id`,
    werte,
  );
  return rows.map((row) => clear(app, row));
}

/** No more files hang on one message, and more are refused. */
export const mostAttached = 20;

/**
 * Exactly the files that were ticked, all the account's own: all of them, or none.
 * @throws InputProblem, with numbers, when there are too many or one is gone
 */
export async function alleEigenen(tx: Transaction, ids: readonly string[], ich: string): Promise<string[]> {
  const wanted = [...new Set(ids)];
  if (wanted.length > mostAttached) {
    const text = `Sie haben ${wanted.length} Dateien gewählt, höchstens ${mostAttached} passen an eine Nachricht. Es wurde nichts gesendet.`;
    throw new InputProblem({ field: "datei", text });
  }
  const rows = await tx.all<{ id: string }>(
    "SELECT d.id FROM datei d WHERE d.id::text = ANY ($1::text[]) AND d.besitzer_id = $2",
    [wanted, ich],
  );
  if (rows.length < wanted.length) {
    const text = "Eine der gewählten Dateien gibt es nicht mehr. Es wurde nichts gesendet; bitte wählen Sie neu.";
    throw new InputProblem({ field: "datei", text });
  }
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

function clear(app: App, row: Row): Dateizeile {
  const { schluessel: _key, ...rest } = row;
  return { ...rest, name: textOrUnreadable(app.log, () => oeffneDatei(app.fieldKey, row).name) };
}
