import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import {
  environmentLines,
  parseEnvironment,
  readEnvironment,
  type Setting,
} from "../../../control-plane/written/environment.ts";
import { decodeWritten, WrittenFault } from "../../../control-plane/written/text.ts";

const directory = mkdtempSync(join(tmpdir(), "classmind-written-"));
afterAll(() => rmSync(directory, { recursive: true }));
const understood = (text: string | Uint8Array) =>
  parseEnvironment(decodeWritten(typeof text === "string" ? Buffer.from(text) : text));
const value = (line: string) => understood(line)[0]?.value;

/** Of a text that is refused: where and why. */
function fault(text: string | Uint8Array): WrittenFault {
  try {
    understood(text);
  } catch (error) {
    if (error instanceof WrittenFault) return error;
    throw error;
  }
  throw new Error("it was understood");
}

describe("lines NAME=value", () => {
  it("are understood as people write them, and handed on in one form", () => {
    const file = join(directory, "backup.env");
    const lines = [
      "\ufeff# for the storage box",
      "",
      "export RESTIC_REST_USERNAME=classmind  ",
      "  RESTIC_REST_PASSWORD = 'it is $ecret # and \"odd\"'",
      'AWS_ACCESS_KEY_ID="a \\"b\\" \\$c \\\\ d" # quoted',
      "AWS_SECRET_ACCESS_KEY=ab/c+d==",
      "EMPTY=",
      "   # end",
    ];
    writeFileSync(file, lines.join("\r\n"));
    expect(readEnvironment(file)).toBe(
      [
        "RESTIC_REST_USERNAME=classmind",
        `RESTIC_REST_PASSWORD=it is $ecret # and "odd"`,
        'AWS_ACCESS_KEY_ID=a "b" $c \\ d',
        "AWS_SECRET_ACCESS_KEY=ab/c+d==",
        "EMPTY=",
        "",
      ].join("\n"),
    );
  });

  it.each([
    ["a=b#c", "b#c"],
    ["a=b c", "b c"],
    ["a=it's", "it's"],
    ["a=back\\slash", "back\\slash"],
    ["a=$HOME", "$HOME"],
    ["a='  x '", "  x "],
    ["a=\tx\t", "x"],
    ["a=''", ""],
    ["a='\u00a0x'", "\u00a0x"],
    ["a=ü", "ü"],
    ["exported=1", "1"],
  ])("%j has the value %j", (line, expected) => expect(value(line)).toBe(expected));

  it.each([
    ["no name", "=x"],
    ["no equals sign", "RESTIC_REST_PASSWORD hunter2"],
    ["a name with a blank", "A B=hunter2"],
    ["a name with a digit first", "1A=hunter2"],
    ["a command", "export; rm -rf hunter2"],
    ["an open single quote", "A='hunter2"],
    ["an open double quote", 'A="hunter2\\"'],
    ["text after a single quote", "A='hunter2'x"],
    ["text after a double quote", 'A="hunter2"x'],
    ["a dollar in double quotes", 'A="hunter2$x"'],
    ["a word processor's quotes", "A=\u201chunter2\u201d"],
    ["a blank that does not break", "A=hunter2\u00a0"],
    ["what may be a comment", "A=hunter2 # mine"],
    ["a carriage return within", "A=hunter2\rB=1"],
    ["a NUL", "A=hunter2\0"],
    ["another control character", "A=hunter2\x1b[2J"],
    ["a name twice", "A=1\nA=hunter2"],
  ])("with %s are refused by number, with a remedy, and without a word of what they hold", (_what, text) => {
    const before = "# one\n\nFIRST=1\n";
    const { line, message, remedy } = fault(`${before}${text}`);
    expect(line).toBe(before.split("\n").length + (text.startsWith("A=1\n") ? 1 : 0));
    expect(remedy).not.toBe("");
    expect(`${message} ${remedy}`).not.toContain("hunter2");
  });

  it("in another encoding are refused by the line where it shows", () => {
    expect(fault(Buffer.from("A=1\nB=2", "utf16le"))).toMatchObject({ line: 1, message: "there is a NUL byte" });
    expect(fault(Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from("A=1", "utf16le")])).message).toContain(
      "UTF-16",
    );
    expect(fault(Buffer.from("A=1\nB=\xfc", "latin1"))).toMatchObject({ line: 2, message: "this is not UTF-8" });
  });

  it("name the file and the setting that named it", () => {
    const file = join(directory, "wrong.env");
    writeFileSync(file, "A=1\nhunter2\n");
    expect(() => readEnvironment(file, "backupEnvironmentFile")).toThrow(
      expect.objectContaining({
        code: "Invalid",
        message: `${file}, line 2: this is not NAME=value`,
        field: "backupEnvironmentFile",
      }),
    );
  });

  const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,20}$/);
  const text = fc.string({ unit: "grapheme", maxLength: 40 }).filter((each) => !/\p{Cc}/u.test(each));
  const settings = fc.uniqueArray(fc.record({ name, value: text }), { selector: (each) => each.name });

  it("of any values, quoted, come out as they went in, whatever stands around them", () => {
    const quoted = ({ name: each, value: inner }: Setting) =>
      inner.includes("'") ? `${each}="${inner.replace(/["\\$`]/g, "\\$&")}"` : `export ${each} = '${inner}'`;
    fc.assert(
      fc.property(settings, fc.constantFrom("\n", "\r\n"), fc.boolean(), (given, end, mark) => {
        const lines = given.flatMap((each) => ["", "# a comment", ` ${quoted(each)} `]).join(end);
        expect(understood(`${mark ? "\ufeff" : ""}${lines}${end}`)).toEqual(given);
      }),
    );
  });

  it("are never handed on as more or other lines than there are settings", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 60 }), (anything) => {
        let parsed: readonly Setting[];
        try {
          parsed = understood(anything);
        } catch (error) {
          expect(error).toBeInstanceOf(WrittenFault);
          return;
        }
        const lines = environmentLines(parsed);
        expect(lines.split("\n")).toHaveLength(parsed.length + 1);
        expect(lines).not.toMatch(/[\r\0]/);
      }),
      { numRuns: 1_000 },
    );
  });

  it("mean what a shell takes them for, where it takes quoted ones", () => {
    const lines = ["A='a $b `c` \"d\" \\e'", 'B="a \\$b \\`c\\` \\"d\\" \\\\e \\n"', "C='  '"].join("\n");
    const script = `set -a; ${lines}\nprintf '%s\\n' "$A" "$B" "$C"`;
    const shell = execFileSync("sh", ["-c", script], { encoding: "utf8" });
    expect(
      understood(lines)
        .map(({ value: each }) => `${each}\n`)
        .join(""),
    ).toBe(shell);
  });
});
