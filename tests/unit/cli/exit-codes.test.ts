import { execFile } from "node:child_process";
import path from "node:path";
import { expect, it } from "vitest";

/** How the program itself ends, whatever its commands found: the codes of docs/cli.md. */

const MAIN = path.join(import.meta.dirname, "../../../cli/main.ts");
const NOWHERE = ["--instance", "cmnowhere"];

function codeOf(words: readonly string[]): Promise<number> {
  return new Promise((resolve) => {
    const env = { PATH: process.env.PATH ?? "", CLASSMIND_CONTEXTS: "/nowhere" };
    execFile(process.execPath, ["--disable-warning=ExperimentalWarning", MAIN, ...words], { env }, (error) =>
      resolve(typeof error?.code === "number" ? error.code : 0),
    );
  });
}

it.each([
  [["--help"], 0],
  [["completion", "bash"], 0],
  [["status", ...NOWHERE], 6],
  [["status", ...NOWHERE, "-o", "json"], 6],
  [["logs", ...NOWHERE], 4],
  [["tenant", "list"], 6],
  [["tenant", "nonsense"], 2],
])("classmind %j ends with %i", async (words, code) => expect(await codeOf(words)).toBe(code), 60_000);
