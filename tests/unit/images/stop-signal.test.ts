import { expect, it } from "vitest";
import { describeImage } from "../../../control-plane/images/archive.ts";
import { IMAGE_RECIPES } from "../../../control-plane/images/recipes.ts";

/** By which signal each image's program ends: part of what a container engine or a cluster's node imports. */
const signalOf = (name: string): unknown => {
  const recipe = IMAGE_RECIPES.find((candidate) => candidate.name === name);
  if (recipe === undefined) throw new Error(`no image ${name}`);
  return JSON.parse(describeImage(recipe, []).config).config.StopSignal;
};

it("the archives name the signal that their programs understand: PostgreSQL's fast shutdown, the gateway's soft stop", () => {
  expect(signalOf("postgres")).toBe("SIGINT");
  expect(signalOf("gateway")).toBe("SIGUSR1");
  expect([signalOf("app"), signalOf("control-plane")]).toEqual([undefined, undefined]);
});
