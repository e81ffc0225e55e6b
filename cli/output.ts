import { stripVTControlCharacters, styleText } from "node:util";

/** Where a command writes. Fake streams in tests, the process's in main.ts. */
export interface Terminal {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Whether people watch: then progress is drawn and colour used (unless NO_COLOR is set). */
  readonly interactive: boolean;
  readonly color: boolean;
  /** Columns. */
  readonly width: number;
  /** Asks one question; undefined when nobody can answer. */
  readonly ask: (question: string) => Promise<string | undefined>;
}

export type OutputFormat = "table" | "json";

const ESCAPE_OR_CONTROL = /\p{Cc}/gu;

/** Text from elsewhere, made safe for a terminal: no control characters, no escape sequences. */
export function printable(text: string): string {
  return stripVTControlCharacters(text).replace(ESCAPE_OR_CONTROL, " ");
}

export interface Column<T> {
  readonly title: string;
  readonly value: (row: T) => string;
  /** Columns that may be cut when the terminal is narrow; the first of them is cut first. */
  readonly flexible?: boolean;
}

const GAP = 2;
const LEAST = 8;

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}

/** Widths of columns that fit into a terminal: natural ones if they do, else flexible columns give way. Pure. */
export function fitWidths(
  natural: readonly number[],
  flexible: readonly boolean[],
  available: number,
): readonly number[] {
  const widths = [...natural];
  let excess = widths.reduce((sum, width) => sum + width + GAP, -GAP) - available;
  for (const [index, canGive] of flexible.entries()) {
    const width = widths[index];
    if (!canGive || excess <= 0 || width === undefined) continue;
    const given = Math.min(excess, Math.max(0, width - LEAST));
    widths[index] = width - given;
    excess -= given;
  }
  return widths;
}

/** A table that fits; without rows, the sentence for that case. */
export function table<T>(columns: readonly Column<T>[], rows: readonly T[], width: number, empty: string): string {
  if (rows.length === 0) return `${empty}\n`;
  const cells = rows.map((row) => columns.map((column) => printable(column.value(row))));
  const natural = columns.map((column, index) =>
    Math.max(column.title.length, ...cells.map((row) => row[index]?.length ?? 0)),
  );
  const widths = fitWidths(
    natural,
    columns.map((column) => column.flexible ?? false),
    width,
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, index) => cut(cell, widths[index] ?? 0).padEnd(widths[index] ?? 0))
      .join(" ".repeat(GAP))
      .trimEnd();
  return `${[line(columns.map((column) => column.title)), ...cells.map(line)].join("\n")}\n`;
}

/** Lines `Title  value`, aligned. */
export function details(entries: ReadonlyArray<readonly [string, string | undefined]>): string {
  const shown = entries.filter((entry): entry is readonly [string, string] => entry[1] !== undefined);
  const width = Math.max(...shown.map(([title]) => title.length));
  return shown.map(([title, value]) => `${title.padEnd(width)}  ${printable(value)}\n`).join("");
}

export function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** Colour beside a word or sign, never instead of one. */
export function tint(terminal: Terminal, style: "green" | "red" | "yellow" | "dim" | "bold", text: string): string {
  return terminal.color ? styleText(style, text, { validateStream: false }) : text;
}

const UNITS = [
  ["d", 86_400],
  ["h", 3_600],
  ["min", 60],
] as const;

/** An age or span in its largest unit: "3 d", "5 h", "12 min", "8 s". */
export function span(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  for (const [unit, size] of UNITS) if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  return `${seconds} s`;
}

/** Bytes in binary units: "1.5 GiB". */
export function bytes(count: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(units.length - 1, count < 1 ? 0 : Math.floor(Math.log2(count) / 10));
  const value = count / 1024 ** power;
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[power]}`;
}
