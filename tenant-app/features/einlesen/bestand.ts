import type { Namensangaben } from "../personen/public.ts";
import type { Zugehoerig } from "../struktur/public.ts";
import type { Einstellungen } from "./einstellungen.ts";
import type { Personenart } from "./saetze.ts";

/** What the school has, as far as a plan needs it; and how foreign names become check values. */

export interface Bestandsperson extends Namensangaben {
  readonly id: string;
  readonly version: number;
  /** As what the school knows this person: from lists, classes, courses, roles. */
  readonly art: Personenart | undefined;
  readonly elternteil: boolean;
  readonly hatKonto: boolean;
  /** The day on which this person is erased, ISO 8601; undefined: they stay. */
  readonly vorgemerkt: string | undefined;
  /** Check value of the birth date, hexadecimal. */
  readonly geburt: string | undefined;
  /** Check values by program, hexadecimal. */
  readonly kennungen: ReadonlyMap<string, string>;
  /** What lists have said this person is; undefined: no list has. */
  readonly eingelesenAls: Personenart | undefined;
}

export interface Bestand extends Einstellungen {
  readonly heute: string;
  /** Last day of the school year. */
  readonly bis: string;
  /** Whoever reads the list, and whether they may give themselves what they teach. */
  readonly ich: string;
  readonly darfEigene: boolean;
  readonly personen: readonly Bestandsperson[];
  /** Of the year; in the order of their names. */
  readonly klassen: ReadonlyArray<{ readonly id: string; readonly name: string }>;
  readonly kurse: ReadonlyArray<{ readonly id: string; readonly name: string; readonly fach: string }>;
  readonly faecher: ReadonlyArray<{ readonly id: string; readonly kuerzel: string; readonly name: string }>;
  /** Course by the check value of its foreign name, „quelle:hex". */
  readonly kurskennungen: ReadonlyMap<string, string>;
  /** All of the year. */
  readonly mitglieder: readonly Zugehoerig[];
  readonly leitungen: readonly Zugehoerig[];
  readonly auftraege: readonly Zugehoerig[];
  readonly einschreibungen: readonly Zugehoerig[];
  /** People whom the acting account may not rename: they manage more. */
  readonly unantastbar: ReadonlySet<string>;
}

/** Check values, hexadecimal: of the same under the same key always the same, and nothing else can be learned from them. */
export interface Pruefer {
  person(quelle: string, wert: string): string;
  kurs(jahr: string, quelle: string, wert: string): string;
  geburt(person: string, tag: string): string;
}
