import { z } from "zod";
import type { App } from "../../ground/app.ts";
import { textOrUnreadable, unreadable } from "../../ground/crypto/damaged.ts";
import type { Place } from "../../ground/crypto/fields.ts";
import { PersonErased, personalKeys, sealFor } from "../../ground/crypto/personal.ts";
import type { Transaction } from "../../ground/database/database.ts";
import type { PersonVisit } from "../../ground/gate/visit.ts";
import { InputProblem } from "../../ground/pages/input.ts";

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

/** What stands in a field that does not decrypt comes back as it is. */
const oderUnlesbar = telefonnummer.or(z.literal(unreadable));

export const kontaktangaben = z.object({
  telefon: oderUnlesbar,
  mobil: oderUnlesbar,
  anschrift: z.string().trim().max(500, "Die Anschrift darf höchstens 500 Zeichen lang sein."),
});

export const columns = ["telefon", "mobil", "anschrift"] as const;
type Column = (typeof columns)[number];

export function place(column: Column, kontoId: string): Place {
  return { table: "kontaktdaten", column, row: kontoId };
}

/** As stored: sealed with the person's key, or by an earlier version with the school's; by which, says whose time is that of the last change. */
type Zeile = Readonly<Record<Column | `${Column}_verschlossen`, Buffer | null>> & { readonly eigene: boolean };

function ladeZeile(tx: Transaction, kontoId: string): Promise<Zeile | undefined> {
  return tx.one<Zeile>(
    `SELECT telefon, mobil, anschrift, telefon_verschlossen, mobil_verschlossen, anschrift_verschlossen,
            coalesce(verschlossen_am = geaendert_am, false) AS eigene
       FROM kontaktdaten WHERE konto_id = $1`,
    [kontoId],
  );
}

/** Contact data in clear; empty strings for what was not given, words in place of what does not decrypt. */
export async function ladeKontaktdaten(tx: Transaction, app: App, kontoId: string): Promise<Kontaktdaten> {
  const row = await ladeZeile(tx, kontoId);
  const keys = await personalKeys(tx, app.fieldKey, row ? [kontoId] : []);
  const clear = (column: Column) => {
    const sealed = row?.eigene ? row[`${column}_verschlossen`] : row?.[column];
    return sealed
      ? textOrUnreadable(app.log, () => keys.open(kontoId, place(column, kontoId), sealed).toString("utf8"))
      : "";
  };
  return { telefon: clear("telefon"), mobil: clear("mobil"), anschrift: clear("anschrift") };
}

/**
 * Stores contact data sealed with the person's key, but for what was not readable and was left as it was shown: bound to table, column and
 * row (R3); empty ones are removed.
 */
export async function speichereKontaktdaten(
  tx: Transaction,
  { app, now }: Pick<PersonVisit, "app" | "now">,
  kontoId: string,
  daten: Kontaktdaten,
): Promise<void> {
  const seal = await sealFor(tx, app.fieldKey, kontoId, now).catch((error: unknown) => {
    const erased = "Über diese Person wird nichts Vertrauliches mehr gespeichert: Ihre Daten wurden gelöscht.";
    throw error instanceof PersonErased ? new InputProblem({ field: "telefon", text: erased }) : error;
  });
  const before = columns.some((column) => daten[column] === unreadable) ? await ladeZeile(tx, kontoId) : undefined;
  const sealed = columns.map((column) => {
    if (daten[column] === unreadable) {
      return (before?.eigene ? before[`${column}_verschlossen`] : before?.[column]) ?? null;
    }
    return daten[column] === "" ? null : seal(place(column, kontoId), daten[column]);
  });
  await tx.run(
    `INSERT INTO kontaktdaten (konto_id, telefon_verschlossen, mobil_verschlossen, anschrift_verschlossen, geaendert_am, verschlossen_am)
     VALUES ($1, $2, $3, $4, $5, $5)
     ON CONFLICT (konto_id) DO UPDATE SET telefon = NULL, mobil = NULL, anschrift = NULL,
       telefon_verschlossen = excluded.telefon_verschlossen, mobil_verschlossen = excluded.mobil_verschlossen,
       anschrift_verschlossen = excluded.anschrift_verschlossen, geaendert_am = excluded.geaendert_am, verschlossen_am = excluded.verschlossen_am`,
    [kontoId, ...sealed, now],
  );
}
