import { describe, expect, it } from "vitest";
import type { VolumeObservation } from "../../../control-plane/engine/engine.ts";
import { keepVolumes, volumeFault } from "../../../control-plane/reconcile/volumes.ts";

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

describe("the quota of a school", () => {
  const quota = (storage: string, claims: string) => ({
    apiVersion: "v1",
    kind: "ResourceQuota",
    metadata: { name: "plan", namespace: "school-goethe" },
    spec: { hard: { pods: "6", persistentvolumeclaims: claims, "requests.storage": storage } },
  });
  const volume = (name: string, size: string) => ({
    name,
    state: "Bound" as const,
    asked: { className: "classmind-repository", size },
  });
  const hardOf = (storage: string, claims: string, volumes: readonly ReturnType<typeof volume>[]) => {
    const [kept] = keepVolumes([quota(storage, claims)], { volumes } as never);
    return (kept?.spec as { readonly hard?: object } | undefined)?.hard;
  };

  it("has room for what is kept although nothing asks for it any more, such as a repository that was left", () => {
    expect(hardOf("512Mi", "2", [volume("data", "512Mi"), volume("repository", "20Gi")])).toEqual({
      pods: "6",
      persistentvolumeclaims: "2",
      "requests.storage": "20992Mi",
    });
    expect(hardOf("20992Mi", "1", [volume("data", "512Mi"), volume("repository", "20Gi")])).toMatchObject({
      persistentvolumeclaims: "2",
      "requests.storage": "20992Mi",
    });
  });

  it("is left as it is where that is enough", () => {
    expect(hardOf("25Gi", "3", [volume("data", "5Gi"), volume("repository", "20Gi")])).toMatchObject({
      persistentvolumeclaims: "3",
      "requests.storage": "25Gi",
    });
  });
});
