import { describe, expect, it } from "vitest";
import { readKeys, securityCookie, sessionCookie } from "../../../tenant-app/ground/gate/cookies.ts";

/** What of a request's cookies is taken for ours. */

const [a, b, c] = ["a", "b", "c"].map((sign) => sign.repeat(43));

describe("the two keys", () => {
  it("R57 are found among others, with blanks and tabs around them", () => {
    expect(readKeys(`x=1; \t${sessionCookie} = ${a}\t;${securityCookie}=${b}`)).toEqual({ sitzung: a, sicherheit: b });
    expect(readKeys(undefined)).toEqual({});
  });

  it.each(["\u00a0", "\u2003", "\ufeff", "\v", "\f", "\u00a0 "])(
    "are not taken from a name that another host may set: with %j before it, it is another name",
    (sign) => {
      expect(readKeys(`${sign}${sessionCookie}=${a}`)).toEqual({});
      expect(readKeys(`${sign}${sessionCookie}=${a}; ${sessionCookie}=${b}`)).toEqual({ sitzung: b });
      expect(readKeys(`${sessionCookie}=${a}${sign}; ${sessionCookie}=${c}`)).toEqual({ sitzung: c });
    },
  );

  it("are not crowded out by however many others before them", () => {
    const others = Array.from({ length: 400 }, (_, index) => `sibling${index}=1`).join("; ");
    expect(readKeys(`${others}; ${sessionCookie}=${a}; ${securityCookie}=${b}`)).toEqual({ sitzung: a, sicherheit: b });
  });

  it("are of the form that we give out, or none", () => {
    expect(readKeys(`${sessionCookie}=${a}x; ${securityCookie}="${b}"`)).toEqual({});
  });
});
