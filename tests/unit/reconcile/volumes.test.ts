import { describe, expect, it } from "vitest";
import type { VolumeObservation } from "../../../control-plane/engine/engine.ts";
import { volumeFault } from "../../../control-plane/reconcile/volumes.ts";

const seen = (change: Partial<VolumeObservation>): { readonly volumes: readonly VolumeObservation[] } => ({
  volumes: [
    {
      name: "data",
      state: "Present",
      identity: "a",
      capacityBytes: 1,
      usedBytes: undefined,
      locked: true,
      asked: { className: "classmind-encrypted", size: "5Gi" },
      ...change,
    },
  ],
});
const nothing = { volumes: [] };
const recorded = { claim: "data", identity: "a" };
const unrecorded = { claim: "data" };

describe("a school's volume", () => {
  it.each([
    ["as recorded", recorded, seen({}), true, undefined],
    ["not made yet, of a school that was never furnished", unrecorded, nothing, false, undefined],
    [
      "whose making was cut off, of a school that was never furnished",
      unrecorded,
      seen({ state: "Lost" }),
      false,
      undefined,
    ],
    ["gone", recorded, nothing, true, "missing"],
    ["gone before it was recorded, of a school that was furnished", unrecorded, nothing, true, "missing"],
    ["gone after it was recorded, of a school that was never furnished", recorded, nothing, false, "missing"],
    ["that somebody deletes", recorded, seen({ state: "Terminating" }), true, "terminating"],
    ["without what it consisted of", recorded, seen({ state: "Lost", identity: undefined }), true, "lost"],
    ["recorded, and without what it consisted of", recorded, seen({ state: "Lost" }), false, "lost"],
    ["another one", recorded, seen({ identity: "b" }), true, "other"],
  ] as const)("%s", (_, record, observed, initialised, fault) => {
    expect(volumeFault(record, observed, initialised)?.kind).toBe(fault);
  });
});
