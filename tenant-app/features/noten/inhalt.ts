import type { Logger } from "pino";
import { z } from "zod";
import { UnreadableField } from "../../ground/crypto/fields.ts";
import type { PersonalKeys, PersonalSeal } from "../../ground/crypto/personal.ts";
import { zeigePunkte } from "./schluessel.ts";
import { zeigeNote } from "./skala.ts";

/** What stands in a cell of the book of marks: a mark, perhaps by way of points, or that somebody was missing. */
export const inhalt = z.strictObject({
  note: z.string().optional(),
  /** Decimal text with a point. */
  punkte: z.string().optional(),
  gefehlt: z.literal(true).optional(),
});
export type Inhalt = z.infer<typeof inhalt>;

export type Notentabelle = "note" | "halbjahresnote";
const place = (table: Notentabelle, row: string) => ({ table, column: "verschlossen", row });

/** What somebody types who was not there: it counts nothing and is not missing. */
export const GEFEHLT = "f";

export function verschliesse(seal: PersonalSeal, table: Notentabelle, id: string, wert: Inhalt): Buffer {
  return seal(place(table, id), JSON.stringify(wert));
}

/** Undefined if it does not open. */
export function oeffneGenau(
  keys: PersonalKeys,
  table: Notentabelle,
  row: { readonly id: string; readonly person_id: string; readonly verschlossen: Buffer },
): Inhalt | undefined {
  try {
    return inhalt.parse(JSON.parse(keys.open(row.person_id, place(table, row.id), row.verschlossen).toString("utf8")));
  } catch (error) {
    if (error instanceof UnreadableField) return undefined;
    throw error;
  }
}

/** The same; the operator is told of one that does not open. */
export function oeffne(
  keys: PersonalKeys,
  log: Logger,
  table: Notentabelle,
  row: { readonly id: string; readonly person_id: string; readonly verschlossen: Buffer },
): Inhalt | undefined {
  const wert = oeffneGenau(keys, table, row);
  if (wert === undefined) log.error({ field: `${table}.verschlossen` }, "a field does not decrypt");
  return wert;
}

/** As it stands in the cell, and as it is typed. */
export function alsText(wert: Inhalt | undefined): string {
  if (wert === undefined) return "";
  if (wert.gefehlt) return GEFEHLT;
  return wert.punkte === undefined ? (wert.note ?? "") : zeigePunkte(wert.punkte);
}

/** In words, for those who only read. */
export function inWorten(wert: Inhalt | undefined): string {
  if (wert === undefined) return "Nicht lesbar";
  if (wert.gefehlt) return "gefehlt";
  const note = wert.note === undefined ? "keine Note" : zeigeNote(wert.note);
  return wert.punkte === undefined ? note : `${note} (${zeigePunkte(wert.punkte)} Punkte)`;
}
