import type { KeyObject } from "node:crypto";
import { z } from "zod";
import { openText, type Place, seal } from "../../ground/crypto/fields.ts";
import type { Transaction } from "../../ground/database/database.ts";

/** Optional contact data (R16). Whoever leaves them empty lacks nothing (R51). */
export interface Kontaktdaten {
  readonly telefon: string;
  readonly mobil: string;
  readonly anschrift: string;
}

const telefonnummer = z
  .string()
  .trim()
  .max(40, "Die Nummer ist zu lang.")
  .regex(/^[0-9+()/ .-]*$/, "Eine Telefonnummer besteht aus Ziffern, Leerzeichen und den Zeichen + ( ) / . -");

export const kontaktangaben = z.object({
  telefon: telefonnummer,
  mobil: telefonnummer,
  anschrift: z.string().trim().max(500, "Die Anschrift darf höchstens 500 Zeichen lang sein."),
});

const columns = ["telefon", "mobil", "anschrift"] as const;
type Column = (typeof columns)[number];

function place(column: Column, kontoId: string): Place {
  return { table: "kontaktdaten", column, row: kontoId };
}

/** Contact data in clear; empty strings for what was not given. Throws UnreadableField. */
export async function ladeKontaktdaten(tx: Transaction, fieldKey: KeyObject, kontoId: string): Promise<Kontaktdaten> {
  const row = await tx.one<Record<Column, Buffer | null>>(
    "SELECT telefon, mobil, anschrift FROM kontaktdaten WHERE konto_id = $1",
    [kontoId],
  );
  const clear = (column: Column) => {
    const sealed = row?.[column];
    return sealed ? openText(fieldKey, place(column, kontoId), sealed) : "";
  };
  return { telefon: clear("telefon"), mobil: clear("mobil"), anschrift: clear("anschrift") };
}

/** Stores contact data encrypted, bound to table, column and row (R3); empty ones are removed. */
export async function speichereKontaktdaten(
  tx: Transaction,
  fieldKey: KeyObject,
  kontoId: string,
  now: Date,
  daten: Kontaktdaten,
): Promise<void> {
  const sealed = columns.map((column) =>
    daten[column] === "" ? null : seal(fieldKey, place(column, kontoId), daten[column]),
  );
  await tx.run(
    `INSERT INTO kontaktdaten (konto_id, telefon, mobil, anschrift, geaendert_am) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (konto_id) DO UPDATE SET telefon = excluded.telefon, mobil = excluded.mobil,
       anschrift = excluded.anschrift, geaendert_am = excluded.geaendert_am`,
    [kontoId, ...sealed, now],
  );
}
