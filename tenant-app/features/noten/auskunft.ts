import { UnreadableField } from "../../ground/crypto/fields.ts";
import type { DisclosedRow, Disclosure, DisclosureContext } from "../../ground/operator/disclosure.ts";
import { inWorten, type Notentabelle, oeffneGenau } from "./inhalt.ts";

function offen(
  row: DisclosedRow,
  { keys }: DisclosureContext,
  table: Notentabelle,
  id: string,
  column: string,
): string {
  const wert = oeffneGenau(keys, table, {
    id,
    person_id: String(row.person_id),
    verschlossen: row[column] as Buffer,
  });
  if (wert === undefined) throw new UnreadableField(`${table}.${column}: does not open`);
  return inWorten(wert);
}

const schritt = (column: string) => ({
  open: (row: DisclosedRow, context: DisclosureContext) =>
    offen(row, context, row.leistung_id === null ? "halbjahresnote" : "note", String(row.note_id), column),
});

/** Marks are sealed where they stand, and where what was entered can be taken back. */
export const auskunft: Disclosure = {
  "note.verschlossen": { open: (row, context) => offen(row, context, "note", String(row.id), "verschlossen") },
  "halbjahresnote.verschlossen": {
    open: (row, context) => offen(row, context, "halbjahresnote", String(row.id), "verschlossen"),
  },
  "noteneingabe_schritt.vorher": schritt("vorher"),
  "noteneingabe_schritt.nachher": schritt("nachher"),
};
