import Handlebars from "handlebars";

const escaped = Handlebars.escapeExpression;

/** A field in a table of hundreds. */
export interface Tabellenfeld {
  /** Row and column of the form: the field is `n…`, beside it what stood there before as `a…`. */
  readonly nr: string;
  readonly beschriftung: string;
  readonly text: string;
  readonly alt: string;
  /** What stands below it. */
  readonly darunter: string;
  /** The same, for attention. */
  readonly warnung?: string;
  readonly fehlt: boolean;
  readonly unlesbar: boolean;
  readonly falsch: boolean;
}

/**
 * Fields of one row, side by side. Not guarded like other data of a view (strict.ts), since no view asks for their names: the word
 * `tabellenfelder` does, and the compiler knows which there are.
 */
export class Tabellenzeile {
  readonly felder: readonly Tabellenfeld[];
  /** Whether they are filled in, or only read. */
  readonly darf: boolean;
  constructor(felder: readonly Tabellenfeld[], darf: boolean) {
    this.felder = felder;
    this.darf = darf;
  }
}

/**
 * The cells of a row, as markup in which every value is escaped. Written here and not in a view: a view asks a dozen questions for each
 * field, and there are hundreds.
 */
export function tabellenfelder({ felder, darf }: Tabellenzeile): string {
  const cells = felder.map((feld) => {
    const read = feld.unlesbar ? "Nicht lesbar" : escaped(feld.text);
    const below = feld.darunter === "" ? "" : `<span class="buch-neben">${escaped(feld.darunter)}</span>`;
    const warning = feld.warnung ? `<span class="buch-neben buch-ab">${escaped(feld.warnung)}</span>` : "";
    return `<td>${darf ? eingabefeld(feld) : read}${below}${warning}</td>`;
  });
  return cells.join("\n");
}

function eingabefeld({ nr, beschriftung, text, alt, fehlt, unlesbar, falsch }: Tabellenfeld): string {
  const marks = `note${falsch ? " note-falsch" : ""}${fehlt ? " note-fehlt" : ""}`;
  const state = `${falsch ? ' aria-invalid="true"' : ""}${unlesbar ? ' placeholder="?" title="Nicht lesbar"' : ""}`;
  return (
    `<input class="${marks}" id="feld-n${escaped(nr)}" name="n${escaped(nr)}" value="${escaped(text)}" aria-label="${escaped(beschriftung)}"` +
    ` autocomplete="off" maxlength="8"${state}><input type="hidden" name="a${escaped(nr)}" value="${escaped(alt)}">`
  );
}
