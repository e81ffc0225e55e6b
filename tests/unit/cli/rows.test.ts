import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { titleLine, wrap } from "../../../cli/dashboard/rows.ts";

describe("lines of the dashboard", () => {
  it("are broken so that none is too long and no character but spaces is lost", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 300 }), fc.integer({ min: 5, max: 90 }), (raw, width) => {
        const text = raw.replace(/\s/g, " ");
        const lines = wrap(text, width);
        for (const line of lines) expect([...line].length).toBeLessThanOrEqual(width);
        expect(lines.join("").replaceAll(" ", "")).toBe(text.replaceAll(" ", ""));
      }),
    );
  });

  it("name the page, the search and whether what is shown is live", () => {
    const state = { page: 1, hasNext: true, search: "go\x1b[31methe", connected: true };
    expect(titleLine("Classmind", state, 80)).toBe('Classmind  page 2+  search "goethe"  live');
    expect(titleLine("Classmind", { ...state, hasNext: false, search: "", connected: false }, 80)).toBe(
      "Classmind  page 2  not connected",
    );
    expect(titleLine("Classmind", state, 12)).toHaveLength(12);
  });
});
