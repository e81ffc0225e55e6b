import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkSlug, slugProblem } from "../../../control-plane/slug.ts";

describe("a school's short name", () => {
  it.each([
    ["..", "character"],
    ["-a", "begin with a letter"],
    ["a".repeat(64), "64 characters"],
    ["xn--goethe", "xn--"],
    ["go\u0435the", "looks alike"],
    ["www", "reserved"],
    ["api", "reserved"],
    ["admin", "reserved"],
    ["goethe\n", "control character"],
    ["$(x)", "character"],
    ["Goethe", "upper-case"],
    ["", "empty"],
    ["a", "two"],
    ["goethe-", "end with a hyphen"],
    ["a--b", "hyphens"],
    ["1a", "begin with a letter"],
    ["a b", "blank"],
    ["a_b", "character"],
  ])("%j is refused with the reason", (slug, reason) => {
    expect(slugProblem(slug)).toContain(reason);
    expect(() => checkSlug(slug)).toThrow(expect.objectContaining({ code: "Invalid", field: "slug" }));
  });

  it.each(["goethe", "schiller-gymnasium", "gs2", "a1"])("%s is accepted", (slug) => {
    expect(checkSlug(slug)).toBe(slug);
  });

  it("that is accepted is always a DNS label, also behind school-", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[a-z][a-z0-9-]{0,60}$/)), (slug) => {
        if (slugProblem(slug) !== undefined) return;
        expect(`school-${slug}`).toMatch(/^[a-z]([a-z0-9-]{0,61}[a-z0-9])$/);
      }),
    );
  });
});
