import { printable, type Terminal, tint } from "./output.ts";

/** Results of an examination, of this machine or of an engine. */
export interface Finding {
  readonly check: string;
  readonly ok: boolean;
  readonly message: string;
  /** What to do about it when not ok. */
  readonly remedy?: string | undefined;
  /** Nobody looked: neither well nor a fault. */
  readonly skipped?: true | undefined;
}

/** One finding in words: the sign is a word, and what to do stands below it. */
export function describeFinding(terminal: Terminal, { check, ok, message, remedy, skipped }: Finding): string {
  const seen = ok ? tint(terminal, "green", "ok  ") : tint(terminal, "red", "FAIL");
  const sign = skipped === true ? "-   " : seen;
  const next = ok || remedy === undefined ? "" : `       Next: ${printable(remedy)}\n`;
  return `  ${sign} ${check.padEnd(22)} ${printable(message)}\n${next}`;
}
