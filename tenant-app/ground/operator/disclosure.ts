import type { KeyObject } from "node:crypto";
import type { PersonalKeys } from "../crypto/personal.ts";
import { sealedValues } from "../journal/write.ts";

/**
 * What somebody is told who asks for all that is stored about them (R49). Which rows are about them is read from the schema; a feature says
 * of its own columns only what the schema does not: how what is sealed is opened, and what of others is told.
 */

/** A row: text as the database writes it, sealed values as they are. */
export type DisclosedRow = Readonly<Record<string, string | Buffer | null>>;

export interface DisclosureContext {
  /** Who asks. */
  readonly person: string;
  readonly keys: PersonalKeys;
  readonly fieldKey: KeyObject;
}

/** What is told of one column, by `table.column`. */
export interface Told {
  /** What stands in it, in words. Throws UnreadableField. */
  readonly open?: (row: DisclosedRow, context: DisclosureContext) => string;
  /** Why what stands in it is not told, in German. */
  readonly withheld?: string;
  /** It refers to people beside the one who asks, who know each other by what it is about: their names are told. */
  readonly named?: true;
  /** Of a column that refers to a row: that row comes along. */
  readonly along?: true;
  /** Of a column that refers to a row: whoever is told of that row is told of this one, but only to whom it refers. */
  readonly below?: true;
  /** It names people without referring to them: by their id, or somewhere in its text by their user name or their id. */
  readonly names?: "id" | "username";
}

/** By `table.column`; of another schema than `public` by `schema.table.column`. */
export type Disclosure = Readonly<Record<string, Told>>;

const foreign = "betrifft eine andere Person";

const text = (row: DisclosedRow, column: string): string => String(row[column] ?? "");

/** Of what belongs to no feature: the journal, keys, background work. */
export const groundDisclosure: Disclosure = {
  "journal.eintrag.objekt": {
    names: "id",
    open: (row, { person }) =>
      row.person_id !== null && row.person_id !== person && row.objekt !== person ? foreign : text(row, "objekt"),
  },
  "journal.eintrag.verschlossen": {
    open: (row, { person, keys }) => {
      const about = row.person_id ?? "";
      // What somebody did to others is about those.
      if (about !== "" && about !== person) return foreign;
      return keys.open(text(row, "person_id"), sealedValues(text(row, "id")), row.verschlossen as Buffer).toString();
    },
  },
  "journal.geschrieben.objekt": { names: "id" },
  "schluessel.person.verpackt": { withheld: "Schlüssel: Wer ihn hätte, könnte Verschlüsseltes lesen." },
  "hintergrundarbeit.auftrag": { withheld: "Arbeitsauftrag; er enthält Angaben über andere Personen." },
  "hintergrundarbeit.ergebnis": { withheld: "Ergebnis einer Arbeit; es enthält Angaben über andere Personen." },
};
