import type { DisclosedRow, Disclosure, DisclosureContext } from "../../ground/operator/disclosure.ts";
import { platzDesEntwurfs } from "./entwuerfe.ts";
import { oeffne } from "./inhalt.ts";

const offen = (row: DisclosedRow, { fieldKey }: DisclosureContext) =>
  oeffne(fieldKey, String(row.id), {
    schluessel: row.schluessel as Buffer,
    betreff: row.betreff as Buffer,
    inhalt: row.inhalt as Buffer,
  });

/** Whoever writes and whoever receives a message know each other by it. */
export const auskunft: Disclosure = {
  "nachricht.absender_id": { named: true },
  "nachricht.schluessel": { withheld: "Schlüssel: Er dient allein dem Verschlüsseln." },
  "nachricht.betreff": { open: (row, context) => offen(row, context).betreff },
  "nachricht.inhalt": { open: (row, context) => offen(row, context).inhalt },
  "nachricht_empfaenger.nachricht_id": { along: true, below: true },
  "nachricht_empfaenger.konto_id": { named: true },
  "nachricht_entwurf.verschlossen": {
    open: (row, { keys }) =>
      keys.open(String(row.person_id), platzDesEntwurfs(String(row.id)), row.verschlossen as Buffer).toString("utf8"),
  },
};
