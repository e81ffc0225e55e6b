import { readWritten, WrittenFault } from "./text.ts";

/**
 * Lines `NAME=value`, as people write them for a shell, for systemd or for restic. Understood: blank lines, comments on lines of
 * their own, `export` before a name, blanks around name and value, a value in single quotes (as it is) or in double quotes (with
 * \" \\ \$ and \` as a shell has them). What could be meant in two ways is refused.
 */
export interface Setting {
  readonly name: string;
  readonly value: string;
}

const LINE = /^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*(.*)$/s;
const IGNORED = /^[ \t]*(#.*)?$/s;
/** After a closing quote. */
const REST = /^[ \t]*(?:[ \t]#.*)?$/s;
const ESCAPED = /\\(["\\$`])/g;
/** Quotes of word processors, and blanks that only look like one. */
const TYPOGRAPHIC = /^[\u2018-\u201f\u00ab\u00bb\u2039\u203a]/;
const ODD_BLANK = /^(?![ \t])\s|(?![ \t])\s$/u;
const CONTROL = /(?!\t)\p{Cc}/u;

const QUOTE_IT = "Put the value in single quotes: NAME='value'";

function singleQuoted(text: string, line: number): string {
  const end = text.indexOf("'", 1);
  if (end < 0) throw new WrittenFault(line, "a single quote is opened and not closed", QUOTE_IT);
  if (!REST.test(text.slice(end + 1)))
    throw new WrittenFault(line, "something follows the closing quote", "Quote the whole value, or nothing of it.");
  return text.slice(1, end);
}

function doubleQuoted(text: string, line: number): string {
  const quoted = /^"((?:[^"\\]|\\.)*)"/s.exec(text);
  if (quoted === null)
    throw new WrittenFault(line, "a double quote is opened and not closed", 'A double quote inside is written as \\"');
  const [whole, inner = ""] = quoted;
  if (!REST.test(text.slice(whole.length)))
    throw new WrittenFault(line, "something follows the closing quote", "Quote the whole value, or nothing of it.");
  if (/[$`]/.test(inner.replace(ESCAPED, "")))
    throw new WrittenFault(line, "in double quotes a shell would replace $ and `; nothing is replaced here", QUOTE_IT);
  return inner.replace(ESCAPED, "$1");
}

function plain(text: string, line: number): string {
  const value = text.replace(/[ \t]+$/, "");
  if (TYPOGRAPHIC.test(value))
    throw new WrittenFault(line, "the value begins with a quotation mark of a word processor", QUOTE_IT);
  if (ODD_BLANK.test(value))
    throw new WrittenFault(line, "the value begins or ends with a blank that is no ordinary one", QUOTE_IT);
  if (/[ \t]#/.test(value))
    throw new WrittenFault(
      line,
      "a comment, or a part of the value?",
      `${QUOTE_IT} — comments go on lines of their own`,
    );
  return value;
}

function understand(text: string, line: number): string {
  const value = text.startsWith("'")
    ? singleQuoted(text, line)
    : text.startsWith('"')
      ? doubleQuoted(text, line)
      : plain(text, line);
  if (CONTROL.test(value)) throw new WrittenFault(line, "there is a control character in the value", "Write it anew.");
  return value;
}

/**
 * Understands such lines. Pure.
 * @param text as decodeWritten gives it
 * @throws WrittenFault
 */
export function parseEnvironment(text: string): readonly Setting[] {
  const lineOf = new Map<string, number>();
  return text.split("\n").flatMap((content, index) => {
    const line = index + 1;
    if (IGNORED.test(content)) return [];
    const [, name, rest = ""] = LINE.exec(content) ?? [];
    if (name === undefined)
      throw new WrittenFault(line, "this is not NAME=value", "Names are letters, digits and _, and not a digit first.");
    const earlier = lineOf.get(name);
    if (earlier !== undefined)
      throw new WrittenFault(line, `the name of line ${earlier} is there again`, "Keep one of the two.");
    lineOf.set(name, line);
    return [{ name, value: understand(rest, line) }];
  });
}

/** The one form in which such lines are handed on: NAME=value and a line feed, the value as it is. Pure. */
export function environmentLines(settings: readonly Setting[]): string {
  return settings.map(({ name, value }) => `${name}=${value}\n`).join("");
}

/**
 * A file of such lines in the form in which they are handed on.
 * @param field of the settings that names the file, for the error
 * @throws ClassmindError `Invalid` naming file and line
 */
export function readEnvironment(file: string, field = ""): string {
  return readWritten(file, (text) => environmentLines(parseEnvironment(text)), field);
}
