import { Fraction } from "fraction.js";
import type { Transaction } from "../../ground/database/database.ts";
import { alleNoten, type Notenwort, type Skala } from "./skala.ts";

/** Percent of the points to a mark. */
export interface Schluessel {
  readonly id: string;
  readonly name: string;
  readonly skala: Skala;
  readonly aktiv: boolean;
  readonly version: number;
  /** The best mark first; percent as decimal text. */
  readonly stufen: readonly Stufe[];
}
export interface Stufe {
  readonly note: Notenwort;
  readonly ab: string;
}

/** All of them, by name. */
export async function alleSchluessel(tx: Transaction): Promise<Schluessel[]> {
  const rows = await tx.all<Omit<Schluessel, "stufen"> & { stufen: Stufe[] }>(
    `SELECT s.id, s.name, s.skala, s.aktiv, s.version,
            (SELECT coalesce(json_agg(json_build_object('note', t.note, 'ab', t.ab_prozent::text)), '[]')
               FROM notenschluesselstufe t WHERE t.schluessel_id = s.id) AS stufen
       FROM notenschluessel s ORDER BY s.name`,
  );
  return rows.map((row) => ({ ...row, stufen: geordnet(row.skala, row.stufen) }));
}

const geordnet = (skala: Skala, stufen: readonly Stufe[]): Stufe[] =>
  alleNoten(skala).flatMap((note) => stufen.find((stufe) => stufe.note === note) ?? []);

/** The mark for so many of so many points, reckoned exactly; undefined when the key has none so low. */
export function noteFuer({ stufen }: Pick<Schluessel, "stufen">, punkte: string, von: string): Notenwort | undefined {
  const prozent = new Fraction(punkte).div(von).mul(100);
  return stufen.find(({ ab }) => prozent.compare(new Fraction(ab)) >= 0)?.note;
}

/** Points as somebody types them, `17,5`; as decimal text with a point, or undefined for what is none or more than there are. */
export function lesePunkte(getippt: string, hoechstens: string): string | undefined {
  const text = getippt.normalize("NFKC").replace(/\s/g, "").replace(",", ".");
  if (!/^\d{1,4}(\.\d{1,2})?$/.test(text) || new Fraction(text).compare(new Fraction(hoechstens)) > 0) {
    return undefined;
  }
  return text
    .replace(/^0+(?=\d)/, "")
    .replace(/(\.\d*?)0+$/, "$1")
    .replace(/\.$/, "");
}

/** As people write them: with a comma, and no zeros behind it. */
export const zeigePunkte = (punkte: string): string =>
  (punkte.includes(".") ? punkte.replace(/\.?0+$/, "") : punkte).replace(".", ",");
