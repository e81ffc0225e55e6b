import { type KeyObject, randomUUID } from "node:crypto";
import { seal } from "../crypto/fields.ts";
import { sealForAll, sealUnlessErased } from "../crypto/personal.ts";
import type { Transaction } from "../database/database.ts";
import type { Resource } from "../gate/rights.ts";

export interface Entry<Deed extends string> {
  readonly resource: Resource<string, Deed>;
  readonly deed: NoInfer<Deed>;
  /** What it was done to. */
  readonly object: string;
  /** Whom it concerns, if it is about one person: old and new values are sealed with that person's key. */
  readonly person?: string;
  /** Old and new values, by names; never passwords, nor contents that are sealed where they are stored. */
  readonly values?: Values;
}

export interface Values {
  readonly alt?: object;
  readonly neu?: object;
}

/** Who writes, and when. */
export interface Writer {
  readonly fieldKey: KeyObject;
  readonly now: Date;
  /** Undefined for the operator's commands. */
  readonly by: string | undefined;
}

/** Where the values of an entry are sealed. */
export const sealedValues = (id: string) => ({ table: "journal.eintrag", column: "verschlossen", row: id });

/**
 * Appends to the journal in the same transaction as the change it records, so that neither exists alone (R43): the database refuses the
 * change without it. In clear stands which values there were, sealed what they are.
 */
export async function writeJournal<Deed extends string>(
  tx: Transaction,
  { fieldKey, now, by }: Writer,
  { resource, deed, object, person, values = {} }: Entry<Deed>,
): Promise<void> {
  const id = randomUUID();
  await tx.run(
    `INSERT INTO journal.eintrag (id, zeit, konto_id, person_id, ressource, aktion, objekt, werte, verschlossen)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
    [
      id,
      now,
      by ?? null,
      person ?? null,
      resource.name,
      deed,
      object,
      JSON.stringify(withoutValues(values)),
      Object.keys(values).length === 0 ? null : await sealed(),
    ],
  );

  async function sealed(): Promise<Buffer | null> {
    const text = JSON.stringify(values);
    if (person === undefined) {
      return seal(fieldKey, sealedValues(id), text);
    }
    // Of somebody who was erased it is kept that something was done, and no more.
    const sealPersonal = await sealUnlessErased(tx, fieldKey, person, now);
    return sealPersonal?.(sealedValues(id), text) ?? null;
  }
}

/** An entry of a list that holds entries of several kinds. */
export const entryOf = <Deed extends string>(entry: Entry<Deed>): Entry<string> => entry;

/** So many entries go into one statement. */
const atOnce = 1_000;

/** Appends many entries in a few statements, as `writeJournal` does one. */
export async function writeJournalAll(
  tx: Transaction,
  { fieldKey, now, by }: Writer,
  entries: readonly Entry<string>[],
): Promise<void> {
  const concerned = entries.flatMap(({ person }) => (person === undefined ? [] : [person]));
  const seals = await sealForAll(tx, fieldKey, concerned, now);
  for (let from = 0; from < entries.length; from += atOnce) {
    const rows = entries.slice(from, from + atOnce).map(({ resource, deed, object, person, values = {} }) => {
      const id = randomUUID();
      const text = JSON.stringify(values);
      const sealed =
        person === undefined ? seal(fieldKey, sealedValues(id), text) : seals.get(person)?.(sealedValues(id), text);
      const verschlossen = Object.keys(values).length === 0 ? null : (sealed?.toString("hex") ?? null);
      return {
        id,
        person,
        ressource: resource.name,
        aktion: deed,
        objekt: object,
        werte: withoutValues(values),
        verschlossen,
      };
    });
    await tx.run(
      `INSERT INTO journal.eintrag (id, zeit, konto_id, person_id, ressource, aktion, objekt, werte, verschlossen)
       SELECT x.id, $2, $3, x.person, x.ressource, x.aktion, x.objekt, x.werte, decode(x.verschlossen, 'hex')
         FROM json_to_recordset($1::json) AS x (id uuid, person uuid, ressource text, aktion text, objekt text, werte jsonb, verschlossen text)`,
      [JSON.stringify(rows), now, by ?? null],
    );
  }
}

/** The names of values, and nothing of what they are; the database makes lists of them. */
function withoutValues(values: Values): object {
  return Object.fromEntries(
    Object.entries(values).map(([when, what]: [string, object]) => [
      when,
      Array.isArray(what) ? [] : Object.fromEntries(Object.keys(what).map((name) => [name, null])),
    ]),
  );
}
