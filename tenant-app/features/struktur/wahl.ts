import type { Transaction } from "../../ground/database/database.ts";
import { type Gefunden, suchePersonen } from "../personen/public.ts";
import { klasseVon } from "./public.ts";

/** People to be added to a class or course: what was looked for and who was found, told apart by their class. */

export interface Kandidat extends Gefunden {
  readonly klasse: string;
  readonly gewaehlt: boolean;
}

export interface Personenwahl {
  readonly suche: string;
  readonly gefunden: readonly Kandidat[];
  /** How many more there are that are not shown. */
  readonly weitere: number;
  readonly gesucht: boolean;
}

const hoechstens = 40;

/** @param gewaehlt ids that are ticked */
export async function personenwahl(
  tx: Transaction,
  suche: string,
  gewaehlt: readonly string[] = [],
): Promise<Personenwahl> {
  const { personen, insgesamt } = await suchePersonen<Gefunden & { readonly klasse: string }>(tx, suche, {
    spalten: `coalesce(${klasseVon("p.id")}, '') AS klasse`,
    hoechstens,
  });
  return {
    suche,
    gesucht: suche.trim() !== "",
    gefunden: personen.map(({ id, name, klasse }) => ({ id, name, klasse, gewaehlt: gewaehlt.includes(id) })),
    weitere: insgesamt - personen.length,
  };
}
