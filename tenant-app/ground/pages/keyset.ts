import { z } from "zod";
import type { Transaction } from "../database/database.ts";

/**
 * Lists by time, newest first, a page at a time: each page goes on from the entry at which the one before it ended. So it costs the same
 * however far back it is, and nothing is shown twice or left out while new entries arrive.
 */

export const pageSize = 25;

/** From which entry a page goes on, and in which direction. */
export interface Cut {
  readonly way: "older" | "newer";
  /** The entry's time as the database writes it, and its id. */
  readonly at: string;
  readonly id: string;
}

/** A time as the database writes it in UTC, and one that exists. */
const moment = z
  .string()
  .regex(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?\+00$/)
  .refine((text) => {
    const whole = `${text.slice(0, 19).replace(" ", "T")}Z`;
    const time = new Date(whole);
    return (
      !text.startsWith("0000") && !Number.isNaN(time.getTime()) && time.toISOString().startsWith(whole.slice(0, -1))
    );
  });
const cutForm = z.tuple([moment, z.uuid()]);
const words = { aelter: "older", neuer: "newer" } as const;

/** The page that an address asks for; the first for none and for nonsense. */
export function requestedCut(query: URLSearchParams): Cut | undefined {
  for (const [word, way] of Object.entries(words)) {
    const parsed = cutForm.safeParse(query.get(word)?.split("/"));
    if (parsed.success) {
      return { way, at: parsed.data[0], id: parsed.data[1] };
    }
  }
  return undefined;
}

/** Where entries of one list are, as pieces of SQL. */
export interface Listed {
  /** Tables and condition, e.g. `datei d WHERE d.besitzer_id = $1`; parameters from $1. */
  readonly from: string;
  readonly values: readonly unknown[];
  /** Columns of time and id, which an index holds in this order behind those of the condition. */
  readonly at: string;
  readonly id: string;
}

export interface Entry {
  readonly id: string;
  readonly at: string;
}

/** One page of a list: what is on it, newest first, and whether there are entries on either side. */
export interface Slice {
  readonly entries: readonly Entry[];
  readonly newer: boolean;
  readonly older: boolean;
}

/** What is shown of entries, as pieces of SQL with the parameters of the list. */
export interface Shown {
  /** Columns; the first of them is never null of what is there. */
  readonly columns: string;
  /** What they come from, joined to the chosen entries, e.g. `datei d ON d.id = gewaehlt.id`. */
  readonly join: string;
}

/** A page with its rows. */
export interface Chosen<Row> {
  readonly slice: Slice;
  readonly rows: readonly Row[];
}

/**
 * One page of a list. Its entries are chosen first, and what is shown is asked for these alone: in one statement, so in one journey. An
 * entry of which nothing may be shown any more has no row.
 */
export async function choose<Row extends object>(
  tx: Transaction,
  listed: Listed,
  shown: Shown,
  cut: Cut | undefined,
): Promise<Chosen<Row>> {
  const found = await read<Row>(tx, listed, shown, cut);
  if (cut?.way !== "newer") {
    const slice = { newer: cut !== undefined, older: found.length > pageSize };
    return chosen(found.slice(0, pageSize), slice);
  }
  // The beginning was reached: a page as full as every other.
  return found.length <= pageSize
    ? choose(tx, listed, shown, undefined)
    : chosen(found.slice(-pageSize), { newer: true, older: true });
}

type Found<Row> = Row & { readonly gewaehlt_id: string; readonly gewaehlt_at: string; readonly gewaehlt_da: boolean };

function chosen<Row extends object>(found: readonly Found<Row>[], sides: Omit<Slice, "entries">): Chosen<Row> {
  const entries = found.map(({ gewaehlt_id, gewaehlt_at }) => ({ id: gewaehlt_id, at: gewaehlt_at }));
  return { slice: { entries, ...sides }, rows: found.filter(({ gewaehlt_da }) => gewaehlt_da) };
}

function read<Row extends object>(
  tx: Transaction,
  { from, values, at, id }: Listed,
  { columns, join }: Shown,
  cut: Cut | undefined,
): Promise<Found<Row>[]> {
  const [sign, order] = cut?.way === "newer" ? [">", "ASC"] : ["<", "DESC"];
  const next = values.length + 1;
  const beyond = cut ? ` AND (${at}, ${id}) ${sign} ($${next}::timestamptz, $${next + 1}::uuid)` : "";
  const [first] = columns.split(",");
  return tx.all<Found<Row>>(
    `WITH gewaehlt AS MATERIALIZED (
       SELECT ${id} AS id, ${at} AS zeit FROM ${from}${beyond}
        ORDER BY ${at} ${order}, ${id} ${order} LIMIT ${pageSize + 1})
     SELECT gewaehlt.id AS gewaehlt_id, gewaehlt.zeit::text AS gewaehlt_at, ${first} IS NOT NULL AS gewaehlt_da, ${columns}
       FROM gewaehlt LEFT JOIN ${join}
      ORDER BY gewaehlt.zeit DESC, gewaehlt.id DESC`,
    cut ? [...values, cut.at, cut.id] : values,
  );
}

/** What a list's page needs to lead to the ones before and after it. */
export interface Paging {
  readonly mehrere: boolean;
  readonly zurueck: string | undefined;
  readonly weiter: string | undefined;
  /** Where the list begins; undefined on its first page. */
  readonly anfang: string | undefined;
}

/** @param path address of the list, without query */
export function paging(path: string, { entries, newer, older }: Slice): Paging {
  const link = (word: keyof typeof words, entry: Entry | undefined) =>
    entry && `${path}?${new URLSearchParams({ [word]: `${entry.at}/${entry.id}` })}`;
  return {
    mehrere: newer || older,
    zurueck: newer ? (link("neuer", entries[0]) ?? path) : undefined,
    weiter: older ? link("aelter", entries.at(-1)) : undefined,
    anfang: newer ? path : undefined,
  };
}
