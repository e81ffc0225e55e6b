import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Manifest } from "../../../control-plane/engine/engine.ts";
import { ApiFailure, conflictsOf } from "../../../control-plane/engine/kubernetes/failure.ts";
import { readJobLog, WRAPPER, wrapJob } from "../../../control-plane/engine/kubernetes/job-wrapper.ts";
import type { LiveObject } from "../../../control-plane/engine/kubernetes/live.ts";
import { blockersOf } from "../../../control-plane/engine/kubernetes/namespaces.ts";
import { digestOf, extract, ownedDigest } from "../../../control-plane/engine/kubernetes/owned.ts";
import { judgePod } from "../../../control-plane/engine/kubernetes/pods.ts";
import { encryptionOf } from "../../../control-plane/engine/kubernetes/preflight.ts";
import { bytesOf, milliOf } from "../../../control-plane/engine/kubernetes/quantity.ts";
import { stamp } from "../../../control-plane/engine/kubernetes/stamp.ts";
import { pauseBefore } from "../../../control-plane/engine/kubernetes/transport.ts";
import { compareListing } from "../../../control-plane/engine/kubernetes/watch.ts";
import { holdersOf, isRolledOut, observeWorkload } from "../../../control-plane/engine/kubernetes/workloads.ts";
import { smallJob, smallSchool } from "../../fixtures/engine-school.ts";

const NOW = Date.parse("2026-03-01T08:00:00Z");
const LONG_AGO = "2026-03-01T07:50:00Z";
const JUST_NOW = "2026-03-01T07:59:50Z";

describe("quantities", () => {
  it.each([
    ["500m", 500n],
    ["2", 2_000n],
    ["0.5", 500n],
    ["4000m", 4_000n],
    ["1Gi", 1_073_741_824_000n],
    ["1k", 1_000_000n],
    ["100Ti", 109_951_162_777_600_000n],
  ])("%s is %s thousandths", (quantity, milli) => expect(milliOf(quantity)).toBe(milli));
  it.each(["", "x", "1Zi", "-1", "1e3"])("%j is no quantity of ours", (text) => expect(milliOf(text)).toBeUndefined());
  it("bytes of what is not told are none", () =>
    expect([bytesOf(undefined), bytesOf("96Mi")]).toEqual([0, 100_663_296]));
});

describe("what we own in an object", () => {
  const live = {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: {
      name: "app",
      labels: { ours: "1", theirs: "2" },
      managedFields: [
        {
          manager: "classmind",
          operation: "Apply",
          fieldsV1: {
            "f:metadata": { "f:labels": { "f:ours": {} } },
            "f:spec": {
              "f:replicas": {},
              "f:template": {
                "f:spec": { "f:containers": { 'k:{"name":"app"}': { ".": {}, "f:name": {}, "f:image": {} } } },
              },
            },
          },
        },
        { manager: "kubectl", operation: "Update", fieldsV1: { "f:metadata": { "f:labels": { "f:theirs": {} } } } },
      ],
    },
    spec: {
      replicas: 1,
      revisionHistoryLimit: 10,
      template: { spec: { containers: [{ name: "side" }, { name: "app", image: "x", tty: true }] } },
    },
  } satisfies LiveObject;
  const sent = {
    metadata: { labels: { ours: "1" } },
    spec: { replicas: 1, template: { spec: { containers: [{ name: "app", image: "x" }] } } },
  };

  it("is read from the field ownership; defaults and what others added are not ours", () => {
    expect(ownedDigest(live)).toBe(digestOf(sent));
  });
  it("differs once another manager took a field", () => {
    const taken = structuredClone(live);
    Reflect.deleteProperty(taken.metadata.managedFields[0]?.fieldsV1["f:spec"] ?? {}, "f:replicas");
    expect(ownedDigest(taken)).not.toBe(digestOf(sent));
  });
  it("is nothing in an object we never applied", () => {
    expect(ownedDigest({ metadata: { name: "x", managedFields: [] } })).toBeUndefined();
  });
  it("an empty list is ours although the API does not store it, until somebody fills it", () => {
    const sentEmpty = { spec: { egress: [], ingress: [] } };
    const liveEmpty = (fields: object, spec: object): LiveObject => ({
      metadata: {
        name: "x",
        managedFields: [{ manager: "classmind", operation: "Apply", fieldsV1: { "f:spec": fields } }],
      },
      spec,
    });
    expect(ownedDigest(liveEmpty({ "f:egress": {}, "f:ingress": {} }, {}))).toBe(digestOf(sentEmpty));
    expect(ownedDigest(liveEmpty({ "f:ingress": {} }, { egress: [{}] }))).not.toBe(digestOf(sentEmpty));
  });
  it("quantities that the API rewrites make no difference", () => {
    expect(digestOf({ spec: { hard: { "limits.cpu": "4000m" } } })).toBe(
      digestOf({ spec: { hard: { "limits.cpu": "4" } } }),
    );
    expect(digestOf({ spec: { port: "4000m" } })).not.toBe(digestOf({ spec: { port: "4" } }));
  });
  it("members of sets are found by value", () => {
    expect(extract({ f: ["a", "b"] }, { "f:f": { 'v:"b"': {} } })).toEqual({ f: ["b"] });
  });
});

