import { z } from "zod";
import type { Transaction } from "../../ground/database/database.ts";
import { checked } from "../../ground/pages/input.ts";

/**
 * A day as forms send it and the database takes it: `2026-08-01`.
 * @param wer what it is called, in the nominative; @param wen in the accusative
 */
export const tag = (wer: string, wen: string) =>
  z
    .string()
    .trim()
    .pipe(z.iso.date(`Bitte geben Sie ${wen} als Datum an, zum Beispiel 01.08.2026.`))
    .refine((text) => text >= "1990-01-01" && text <= "2100-12-31", `${wer} liegt zu weit zurück oder voraus.`);
export const ersterTag = tag("Der erste Tag", "den ersten Tag");
export const letzterTag = tag("Der letzte Tag", "den letzten Tag");

/** From the first to the last day. */
export const zeitraum = z
  .object({ ab: ersterTag, bis: letzterTag })
  .refine(({ ab, bis }) => ab <= bis, { path: ["bis"], message: "Der letzte Tag liegt vor dem ersten." });
export type Zeitraum = z.infer<typeof zeitraum>;

/** SQL: first and last day of a range, as text. */
export const tageVon = (spalte: string): string => `lower(${spalte})::text AS ab, (upper(${spalte}) - 1)::text AS bis`;

/** What a form says that ends something: the last day, or nothing when it is to be taken away. */
export const endeAus = ({ schritt, zum }: { readonly schritt: string; readonly zum: string }): string | undefined =>
  schritt === "entfernen" ? undefined : checked(z.object({ zum: letzterTag }), { zum }).zum;

/** The first day that a form suggests: today, while the school year runs; else the first of the year. */
export async function vorgeschlagenerTag(
  tx: Transaction,
  { von, bis }: { readonly von: string; readonly bis: string },
): Promise<string> {
  const heute = (await tx.one<{ tag: string }>("SELECT heute()::text AS tag"))?.tag ?? von;
  return heute > von && heute < bis ? heute : von;
}
