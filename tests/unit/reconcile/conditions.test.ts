import { expect, it } from "vitest";
import type { VolumeObservation, WorkloadObservation } from "../../../control-plane/engine/engine.ts";
import { type Evidence, judge, phaseOf } from "../../../control-plane/reconcile/conditions.ts";
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
    volumes: [
      {
        name: "data",
        state: "Present",
        identity: "v1",
        capacityBytes: 1,
        usedBytes: undefined,
        locked: true,
        asked: { className: "classmind-encrypted", size: "5Gi" },
      },
    ],
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

/** The same school, open. */
function open(volume: Partial<VolumeObservation>, database: WorkloadObservation["state"] = "Ready"): Evidence {
  const workload = (kind: string, name: string, state: WorkloadObservation["state"]): WorkloadObservation => ({
    ref: { kind, name },
    state,
    reason: state === "Ready" ? "AsDesired" : "ProbeFailing",
    message: "",
    runningHash: undefined,
    restarts: 0,
  });
  return {
    ...suspended,
    goal: "run",
    observed: {
      ...suspended.observed,
      workloads: [workload("StatefulSet", "db", database), workload("Deployment", "app", "Ready")],
      volumes: suspended.observed.volumes.map((each) => ({ ...each, locked: false, capacityBytes: 100, ...volume })),
      endpoints: [],
    },
  };
}
const judged = (evidence: Evidence) => {
  const all = judge(evidence, []);
  return { volume: all.find(({ type }) => type === "VolumeReady"), ready: all.find(({ type }) => type === "Ready") };
};

it("a volume is full by bytes or by inodes, whichever comes first", () => {
  expect(judged(open({ usedBytes: 27, inodes: { used: 10, total: 100 } })).volume).toMatchObject({
    status: "True",
    message: "The volume is 27 % full, 10 % of its inodes used.",
  });
  const noInodes = judged(open({ usedBytes: 27, inodes: { used: 100, total: 100 } }));
  expect(noInodes.volume).toMatchObject({ status: "False", reason: "VolumeFull" });
  expect(noInodes.volume?.message).toMatch(/27 % full, 100 % of its inodes.*tenant update x --storage/);
  expect(noInodes.ready).toMatchObject({ status: "False", reason: "VolumeFull" });
});

it("what nobody tells of a volume is unknown, and no number is made of it", () => {
  expect(judged(open({ usedBytes: undefined })).volume).toMatchObject({ status: "Unknown" });
  expect(judged(open({ usedBytes: 0, capacityBytes: 0 })).volume?.message).not.toMatch(/Infinity|NaN/);
  // On a cluster the database tells, by being ready.
  const cluster = { ...open({ usedBytes: undefined }), readinessTellsRoom: true };
  expect(judged(cluster).volume).toMatchObject({ status: "True" });
  const unready = { ...open({ usedBytes: undefined }, "Failing"), readinessTellsRoom: true };
  expect(judged(unready).volume).toMatchObject({ status: "Unknown" });
  // What is known to be wrong is said first.
  expect(judged(unready).ready).toMatchObject({ status: "False", reason: "ProbeFailing" });
});

it("a school that is to stop is not said to be stopped before nothing of it runs and its volume is closed", () => {
  const stopping: Evidence = { ...open({ usedBytes: 1 }), goal: "stop" };
  expect(judged(stopping).ready).toMatchObject({ status: "False", reason: "ContainerStopping" });
  expect(phaseOf(stopping, judge(stopping, []), true, false)).toBe("Degraded");
  expect(phaseOf(suspended, judge(suspended, []), true, false)).toBe("Suspended");
  expect(phaseOf(suspended, judge(suspended, []), true, true)).toBe("Deleted");
});

it("an image that somebody removed is named, with what brings it back, and for a pinned school the way to the others' version", () => {
  const evidence = open({ usedBytes: 1 });
  const workloads = evidence.observed.workloads.map((each): WorkloadObservation => {
    const missing = {
      state: "Failing",
      reason: "ImageMissing",
      message: "image app:old is not on this host.",
    } as const;
    return each.ref.name === "app" ? { ...each, ...missing } : each;
  });
  const app = (pinned: boolean) =>
    judge({ ...evidence, pinned, observed: { ...evidence.observed, workloads } }, []).find(
      ({ type }) => type === "AppReady",
    );
  expect(app(false)).toMatchObject({ status: "False", reason: "ImageMissing" });
  expect(app(false)?.message).toMatch(/app:old.*classmind up, in the checkout that it came from\.$/);
  expect(app(true)?.message).toContain("classmind app unpin x");
});
