import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeRoute, encodeRoute, type MappedRoute } from "../../../control-plane/gateway/route.ts";

const slug = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
const route: fc.Arbitrary<MappedRoute> = fc.record({
  slug,
  destination: fc.oneof(
    fc.constant({ state: "closed" } as const),
    fc.record({ state: fc.constant("open" as const), address: fc.ipV4(), port: fc.integer({ min: 1, max: 65_535 }) }),
  ),
});

test("a route survives the map", () => {
  fc.assert(
    fc.property(route, (value) => {
      expect(decodeRoute(encodeRoute(value))).toEqual(value);
    }),
  );
});

test("a route is one word of the map", () => {
  fc.assert(
    fc.property(route, (value) => {
      expect(encodeRoute(value)).toMatch(/^[^\s;]+$/);
    }),
  );
});

test("whatever else stands in the map is no route", () => {
  fc.assert(
    fc.property(fc.string(), (value) => {
      const decoded = decodeRoute(value);
      if (decoded !== undefined) expect(value).toMatch(/^(open|closed)\|/);
    }),
  );
  for (const value of ["", "open|||a", "open|1.2.3.4|x|a", "open|1.2.3.4|80|", "closed|||a|b", "closed"]) {
    expect(decodeRoute(value)).toBeUndefined();
  }
});
