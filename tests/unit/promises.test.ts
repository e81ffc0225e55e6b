import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { PROMISES } from "../fixtures/promises.ts";

/** Which test shows which promise: read from the names of all tests, printed into docs/promises.md (`vitest run -u` renews it). */

const ROOT = path.join(import.meta.dirname, "../..");

interface Shown {
  readonly numbers: readonly number[];
  readonly file: string;
  readonly title: string;
}

/** Every title of a test or a group of tests that begins with numbers of promises. */
function shown(): readonly Shown[] {
  const files = readdirSync(path.join(ROOT, "tests"), { recursive: true, encoding: "utf8" });
  return files
    .filter((file) => /\.test\.tsx?$/.test(file))
    .sort()
    .flatMap((file) => {
      const source = readFileSync(path.join(ROOT, "tests", file), "utf8");
      const titles = [...source.matchAll(/\(\s*(?:"(R\d+ (?:[^"\\]|\\.)*)"|`(R\d+ (?:[^`\\]|\\.)*)`)/g)];
      return titles.map(([, quoted, template]) => {
        const [, numbers = "", title = ""] = /^((?:R\d+ )+)(.*)$/.exec(quoted ?? template ?? "") ?? [];
        return { numbers: [...numbers.matchAll(/\d+/g)].map(Number), file, title };
      });
    });
}

function table(tests: readonly Shown[]): string {
  const rows = [...PROMISES].map(([number, { words, otherwise }]) => {
    const mine = tests.filter(({ numbers }) => numbers.includes(number));
    const files = [...new Set(mine.map(({ file }) => file))];
    const links = files.map((file) => {
      const titles = mine.filter((one) => one.file === file).map(({ title }) => title.replaceAll("|", "\\|"));
      return `[${file.replace(/\.test\.tsx?$/, "")}](../tests/${file}): ${titles.join("; ")}`;
    });
    const said = otherwise === undefined ? [] : [`*${otherwise}*`];
    return `| R${number} | ${words} | ${[...links, ...said].join("<br>")} |`;
  });
  const none = [...PROMISES.keys()].filter((number) => !tests.some(({ numbers }) => numbers.includes(number)));
  return [
    "# What schools are promised, and the tests that show it",
    "",
    "Made from the names of the tests by `tests/unit/promises.test.ts`; the words are those of the privacy promise that schools have in",
    `writing. ${PROMISES.size - none.length} of ${PROMISES.size} promises are shown by tests; without one are ${none.map((number) => `R${number}`).join(", ")}.`,
    "",
    "| | Promised | Shown by |",
    "|---|---|---|",
    ...rows,
    "",
  ].join("\n");
}

describe("the promises made to schools", () => {
  const tests = shown();

  it("are each shown by a test that carries its number, or it is said why there is none", () => {
    const silent = [...PROMISES].filter(
      ([number, { otherwise }]) => otherwise === undefined && !tests.some(({ numbers }) => numbers.includes(number)),
    );
    expect(silent.map(([number, { words }]) => `R${number} ${words}`)).toEqual([]);
  });

  it("are the only numbers that tests carry", () => {
    const unknown = tests.filter(({ numbers }) => numbers.some((number) => !PROMISES.has(number)));
    expect(unknown).toEqual([]);
  });

  it("are listed in docs/promises.md with their tests", async () => {
    await expect(table(tests)).toMatchFileSnapshot(path.join(ROOT, "docs/promises.md"));
  });
});
