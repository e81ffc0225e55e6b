import { mitNamen, type Namensangaben, namensangaben } from "../personen/public.ts";

/** What files say, whatever program they are from: one shape for all formats. */

/** Where a Satz comes from. */
export interface Herkunft {
  readonly datei: string;
  /** Counted from 1. */
  readonly zeile: number;
}

export type Personenart = "schueler" | "lehrkraft";

export interface Personensatz extends Namensangaben {
  readonly art: Personenart;
  /** By what other rows of the same upload mean this person: unique in it. */
  readonly ref: string;
  /** By what the program that the file is from knows the person again, if it does. */
  readonly kennung: { readonly quelle: string; readonly wert: string } | undefined;
  /** ISO 8601. */
  readonly geburt: string | undefined;
  /** Name of the class that a pupil is in. */
  readonly klasse: string | undefined;
  readonly email: string | undefined;
  readonly herkunft: Herkunft;
}

export interface Klassensatz {
  readonly name: string;
  readonly herkunft: Herkunft;
}

export interface Fachsatz {
  readonly kuerzel: string;
  readonly name: string;
  readonly herkunft: Herkunft;
}

export interface Kurssatz {
  /** Unique in the upload. */
  readonly ref: string;
  readonly kennung: { readonly quelle: string; readonly wert: string } | undefined;
  readonly name: string;
  /** Short name of its subject. */
  readonly fach: string;
  /** Classes that take it as a whole. */
  readonly klassen: readonly string[];
  readonly herkunft: Herkunft;
}

/** Somebody (by `ref`) belongs to a class (by its name) or a course (by `ref`). */
export interface Zuordnungssatz {
  readonly person: string;
  readonly ziel: string;
  readonly herkunft: Herkunft;
}

/** A row that cannot be taken, why, and what helps. */
export interface Zeilenfehler {
  readonly datei: string;
  readonly zeile: number;
  readonly text: string;
}

export interface Saetze {
  readonly personen: readonly Personensatz[];
  readonly klassen: readonly Klassensatz[];
  readonly faecher: readonly Fachsatz[];
  readonly kurse: readonly Kurssatz[];
  readonly leitungen: readonly Zuordnungssatz[];
  readonly auftraege: readonly Zuordnungssatz[];
  readonly einschreibungen: readonly Zuordnungssatz[];
  readonly fehler: readonly Zeilenfehler[];
  /** What is left out, or was guessed; in words. */
  readonly hinweise: readonly string[];
}

/** The same, while it is put together. */
export class Sammler {
  readonly personen: Personensatz[] = [];
  readonly klassen: Klassensatz[] = [];
  readonly faecher: Fachsatz[] = [];
  readonly kurse: Kurssatz[] = [];
  readonly leitungen: Zuordnungssatz[] = [];
  readonly auftraege: Zuordnungssatz[] = [];
  readonly einschreibungen: Zuordnungssatz[] = [];
  readonly fehler: Zeilenfehler[] = [];
  readonly hinweise: string[] = [];

  fehlt(herkunft: Herkunft, text: string): void {
    this.fehler.push({ datei: herkunft.datei, zeile: herkunft.zeile, text });
  }
}

const angaben = mitNamen(namensangaben);

/**
 * A person's Satz from raw fields. What no form would take is refused by its row: the same rule as by hand.
 * @returns undefined when it was refused; then the collector says why
 */
export function nimmPerson(
  sammler: Sammler,
  roh: Omit<Personensatz, "vorname" | "nachname" | "geburt" | "klasse" | "email" | "kennung"> & {
    readonly vorname: string;
    readonly nachname: string;
    readonly geburt?: string;
    readonly klasse?: string;
    readonly email?: string;
    readonly kennung?: { readonly quelle: string; readonly wert: string };
  },
): Personensatz | undefined {
  const { herkunft, vorname, nachname } = roh;
  const geprueft = angaben.safeParse({ vorname: einzeilig(vorname), nachname: einzeilig(nachname) });
  if (!geprueft.success) {
    sammler.fehlt(herkunft, geprueft.error.issues[0]?.message ?? "Der Name kann so nicht eingelesen werden.");
    return undefined;
  }
  const geburt = roh.geburt === undefined || roh.geburt.trim() === "" ? undefined : alsTag(roh.geburt);
  if (geburt === null) {
    sammler.fehlt(
      herkunft,
      `„${kurz(roh.geburt ?? "")}“ ist kein Geburtsdatum. Möglich sind 31.12.2012, 2012-12-31 und 20121231.`,
    );
    return undefined;
  }
  const klasse = roh.klasse?.trim() || undefined;
  if (klasse !== undefined && !namensregel(klasse, 20)) {
    sammler.fehlt(
      herkunft,
      `„${kurz(klasse)}“ ist kein Name für eine Klasse: höchstens 20 Zeichen, ohne Steuerzeichen.`,
    );
    return undefined;
  }
  const kennung = roh.kennung?.wert.trim();
  const satz: Personensatz = {
    art: roh.art,
    ref: roh.ref,
    ...geprueft.data,
    kennung: roh.kennung && kennung ? { quelle: roh.kennung.quelle, wert: kennung } : undefined,
    geburt,
    klasse,
    email: roh.email?.trim() || undefined,
    herkunft,
  };
  sammler.personen.push(satz);
  return satz;
}

const einzeilig = (text: string) => text.replace(/ {2,}/g, " ");

/** Whether a name of a class, course or subject is one: not empty, not too long, no invisible signs. */
export function namensregel(name: string, hoechstens: number): boolean {
  return name !== "" && name.length <= hoechstens && !/[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}]/u.test(name);
}

/** A value as a message may quote it: short, without what no page shows. */
export function kurz(text: string): string {
  const sauber = text.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}]/gu, "·");
  return sauber.length > 40 ? `${sauber.slice(0, 40)}…` : sauber;
}

/** A day as schools' programs write it, as ISO 8601; null for what is none. */
export function alsTag(text: string): string | null {
  const [, jahr, monat, tag] =
    /^(\d{4})-?(\d{2})-?(\d{2})(?:[T ].*)?$/.exec(text.trim()) ??
    (([, t = "", m = "", j = ""]) => [undefined, j, m.padStart(2, "0"), t.padStart(2, "0")])(
      /^(\d{1,2})\.(\d{1,2})\.(\d{4})$/.exec(text.trim()) ?? [],
    );
  const iso = `${jahr}-${monat}-${tag}`;
  const date = new Date(`${iso}T00:00:00Z`);
  return Number.isNaN(date.getTime()) || date.toISOString().slice(0, 10) !== iso || iso < "1900-01-01" ? null : iso;
}
