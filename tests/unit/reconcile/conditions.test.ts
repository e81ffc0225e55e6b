import { expect, it } from "vitest";
import { type Evidence, judge } from "../../../control-plane/reconcile/conditions.ts";
import { NEW_REPOSITORIES, NEW_VOLUMES, REASONS } from "../../../control-plane/tenant.ts";

/** A suspended school in order. */
const suspended: Evidence = {
  slug: "x",
  goal: "stop",
  stopReason: REASONS.Suspended,
  fitness: { engine: "kubernetes", unmet: [], overridden: [] },
  observed: {
    namespace: "school-x",
    exists: true,
    objects: [],
    workloads: [],
    volumes: [{ name: "data", state: "Present", identity: "v1", capacityBytes: 1, usedBytes: undefined, locked: true }],
    endpoints: [],
  },
  volumes: { ...NEW_VOLUMES, own: { claim: "data", identity: "v1" } },
  initialised: true,
  gateway: undefined,
  certificate: { reason: REASONS.AsDesired, status: "True", message: "" },
  backup: {
    enabled: false,
    newest: undefined,
    complete: [],
    repositories: NEW_REPOSITORIES,
    lastFailure: undefined,
    retentionFailure: undefined,
  },
  clock: { trusted: true, message: "" },
  failure: undefined,
  now: new Date(0),
};
const told = (evidence: Evidence): string | undefined =>
  judge(evidence, []).find(({ type }) => type === "VolumeReady")?.message;

it("a volume is said to be unreadable only where the engine itself locks it", () => {
  expect(told(suspended)).toBe("The volume is locked: nobody can read it.");
  expect(told({ ...suspended, storageLocks: true })).toMatch(/storage's part/);
});