describe("stamping", () => {
  it("keeps the pods' mark when only the number of pods changes", () => {
    const of = (replicas: 0 | 1): unknown =>
      smallSchool({ namespace: "school-x", image: "i", replicas })
        .filter((manifest) => manifest.kind === "Deployment")
        .map((manifest) => Reflect.get(Object(stamp(manifest).body.spec), "template"));
    expect(of(0)).toEqual(of(1));
  });
  it("never changes the manifest it was given", () => {
    const [manifest] = smallSchool({ namespace: "school-x", image: "i" });
    const before = structuredClone(manifest);
    if (manifest !== undefined) stamp(manifest);
    expect(manifest).toEqual(before);
  });
});

function pod(status: object, extra: object = {}): LiveObject {
  return { metadata: { name: "app-1", labels: { c: "app" }, ...extra }, spec: {}, status };
}
const scheduled = { type: "PodScheduled", status: "True", lastTransitionTime: LONG_AGO };

describe("judging a pod by its recorded state", () => {
  const waiting = (reason: string, message = "") => ({
    name: "app",
    restartCount: 0,
    ready: false,
    started: false,
    state: { waiting: { reason, message } },
  });
  it.each<[string, object, string, string, RegExp]>([
    [
      "no node has room, for long",
      {
        conditions: [
          {
            type: "PodScheduled",
            status: "False",
            reason: "Unschedulable",
            message: "0/3 nodes: Insufficient memory",
            lastTransitionTime: LONG_AGO,
          },
        ],
      },
      "Failing",
      "Unschedulable",
      /Insufficient memory/,
    ],
    [
      "no node has room, just now",
      { conditions: [{ type: "PodScheduled", status: "False", message: "0/3 nodes", lastTransitionTime: JUST_NOW }] },
      "Starting",
      "Unschedulable",
      /0\/3 nodes/,
    ],
    [
      "its volume has no place",
      {
        conditions: [
          {
            type: "PodScheduled",
            status: "False",
            message: "pod has unbound immediate PersistentVolumeClaims",
            lastTransitionTime: LONG_AGO,
          },
        ],
      },
      "Failing",
      "VolumePending",
      /unbound/,
    ],
    [
      "its image cannot be pulled",
      { conditions: [scheduled], containerStatuses: [waiting("ImagePullBackOff", "not found: x")] },
      "Failing",
      "ImageMissing",
      /not found: x/,
    ],
    [
      "a secret it names is missing",
      { conditions: [scheduled], containerStatuses: [waiting("CreateContainerConfigError", 'secret "x" not found')] },
      "Failing",
      "ContainerRefused",
      /secret "x"/,
    ],
    [
      "it crashes again and again",
      {
        conditions: [scheduled],
        containerStatuses: [
          {
            ...waiting("CrashLoopBackOff"),
            restartCount: 5,
            lastState: { terminated: { exitCode: 3, reason: "Error" } },
          },
        ],
      },
      "Failing",
      "ContainerCrashing",
      /ended with code 3, 5 restarts/,
    ],
    [
      "it ran out of memory",
      {
        conditions: [scheduled],
        containerStatuses: [
          {
            ...waiting("CrashLoopBackOff"),
            restartCount: 2,
            lastState: { terminated: { exitCode: 137, reason: "OOMKilled" } },
          },
        ],
      },
      "Failing",
      "ContainerCrashing",
      /ran out of memory/,
    ],
    [
      "its migration crashes",
      {
        conditions: [scheduled],
        initContainerStatuses: [
          {
            ...waiting("CrashLoopBackOff"),
            name: "migrate",
            restartCount: 1,
            lastState: { terminated: { exitCode: 1 } },
          },
        ],
        containerStatuses: [waiting("PodInitializing")],
      },
      "Failing",
      "ContainerCrashing",
      /migrate ended with code 1/,
    ],
    [
      "its volumes are not mounted, for long",
      {
        conditions: [scheduled, { type: "PodReadyToStartContainers", status: "False" }],
        containerStatuses: [waiting("ContainerCreating")],
      },
      "Failing",
      "VolumePending",
      /not mounted/,
    ],
    [
      "it does not answer, for long",
      {
        conditions: [scheduled],
        containerStatuses: [
          { name: "app", ready: false, started: true, restartCount: 0, state: { running: { startedAt: LONG_AGO } } },
        ],
      },
      "Failing",
      "ProbeFailing",
      /readiness probe/,
    ],
    [
      "it has just started",
      {
        conditions: [scheduled],
        containerStatuses: [
          { name: "app", ready: false, started: false, restartCount: 0, state: { running: { startedAt: JUST_NOW } } },
        ],
      },
      "Starting",
      "ContainerStarting",
      /startup probe/,
    ],
    ["nothing is known yet", {}, "Starting", "ContainerStarting", /starting/],
    ["it is ready", { conditions: [{ type: "Ready", status: "True" }] }, "Ready", "AsDesired", /ready/],
  ])("%s", (_, status, state, reason, message) => {
    expect(judgePod(pod(status), NOW)).toMatchObject({ state, reason, message: expect.stringMatching(message) });
  });
  it("never throws, whatever the API says", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (status) => {
        const judgement = judgePod({ metadata: { name: "x" }, status }, NOW);
        expect(judgement.message).not.toBe("");
      }),
    );
  });
});

