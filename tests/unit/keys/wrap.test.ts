import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { UnwrapError, unwrapKey, wrapKey } from "../../../control-plane/keys/wrap.ts";

const kek = randomBytes(32);
const binding = { tenantUid: "0190a5c8-0000-7000-8000-000000000001", purpose: "volume" };

describe("a wrapped key", () => {
  it("opens with the key-encryption key, school and purpose it was wrapped for", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const material = Buffer.from(bytes);
        expect(unwrapKey(kek, wrapKey(kek, material, binding), binding)).toEqual(material);
      }),
    );
  });

  it("opens for no other school, no other purpose and no other key-encryption key", () => {
    const wrapped = wrapKey(kek, randomBytes(32), binding);
    expect(() => unwrapKey(kek, wrapped, { ...binding, tenantUid: "x" })).toThrow(UnwrapError);
    expect(() => unwrapKey(kek, wrapped, { ...binding, purpose: "repository" })).toThrow(UnwrapError);
    expect(() => unwrapKey(randomBytes(32), wrapped, binding)).toThrow(UnwrapError);
  });

  it("does not open when any bit was flipped or any byte cut off", () => {
    const wrapped = wrapKey(kek, randomBytes(32), binding);
    fc.assert(
      fc.property(fc.nat(wrapped.length * 8 - 1), (bit) => {
        const altered = Buffer.from(wrapped);
        const index = bit >> 3;
        altered[index] = (altered[index] ?? 0) ^ (1 << (bit & 7));
        expect(() => unwrapKey(kek, altered, binding)).toThrow(UnwrapError);
      }),
    );
    for (let length = 0; length < wrapped.length; length += 1)
      expect(() => unwrapKey(kek, wrapped.subarray(0, length), binding)).toThrow(UnwrapError);
  });
});
