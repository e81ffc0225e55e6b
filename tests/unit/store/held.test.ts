import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";

/**
 * Every write about a school that an attempt or its work makes is guarded by the lease: by the type of the client that it takes
 * (HeldClient, which only `whileHeld` makes), or by the statement itself. Found by reading the sources, so that a new one is found too.
 */

const ROOT = path.join(import.meta.dirname, "../../../control-plane");
const WRITE = /\b(insert\s+into|update|delete\s+from)\s+(tenants|operations|backups|tombstones)\b/i;

/** What is not an attempt's: wishes of the API, recorded in its transactions with their audit entries. */
const WISHES = new Set([
  "insertTenant",
  "updateSpec",
  "setDeletion",
  "requestPurge",
  "requestOperation",
  "cancelOperation",
]);
/** What a rollout gives, under a lock on its row, or an operator pins: no more than these columns, and who holds the school begins anew. */
const VERSIONS = new Set(["giveVersion", "retryTrials", "endTrials", "setPin"]);
/** What only asks for an attempt, of whoever holds the school. */
const WAKES = new Set(["wakeTenant", "wakeAll", "wakeStranded", "wakeAfterJump"]);
/** Takes a lease that nobody has, and, at a reconciler's start, gives schools from before engines had names to the first one. */
const CLAIMS = new Set(["claimTenant", "registerEngines"]);

/** At a reconciler's start, from its settings: where backups are that nobody has moved; the switch itself asks for it once more. */
const PLACES = new Set(["noteFormer", "forgetPlaces"]);
const UNHELD: readonly ReadonlySet<string>[] = [WISHES, VERSIONS, WAKES, CLAIMS, PLACES];

interface Found {
  readonly file: string;
  readonly name: string;
  readonly text: string;
}

function sources(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
    .map((entry) => path.join(entry.parentPath, entry.name));
}

/** Top-level functions of a file, from their heads to the next one's. */
function functionsOf(file: string): readonly Found[] {
  const text = readFileSync(file, "utf8");
  const heads = [...text.matchAll(/^(?:export )?(?:async )?function (\w+)|^(?:export )?const (\w+) =/gm)];
  return heads.map((head, index) => ({
    file: path.relative(ROOT, file),
    name: head[1] ?? head[2] ?? "",
    text: text.slice(head.index, heads[index + 1]?.index),
  }));
}

const writers = sources(ROOT)
  .flatMap(functionsOf)
  .filter(({ text }) => WRITE.test(text));

describe("writes about a school", () => {
  it("are found: those that are known to be there", () => {
    const names = writers.map(({ name }) => name);
    for (const name of ["writeStatus", "finishOperation", "markForgotten", "insertTenant", "wakeTenant"])
      expect(names).toContain(name);
    expect(names.length).toBeGreaterThan(25);
  });

  it("stand in the store alone", () => {
    expect(writers.filter(({ file }) => !file.startsWith("store/"))).toEqual([]);
  });

  it.each(writers.map((found) => [`${found.file} ${found.name}`, found] as const))("%s is guarded", (_, found) => {
    if (UNHELD.some((names) => names.has(found.name))) return;
    const head = found.text.slice(0, found.text.indexOf("{\n"));
    const byType = /\bdb: HeldClient\b/.test(head);
    const byStatement = [...found.text.matchAll(/(update|delete from) tenants\b[^`"]*/gi)].every(([statement]) =>
      /lease_holder = \$\d/.test(statement),
    );
    expect(byType || byStatement, "takes a HeldClient, or names the lease's holder in its statement").toBe(true);
  });

  it("that only ask for an attempt change nothing but when that is", () => {
    for (const { name, text } of writers.filter((found) => WAKES.has(found.name)))
      for (const [, changes] of text.matchAll(/update tenants set ([^`"]*?)(?: where|`|")/g)) {
        const columns = [...(changes ?? "").matchAll(/(?:^|,\s*)\s*(\w+) =/g)].map(([, column]) => column);
        for (const column of columns) expect(["wake_at", "lease_expires"], name).toContain(column);
      }
  });

  it("that give a version change nothing but that, and make an attempt begin anew that knows of another one", () => {
    const found = writers.filter(({ name }) => VERSIONS.has(name));
    expect(found.map(({ name }) => name).sort()).toEqual([...VERSIONS].sort());
    for (const { name, text } of found) {
      const [, changes = ""] = /update tenants set ([^`"]*?)\s+where/.exec(text) ?? [];
      const columns = [...changes.matchAll(/(?:^|,\s*)(\w+) =/g)].map(([, column]) => column);
      expect(columns.length, name).toBeGreaterThan(0);
      for (const column of columns)
        expect(["version", "trial", "pin", "generation", "wake_at"], name).toContain(column);
      if (columns.includes("version")) expect(columns, name).toContain("generation");
    }
  });

  it("come from one place that proves the lease", () => {
    const makers = sources(ROOT).filter((file) => /as unknown as HeldClient/.test(readFileSync(file, "utf8")));
    expect(makers.map((file) => path.relative(ROOT, file))).toEqual(["store/held.ts"]);
  });
});
