import { z } from "zod";

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

/** `2026-08-01` as people write it: 01.08.2026. */
export const deutsch = (tag: string): string => tag.replace(/^(\d{4})-(\d{2})-(\d{2})$/, "$3.$2.$1");
