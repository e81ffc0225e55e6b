import { readFileSync } from "node:fs";
import { ClassmindError } from "../errors.ts";

/** Files that people write, with whatever editor and on whatever system: read in one way, or refused by line. */

/** What is wrong with a text, and where. Never holds anything of the text itself, which may be a password. */
export class WrittenFault extends Error {
  /** From 1. */
  readonly line: number;
  readonly remedy: string;
  constructor(line: number, message: string, remedy: string) {
    super(message);
    this.name = "WrittenFault";
    this.line = line;
    this.remedy = remedy;
  }
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });
const LINE_FEED = 10;

/** Number of the line at which bytes stop being UTF-8. */
function lineOfFault(bytes: Uint8Array): number {
  let line = 1;
  let start = 0;
  for (;;) {
    const end = bytes.indexOf(LINE_FEED, start);
    try {
      UTF8.decode(bytes.subarray(start, end < 0 ? bytes.length : end));
    } catch {
      return line;
    }
    if (end < 0) return line;
    start = end + 1;
    line += 1;
  }
}

/**
 * The text of a file: UTF-8, without the mark (BOM) that some editors put before it, lines ended by LF or CR LF.
 * @returns lines are ended by LF alone
 * @throws WrittenFault when it is not UTF-8, or has a CR or NUL that ends no line
 */
export function decodeWritten(bytes: Uint8Array): string {
  const [first, second] = bytes;
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff))
    throw new WrittenFault(1, "the file is UTF-16", "Save it as UTF-8.");
  let text: string;
  try {
    text = UTF8.decode(bytes);
  } catch {
    throw new WrittenFault(lineOfFault(bytes), "this is not UTF-8", "Save the file as UTF-8.");
  }
  const plain = text.replaceAll("\r\n", "\n");
  const odd = /[\r\0]/.exec(plain);
  if (odd !== null) {
    const what = odd[0] === "\0" ? "a NUL byte" : "a carriage return that ends no line";
    throw new WrittenFault(lineAt(plain, odd.index), `there is ${what}`, "Remove it, or write the line anew.");
  }
  return plain;
}

/** Number of the line in which a place of a text lies. */
export function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at >= 0 && at < offset; at = text.indexOf("\n", at + 1)) line += 1;
  return line;
}

/**
 * Reads a file and understands it.
 * @param field of the settings that names the file, for the error
 * @throws ClassmindError `Invalid` naming file and line, and quoting nothing of it
 */
export function readWritten<T>(file: string, understand: (text: string) => T, field = ""): T {
  try {
    return understand(decodeWritten(readFileSync(file)));
  } catch (error) {
    if (!(error instanceof WrittenFault)) throw error;
    const message = `${file}, line ${error.line}: ${error.message}`;
    throw new ClassmindError("Invalid", message, { field, remedy: error.remedy });
  }
}

/** A file whose lines are for another program (keys, certificates, known hosts): as it is, without what an editor added. */
export function readLines(file: string, field = ""): string {
  return readWritten(file, (text) => text, field);
}
