import { type Herkunft, kurz, type Sammler } from "./saetze.ts";
import { entziffere, findeTrenner, type Trenner, unlesbar, type Zeile, zeilen } from "./text.ts";

/** A file as rows and columns, whatever its program: what all formats share. */

export interface Tabelle {
  readonly datei: string;
  readonly text: string;
  readonly trenner: Trenner;
  /** Of the first row; empty for formats without one. */
  readonly kopf: readonly string[];
}

/** Most rows of one file: a school has no more, and a file that has is not what it was taken for. */
const hoechstensZeilen = 100_000;

/** @param mitKopf whether its first row says what the columns are called */
export function tabelle(datei: string, bytes: Uint8Array, mitKopf: boolean): Tabelle {
  const { text } = entziffere(bytes);
  const trenner = findeTrenner(text);
  const [erste] = mitKopf ? [...bisZu(zeilen(text, trenner), 1)] : [];
  return { datei, text, trenner, kopf: erste?.felder.map((feld) => feld.trim()) ?? [] };
}

export function* bisZu<T>(alle: Iterable<T>, zahl: number): Generator<T> {
  let gesehen = 0;
  for (const eines of alle) {
    if (gesehen >= zahl) return;
    gesehen += 1;
    yield eines;
  }
}

export interface Gelesen {
  readonly herkunft: Herkunft;
  /** The field of a column, counted from 0, without blanks around it; empty if the row is too short or the column is none. */
  feld(spalte: number | undefined): string;
}

/**
 * The rows below the heading. Short ones are padded; one that is longer than the others is refused, for nobody knows which of its columns is
 * too much, and one with a quote that opens and has no end; one with bytes that could not be read is taken, and named.
 * @param mindestens columns of the format, for files without a heading
 */
export function* datenzeilen(
  sammler: Sammler,
  { datei, text, trenner, kopf }: Tabelle,
  mindestens = 0,
): Generator<Gelesen> {
  const breite = kopf.length > 0 ? kopf.length : Math.max(mindestens, ueblicheBreite(zeilen(text, trenner)));
  const unklar: number[] = [];
  const mehrzeilig: string[] = [];
  let nummer = 0;
  for (const zeile of zeilen(text, trenner)) {
    nummer += 1;
    const herkunft = { datei, zeile: zeile.nummer };
    if (nummer > hoechstensZeilen) {
      sammler.fehlt(herkunft, `Die Datei hat mehr als ${hoechstensZeilen} Zeilen. Teilen Sie sie auf.`);
      break;
    }
    if (zeile.offen) sammler.fehlt(herkunft, offenesZeichen);
    if (zeile.bis > zeile.nummer) mehrzeilig.push(`${zeile.nummer} bis ${zeile.bis}`);
    if (zeile.offen || (kopf.length > 0 && nummer === 1)) continue;
    if (zuLang(zeile.felder, breite)) {
      const erstes = kurz(zeile.felder[0] ?? "");
      const text = `Die Zeile („${erstes} …“) hat ${zeile.felder.length} Spalten, die anderen haben ${breite}. Meist steht ein Trennzeichen in einem Feld, das nicht in Anführungszeichen steht.`;
      sammler.fehlt(herkunft, text);
      continue;
    }
    if (zeile.felder.some((feld) => feld.includes(unlesbar))) unklar.push(zeile.nummer);
    yield { herkunft, feld: (spalte) => (spalte === undefined ? "" : (zeile.felder[spalte] ?? "").trim()) };
  }
  const welche = (alle: readonly (number | string)[]) =>
    alle.slice(0, 10).join(", ") + (alle.length > 10 ? " und weitere" : "");
  if (mehrzeilig.length > 0) {
    sammler.hinweise.push(
      `${datei}: In Zeile ${welche(mehrzeilig)} geht ein Feld in Anführungszeichen über mehrere Zeilen. Stehen darin andere Personen, fehlt dort ein Anführungszeichen; sie würden nicht gelesen.`,
    );
  }
  if (unklar.length > 0) {
    sammler.hinweise.push(
      `${datei}: In Zeile ${welche(unklar)} steht ein Zeichen, das nicht zu lesen war. Es ist durch „${unlesbar}“ ersetzt; bitte prüfen Sie diese Namen.`,
    );
  }
}

const offenesZeichen =
  "In dieser Zeile beginnt ein Feld mit einem Anführungszeichen, zu dem das schließende fehlt. Ergänzen Sie es am Ende des Feldes, oder entfernen Sie das erste.";

/** Columns beyond the width do not count as long as nothing stands in them. */
const zuLang = (felder: readonly string[], breite: number) =>
  felder.length > breite && felder.slice(breite).some((feld) => feld.trim() !== "");

function ueblicheBreite(alle: Iterable<Zeile>): number {
  const wie = new Map<number, number>();
  for (const { felder } of bisZu(alle, 500)) wie.set(felder.length, (wie.get(felder.length) ?? 0) + 1);
  return [...wie].sort(([a, x], [b, y]) => y - x || b - a)[0]?.[0] ?? 0;
}

/** A heading's word, as it is compared: small letters and digits alone, umlauts spelled out. */
export function wortstamm(text: string): string {
  return text
    .toLowerCase()
    .replaceAll("ä", "ae")
    .replaceAll("ö", "oe")
    .replaceAll("ü", "ue")
    .replaceAll("ß", "ss")
    .normalize("NFD")
    .replace(/[^a-z0-9]/g, "");
}

/** Which column a heading has under one of these words, counted from 0. */
export function spalteMit(kopf: readonly string[], ...worte: readonly string[]): number | undefined {
  const stamm = kopf.map(wortstamm);
  for (const wort of worte) {
    const at = stamm.indexOf(wort);
    if (at >= 0) return at;
  }
  return undefined;
}
