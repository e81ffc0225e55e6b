import type { Transaction } from "../database/database.ts";

/** Lists by name, in numbered pages: people look for a letter, and know that there are seven pages. */

const pageSize = 25;

/** Where entries are, as pieces of SQL with one set of parameters. */
export interface Numbered {
  readonly columns: string;
  /** Tables and condition. */
  readonly from: string;
  readonly order: string;
  readonly values: readonly unknown[];
}

export interface NumberedPage<Row> {
  readonly zeilen: readonly Row[];
  /** How many there are in all. */
  readonly gesamt: number;
  readonly seite: number;
  readonly seiten: number;
}

/** One page; the last for a number beyond it, the first for none and for nonsense. */
export async function numbered<Row extends object>(
  tx: Transaction,
  { columns, from, order, values }: Numbered,
  query: URLSearchParams,
): Promise<NumberedPage<Row>> {
  const wanted = Number.parseInt(query.get("seite") ?? "1", 10) || 1;
  const gesamt = (await tx.one<{ zahl: number }>(`SELECT count(*)::int AS zahl ${from}`, values))?.zahl ?? 0;
  const seiten = Math.max(1, Math.ceil(gesamt / pageSize));
  const seite = Math.min(Math.max(1, wanted), seiten);
  const next = values.length + 1;
  const zeilen = await tx.all<Row & Record<string, unknown>>(
    `SELECT ${columns} ${from} ORDER BY ${order} LIMIT $${next} OFFSET $${next + 1}`,
    [...values, pageSize, (seite - 1) * pageSize],
  );
  return { zeilen, gesamt, seite, seiten };
}

/** What the partial `seitenzahlen` needs. */
export interface NumberedLinks {
  readonly mehrere: boolean;
  readonly zurueck: string | undefined;
  readonly weiter: string | undefined;
}

/** @param path address of the list; @param suche what was looked for, kept from page to page */
export function numberedLinks(
  path: string,
  suche: string,
  { seite, seiten }: Pick<NumberedPage<unknown>, "seite" | "seiten">,
): NumberedLinks {
  const link = (number: number) =>
    `${path}?${new URLSearchParams({ ...(suche ? { suche } : {}), seite: String(number) })}`;
  return {
    mehrere: seiten > 1,
    zurueck: seite > 1 ? link(seite - 1) : undefined,
    weiter: seite < seiten ? link(seite + 1) : undefined,
  };
}
