import type { Posten, Rechnung, Regelwerk } from "./rechnen.ts";
import { tendenzName, zeigeBruch, zeigeNote } from "./skala.ts";

/** A reckoning in words, for the page that shows all of it. */

export interface GezeigterPosten {
  readonly name: string;
  /** „Gewicht 2", „25 % fest". */
  readonly gewicht: string;
  readonly mittel: string;
  /** How deep it is nested. */
  readonly tiefe: number;
  readonly noten: ReadonlyArray<{
    readonly name: string;
    readonly note: string;
    readonly mal: string;
    readonly gestrichen: boolean;
  }>;
}

export interface Gezeigt {
  readonly posten: readonly GezeigterPosten[];
  readonly mittel: string;
  readonly abgeschnitten: string;
  readonly vorschlag: string;
  /** The rules by which it was rounded. */
  readonly regeln: readonly string[];
}

export function zeigeRechnung(regeln: Regelwerk, { posten, mittel, abgeschnitten, vorschlag }: Rechnung): Gezeigt {
  return {
    posten: posten.flatMap((einer) => flach(einer, 0)),
    mittel: mittel ? `${zeigeBruch(mittel)}${mittel.mul(100).d === 1n ? "" : ` (genau ${mittel.toFraction()})`}` : "",
    abgeschnitten: abgeschnitten ? zeigeBruch(abgeschnitten) : "",
    vorschlag: vorschlag ?? "",
    regeln: rundung(regeln),
  };
}

function flach({ name, gewicht, anteil, mittel, summanden, posten }: Posten, tiefe: number): GezeigterPosten[] {
  return [
    {
      name,
      gewicht: anteil === null ? `Gewicht ${gewicht}` : `${anteil} % fest`,
      mittel: mittel ? zeigeBruch(mittel) : "",
      tiefe,
      noten: summanden.map(({ name: leistung, note, faktor, gestrichen }) => ({
        name: leistung,
        note: zeigeNote(note),
        mal: faktor === 1 ? "" : `zählt ${faktor}-fach`,
        gestrichen,
      })),
    },
    ...posten.flatMap((unter) => flach(unter, tiefe + 1)),
  ];
}

/** How is rounded, in sentences. */
export function rundung({ skala, tendenz, halbe, abschneiden }: Regelwerk): string[] {
  const stellen = ["ohne Nachkommastelle", "auf eine Nachkommastelle", "auf zwei Nachkommastellen"];
  return [
    ...(skala === "tendenzen" ? [`Ein Plus oder Minus zählt ${tendenzName[tendenz]}.`] : []),
    ...(abschneiden === null ? [] : [`Vor dem Runden wird ${stellen[abschneiden]} abgeschnitten.`]),
    `Genau die Hälfte wird zur ${halbe === "besser" ? "besseren" : "schlechteren"} Note gerundet.`,
    "Was noch keine Note hat, zählt nicht mit; sein Gewicht verteilt sich auf das Übrige.",
  ];
}
