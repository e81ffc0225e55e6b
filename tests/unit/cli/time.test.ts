import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CliError } from "../../../cli/errors.ts";
import { parseMoment, showMoment } from "../../../cli/time.ts";

describe("a moment on the command line", () => {
  it("is ISO 8601 with a zone, and the same moment in any zone", () => {
    expect(parseMoment("2026-11-20T08:00:00Z", "--at")).toBe("2026-11-20T08:00:00.000Z");
    expect(parseMoment("2026-11-20T09:00+01:00", "--at")).toBe("2026-11-20T08:00:00.000Z");
  });

  it.each([
    "20.11.2026",
    "20.11.2026 08:00",
    "11.12.2026",
    "2026-11-20",
    "2026-11-20T08:00",
    "2026-11-20 08:00:00Z",
    "Nov 20 2026",
    "2026-02-30T08:00:00Z",
    "2026-13-01T08:00:00Z",
    "2026-11-20T25:00:00Z",
    "gestern",
    "0",
    "",
  ])("is not %j: to somebody it would be another day", (text) => {
    const parsing = () => parseMoment(text, "--at");
    expect(parsing).toThrow(CliError);
    expect(parsing).toThrow(expect.objectContaining({ exitCode: 2, field: "at" }));
  });

  it("as it is printed can be pasted", () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date("2020-01-01"), max: new Date("2100-01-01"), noInvalidDate: true }),
        (date) => {
          const shown = showMoment(date.toISOString());
          expect(Date.parse(parseMoment(shown, "--at"))).toBe(Math.floor(date.getTime() / 1000) * 1000);
        },
      ),
    );
  });
});
