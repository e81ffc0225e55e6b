import { lineAt, readWritten, WrittenFault } from "./text.ts";

/** JSON that people write. V8 says what is wrong with it by quoting it, and not where: this says where, and quotes nothing. */

const MOST_DEPTH = 100;
const WHITE = /[ \t\n]*/y;
const STRING = /"(?:[^"\\\p{Cc}]|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*"/uy;
const SCALAR = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.+-])/y;

const HINT = "JSON has no comments, no comma before a closing bracket, and double quotes alone. Correct this line.";

/** Walks over a text by RFC 8259 and stops at the first thing that is wrong. */
class Walk {
  private readonly text: string;
  private at = 0;
  constructor(text: string) {
    this.text = text;
  }

  private fail(message: string, offset = this.at): never {
    throw new WrittenFault(lineAt(this.text, offset), message, HINT);
  }

  private take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0];
    if (found !== undefined) this.at += found.length;
    return found;
  }

  private next(): string | undefined {
    this.take(WHITE);
    return this.text[this.at];
  }

  private string(what: string): string {
    if (this.next() !== '"') this.fail(this.at >= this.text.length ? "the file ends too early" : `${what} is missing`);
    return (
      this.take(STRING) ?? this.fail("this text in quotes does not end, or holds a character that must be escaped")
    );
  }

  /** What stands between two brackets, separated by commas. */
  private list(end: string, depth: number, one: () => void): void {
    if (depth > MOST_DEPTH) this.fail("this is nested too deeply");
    this.at += 1;
    if (this.next() === end) {
      this.at += 1;
      return;
    }
    for (;;) {
      one();
      const separator = this.next();
      this.at += 1;
      if (separator === end) return;
      if (separator !== ",") {
        this.at -= 1;
        this.fail(separator === undefined ? "the file ends too early" : `a comma or ${end} is missing before this`);
      }
    }
  }

  private value(depth: number): void {
    const first = this.next();
    if (first === "{") {
      const keys = new Set<unknown>();
      this.list("}", depth, () => {
        this.next();
        const start = this.at;
        const key: unknown = JSON.parse(this.string("a key in double quotes"));
        if (keys.has(key)) this.fail("the key on this line is there already", start);
        keys.add(key);
        if (this.next() !== ":") this.fail("a colon is missing after the key");
        this.at += 1;
        this.value(depth + 1);
      });
    } else if (first === "[") this.list("]", depth, () => this.value(depth + 1));
    else if (first === '"') this.string("a text");
    else if (this.take(SCALAR) === undefined)
      this.fail(first === undefined ? "the file ends too early" : "this is no value");
  }

  whole(): void {
    this.value(1);
    if (this.next() !== undefined) this.fail("something follows the end");
  }
}

/**
 * Understands JSON; keys that are there twice are refused. Pure.
 * @param text as decodeWritten gives it
 * @throws WrittenFault
 */
export function parseJson(text: string): unknown {
  new Walk(text).whole();
  return JSON.parse(text);
}

/**
 * Reads a file of JSON that people write.
 * @throws ClassmindError `Invalid` naming file and line; the file system's error when it cannot be read
 */
export function readJson(file: string): unknown {
  return readWritten(file, parseJson);
}
