import type { KeyObject } from "node:crypto";
import type { Transaction } from "../../ground/database/database.ts";
import { nameDesKontos } from "../konten/public.ts";
import { asPage, columns, type Dateiseite, pageSize, type Row } from "./public.ts";

/** Files that others gave the account to read, newest first. */
export async function geteilteDateien(
  tx: Transaction,
  fieldKey: KeyObject,
  ich: string,
  seite: number,
): Promise<Dateiseite> {
  const rows = await tx.all<Row>(
    `SELECT ${columns} FROM datei_freigabe f JOIN datei d ON d.id = f.datei_id
      WHERE f.konto_id = $1 AND d.besitzer_id <> $1 ORDER BY f.freigegeben_am DESC, d.id LIMIT $2 OFFSET $3`,
    [ich, pageSize + 1, (seite - 1) * pageSize],
  );
  return asPage(fieldKey, rows);
}

/** A file as somebody sees it who may read it. */
export interface LesbareDatei {
  readonly id: string;
  readonly besitzer_id: string;
  readonly besitzer: string;
  readonly schluessel: Buffer;
  readonly name: Buffer;
  readonly groesse: number;
  readonly hochgeladen_am: Date;
}

/** A file. */
export function ladeDatei(tx: Transaction, id: string): Promise<LesbareDatei | undefined> {
  return tx.one<LesbareDatei>(
    `SELECT d.id, d.besitzer_id, ${nameDesKontos("d.besitzer_id")} AS besitzer, d.schluessel, d.name,
            d.groesse::float8 AS groesse, d.hochgeladen_am
       FROM datei d WHERE d.id = $1`,
    [id],
  );
}

/** Who may read the file besides its owner, by sharing. */
export async function freigaben(tx: Transaction, dateiId: string): Promise<string[]> {
  const rows = await tx.all<{ konto_id: string }>("SELECT konto_id FROM datei_freigabe WHERE datei_id = $1", [dateiId]);
  return rows.map((row) => row.konto_id);
}