it("a pod that ended holds its volumes until its node has removed it", () => {
  const workload: LiveObject = { metadata: { name: "app" }, spec: { selector: { matchLabels: { c: "app" } } } };
  const ended = { phase: "Succeeded" };
  expect(holdersOf([workload], [pod(ended)])).toEqual([]);
  expect(holdersOf([workload], [pod(ended, { deletionTimestamp: LONG_AGO })])).toEqual(["app-1"]);
  expect(holdersOf([workload], [pod({ phase: "Running" })])).toEqual(["app-1"]);
});

describe("judging a workload", () => {
  const workload = (status: object, more: object = {}): LiveObject => ({
    kind: "Deployment",
    metadata: { name: "app", generation: 2, annotations: { "classmind.de/hash": "sha256:new" } },
    spec: {
      replicas: 1,
      selector: { matchLabels: { c: "app" } },
      template: { metadata: { annotations: { "classmind.de/template": "t2" } } },
    },
    status,
    ...more,
  });
  const done = { observedGeneration: 2, replicas: 1, updatedReplicas: 1, availableReplicas: 1 };
  it("is rolled out only when its controller has seen it and no older pod is left", () => {
    expect(isRolledOut(workload(done))).toBe(true);
    expect(isRolledOut(workload({ ...done, observedGeneration: 1 }))).toBe(false);
    expect(isRolledOut(workload({ ...done, replicas: 2 }))).toBe(false);
    expect(isRolledOut(workload({ ...done, availableReplicas: 0 }))).toBe(false);
  });
  it("a quota that refuses its pods is named", () => {
    const status = {
      observedGeneration: 2,
      conditions: [
        {
          type: "ReplicaFailure",
          status: "True",
          reason: "FailedCreate",
          message: 'pods "app-1" is forbidden: exceeded quota: plan',
        },
      ],
    };
    expect(observeWorkload(workload(status), [], [], NOW)).toMatchObject({
      state: "Failing",
      reason: "QuotaExceeded",
      message: expect.stringContaining("plan"),
    });
  });
  describe("whose pod runs and is not ready", () => {
    const unready = pod({
      phase: "Running",
      conditions: [scheduled],
      containerStatuses: [
        { name: "app", ready: false, started: true, restartCount: 0, state: { running: { startedAt: LONG_AGO } } },
      ],
    });
    const told = (message: string, lastTimestamp = JUST_NOW, more: object = {}): LiveObject => ({
      metadata: { name: "e" },
      reason: "Unhealthy",
      message,
      lastTimestamp,
      involvedObject: { name: "app-1" },
      ...more,
    });
    const seen = (...events: readonly LiveObject[]) => observeWorkload(workload({}), [unready], events, NOW);
    const full = "Readiness probe failed: volume full: 97 % of its bytes and 3 % of its inodes are used\n";

    it("tells of a full volume, which nobody but its own probe can see", () => {
      expect(seen(told(full))).toMatchObject({
        state: "Failing",
        reason: "VolumeFull",
        message: "volume full: 97 % of its bytes and 3 % of its inodes are used",
      });
    });
    it("repeats the probe's newest words, and takes neither old ones nor those about another pod for them", () => {
      const silent = told("Readiness probe failed: the database does not answer\n");
      expect(seen(silent, told(full))).toMatchObject({
        reason: "ProbeFailing",
        message: expect.stringMatching(/readiness probe: the database does not answer$/),
      });
      for (const stale of [
        told(full, "2026-03-01T07:30:00Z"),
        told(full, JUST_NOW, { involvedObject: { name: "app-2" } }),
        told("Liveness probe failed: volume full: no"),
      ])
        expect(seen(stale)).toMatchObject({ reason: "ProbeFailing", message: expect.not.stringContaining("full") });
    });
  });
  it("a quota that refuses a StatefulSet's pods is found in the events", () => {
    const event: LiveObject = {
      metadata: { name: "e" },
      reason: "FailedCreate",
      message: "exceeded quota: plan",
      involvedObject: { name: "app" },
    };
    expect(observeWorkload(workload({ observedGeneration: 2 }), [], [event], NOW).reason).toBe("QuotaExceeded");
  });
  it("runs what its ready pod was made from, while the next one starts", () => {
    const ready = { phase: "Running", conditions: [{ type: "Ready", status: "True" }] };
    const old = pod(ready, { annotations: { "classmind.de/template": "t1" }, creationTimestamp: LONG_AGO });
    const next = pod(
      { phase: "Pending" },
      { name: "app-2", annotations: { "classmind.de/template": "t2" }, creationTimestamp: JUST_NOW },
    );
    const status = { ...done, replicas: 2, availableReplicas: 1, updatedReplicas: 1 };
    const seen = observeWorkload(workload(status), [old, next], [], NOW);
    expect(seen).toMatchObject({ state: "Starting", runningHash: "template:t1" });
    const after = pod(ready, { annotations: { "classmind.de/template": "t2" } });
    expect(observeWorkload(workload(done), [after], [], NOW)).toMatchObject({
      state: "Ready",
      runningHash: "sha256:new",
    });
  });
});

