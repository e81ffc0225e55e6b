import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import Handlebars from "handlebars";
import { describe, expect, test } from "vitest";
import { lenient } from "../../../tenant-app/ground/pages/strict.ts";
import { loadViews } from "../../../tenant-app/ground/pages/views.ts";

/**
 * Parts of pages that are given names: Handlebars copies what it gives them, so a misspelt one would print nothing. Views themselves
 * are checked when they are made (ground/pages/strict.ts).
 */

const root = path.join(import.meta.dirname, "../../../tenant-app");
const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".hbs"));
const asts = new Map(files.map((file) => [file, Handlebars.parse(readFileSync(path.join(root, file), "utf8"))]));
const partials = new Map(
  [...asts].filter(([file]) => file.includes("partials/")).map(([file, ast]) => [path.basename(file, ".hbs"), ast]),
);

interface Call {
  readonly file: string;
  readonly partial: string;
  readonly given: readonly string[];
}

/** Calls of parts, and names that are asked for. */
class Found extends Handlebars.Visitor {
  readonly calls: Array<Omit<Call, "file">> = [];
  readonly names = new Set<string>();

  override PartialStatement(partial: hbs.AST.PartialStatement): void {
    const given = (partial.hash?.pairs ?? []).map(({ key }) => key);
    this.calls.push({ partial: (partial.name as hbs.AST.PathExpression).original, given });
    super.PartialStatement(partial);
  }

  override PathExpression(expression: hbs.AST.PathExpression): void {
    const [first] = expression.parts;
    if (!expression.data && first !== undefined) this.names.add(String(first));
  }
}

function look(ast: hbs.AST.Program): Found {
  const found = new Found();
  found.accept(ast);
  return found;
}

const calls = [...asts].flatMap(([file, ast]) => look(ast).calls.map((call): Call => ({ file, ...call })));

describe("parts of pages", () => {
  test("are given nothing that they do not ask for", () => {
    for (const { file, partial, given } of calls) {
      const ast = partials.get(partial);
      if (ast === undefined) continue;
      const { names } = look(ast);
      expect(
        given.filter((name) => !names.has(name)),
        `${file}: {{> ${partial}}}`,
      ).toEqual([]);
    }
  });

  test("are all there, and all used", () => {
    const used = new Set(calls.map(({ partial }) => partial));
    expect([...partials.keys()].filter((name) => !used.has(name) && name !== "layout")).toEqual([]);
    expect([...used].filter((name) => !partials.has(name) && name !== "@partial-block")).toEqual([]);
  });

  test("a field is always given its name, its label and its value", () => {
    const fields = calls.filter(({ partial }) => partial === "field");
    expect(fields.length).toBeGreaterThan(5);
    for (const { file, given } of fields)
      expect(given, file).toEqual(expect.arrayContaining(["name", "beschriftung", "wert", "fehler"]));
  });
});

describe("a field", () => {
  const views = loadViews();
  const nothing = { schule: { name: "Goethe", monogramm: "G", demo: false }, assets: { stylesheet: "/a", icon: "/b" } };

  test("shows the hint and the error that it is given, and none that its page has under the same name", () => {
    const page = views("konten/neu", {
      ...nothing,
      ...{ titel: "Neues Konto", person: undefined, navigation: [], bereich: "", neues: "", fusslinks: [] },
      ...{ sicherheit: "s", meldung: undefined, skript: undefined, veraltet: undefined, fehlertitel: "Bitte prüfen" },
      ...{
        fehler: [{ field: "email", text: "Das ist keine Adresse." }],
        fehlerJe: lenient({ email: "Das ist keine Adresse." }),
      },
      ...{ werte: lenient({}), rollen: [], vorgang: "v", hinweis: "Von der Seite" },
    });
    expect(page.match(/<p class="feldfehler"/g)).toHaveLength(1);
    expect(page).toContain('id="fehler-email">Das ist keine Adresse.');
    expect(page).not.toContain("Von der Seite");
  });
});
