import fc from "fast-check";
import { expect, it } from "vitest";
import { createInstance } from "../../../control-plane/host/instance.ts";

it("an instance's addresses are never among those that Kubernetes gives to services, where kube-proxy drops them", () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9]{0,11}$/);
  fc.assert(
    fc.property(name, (each) => {
      const second = Number(createInstance(each).addressPool.split(".")[1]);
      expect(second).toBeGreaterThanOrEqual(64);
      expect(second).toBeLessThan(192);
      expect(second < 96 || second > 111).toBe(true);
    }),
    { numRuns: 500 },
  );
});

it("an instance keeps its addresses from version to version", () => {
  expect(createInstance("classmind").addressPool).toBe("10.167.0.0/16");
});
