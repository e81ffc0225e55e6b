import { Fraction } from "fraction.js";

/** The scales of German schools, and how a mark is written and counted on each. Reckoned in exact fractions, never in binary ones. */

export const skalen = ["noten", "tendenzen", "punkte"] as const;
/** `noten`: 1 to 6 · `tendenzen`: the same with + and − · `punkte`: 15 to 0. */
export type Skala = (typeof skalen)[number];

export const skalenName: Readonly<Record<Skala, string>> = {
  noten: "Noten 1 bis 6",
  tendenzen: "Noten 1 bis 6 mit + und −",
  punkte: "Punkte 15 bis 0",
};

export const tendenzen = ["drittel", "viertel", "drei_zehntel"] as const;
/** How much a + or − counts: a 2+ is 2 less so much. */
export type Tendenz = (typeof tendenzen)[number];
const tendenzwert: Readonly<Record<Tendenz, Fraction>> = {
  drittel: new Fraction(1, 3),
  viertel: new Fraction(1, 4),
  drei_zehntel: new Fraction(3, 10),
};
export const tendenzName: Readonly<Record<Tendenz, string>> = {
  drittel: "ein Drittel (2+ zählt 1,67)",
  viertel: "ein Viertel (2+ zählt 1,75)",
  drei_zehntel: "drei Zehntel (2+ zählt 1,7)",
};

/** A mark as it is kept and shown: `2`, `2+`, `2-`, `13`. */
export type Notenwort = string;

/** All marks of a scale, the best first. A 6 has no tendency. */
export function alleNoten(skala: Skala): readonly Notenwort[] {
  if (skala === "punkte") {
    return Array.from({ length: 16 }, (_, index) => String(15 - index));
  }
  const ganze = ["1", "2", "3", "4", "5", "6"];
  return skala === "noten" ? ganze : ganze.flatMap((note) => (note === "6" ? [note] : [`${note}+`, note, `${note}-`]));
}
const erlaubt: Readonly<Record<Skala, ReadonlySet<Notenwort>>> = {
  noten: new Set(alleNoten("noten")),
  tendenzen: new Set(alleNoten("tendenzen")),
  punkte: new Set(alleNoten("punkte")),
};

/** A mark as somebody types it: ` 2 – ` and `+2` are `2-` and `2+`, `07` is `7`. Undefined for what is none of the scale. */
export function leseNote(skala: Skala, getippt: string): Notenwort | undefined {
  const plain = getippt
    .normalize("NFKC")
    .replace(/\s/g, "")
    .replace(/[−–‐‑]/g, "-");
  const note = plain.replace(/^([+-])(\d)$/, "$2$1").replace(/^0+(?=\d)/, "");
  return erlaubt[skala].has(note) ? note : undefined;
}

/** As people read it: with a real minus. */
export const zeigeNote = (note: Notenwort): string => note.replace("-", "−");

/** What each mark of each scale counts: a book asks it hundreds of times. */
const gezaehlt = new Map(
  skalen.flatMap((skala) =>
    tendenzen.flatMap((tendenz) =>
      alleNoten(skala).map((note): [string, Fraction] => [`${skala} ${tendenz} ${note}`, zaehle(tendenz, note)]),
    ),
  ),
);

function zaehle(tendenz: Tendenz, note: Notenwort): Fraction {
  const ganz = new Fraction(Number.parseInt(note, 10));
  const um = tendenzwert[tendenz];
  return note.endsWith("+") ? ganz.sub(um) : note.endsWith("-") ? ganz.add(um) : ganz;
}

/** What a mark counts. Throws for one that is not of the scale. */
export function zaehltAls(skala: Skala, tendenz: Tendenz, note: Notenwort): Fraction {
  const wert = gezaehlt.get(`${skala} ${tendenz} ${note}`);
  if (wert === undefined) {
    throw new Error("not a mark of this scale");
  }
  return wert;
}

/** Whether the larger number is the better mark. */
export const groesserIstBesser = (skala: Skala): boolean => skala === "punkte";

/** A fraction as people read it: exact where two digits suffice, else rounded with „≈". */
export function zeigeBruch(wert: Fraction): string {
  const hundert = wert.mul(100);
  const exakt = hundert.d === 1n;
  const [ganz, rest] = [hundert.round().abs().n / 100n, hundert.round().abs().n % 100n];
  const text = `${wert.s < 0n ? "−" : ""}${ganz},${String(rest).padStart(2, "0")}`;
  return exakt ? text : `≈ ${text}`;
}
