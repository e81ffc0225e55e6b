import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { createProgram } from "../../cli/program.ts";
import { CONDITION_TYPES, REASONS } from "../../control-plane/tenant.ts";

const ROOT = path.join(import.meta.dirname, "../..");
const DOCS = readdirSync(path.join(ROOT, "docs")).filter((name) => name.endsWith(".md"));
const read = (file: string): string => readFileSync(path.join(ROOT, file), "utf8");

/** Every command of the program, e.g. "tenant create". */
function commands(): ReadonlySet<string> {
  const terminal = { out: () => undefined, err: () => undefined, interactive: false, color: false, width: 80 };
  const session = { terminal: { ...terminal, ask: async () => undefined }, environment: {}, contextsFile: "/nowhere" };
  const program = createProgram(session);
  return new Set(
    program.commands.flatMap((command) => [
      command.name(),
      ...command.commands.map((child) => `${command.name()} ${child.name()}`),
    ]),
  );
}

describe("the documentation for operators", () => {
  it("says of every reason what it means", () => {
    const runbook = read("docs/runbooks.md");
    for (const reason of Object.values(REASONS)) expect(runbook, reason).toContain(`\`${reason}\``);
    for (const type of CONDITION_TYPES) expect(runbook, type).toContain(`\`${type}\``);
  });

  it("names no command that does not exist", () => {
    const known = commands();
    const groups = new Set([...known].filter((name) => name.includes(" ")).map((name) => name.split(" ")[0]));
    for (const file of [...DOCS.map((name) => `docs/${name}`), "README.md"]) {
      for (const [, noun = "", verb = ""] of read(file).matchAll(/\.\/classmind ([a-z]+)(?: ([a-z][a-z-]+))?/g)) {
        const name = groups.has(noun) ? `${noun} ${verb}` : noun;
        expect(known, `${file}: classmind ${name}`).toContain(name);
      }
    }
  });

  it("links to files and sections that exist", () => {
    const anchors = (file: string): ReadonlySet<string> =>
      new Set(
        [...read(file).matchAll(/^#+ (.+)$/gm)].map(([, title = ""]) =>
          title
            .toLowerCase()
            .replace(/[^\p{L}\p{N}\s-]/gu, "")
            .replaceAll(" ", "-"),
        ),
      );
    for (const file of [...DOCS.map((name) => `docs/${name}`), "README.md"]) {
      for (const [, target = ""] of read(file).matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^[a-z]+:/.test(target)) continue;
        const [relative = "", anchor] = target.split("#");
        const linked = relative === "" ? file : path.join(path.dirname(file), relative);
        expect(existsSync(path.join(ROOT, linked)), `${file}: ${target}`).toBe(true);
        if (anchor !== undefined) expect(anchors(linked), `${file}: ${target}`).toContain(anchor);
      }
    }
  });
});
