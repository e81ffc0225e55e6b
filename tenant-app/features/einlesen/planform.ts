import type { Fachsatz, Herkunft, Personenart } from "./saetze.ts";

/** What plans are made of. */

/** Somebody or something that is there (`id:`…) or is made by the plan (`neu:`…). */
export type Verweis = string;
export const vorhanden = (id: string): Verweis => `id:${id}`;
export const geplant = (ref: string): Verweis => `neu:${ref}`;

export type Zuordnungsart = "mitglied" | "leitung" | "auftrag" | "einschreibung";

export interface NeuePerson {
  readonly ref: string;
  readonly vorname: string;
  readonly nachname: string;
}

/** By what somebody is known again; undefined stays as it is. */
export interface Merkmal {
  readonly person: Verweis;
  readonly art: Personenart;
  readonly geburt: string | undefined;
  readonly kennung: { readonly quelle: string; readonly wert: string } | undefined;
}

export interface Umbenennung {
  readonly id: string;
  readonly version: number;
  readonly alt: { readonly vorname: string; readonly nachname: string };
  readonly neu: { readonly vorname: string; readonly nachname: string };
}

export interface NeuesKonto {
  readonly person: Verweis;
  readonly art: Personenart;
  readonly vorname: string;
  readonly nachname: string;
  readonly email: string;
}

export interface NeuerKurs {
  readonly ref: string;
  readonly name: string;
  readonly fach: Verweis;
}

export interface NeueZuordnung {
  readonly art: Zuordnungsart;
  readonly person: Verweis;
  readonly ziel: Verweis;
  readonly ab: string;
  readonly bis: string;
}

/** The end of a membership of a class; without `bis` it is taken away, for it would end before it began. */
export interface Ende {
  readonly id: string;
  readonly person: string;
  readonly alt: { readonly ab: string; readonly bis: string };
  readonly bis: string | undefined;
}

export interface Handlungen {
  readonly personen: readonly NeuePerson[];
  readonly umbenennungen: readonly Umbenennung[];
  readonly merkmale: readonly Merkmal[];
  readonly konten: readonly NeuesKonto[];
  readonly faecher: readonly Fachsatz[];
  readonly klassen: readonly { readonly name: string }[];
  readonly kurse: readonly NeuerKurs[];
  readonly kurskennungen: ReadonlyArray<{ readonly kurs: Verweis; readonly quelle: string; readonly wert: string }>;
  readonly enden: readonly Ende[];
  readonly zuordnungen: readonly NeueZuordnung[];
}

export const gruppen = ["fehler", "zweifelhaft", "neu", "geaendert", "fehlt", "ausgelassen", "unveraendert"] as const;
export type Gruppe = (typeof gruppen)[number];

/** A line of the preview. */
export interface Planzeile {
  readonly gruppe: Gruppe;
  /** Who or what. */
  readonly was: string;
  /** What happens, or why not; each a sentence or a value. */
  readonly dazu: readonly string[];
  readonly herkunft: Herkunft | undefined;
  /** Where who or what is there already can be seen. */
  readonly href: string | undefined;
  /** Of a doubtful one: by what its decision is named, and who it may be. */
  readonly frage:
    | {
        readonly ref: string;
        readonly kandidaten: readonly { readonly id: string; readonly name: string; readonly dazu: string }[];
      }
    | undefined;
}

export interface Plan {
  readonly handlungen: Handlungen;
  readonly zeilen: readonly Planzeile[];
  readonly zahlen: Readonly<Record<Gruppe, number>>;
  readonly hinweise: readonly string[];
  /** Names this plan: another one has another. */
  readonly pruefwert: string;
  /** Whether it may be carried out: nothing refused, nothing doubtful. */
  readonly moeglich: boolean;
  /** Whether it would change anything. */
  readonly leer: boolean;
}

/** What the parts of a plan write into. */
export interface Entwurf {
  readonly zeilen: Planzeile[];
  readonly hinweise: string[];
  /** Of each person, what happens to them, in words. */
  readonly jePerson: Map<Verweis, string[]>;
}

/** Who is meant by a `ref` of the files; undefined: nobody, or somebody who is left out. */
export type Werist = (ref: string) => Verweis | undefined;

export const leereZeile = { herkunft: undefined, href: undefined, frage: undefined } as const;

/** The remedy where somebody is meant who is marked for deletion. */
export const zuruecknehmen =
  "Ist diese Person gemeint, muss zuerst ihre Löschung zurückgenommen werden (Konten, „Zur Löschung vorgemerkte Konten“); öffnen Sie danach die Vorschau neu.";
