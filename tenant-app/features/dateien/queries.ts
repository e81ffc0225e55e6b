import type { App } from "../../ground/app.ts";
import type { Transaction } from "../../ground/database/database.ts";
import type { Cut } from "../../ground/pages/keyset.ts";
import { type Dateiseite, nameDesBesitzers, seite } from "./public.ts";

/** Files that others gave the account to read, newest first. */
export async function geteilteDateien(
  tx: Transaction,
  app: App,
  ich: string,
  cut: Cut | undefined,
): Promise<Dateiseite> {
  return seite(
    tx,
    app,
    { from: "datei_freigabe f WHERE f.konto_id = $1", values: [ich], at: "f.freigegeben_am", id: "f.datei_id" },
    cut,
  );
}

/** A file as somebody sees it who may read it. */
export interface LesbareDatei {
  readonly id: string;
  /** Null for somebody whose account was deleted. */
  readonly besitzer_id: string | null;
  readonly besitzer: string;
  readonly schluessel: Buffer;
  readonly name: Buffer;
  readonly groesse: number;
  readonly hochgeladen_am: Date;
}

/** A file. */
export function ladeDatei(tx: Transaction, id: string): Promise<LesbareDatei | undefined> {
  return tx.one<LesbareDatei>(
    `SELECT d.id, d.besitzer_id, ${nameDesBesitzers} AS besitzer, d.schluessel, d.name,
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
