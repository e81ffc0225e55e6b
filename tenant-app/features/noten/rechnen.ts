import { Fraction } from "fraction.js";
import { groesserIstBesser, type Notenwort, type Skala, type Tendenz, zaehltAls } from "./skala.ts";

/**
 * How a half-year's mark is reckoned: a proposal, with all that it was made of. Pure. Categories are nested with weights; one may have a
 * fixed share instead (an exam); means are exact fractions, so that n,50 on paper is n,50 here.
 */

export const halbeRegeln = ["besser", "schlechter"] as const;

/** What a school decides once for many courses. */
export interface Regelwerk {
  readonly skala: Skala;
  readonly tendenz: Tendenz;
  /** To which mark n,50 goes. */
  readonly halbe: (typeof halbeRegeln)[number];
  /** Digits after the comma that are kept before rounding, the rest is cut off; null: nothing is cut. */
  readonly abschneiden: number | null;
  readonly kategorien: readonly Kategorie[];
}

export interface Kategorie {
  readonly id: string;
  readonly name: string;
  /** The category that it is part of. */
  readonly ueberId: string | null;
  /** Beside its siblings; 0: it is shown and counts nothing. */
  readonly gewicht: number;
  /** Percent of what it is part of, whatever the others weigh; null: by weight. */
  readonly anteil: number | null;
  /** So many of the worst marks do not count, as long as one remains. */
  readonly streichen: number;
}

/** One mark of a pupil. */
export interface Einzelnote {
  readonly kategorieId: string;
  readonly name: string;
  readonly note: Notenwort;
  /** How often it counts. */
  readonly faktor: number;
}

/** A mark in the reckoning. */
export interface Summand {
  readonly name: string;
  readonly note: Notenwort;
  readonly wert: Fraction;
  readonly faktor: number;
  readonly gestrichen: boolean;
}

/** A category in the reckoning, and what it is made of. */
export interface Posten {
  readonly name: string;
  readonly gewicht: number;
  readonly anteil: number | null;
  /** Undefined while there is no mark that counts. */
  readonly mittel: Fraction | undefined;
  readonly summanden: readonly Summand[];
  readonly posten: readonly Posten[];
}

export interface Rechnung {
  readonly posten: readonly Posten[];
  readonly mittel: Fraction | undefined;
  /** What is left after cutting, if the rules cut and it makes a difference. */
  readonly abgeschnitten: Fraction | undefined;
  readonly vorschlag: Notenwort | undefined;
}

/** Reckons a pupil's proposal. Marks of categories that the rules do not know count nothing. */
export function rechne(regeln: Regelwerk, noten: readonly Einzelnote[]): Rechnung {
  const posten = postenUnter(regeln, noten, null);
  const mittel = zusammen(posten);
  if (mittel === undefined) {
    return { posten, mittel, abgeschnitten: undefined, vorschlag: undefined };
  }
  const gekuerzt = regeln.abschneiden === null ? mittel : schneideAb(mittel, regeln.abschneiden);
  return {
    posten,
    mittel,
    abgeschnitten: gekuerzt.equals(mittel) ? undefined : gekuerzt,
    vorschlag: runde(regeln, gekuerzt),
  };
}

function postenUnter(regeln: Regelwerk, noten: readonly Einzelnote[], ueber: string | null): Posten[] {
  return regeln.kategorien
    .filter(({ ueberId }) => ueberId === ueber)
    .map(({ id, name, gewicht, anteil, streichen }) => {
      const eigene = noten.filter(({ kategorieId }) => kategorieId === id);
      const summanden = mitStrichen(regeln, eigene, streichen);
      const unter = postenUnter(regeln, noten, id);
      return { name, gewicht, anteil, mittel: mittelVon(summanden) ?? zusammen(unter), summanden, posten: unter };
    });
}

function mitStrichen(regeln: Regelwerk, noten: readonly Einzelnote[], streichen: number): Summand[] {
  const alle = noten.map(({ name, note, faktor }) => ({
    name,
    note,
    faktor,
    wert: zaehltAls(regeln.skala, regeln.tendenz, note),
  }));
  if (streichen === 0) return alle.map((summand) => ({ ...summand, gestrichen: false }));
  const vorzeichen = groesserIstBesser(regeln.skala) ? 1 : -1;
  const zaehlende = alle.filter(({ faktor }) => faktor > 0);
  const schlechteste = [...zaehlende]
    .sort((a, b) => vorzeichen * a.wert.compare(b.wert))
    .slice(0, Math.max(0, Math.min(streichen, zaehlende.length - 1)));
  return alle.map((summand) => ({ ...summand, gestrichen: schlechteste.includes(summand) }));
}

function mittelVon(summanden: readonly Summand[]): Fraction | undefined {
  return gewichtet(
    summanden.filter(({ gestrichen }) => !gestrichen).map(({ wert, faktor }) => ({ mittel: wert, gewicht: faktor })),
  );
}

function gewichtet(
  teile: ReadonlyArray<{ readonly mittel: Fraction | undefined; readonly gewicht: number }>,
): Fraction | undefined {
  // Numerator and denominator apart: a book adds up hundreds of marks, and a fraction is cancelled down each time.
  let [zaehler, nenner, gewichte] = [0n, 1n, 0n];
  for (const { mittel, gewicht } of teile) {
    if (mittel === undefined) continue;
    const summand = mittel.s * mittel.n * BigInt(gewicht);
    if (mittel.d === nenner) zaehler += summand;
    else [zaehler, nenner] = [zaehler * mittel.d + summand * nenner, nenner * mittel.d];
    gewichte += BigInt(gewicht);
  }
  return gewichte === 0n ? undefined : new Fraction(zaehler, nenner * gewichte);
}

/** Fixed shares first; what is left is shared by weight. A part without a mark leaves its share to the others. */
function zusammen(posten: readonly Posten[]): Fraction | undefined {
  const rest = gewichtet(posten.filter(({ anteil }) => anteil === null));
  const feste = posten.flatMap(({ anteil, mittel }) =>
    anteil !== null && mittel !== undefined ? [{ mittel, gewicht: anteil }] : [],
  );
  const festes = posten.reduce((summe, { anteil }) => summe + (anteil ?? 0), 0);
  // Without a mark for the fixed ones, and nothing left for the others, these are all there is.
  return gewichtet([...feste, { mittel: rest, gewicht: Math.max(0, 100 - festes) }]) ?? rest;
}

/** Cuts digits off, as one does on paper: 2,59 with one digit is 2,5. */
function schneideAb(wert: Fraction, stellen: number): Fraction {
  const zehner = 10 ** stellen;
  return wert.mul(zehner).floor().div(zehner);
}

function runde({ skala, halbe }: Regelwerk, wert: Fraction): Notenwort {
  const ganz = wert.floor();
  const rest = wert.sub(ganz).compare(new Fraction(1, 2));
  const aufwaerts = rest > 0 || (rest === 0 && (halbe === "besser") === groesserIstBesser(skala));
  const note = Number(ganz.add(aufwaerts ? 1 : 0).valueOf());
  const [unten, oben] = skala === "punkte" ? [0, 15] : [1, 6];
  return String(Math.min(oben, Math.max(unten, note)));
}
