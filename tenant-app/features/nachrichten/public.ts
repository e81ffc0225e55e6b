import { resource } from "../../ground/gate/rights.ts";

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

/** SQL: whether the file that a column names hangs on a message. */
export const istAngehaengt = (spalte: string): string =>
  `EXISTS (SELECT FROM nachricht_datei nd WHERE nd.datei_id = ${spalte})`;
