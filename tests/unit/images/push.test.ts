import { expect, it } from "vitest";
import { isRegistry, referenceAt } from "../../../control-plane/images/push.ts";

it.each(["registry.example", "registry.example:5000", "registry.example/classmind", "r.example:5000/a/b-c"])(
  "%s is where a registry keeps images",
  (text) => expect(isRegistry(text)).toBe(true),
);

it.each([
  "",
  "https://registry.example",
  "registry.example/",
  "Registry.example",
  "registry.example/a b",
  "-x",
  "a:b/c",
  "--tls",
])("%j is not", (text) => expect(isRegistry(text)).toBe(false));

it("an image keeps its name and its tag, which follows from its content", () => {
  expect(referenceAt("registry.example/schools", "localhost/classmind/app:0123456789abcdef")).toBe(
    "registry.example/schools/app:0123456789abcdef",
  );
});
