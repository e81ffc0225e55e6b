import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseJson } from "../../../control-plane/written/json.ts";
import { decodeWritten, WrittenFault } from "../../../control-plane/written/text.ts";

function fault(text: string): WrittenFault {
  try {
    parseJson(text);
  } catch (error) {
    if (error instanceof WrittenFault) return error;
    throw error;
  }
  throw new Error("it was understood");
}

describe("JSON that people write", () => {
  it("may begin with a mark and have the lines of another system", () => {
    const bytes = Buffer.from('\ufeff{\r\n  "domain": "schulen.example",\r\n  "workers": 4\r\n}\r\n');
    expect(parseJson(decodeWritten(bytes))).toEqual({ domain: "schulen.example", workers: 4 });
  });

  it.each([
    ["a comment", '{\n  // "hunter2"\n  "a": 1\n}', 2],
    ["a comma at the end", '{\n  "a": "hunter2",\n}', 3],
    ["a missing comma", '{\n  "a": "hunter2"\n  "b": 2\n}', 3],
    ["a missing colon", '{\n  "a" "hunter2"\n}', 2],
    ["a key without quotes", "{\n  hunter2: 1\n}", 2],
    ["single quotes", "{\n  'a': 'hunter2'\n}", 2],
    ["a word processor's quotes", "{\n  \u201ca\u201d: 1\n}", 2],
    ["a text that does not end", '{\n  "a": "hunter2\n}', 2],
    ["a text with a tab", '{\n  "a": "hunter2\t"\n}', 2],
    ["an unknown escape", '{\n  "a": "hunter2\\x"\n}', 2],
    ["a key that is there twice", '{\n  "a": 1,\n  "a": "hunter2"\n}', 3],
    ["a number as nobody writes it", '{\n  "a": 01\n}', 2],
    ["a word that is none of its", '{\n  "a": True\n}', 2],
    ["a bracket that is not closed", '{\n  "a": [1, 2\n', 3],
    ["nothing", "", 1],
    ["two values", "{}\n{}", 2],
  ])("with %s is refused by line, and nothing of it is quoted", (_what, text, line) => {
    const found = fault(text);
    expect(found.line).toBe(line);
    expect(`${found.message} ${found.remedy}`).not.toContain("hunter2");
  });

  it("that is nested without end is refused, not followed", () => {
    expect(fault("[".repeat(100_000)).message).toContain("nested");
  });

  it("is read as V8 reads it, whatever it is", () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 5 }), fc.constantFrom(undefined, 2), (json, indent) => {
        const text = JSON.stringify(JSON.parse(json), undefined, indent);
        expect(parseJson(text)).toEqual(JSON.parse(text));
      }),
    );
  });

  it("is taken when V8 takes it, and refused when it does not", () => {
    const pieces = fc.constantFrom(
      "{",
      "}",
      "[",
      "]",
      ",",
      ":",
      '"a"',
      '"b"',
      "1",
      "-0.5e3",
      "true",
      "nul",
      " ",
      "\n",
      '"',
      "\\",
      "0",
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 12 }), (parts) => {
        const text = parts.join("");
        const accepts = (parse: () => unknown) => {
          try {
            parse();
            return true;
          } catch {
            return false;
          }
        };
        // A key that is there twice is ours to refuse.
        const ours = accepts(() => parseJson(text));
        const theirs = accepts(() => JSON.parse(text));
        if (ours !== theirs) expect(theirs && fault(text).message).toContain("already");
      }),
      { numRuns: 5_000 },
    );
  });
});
