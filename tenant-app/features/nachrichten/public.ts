import type { Transaction } from "../../ground/database/database.ts";
import { resource } from "../../ground/gate/rights.ts";
import { nameDerPerson } from "../personen/public.ts";

/** What rules say of messages. */
export const Nachricht = resource({
  name: "Nachricht",
  title: "Nachrichten",
  actions: { lesen: ["lesen", "eigen"], anlegen: ["schreiben", "eigen"], loeschen: ["löschen", "eigen"] },
});

/** SQL: whether the account that a column names has written to the one that the parameter names. */
export const hatGeschrieben = (spalte: string, an: string): string =>
  `EXISTS (SELECT FROM nachricht n JOIN nachricht_empfaenger e ON e.nachricht_id = n.id AND e.konto_id = ${an}
            WHERE n.absender_id = ${spalte})`;

/** Names of those to whom a file was sent with a message, as its sender sees them. */
export async function leserDurchNachrichten(tx: Transaction, dateiId: string): Promise<string[]> {
  const rows = await tx.all<{ name: string }>(
    `SELECT DISTINCT ${nameDerPerson("e.konto_id")} AS name
       FROM nachricht_datei nd JOIN nachricht_empfaenger e ON e.nachricht_id = nd.nachricht_id WHERE nd.datei_id = $1 ORDER BY 1`,
    [dateiId],
  );
  return rows.map(({ name }) => name);
}

/** SQL: whether the file that a column names hangs on a message. */
export const istAngehaengt = (spalte: string): string =>
  `EXISTS (SELECT FROM nachricht_datei nd WHERE nd.datei_id = ${spalte})`;

/** On how many messages files of the account hang, and how many people read them there. */
export async function angehaengtAnNachrichten(
  tx: Transaction,
  dateien: readonly string[],
): Promise<{ readonly nachrichten: number; readonly leser: readonly string[] }> {
  const row = await tx.one<{ nachrichten: number; leser: string[] }>(
    `SELECT count(DISTINCT nd.nachricht_id)::int AS nachrichten,
            coalesce(array_agg(DISTINCT e.konto_id) FILTER (WHERE e.konto_id IS NOT NULL), '{}') AS leser
       FROM nachricht_datei nd LEFT JOIN nachricht_empfaenger e ON e.nachricht_id = nd.nachricht_id
      WHERE nd.datei_id = ANY ($1::uuid[])`,
    [dateien],
  );
  return { nachrichten: row?.nachrichten ?? 0, leser: row?.leser ?? [] };
}
