import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Observation, VolumeObservation } from "../../../control-plane/engine/engine.ts";
import {
  type DesiredObject,
  type DueWork,
  type OpenWork,
  type PlanInput,
  plan,
} from "../../../control-plane/reconcile/plan.ts";
import { NEW_VOLUMES, type SchoolVolumes } from "../../../control-plane/tenant.ts";

const DESIRED: readonly DesiredObject[] = [
  { kind: "Namespace", name: "school-goethe", hash: "sha256:1" },
  { kind: "Secret", name: "tls", hash: "sha256:2" },
  { kind: "PersistentVolumeClaim", name: "data", hash: "sha256:3" },
  { kind: "StatefulSet", name: "db", hash: "sha256:4" },
  { kind: "Deployment", name: "app", hash: "sha256:5" },
];

function observation(overrides: Partial<Observation> = {}): Observation {
  const ready = (kind: string, name: string): Observation["workloads"][number] => ({
    ref: { kind, name },
    state: "Ready",
    reason: "AsDesired",
    message: "",
    runningHash: undefined,
    restarts: 0,
  });
  return {
    namespace: "school-goethe",
    exists: true,
    objects: DESIRED,
    workloads: [ready("StatefulSet", "db"), ready("Deployment", "app")],
    volumes: [volume("data", "v1")],
    endpoints: [{ service: "app", address: "10.89.0.3", port: 8080 }],
    ...overrides,
  };
}

const OWN: SchoolVolumes = { ...NEW_VOLUMES, own: { claim: "data", identity: "v1" } };
const EMPTY = observation({ exists: false, objects: [], workloads: [], volumes: [], endpoints: [] });

function volume(name: string, identity: string, state: VolumeObservation["state"] = "Present"): VolumeObservation {
  return {
    name,
    identity,
    state,
    capacityBytes: 1,
    usedBytes: 0,
    locked: false,
    asked: { className: "classmind-encrypted", size: "5Gi" },
  };
}

function input(overrides: Partial<PlanInput> = {}): PlanInput {
  return {
    goal: "run",
    desired: DESIRED,
    observed: observation(),
    elsewhere: [],
    runsElsewhere: undefined,
    initialised: true,
    volumes: OWN,
    restoreFailed: false,
    certificate: "keep",
    gateway: {
      route: { state: "open", address: "10.89.0.3", port: 8080 },
      certificateFingerprint: "f",
      wantedFingerprint: "f",
    },
    operations: [],
    due: [],
    lastBackup: { state: "none" },
    ...overrides,
  };
}

const ADMINISTRATOR: DueWork = { kind: "create-administrator", params: {} };
const FORGET: DueWork = { kind: "forget-backups", params: {} };
const BACKUP: DueWork = { kind: "backup", params: { trigger: "schedule" } };

function operation(kind: OpenWork["kind"], overrides: Partial<OpenWork> = {}): OpenWork {
  return {
    id: `id of ${kind}`,
    tenantUid: "0190a5c8-0000-7000-8000-000000000001",
    kind,
    params: {},
    state: "Pending",
    progress: {},
    result: undefined,
    error: undefined,
    requestedBy: "anna",
    createdAt: "2026-11-23T09:00:00Z",
    startedAt: undefined,
    finishedAt: undefined,
    holds: {},
    cancelReason: undefined,
    deadlineAt: undefined,
    overdue: false,
    active: false,
    ...overrides,
  };
}

const kinds = (wish: PlanInput): readonly string[] => plan(wish).map((step) => step.kind);

describe("the planner and an Ingress", () => {
  const INGRESS = { kind: "Ingress", name: "app" };
  const desired = [...DESIRED, { ...INGRESS, hash: "sha256:6" }];
  const order = (wish: PlanInput) =>
    plan(wish).map((step) => [
      step.id,
      step.kind === "apply" || step.kind === "remove" ? step.objects : [],
      step.after,
    ]);

  it("never lets it name a Secret that is not there yet", () => {
    const before = DESIRED.filter(({ name }) => name !== "tls");
    const observed = observation({ objects: [...before, { ...INGRESS, hash: "sha256:old" }] });
    expect(order(input({ desired, observed, gateway: undefined, certificate: "issue" }))).toEqual([
      ["issue-certificate", [], []],
      ["apply-tls", [{ kind: "Secret", name: "tls" }, INGRESS], ["issue-certificate"]],
    ]);
  });

  it("lets it name another one before the one that it named goes", () => {
    const others = desired.filter(({ name }) => name !== "tls");
    const observed = observation({ objects: [...DESIRED, { ...INGRESS, hash: "sha256:old" }] });
    expect(order(input({ desired: others, observed, gateway: undefined }))).toEqual([
      ["apply", [INGRESS], []],
      ["remove", [{ kind: "Secret", name: "tls" }], ["apply"]],
    ]);
  });
});

