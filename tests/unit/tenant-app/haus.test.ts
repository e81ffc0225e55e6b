import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { features } from "../../../tenant-app/features.ts";

/** The house of the school platform: who may know whom. Read from the sources, so that nobody has to remember it. */

const root = path.join(import.meta.dirname, "../../../tenant-app");
const folders = readdirSync(path.join(root, "features"));

function sources(below: string): readonly string[] {
  return readdirSync(path.join(root, below), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => path.join(below, file));
}

/** What a source imports of the school platform, as paths below `tenant-app/`. */
function importsOf(file: string): readonly string[] {
  const text = readFileSync(path.join(root, file), "utf8");
  return [...text.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)].map(([, to = ""]) =>
    path.normalize(path.join(path.dirname(file), to)),
  );
}

/** Tables that a source's statements name. */
function tablesIn(file: string): readonly string[] {
  const text = readFileSync(path.join(root, file), "utf8");
  return [...text.matchAll(/\b(?:FROM|JOIN|INTO|UPDATE|TABLE)\s+(?:public\.)?([a-z_]+)/g)].map(([, name = ""]) => name);
}

const ownerOf = new Map(features.flatMap(({ name, tables }) => tables.map((table) => [table, name] as const)));

describe("the house", () => {
  test("every folder of a feature is listed, under its name", () => {
    expect(features.map(({ name }) => name).sort()).toEqual([...folders].sort());
  });

  test("the ground knows no feature: it imports none and names no table of one", () => {
    for (const file of sources("ground")) {
      expect(
        importsOf(file).filter((to) => !to.startsWith("ground/")),
        file,
      ).toEqual([]);
      expect(
        tablesIn(file).filter((table) => ownerOf.has(table)),
        file,
      ).toEqual([]);
    }
  });

  test("a feature comes in through another's public.ts alone", () => {
    for (const file of sources("features")) {
      const own = file.split("/").slice(0, 2).join("/");
      const past = importsOf(file).filter(
        (to) => !to.startsWith("ground/") && !to.startsWith(`${own}/`) && !/^features\/[a-z]+\/public\.ts$/.test(to),
      );
      expect(past, file).toEqual([]);
    }
  });

  test("nobody names another feature's table", () => {
    for (const file of sources("features")) {
      const own = file.split("/")[1] ?? "";
      const foreign = tablesIn(file).filter((table) => (ownerOf.get(table) ?? own) !== own);
      expect(foreign, file).toEqual([]);
    }
  });

  test("every feature says its words", () => {
    for (const folder of folders) {
      expect(readdirSync(path.join(root, "features", folder)), folder).toContain("WORTE.md");
    }
  });
});
