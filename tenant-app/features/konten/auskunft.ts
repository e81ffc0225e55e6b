import type { DisclosedRow, Disclosure, DisclosureContext } from "../../ground/operator/disclosure.ts";
import { columns, place } from "./kontaktdaten.ts";

const offen =
  (column: (typeof columns)[number], stored: string) =>
  (row: DisclosedRow, { keys }: DisclosureContext): string => {
    const konto = String(row.konto_id);
    return keys.open(konto, place(column, konto), row[stored] as Buffer).toString("utf8");
  };

/** Contact data are sealed, in two columns each. */
export const auskunft: Disclosure = Object.fromEntries(
  columns.flatMap((column) =>
    [column, `${column}_verschlossen`].map(
      (stored) => [`kontaktdaten.${stored}`, { open: offen(column, stored) }] as const,
    ),
  ),
);
