/** Bytes of a file that another program wrote, as text. */

export interface Text {
  readonly text: string;
  readonly zeichensatz: "UTF-8" | "UTF-16" | "Windows-1252";
}

/** Stands for a byte that Windows-1252 leaves undefined: the row that holds it is marked. */
export const unlesbar = "\ufffd";
const undefiniert = /[\x81\x8d\x8f\x90\x9d]/g;

/** Byte order mark first, then strict UTF-8, then Windows-1252. Takes any bytes. */
export function entziffere(bytes: Uint8Array): Text {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) {
    return { text: new TextDecoder("utf-16le").decode(bytes), zeichensatz: "UTF-16" };
  }
  if (bytes[0] === 0xfe && bytes[1] === 0xff) {
    return { text: new TextDecoder("utf-16be").decode(bytes), zeichensatz: "UTF-16" };
  }
  try {
    return { text: new TextDecoder("utf-8", { fatal: true }).decode(bytes), zeichensatz: "UTF-8" };
  } catch {
    // As browsers read it: the five bytes that it leaves undefined become control characters.
    const text = new TextDecoder("windows-1252").decode(bytes).replace(undefiniert, unlesbar);
    return { text, zeichensatz: "Windows-1252" };
  }
}

const trenner = [";", ",", "\t", "|"] as const;
export type Trenner = (typeof trenner)[number];

/** Which of the four separates: the one that makes the same number of columns, more than one, in most of the first rows. */
export function findeTrenner(text: string): Trenner {
  const probe = text.slice(0, 20_000);
  let bester: Trenner = ";";
  let meiste = 0;
  for (const einer of trenner) {
    const breiten = new Map<number, number>();
    let gelesen = 0;
    for (const { felder } of zeilen(probe, einer)) {
      breiten.set(felder.length, (breiten.get(felder.length) ?? 0) + 1);
      gelesen += 1;
      if (gelesen === 20) break;
    }
    for (const [breite, zahl] of breiten) {
      const guete = breite > 1 ? zahl * 1_000 + breite : 0;
      if (guete > meiste) [bester, meiste] = [einer, guete];
    }
  }
  return bester;
}

export interface Zeile {
  /** Counted from 1, as an editor shows it; of the line in which it begins. */
  readonly nummer: number;
  /** The line in which it ends: another one where a field in quotes goes on over lines. */
  readonly bis: number;
  readonly felder: readonly string[];
  /** Whether a field begins with a quote that has no end: it is read as a sign of the text, so that it swallows no other row. */
  readonly offen: boolean;
}

/**
 * Rows of a file with separated values (RFC 4180, and what programs make of it): fields in quotes may hold separators, line ends and doubled
 * quotes. A quote within a field is a quote; one that begins a field and has no end is one as well, and its row is marked. Empty rows are left
 * out. Takes any text.
 */
export function* zeilen(text: string, trenner: Trenner): Generator<Zeile> {
  let at = 0;
  let nummer = 1;
  while (at < text.length) {
    const felder: string[] = [];
    const beginn = nummer;
    let ende = false;
    let offen = false;
    while (!ende) {
      let feld: string;
      if (text[at] === '"') {
        const gelesen = inAnfuehrung(text, at, trenner);
        feld = gelesen.feld;
        at = gelesen.at;
        nummer += gelesen.umbrueche;
        offen ||= gelesen.offen;
      } else {
        const bis = naechstes(text, at, trenner);
        feld = text.slice(at, bis);
        at = bis;
      }
      felder.push(feld);
      ende = text[at] !== trenner;
      if (!ende) at += 1;
    }
    if (text[at] === "\r") at += 1;
    if (text[at] === "\n") at += 1;
    if (felder.length > 1 || felder[0]?.trim() !== "") yield { nummer: beginn, bis: nummer, felder, offen };
    nummer += 1;
  }
}

function naechstes(text: string, ab: number, trenner: Trenner): number {
  for (let at = ab; at < text.length; at += 1) {
    const zeichen = text[at];
    if (zeichen === trenner || zeichen === "\n" || zeichen === "\r") return at;
  }
  return text.length;
}

interface Gelesen {
  readonly feld: string;
  readonly at: number;
  readonly umbrueche: number;
  readonly offen: boolean;
}

/**
 * A field that begins with a quote. If that is never closed, or only in a later line and in the midst of a field there, it was none that
 * opens: the field ends with its line, and the quote is one of the text.
 */
function inAnfuehrung(text: string, ab: number, trenner: Trenner): Gelesen {
  let feld = "";
  let umbrueche = 0;
  let at = ab + 1;
  for (;;) {
    const schluss = text.indexOf('"', at);
    if (schluss < 0) return offenesFeld(text, ab, trenner);
    const teil = text.slice(at, schluss);
    umbrueche += teil.split(/\r\n|\r|\n/).length - 1;
    feld += teil;
    if (text[schluss + 1] === '"') {
      feld += '"';
      at = schluss + 2;
      continue;
    }
    // What stands between the closing quote and the separator belongs to the field.
    const bis = naechstes(text, schluss + 1, trenner);
    if (umbrueche > 0 && bis > schluss + 1) return offenesFeld(text, ab, trenner);
    return { feld: feld + text.slice(schluss + 1, bis), at: bis, umbrueche, offen: false };
  }
}

function offenesFeld(text: string, ab: number, trenner: Trenner): Gelesen {
  const bis = naechstes(text, ab + 1, trenner);
  return { feld: text.slice(ab, bis), at: bis, umbrueche: 0, offen: true };
}