describe("the planner", () => {
  it("has nothing to do for a converged school, running, stopped or with a cluster's own ingress", () => {
    expect(plan(input())).toEqual([]);
    expect(plan(input({ gateway: undefined }))).toEqual([]);
    const closed = { route: { state: "closed" as const }, certificateFingerprint: "f", wantedFingerprint: "f" };
    expect(plan(input({ goal: "stop", gateway: closed }))).toEqual([]);
  });

  it("makes a new school in one go: certificate and administrator beside everything else; the route once an attempt finds the app ready", () => {
    const wish = input({
      observed: EMPTY,
      initialised: false,
      volumes: NEW_VOLUMES,
      certificate: "issue",
      due: [ADMINISTRATOR],
      gateway: { route: undefined, certificateFingerprint: undefined, wantedFingerprint: undefined },
    });
    const steps = new Map(plan(wish).map((step) => [step.id, step]));
    expect([...steps.keys()].sort()).toEqual(
      [
        "apply",
        "apply-rest",
        "apply-tls",
        "issue-certificate",
        "publish-certificate",
        "record-volumes",
        "request-administrator",
      ].sort(),
    );
    expect(steps.get("issue-certificate")?.after).toEqual([]);
    expect(steps.get("apply")?.after).toEqual([]);
    expect(steps.get("record-volumes")?.after).toEqual(["apply"]);
    expect(steps.get("apply-rest")).toMatchObject({
      objects: [
        { kind: "StatefulSet", name: "db" },
        { kind: "Deployment", name: "app" },
      ],
      after: ["apply", "record-volumes"],
    });
    expect(steps.get("apply-tls")?.after).toEqual(["apply", "apply-rest", "issue-certificate"]);
    expect(steps.get("request-administrator")?.after).toEqual(["apply", "apply-rest"]);
    const there = { ...wish, observed: observation(), certificate: "keep" as const };
    expect(kinds(there)).toContain("open-route");
  });

  // The command itself waits for the migrations: tests/app/betrieb.test.ts.
  describe("makes the first administrator beside the app's start, as soon as its namespace is there", () => {
    const administrator = (overrides: Partial<PlanInput>): readonly string[] | undefined =>
      plan(input({ initialised: false, due: [ADMINISTRATOR], ...overrides })).find(
        (step) => step.kind === "request-work" && step.work === "create-administrator",
      )?.after;

    it("at once when an attempt was cut off before the app had started", () => {
      const starting = observation({
        workloads: observation().workloads.filter((workload) => workload.ref.name === "db"),
      });
      expect(administrator({ observed: starting })).toEqual([]);
    });

    it("at once when an attempt was cut off between the app's start and the administrator", () => {
      expect(administrator({})).toEqual([]);
    });

    it("after what is applied when only something else drifted", () => {
      const drifted = observation({ objects: DESIRED.filter((object) => object.kind !== "PersistentVolumeClaim") });
      expect(administrator({ observed: drifted })).toEqual(["apply"]);
    });

    it("never again once there is one, nor in a school that comes out of a backup", () => {
      expect(administrator({ initialised: true })).toBeUndefined();
      expect(administrator({ operations: [operation("restore")] })).toBeUndefined();
    });

    it("never twice at once", () => {
      expect(administrator({ operations: [operation("create-administrator", { active: true })] })).toBeUndefined();
    });
  });

  it("repairs just what drifted", () => {
    const drifted = observation({ objects: DESIRED.filter((object) => object.kind !== "PersistentVolumeClaim") });
    expect(plan(input({ observed: drifted }))).toEqual([
      { id: "apply", kind: "apply", objects: [{ kind: "PersistentVolumeClaim", name: "data" }], after: [] },
    ]);
  });

  it("removes what should not be there", () => {
    const extra = observation({ objects: [...DESIRED, { kind: "Secret", name: "old", hash: "sha256:9" }] });
    expect(plan(input({ observed: extra }))).toEqual([
      { id: "remove", kind: "remove", objects: [{ kind: "Secret", name: "old" }], after: [] },
    ]);
  });

  it("gives no first administrator to a school whose restore failed: it stays empty and closed", () => {
    const empty = input({ initialised: false, due: [ADMINISTRATOR] });
    expect(kinds(empty)).toContain("request-work");
    expect(kinds({ ...empty, restoreFailed: true })).not.toContain("request-work");
  });

  it("never removes a volume claim, wanted or not: data goes with the whole school alone", () => {
    const claim = { kind: "PersistentVolumeClaim", name: "repository", hash: "sha256:9" };
    expect(plan(input({ observed: observation({ objects: [...DESIRED, claim] }) }))).toEqual([]);
  });

  it("removes what a removal that was cut off left, and applies anew what is wanted and no longer whole", () => {
    const [lost, ...whole] = DESIRED;
    if (lost === undefined) throw new Error("nothing is desired");
    const half = observation({ objects: whole, remnants: [lost, { kind: "Secret", name: "app-keys" }] });
    const steps = plan(input({ observed: half }));
    expect(steps.find((step) => step.id === "apply")).toMatchObject({
      objects: [{ kind: lost.kind, name: lost.name }],
    });
    expect(steps.find((step) => step.id === "remove")).toMatchObject({
      objects: [{ kind: "Secret", name: "app-keys" }],
    });
  });

  it("follows an app that answers at another address", () => {
    const moved = observation({ endpoints: [{ service: "app", address: "10.89.0.4", port: 8080 }] });
    expect(kinds(input({ observed: moved }))).toEqual(["open-route"]);
  });

  it("closes the route before it stops a school, and takes secrets away only after the workloads are stopped", () => {
    const stopped = DESIRED.filter((object) => object.kind !== "Secret").map((object) =>
      object.kind === "Deployment" ? { ...object, hash: "sha256:0" } : object,
    );
    const steps = plan(input({ goal: "stop", desired: stopped }));
    expect(steps.map((step) => [step.kind, step.after])).toEqual([
      ["close-route", []],
      ["apply", ["close-route"]],
      ["remove", ["apply"]],
    ]);
  });

  it("R61 forgets old backups of a school that makes none after all else, for that takes away what it brings along", () => {
    const stopped = DESIRED.filter((object) => object.kind !== "Secret");
    const steps = plan(input({ goal: "stop", desired: stopped, due: [FORGET] }));
    const others = steps.slice(0, -1).map((step) => step.id);
    expect(others).toContain("remove");
    expect(steps.at(-1)).toMatchObject({ kind: "request-work", work: "forget-backups", after: others });
    expect(kinds(input({ due: [FORGET] }))).toEqual(["request-work"]);
    // Where they cannot be forgotten, a backup or a restore must not wait for it.
    expect(kinds(input({ due: [FORGET], operations: [operation("backup")] }))).toEqual(["start-work"]);
  });

  describe("and long work", () => {
    const starting = observation({ workloads: [], endpoints: [] });
    const begun = (wish: PlanInput): readonly string[] =>
      plan(wish).flatMap((step) => (step.kind === "start-work" ? [step.operation.kind] : []));

    it("goes on with upkeep beside it: what drifts while a backup runs is repaired", () => {
      const drifted = observation({ objects: DESIRED.filter(({ kind }) => kind !== "PersistentVolumeClaim") });
      expect(kinds(input({ observed: drifted, operations: [operation("backup", { active: true })] }))).toEqual([
        "apply",
      ]);
    });

    it("never waits for anything: a school that is starting has nothing to be done but what can be done now", () => {
      expect(plan(input({ observed: starting, operations: [operation("backup")] }))).toEqual([]);
    });

    it("moves a school's data one piece of work at a time, and does quick work beside it", () => {
      const operations = [operation("backup", { active: true }), operation("restore"), operation("reset-password")];
      expect(begun(input({ operations }))).toEqual(["reset-password"]);
    });

    it("lets a restore go first when what was asked for before waits for a school that is down", () => {
      expect(begun(input({ observed: starting, operations: [operation("backup"), operation("restore")] }))).toEqual([
        "restore",
      ]);
    });

    it("takes up what was cut off, whatever the school is like", () => {
      expect(begun(input({ observed: starting, operations: [operation("move", { state: "Running" })] }))).toEqual([
        "move",
      ]);
    });

    it("leaves alone what it has taken charge of", () => {
      const [, secret] = DESIRED;
      if (secret === undefined) throw new Error("nothing is desired");
      const policy = { kind: "NetworkPolicy", name: "repository" };
      const observed = observation({
        objects: [...DESIRED.filter((object) => object !== secret), { ...policy, hash: "sha256:theirs" }],
      });
      const held = operation("move", { active: true, holds: { objects: [secret, policy] } });
      expect(plan(input({ observed, operations: [held] }))).toEqual([]);
    });

    it("keeps the way in closed while it holds the app", () => {
      const held = operation("move", { active: true, holds: { paused: true } });
      expect(kinds(input({ operations: [held] }))).toEqual(["close-route"]);
    });

    it("calls it off when the school is to stop, and stops nothing before it has ended", () => {
      const stopped = DESIRED.filter(({ kind }) => kind !== "Secret");
      const operations = [operation("backup", { active: true })];
      expect(kinds(input({ goal: "stop", desired: stopped, operations }))).toEqual(["close-route", "call-off"]);
      expect(kinds(input({ goal: "purge", operations }))).toEqual(["call-off"]);
    });

    it("gives up what has not ended in time, begun or not", () => {
      for (const state of ["Pending", "Running"] as const) {
        const late = operation("backup", { state, overdue: true });
        expect(plan(input({ operations: [late] }))).toMatchObject([{ kind: "call-off", why: expect.any(String) }]);
      }
    });

    it("wants no second one of what is open already", () => {
      expect(plan(input({ due: [BACKUP], operations: [operation("backup", { active: true })] }))).toEqual([]);
      expect(kinds(input({ due: [BACKUP] }))).toEqual(["request-work"]);
      expect(plan(input({ due: [BACKUP], observed: starting }))).toEqual([]);
    });
  });

  it.each(["run", "stop"] as const)(
    "stops a copy that a move left last, so that its engine is waited for by nothing (%s)",
    (goal) => {
      const steps = plan(input({ goal, observed: EMPTY, due: [FORGET], runsElsewhere: "second" }));
      const others = steps.filter(({ kind }) => kind !== "stop-elsewhere");
      expect(steps.at(-1)).toMatchObject({
        kind: "stop-elsewhere",
        engine: "second",
        after: others.filter(({ kind }) => kind !== "request-work").map(({ id }) => id),
      });
      expect(others).toEqual(plan(input({ goal, observed: EMPTY, due: [FORGET] })));
    },
  );

  describe("and a volume that is not the recorded one", () => {
    const CLAIM = { kind: "PersistentVolumeClaim", name: "data" };
    const without = DESIRED.filter(({ kind }) => kind !== CLAIM.kind && kind !== "StatefulSet");
    const applied = (wish: PlanInput): readonly string[] =>
      plan(wish).flatMap((step) => (step.kind === "apply" ? step.objects.map(({ kind }) => kind) : []));

    it.each([
      ["is gone", { volumes: [] }],
      ["is being deleted", { volumes: [volume("data", "v1", "Terminating")] }],
      ["has lost what it stood for", { volumes: [volume("data", "v1", "Lost")] }],
      ["is another one", { volumes: [volume("data", "v2")] }],
    ] satisfies [string, Partial<Observation>][])(
      "makes nothing in its place when it %s, and repairs all else",
      (_, seen) => {
        for (const goal of ["run", "stop"] as const) {
          const observed = observation({ objects: without.filter(({ kind }) => kind !== "Namespace"), ...seen });
          expect(applied(input({ goal, observed }))).toEqual(["Namespace"]);
        }
      },
    );

    it("makes nothing at all where the whole namespace is gone", () => {
      for (const goal of ["run", "stop"] as const) expect(applied(input({ goal, observed: EMPTY }))).toEqual([]);
      // Nor for a school from before identities were recorded.
      expect(applied(input({ observed: EMPTY, volumes: NEW_VOLUMES }))).toEqual([]);
    });

    it("begins no backup of it: what that would hold is not the school", () => {
      expect(plan(input({ observed: EMPTY, due: [BACKUP] }))).toEqual([]);
    });

    it("makes everything that a restore needs once a person has asked for one, at rest and beside what is left", () => {
      const volumes = { ...OWN, next: { claim: "data-2", operation: "r", ready: false } };
      const desired = [...DESIRED, { kind: "PersistentVolumeClaim", name: "data-2", hash: "sha256:7" }];
      const steps = plan(input({ observed: EMPTY, volumes, desired }));
      const objects = steps.flatMap((step) => (step.kind === "apply" ? step.objects : []));
      expect(objects).not.toContainEqual(CLAIM);
      expect(objects).toContainEqual({ kind: "PersistentVolumeClaim", name: "data-2" });
      expect(steps.find(({ kind }) => kind === "record-volumes")).toMatchObject({ claims: ["data-2"] });
    });
  });

  describe("and a volume that is offered", () => {
    const offered = { ...OWN, next: { claim: "data-2", identity: "v2", operation: "r", ready: true } };

    it("closes the way in, stops what runs, and only then lets it take the own one's place", () => {
      const desired = DESIRED.map((object) =>
        object.kind === "Deployment" || object.kind === "StatefulSet" ? { ...object, hash: "sha256:rest" } : object,
      );
      const observed = observation({ volumes: [volume("data", "v1"), volume("data-2", "v2")] });
      const steps = plan(input({ desired, observed, volumes: offered }));
      expect(steps.map(({ kind, after }) => [kind, after])).toEqual([
        ["close-route", []],
        ["apply", ["close-route"]],
        ["take-volume", ["close-route", "apply"]],
      ]);
    });

    it("removes by name what was dropped, and nothing else that holds data", () => {
      const volumes = { ...OWN, dropped: ["data-3"], aside: [{ claim: "data-2", since: "", why: "" }] };
      expect(plan(input({ volumes }))).toMatchObject([{ kind: "remove-volumes", claims: ["data-3"] }]);
    });
  });

  it("purges in a fixed order with the keys last, whatever is left", () => {
    for (const observed of [EMPTY, observation()]) {
      const steps = plan(input({ goal: "purge", observed, desired: [] }));
      expect(steps.map((step) => step.kind)).toEqual(["withdraw-route", "remove-namespace", "destroy-keys"]);
      expect(steps.map((step) => step.after)).toEqual([[], ["withdraw-route"], ["remove-namespace"]]);
    }
  });

  describe("and the last backup of a school that is to be destroyed", () => {
    const purge = (lastBackup: PlanInput["lastBackup"], operations: PlanInput["operations"] = []) =>
      plan(input({ goal: "purge", lastBackup, operations }));

    it("has it read back first, once, and begins when that went well", () => {
      expect(purge({ state: "unread", runId: "r" })).toMatchObject([
        { kind: "request-work", work: "verify-backup", params: { runId: "r", beforePurge: true } },
      ]);
      const reading = operation("verify-backup", { params: { runId: "r", beforePurge: true }, active: true });
      expect(purge({ state: "unread", runId: "r" }, [reading])).toEqual([]);
      const cutOff = { ...reading, active: false, state: "Running" as const };
      expect(purge({ state: "unread", runId: "r" }, [cutOff])).toMatchObject([{ kind: "start-work" }]);
      expect(purge({ state: "read" })).toHaveLength(3);
    });

    it("destroys nothing while it is broken, or could not be read yet", () => {
      expect(purge({ state: "broken" })).toEqual([]);
      expect(purge({ state: "later", at: new Date(0) })).toEqual([]);
    });
  });

  it("always yields a graph without cycles in which each step comes after known steps", () => {
    const someObjects = fc.subarray([...DESIRED]);
    fc.assert(
      fc.property(
        someObjects,
        someObjects,
        fc.constantFrom("run", "stop", "purge"),
        fc.boolean(),
        fc.boolean(),
        fc.boolean(),
        (desired, present, goal, initialised, issue, ready) => {
          const observed = observation({ objects: present, ...(ready ? {} : { workloads: [], endpoints: [] }) });
          const steps = plan(input({ goal, desired, observed, initialised, certificate: issue ? "issue" : "keep" }));
          const done = new Set<string>();
          for (const step of steps) {
            for (const before of step.after) expect(done.has(before)).toBe(true);
            expect(done.has(step.id)).toBe(false);
            done.add(step.id);
          }
        },
      ),
    );
  });
});
