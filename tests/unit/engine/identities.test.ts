import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { firstUid, nextUid } from "../../../control-plane/engine/containers/identities.ts";

const SIZE = 65_536;

describe("the users that schools run as", () => {
  it("are of a block of each installation's own, above everybody else's and below 2^31", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (name) => {
        const first = firstUid({ name });
        expect(first).toBeGreaterThanOrEqual(2_000_300_000);
        expect(first + SIZE).toBeLessThan(2 ** 31);
        expect(first).toBe(firstUid({ name }));
      }),
    );
    expect(firstUid({ name: "classmind" })).not.toBe(firstUid({ name: "cmtest" }));
  });

  it("are never shared: the one behind the last", () => {
    const first = firstUid({ name: "classmind" });
    const offsets = fc.uniqueArray(fc.nat({ max: SIZE - 2 }), { maxLength: 50 });
    fc.assert(
      fc.property(offsets, (taken) => {
        const uids = new Set(taken.map((offset) => first + offset));
        const uid = nextUid(first, uids);
        expect(uids.has(uid)).toBe(false);
        expect(uid).toBe(taken.length === 0 ? first : Math.max(...uids) + 1);
      }),
    );
  });

  it("begin anew behind the last one, and end when all are taken", () => {
    const first = firstUid({ name: "classmind" });
    const last = first + SIZE - 1;
    expect(nextUid(first, new Set([first, last]))).toBe(first + 1);
    const all = new Set(Array.from({ length: SIZE }, (_, offset) => first + offset));
    expect(() => nextUid(first, all)).toThrow(/no more than 65536 users/);
  });
});
