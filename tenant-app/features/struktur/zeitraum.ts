import { z } from "zod";

/** A day as forms send it and the database takes it: `2026-08-01`. */
export const tag = (feld: string) =>
  z
    .string()
    .trim()
    .pipe(z.iso.date(`Bitte geben Sie ${feld} als Datum an, zum Beispiel 01.08.2026.`))
    .refine((text) => text >= "1990-01-01" && text <= "2100-12-31", `${feld} liegt zu weit zurück oder voraus.`);

/** From the first to the last day. */
export const zeitraum = z
  .object({ ab: tag("Der erste Tag"), bis: tag("Der letzte Tag") })
  .refine(({ ab, bis }) => ab <= bis, { path: ["bis"], message: "Der letzte Tag liegt vor dem ersten." });
export type Zeitraum = z.infer<typeof zeitraum>;

/** SQL: first and last day of a range, as text. */
export const tageVon = (spalte: string): string => `lower(${spalte})::text AS ab, (upper(${spalte}) - 1)::text AS bis`;

/** `2026-08-01` as people write it: 01.08.2026. */
export const deutsch = (tag: string): string => tag.replace(/^(\d{4})-(\d{2})-(\d{2})$/, "$3.$2.$1");