it("conflicts name field and manager", () => {
  const causes = [
    { reason: "FieldManagerConflict", message: 'conflict with "kubectl-edit" using apps/v1', field: ".spec.replicas" },
  ];
  expect(conflictsOf(new ApiFailure(409, { details: { causes } }, "x"))).toEqual([
    { field: ".spec.replicas", manager: "kubectl-edit" },
  ]);
  expect(conflictsOf(new ApiFailure(409, {}, "x"))).toEqual([]);
  expect(conflictsOf(new Error("x"))).toEqual([]);
});

it("a namespace that does not end says what holds it", () => {
  const conditions = [
    {
      type: "NamespaceContentRemaining",
      status: "True",
      message: "Some resources are remaining: pods. has 1 resource instances",
    },
    { type: "NamespaceDeletionDiscoveryFailure", status: "False", message: "All resources successfully discovered" },
  ];
  const space = { metadata: { name: "x", finalizers: ["example.org/hold"] }, status: { conditions } };
  expect(blockersOf(space)).toBe(
    "Some resources are remaining: pods. has 1 resource instances; finalizer example.org/hold of the namespace",
  );
  expect(blockersOf({ metadata: { name: "x" } })).toMatch(/does not say/);
});

it("Retry-After is honoured, and bounded; without it pauses grow with jitter", () => {
  expect(pauseBefore(0, 3, 100, () => 0)).toBe(3_000);
  expect(pauseBefore(0, 86_400, 100, () => 0)).toBe(60_000);
  fc.assert(
    fc.property(fc.nat({ max: 20 }), fc.double({ min: 0, max: 1, noNaN: true }), (retry, random) => {
      const pause = pauseBefore(retry, undefined, 100, () => random);
      expect(pause).toBeGreaterThanOrEqual(50);
      expect(pause).toBeLessThanOrEqual(5_000);
    }),
  );
});

it("after a gap only namespaces in which something changed are woken", () => {
  const known = new Map([
    ["a/x", "1"],
    ["b/x", "1"],
    ["c/x", "1"],
  ]);
  const item = (namespace: string, resourceVersion: string): LiveObject => ({
    metadata: { name: "x", namespace, resourceVersion },
  });
  expect([...compareListing(known, [item("a", "1"), item("b", "2"), item("d", "1")])].sort()).toEqual(["b", "c", "d"]);
  expect([...known.keys()].sort()).toEqual(["a/x", "b/x", "d/x"]);
});

it.each<[string, object, RegExp | undefined]>([
  ["its parameters", { parameters: { encrypted: "true" } }, /encrypted/],
  ["an administrator", { metadata: { name: "x", annotations: { "classmind.de/encrypts": "true" } } }, /administrator/],
  ["nobody", { parameters: { encrypted: "false" } }, undefined],
])("that a storage class encrypts is said by %s", (_, fields, how) => {
  const said = encryptionOf({ metadata: { name: "x" }, ...fields });
  if (how === undefined) expect(said).toBeUndefined();
  else expect(said).toMatch(how);
});

describe("a job's wrapper", () => {
  const MARK = "0123456789abcdef0123456789abcdef";
  /** Runs the wrapper's shell as the pod would, with standard output and standard error in one stream. */
  async function run(
    program: string,
    kill = false,
  ): Promise<{ code: number | null; signalled: boolean; log: ReturnType<typeof readJobLog>; errors: string[] }> {
    const directory = mkdtempSync(join(tmpdir(), "classmind-wrapper-"));
    const script = WRAPPER.replaceAll("/run/classmind-output", directory);
    const errors: string[] = [];
    const log = readJobLog(MARK, (line) => errors.push(line));
    try {
      return await new Promise((resolve) => {
        const child = execFile(
          "/bin/sh",
          ["-c", `exec 2>&1\n${script}`, MARK, "/bin/sh", "-c", program],
          (error, stdout) => {
            for (const line of stdout.split("\n")) log.push(line);
            const code = error === null ? 0 : Number(error.code ?? -1);
            resolve({ code, signalled: kill, log, errors });
          },
        );
        if (kill) setTimeout(() => child.kill("SIGTERM"), 200);
      });
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }
  it("keeps standard output apart from standard error, in whatever order they come", async () => {
    const { code, log, errors } = await run(
      `printf '{"a":'; echo one >&2; echo; echo two >&2; printf '1}'; printf 'three' >&2`,
    );
    expect([code, log.output(), errors]).toEqual([0, { a: 1 }, ["one", "two", "three"]]);
  });
  it("passes the exit code on, with and without output", async () => {
    const failed = await run("echo it broke >&2; exit 7");
    expect([failed.code, failed.log.output(), failed.errors]).toEqual([7, undefined, ["it broke"]]);
    const answered = await run(`echo '{"error":{}}'; exit 1`);
    expect([answered.code, answered.log.output()]).toEqual([1, { error: {} }]);
  });
  it("passes a signal on and waits for the program to end", async () => {
    const { code, log } = await run(`trap 'echo "\\"ended\\""; exit 9' TERM; while :; do sleep 0.05; done`, true);
    expect([code, log.output()]).toEqual([9, "ended"]);
  });
  it("a program that writes like the wrapper is not believed", async () => {
    const { log, errors } = await run(
      `echo ffffffffffffffffffffffffffffffff >&2; echo '{"forged":true}' >&2; echo '{"true":true}'`,
    );
    expect(log.output()).toEqual({ true: true });
    expect(errors).toContain('{"forged":true}');
  });
  it("an output that was cut off is none", () => {
    const log = readJobLog(MARK, () => undefined);
    for (const line of ["", MARK, '{"a":1}']) log.push(line);
    expect(log.output()).toBeUndefined();
  });
  it("only a job of one container with a command can be wrapped, and nothing else of it changes", () => {
    const manifest = smallJob("school-x", "i");
    const { manifest: wrapped } = wrapJob(manifest, MARK);
    expect(JSON.stringify(wrapped)).toContain(MARK);
    expect(wrapped.metadata).toEqual(manifest.metadata);
    const none: Manifest = { ...manifest, spec: { template: { spec: { containers: [] } } } };
    expect(() => wrapJob(none)).toThrow(/one container/);
  });
});
