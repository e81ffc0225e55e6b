import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { type Engine, EngineError, type Manifest } from "../../../control-plane/engine/engine.ts";
import {
  createKubernetesEngine,
  type KubernetesEngineOptions,
} from "../../../control-plane/engine/kubernetes/kubernetes.ts";
import { hashManifest } from "../../../control-plane/render/hash.ts";
import { type SmallSchool, smallJob, smallSchool } from "../../fixtures/engine-school.ts";
import { type Fault, type FaultProxy, type ProxiedCall, startFaultProxy } from "../../fixtures/fault-proxy.ts";
import { smallPod } from "../../fixtures/kube-api/behaviour.ts";
import type { PodBehaviour } from "../../fixtures/kube-api/cluster.ts";
import { IN_TEST_API } from "../../fixtures/kube-api/engine-options.ts";
import { writeKubeconfig } from "../../fixtures/kube-api/kubeconfig.ts";
import { type KubeApi, startKubeApi } from "../../fixtures/kube-api/server.ts";
import { until } from "../../fixtures/until.ts";

const APP = { kind: "Deployment", name: "app" };
const DB = { kind: "StatefulSet", name: "db" };
const IMAGE = "localhost/classmind/app:0123456789abcdef";

let api: KubeApi;
let proxy: FaultProxy;
let kubeconfig: ReturnType<typeof writeKubeconfig>;
let engine: Engine;
let pods: PodBehaviour = "ready";
let decide: (call: ProxiedCall) => Fault | undefined;
let warnings: Record<string, unknown>[];
let count = 0;
let namespace: string;

function open(more: Partial<KubernetesEngineOptions> = {}): Engine {
  const silent = () => undefined;
  return createKubernetesEngine({
    ...IN_TEST_API,
    kubeconfig: kubeconfig.file,
    log: { debug: silent, info: silent, error: silent, warn: (fields) => warnings.push(fields) },
    patience: 400,
    relist: 300,
    requests: { timeout: 500, pause: 5 },
    ...more,
  });
}
const school = (more: Partial<SmallSchool> = {}): readonly Manifest[] =>
  smallSchool({ namespace, image: IMAGE, ...more });
const started = async (more: Partial<SmallSchool> = {}) => {
  await engine.apply(namespace, school(more));
  await Promise.all([APP, DB].map((workload) => engine.awaitReady(namespace, workload, 3_000)));
};
const object = (kind: string, name: string) => {
  const found = api.store.get(kind, kind === "Namespace" ? undefined : namespace, name);
  if (found === undefined) throw new Error(`no ${kind} ${name}`);
  return found;
};

beforeAll(async () => {
  api = await startKubeApi({ ...smallPod, startup: 15, pod: () => pods });
  proxy = await startFaultProxy(api.url, (call) => decide(call));
  kubeconfig = writeKubeconfig(proxy.url);
});
beforeEach(() => {
  pods = "ready";
  decide = () => undefined;
  warnings = [];
  count += 1;
  namespace = `school-b${count}`;
  engine = open();
  return () => engine.close();
});
afterAll(async () => {
  kubeconfig.remove();
  await proxy.close();
  await api.close();
});

it("a converged school causes no write, and an applied one is observed exactly as it was wanted", async () => {
  await started();
  const before = api.writes.length;
  const seen = await engine.observe(namespace);
  expect(seen.objects.map((entry) => entry.hash).sort()).toEqual(school().map(hashManifest).sort());
  await engine.apply(namespace, school());
  expect(api.writes.length).toBe(before);
});

it("of a changed school only the changed object is written", async () => {
  await started();
  const before = api.writes.length;
  await engine.apply(namespace, school({ version: "two" }));
  expect(api.writes.slice(before)).toEqual([`PATCH /apis/apps/v1/namespaces/${namespace}/deployments/app`]);
});

it.each<[string, string, string, (found: ReturnType<typeof object>) => object]>([
  ["a replica count", "Deployment", "app", (found) => ({ ...found, spec: { ...Object(found.spec), replicas: 3 } })],
  ["a secret's value", "Secret", "database-app", (found) => ({ ...found, data: { password: "b3RoZXI=" } })],
  [
    "a removed label",
    "Service",
    "app",
    (found) => ({ ...found, metadata: { ...found.metadata, labels: { "app.kubernetes.io/managed-by": "classmind" } } }),
  ],
  ["an opened wall", "NetworkPolicy", "db", (found) => ({ ...found, spec: { ...Object(found.spec), egress: [{}] } })],
])("%s that somebody changed is found, set back and reported", async (_, kind, name, edit) => {
  await started();
  const found = object(kind, name);
  const wanted = structuredClone(found.spec ?? found.data);
  const edited = edit(found);
  api.store.put(
    { ...edited, kind, metadata: { ...Object(Reflect.get(edited, "metadata")), name, namespace } },
    "kubectl-edit",
  );
  expect((await engine.observe(namespace)).objects).not.toContainEqual(expect.objectContaining({ kind, name }));
  const told: string[] = [];
  await engine.apply(namespace, school(), { onProgress: (message) => told.push(message) });
  const after = object(kind, name);
  expect(after.spec ?? after.data).toEqual(wanted);
  expect((await engine.observe(namespace)).objects).toContainEqual(expect.objectContaining({ kind, name }));
  if (kind !== "Service") expect(JSON.stringify([warnings, told])).toContain("kubectl-edit");
});

const addressOf = (service: string): unknown => Reflect.get(Object(object("Service", service).spec), "clusterIP");
const podSpecOf = (kind: string, name: string): Record<string, unknown> =>
  Object(Reflect.get(Object(Reflect.get(Object(object(kind, name).spec), "template")), "spec"));
const NO_RESOLVER = { dnsPolicy: "None", dnsConfig: { nameservers: ["127.0.0.1"] } };

it("pods and jobs know the services of their namespace by name, and ask no resolver", async () => {
  await started();
  const hostAliases = ["app", "db"].map((name) => ({ ip: addressOf(name), hostnames: [name] }));
  for (const { kind, name } of [APP, DB]) expect(podSpecOf(kind, name)).toMatchObject({ hostAliases, ...NO_RESOLVER });
  const jobs: unknown[] = [];
  api.store.changes.on("change", ({ object: changed }) => void (changed.kind === "Job" && jobs.push(changed.spec)));
  await engine.run(namespace, { manifest: smallJob(namespace, IMAGE), input: { action: "echo" }, deadline: 5_000 });
  expect(jobs[0]).toMatchObject({ template: { spec: { hostAliases, ...NO_RESOLVER } } });
});

it("a service that was made anew has another address, and the pods get to know it", async () => {
  await started();
  const before = addressOf("db");
  api.store.erase(object("Service", "db"));
  await engine.apply(
    namespace,
    school().filter(({ kind }) => kind === "Service"),
  );
  expect(addressOf("db")).not.toBe(before);
  const lost = (await engine.observe(namespace)).objects.filter(({ kind }) => kind === APP.kind || kind === DB.kind);
  expect(lost).toEqual([]);
  await engine.apply(namespace, school());
  expect(podSpecOf("Deployment", "app").hostAliases).toContainEqual({ ip: addressOf("db"), hostnames: ["db"] });
  expect((await engine.observe(namespace)).objects.length).toBe(school().length);
});

it("an account of least rights takes them in a school's namespace before anything else, and takes them back", async () => {
  await engine.close();
  engine = open({ grant: { role: "classmind-school", account: "reconciler", namespace: "classmind" } });
  const before = api.writes.length;
  await started();
  expect(api.writes.slice(before, before + 2)).toEqual([
    `PATCH /api/v1/namespaces/${namespace}`,
    `PATCH /apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}/rolebindings/classmind`,
  ]);
  const after = api.writes.length;
  await engine.apply(namespace, school());
  await engine.observe(namespace);
  expect(api.writes.length).toBe(after);
  api.store.erase(object("RoleBinding", "classmind"));
  await engine.observe(namespace);
  expect(object("RoleBinding", "classmind").subjects).toEqual([
    { kind: "ServiceAccount", name: "reconciler", namespace: "classmind" },
  ]);
});

it("what others add beside ours is left to them", async () => {
  await started();
  const found = object("Deployment", "app");
  const annotations = { ...found.metadata.annotations, "example.org/theirs": "1" };
  api.store.put({ ...found, kind: "Deployment", metadata: { ...found.metadata, annotations } }, "someone");
  const before = api.writes.length;
  await engine.apply(namespace, school());
  expect(api.writes.length).toBe(before);
});

it("a program that sets a field again each time is named instead of fought for ever", async () => {
  await started();
  const fight = async (): Promise<void> => {
    for (let round = 0; round < 10; round += 1) {
      const found = object("Deployment", "app");
      api.store.put(
        { ...found, kind: "Deployment", metadata: found.metadata, spec: { ...Object(found.spec), replicas: 4 } },
        "autoscaler",
      );
      await engine.apply(namespace, school());
    }
  };
  await expect(fight()).rejects.toMatchObject({
    reason: "FieldConflict",
    message: expect.stringMatching(/autoscaler.*replicas/),
  });
});

it("a namespace that we did not make is neither changed nor removed", async () => {
  api.store.put({ kind: "Namespace", metadata: { name: namespace } }, "kubectl");
  const refused = { reason: "NamespaceForeign", retryable: false };
  await expect(engine.apply(namespace, school())).rejects.toMatchObject(refused);
  await expect(engine.remove(namespace, [{ kind: "Namespace", name: namespace }])).rejects.toMatchObject(refused);
  await expect(engine.remove(namespace, [APP])).rejects.toMatchObject(refused);
  expect(api.store.get("Namespace", undefined, namespace)?.metadata.deletionTimestamp).toBeUndefined();
  expect(await engine.list()).not.toContain(namespace);
});

it("the namespace of an earlier school of this name is not taken over", async () => {
  const of = (uid: string) =>
    school().map((manifest) =>
      manifest.kind === "Namespace"
        ? { ...manifest, metadata: { ...manifest.metadata, annotations: { "classmind.de/tenant-uid": uid } } }
        : manifest,
    );
  await engine.apply(namespace, of("first"));
  await expect(engine.apply(namespace, of("second"))).rejects.toMatchObject({
    reason: "NamespaceForeign",
    retryable: false,
  });
});

it("a namespace that does not end says which finalizer holds it, and nothing is applied to it", async () => {
  await started();
  const claim = object("ServiceAccount", "school");
  api.store.touch(claim, (found) => {
    found.metadata.finalizers = ["example.org/hold"];
  });
  const told: string[] = [];
  const onProgress = (message: string) => void told.push(message);
  const removing = engine.remove(namespace, [{ kind: "Namespace", name: namespace }], { onProgress });
  // Long before it gives up.
  await until("it is told", async () =>
    told.some((message) => message.includes("example.org/hold")) ? true : undefined,
  );
  await expect(removing).rejects.toMatchObject({
    reason: "NamespaceTerminating",
    message: expect.stringContaining("example.org/hold"),
  });
  await expect(engine.apply(namespace, school())).rejects.toMatchObject({
    reason: "NamespaceTerminating",
    message: expect.stringContaining("example.org/hold"),
  });
  await expect(
    engine.run(namespace, { manifest: smallJob(namespace, IMAGE), input: {}, deadline: 500 }),
  ).rejects.toMatchObject({ reason: "NamespaceTerminating" });
  api.store.erase(object("ServiceAccount", "school"));
  await engine.remove(namespace, [{ kind: "Namespace", name: namespace }]);
  expect((await engine.observe(namespace)).exists).toBe(false);
});

it("a volume that is still used says by whom when it is to be removed", async () => {
  await started();
  api.store.touch(object("PersistentVolumeClaim", "data"), (found) => {
    found.metadata.finalizers = ["kubernetes.io/pvc-protection"];
  });
  const removing = engine.remove(namespace, [{ kind: "PersistentVolumeClaim", name: "data" }]);
  await expect(removing).rejects.toMatchObject({
    reason: "RemovalBlocked",
    message: expect.stringMatching(/pvc-protection.*used by db-0/),
  });
});

it("an object of the same name that was made meanwhile is not removed in the old one's place", async () => {
  await started();
  const old = object("Service", "app");
  let swapped = "";
  decide = (call) => {
    if (call.method === "DELETE" && swapped === "") {
      api.store.erase(old);
      swapped = api.store.put({ kind: "Service", metadata: { name: "app", namespace } }, "someone").metadata.uid;
    }
    return undefined;
  };
  await engine.remove(namespace, [{ kind: "Service", name: "app" }]);
  expect(object("Service", "app").metadata.uid).toBe(swapped);
});

it.each<[PodBehaviour, string]>([
  ["crash", "ContainerCrashing"],
  ["no-image", "ImageMissing"],
  ["unschedulable", "Unschedulable"],
  ["never-ready", "ContainerStarting"],
])("a pod that is %s gives the reason %s", async (behaviour, reason) => {
  pods = behaviour;
  await engine.apply(namespace, school());
  await expect(engine.awaitReady(namespace, APP, 200)).rejects.toMatchObject({ reason });
  const seen = (await engine.observe(namespace)).workloads.find((workload) => workload.ref.name === "app");
  expect(seen?.reason).toBe(reason);
  expect(seen?.message).not.toBe("");
});

it("an API server that is overloaded for good is no engine that answers", async () => {
  await expect(engine.answers?.(new AbortController().signal)).resolves.toBeUndefined();
  decide = () => "unavailable-503";
  await expect(engine.answers?.(new AbortController().signal)).rejects.toBeInstanceOf(EngineError);
});

it.each<[PodBehaviour, RegExp]>([
  ["no-image", /did not start in time/],
  ["unschedulable", /did not start in time: .*Insufficient memory/],
])(
  "a job whose pod is %s fails within the engine's patience, however long its work may take",
  async (behaviour, message) => {
    await engine.apply(namespace, school());
    pods = behaviour;
    const began = Date.now();
    const job = { manifest: smallJob(namespace, IMAGE), input: {}, deadline: 8 * 3_600_000 };
    await expect(engine.run(namespace, job)).rejects.toMatchObject({ message: expect.stringMatching(message) });
    expect(Date.now() - began).toBeLessThan(5_000);
  },
);

it("a StatefulSet whose pod never became ready takes the next version", async () => {
  pods = "crash";
  await engine.apply(namespace, school());
  await expect(engine.awaitReady(namespace, DB, 200)).rejects.toMatchObject({ reason: "ContainerCrashing" });
  pods = "ready";
  const next = school().map((manifest) =>
    manifest.kind === "StatefulSet"
      ? (JSON.parse(JSON.stringify(manifest).replace(IMAGE, `${IMAGE}0`)) as Manifest)
      : manifest,
  );
  await engine.apply(namespace, next);
  await engine.awaitReady(namespace, DB, 3_000);
});

it("a job of the same name left by a dead caller is removed first, with its input", async () => {
  await started();
  const dying = open();
  const manifest = smallJob(namespace, IMAGE);
  const abandoned = dying.run(namespace, { manifest, input: { action: "hang" }, deadline: 60_000 });
  const ended = expect(abandoned).rejects.toBeInstanceOf(EngineError);
  await expect.poll(() => api.store.list("Job", namespace).length).toBe(1);
  await dying.close();
  await ended;
  expect(api.store.list("Job", namespace).length).toBe(1);
  const result = await engine.run(namespace, { manifest, input: { action: "echo" }, deadline: 5_000 });
  expect(result).toMatchObject({ exitCode: 0, output: { action: "echo" } });
  expect([
    ...api.store.list("Job", namespace),
    ...api.store.list("Secret", namespace).filter((found) => found.metadata.name.startsWith("task-input")),
  ]).toEqual([]);
});

it.each<[string, unknown, object]>([
  ["fails", { action: "fail" }, { exitCode: 7, output: undefined, logTail: ["it broke"] }],
])("a job that %s answers with its code and its last words", async (_, input, result) => {
  await started();
  expect(await engine.run(namespace, { manifest: smallJob(namespace, IMAGE), input, deadline: 5_000 })).toEqual(result);
});

it("a job that would read another namespace's volume is refused, before any effect", async () => {
  await started();
  const manifest = smallJob(namespace, IMAGE);
  const annotations = { "classmind.de/repository-of": "school-other" };
  const reading = { ...manifest, metadata: { ...manifest.metadata, annotations } };
  const run = engine.run(namespace, { manifest: reading, input: { action: "echo" }, deadline: 5_000 });
  await expect(run).rejects.toThrow("the backups of school-other lie in a volume of its namespace");
  expect(api.store.list("Job", namespace)).toEqual([]);
});

it("a job that does not end is ended at its deadline, and one that is called off at once; nothing is left", async () => {
  await started();
  const job = { manifest: smallJob(namespace, IMAGE), input: { action: "hang" } };
  await expect(engine.run(namespace, { ...job, deadline: 150 })).rejects.toMatchObject({ reason: "JobDeadline" });
  const stop = new AbortController();
  const called = engine.run(namespace, { ...job, deadline: 60_000, signal: stop.signal });
  setTimeout(() => stop.abort(), 60);
  await expect(called).rejects.toMatchObject({ reason: "JobAborted" });
  expect([
    ...api.store.list("Job", namespace),
    ...api.store.list("Pod", namespace).filter((pod) => pod.metadata.name.startsWith("task")),
  ]).toEqual([]);
});

it("a job whose pod is taken away before its log could be read is said to be lost at once", async () => {
  await started();
  decide = ({ path }) => {
    const pod = /\/pods\/([^/]+)\/log/.exec(path)?.[1];
    const found = pod === undefined ? undefined : api.store.get("Pod", namespace, pod);
    if (found !== undefined) api.store.erase(found);
    return undefined;
  };
  const running = engine.run(namespace, {
    manifest: smallJob(namespace, IMAGE),
    input: { action: "hang" },
    deadline: 15_000,
  });
  await expect(running).rejects.toMatchObject({ reason: "JobLost" });
});

it("when the API asks to slow down, nobody sends before the time it named", async () => {
  const sent: number[] = [];
  let asked = 0;
  const slow = await startFaultProxy(
    api.url,
    (call) => {
      sent.push(Date.now());
      if (call.method !== "PATCH" || asked > 0) return undefined;
      asked = Date.now();
      return "too-many";
    },
    1,
  );
  const config = writeKubeconfig(slow.url);
  const patient = open({ kubeconfig: config.file });
  try {
    await patient.apply(namespace, school());
    // What was under way when the answer came may still arrive.
    expect(sent.filter((time) => time > asked + 100 && time < asked + 990)).toEqual([]);
    expect((await patient.observe(namespace)).objects.length).toBe(school().length);
  } finally {
    await patient.close();
    config.remove();
    await slow.close();
  }
});

it("an API that stays away fails with a reason that is tried again, within bounded time", async () => {
  decide = () => "unavailable-503";
  const began = Date.now();
  await expect(engine.observe(namespace)).rejects.toMatchObject({ reason: "EngineUnavailable", retryable: true });
  expect(Date.now() - began).toBeLessThan(3_000);
});

it.each<[string, (call: ProxiedCall) => Fault | undefined, () => void]>([
  ["over a watch", () => undefined, () => undefined],
  ["although each watch is refused as too old", (call) => (call.watch ? "gone" : undefined), () => undefined],
  ["although watches are silent", (call) => (call.watch ? "silent" : undefined), () => undefined],
  ["although the history is gone", () => undefined, () => api.store.compact()],
])("a change in a namespace wakes %s", async (_, fault, then) => {
  decide = fault;
  await engine.close();
  engine = open({ watchTimes: { watchSeconds: 2, relist: 200, gather: 5, pause: 20 } });
  await engine.apply(namespace, school());
  await new Promise((resolve) => setTimeout(resolve, 100));
  const stop = new AbortController();
  const woken: string[] = [];
  const watching = (async () => {
    for await (const wakeup of engine.watch(stop.signal)) {
      woken.push(wakeup.namespace);
      if (wakeup.namespace === namespace) stop.abort();
    }
  })();
  await new Promise((resolve) => setTimeout(resolve, 100));
  // On a busy machine the watches may not be open yet: what was changed before them is not told, so it is changed again.
  for (let round = 0; !stop.signal.aborted; round += 1) {
    then();
    const found = object("NetworkPolicy", "db");
    const egress = [{ ports: [{ port: 1000 + round }] }];
    api.store.put(
      { ...found, kind: "NetworkPolicy", metadata: found.metadata, spec: { ...Object(found.spec), egress } },
      "kubectl-edit",
    );
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
  await watching;
  expect(woken).toContain(namespace);
});

it("preflight passes on a whole cluster, and says what is missing on another", async () => {
  expect((await engine.preflight("look")).filter((finding) => !finding.ok)).toEqual([]);
  const other = open({ storageClass: "none", ingressClass: "none" });
  const abroad = open({ country: { label: "topology.example.org/country", value: "AT" } });
  expect(await abroad.preflight("look")).toContainEqual({
    check: "nodes-in-country",
    ok: false,
    required: true,
    message: "0 nodes carry topology.example.org/country=AT",
    remedy: "label the nodes that stand there: kubectl label node NAME topology.example.org/country=AT",
  });
  await abroad.close();
  const failed = (await other.preflight("look")).filter((finding) => !finding.ok);
  expect(failed.map((finding) => finding.check).sort()).toEqual([
    "ingress-class",
    "storage-class",
    "storage-encryption",
    "storage-expansion",
  ]);
  expect(failed.every((finding) => finding.remedy !== undefined)).toBe(true);
  await other.close();
});

it("preflight looks up a name of the cluster where the control plane is in it, and says what to look at when that fails", async () => {
  const examined = async (lookup: (name: string) => Promise<unknown>) => {
    const inside = open({ lookup });
    const findings = await inside.preflight("look");
    await inside.close();
    return findings.find(({ check }) => check === "cluster-dns");
  };
  expect(await examined(async (name) => name)).toMatchObject({ ok: true, message: "kubernetes.default.svc is found" });
  const failing = await examined(async () => {
    throw new Error("queryA ETIMEOUT");
  });
  expect(failing).toMatchObject({ ok: false, required: false, message: expect.stringContaining("ETIMEOUT") });
  expect((await engine.preflight("look")).map(({ check }) => check)).not.toContain("cluster-dns");
});

it("what a school must not reach is told: nodes, the cluster's resolver, whatever address the API server has", async () => {
  api.store.put(
    {
      kind: "Node",
      metadata: { name: "node-7" },
      status: {
        addresses: [
          { type: "InternalIP", address: "192.0.2.7" },
          { type: "Hostname", address: "node-7" },
        ],
      },
    },
    "kubelet",
  );
  const told = (await engine.outside?.()) ?? [];
  expect(told).toContainEqual(
    expect.objectContaining({ kind: "host-port", host: "192.0.2.7", port: 10250, protocol: "tcp" }),
  );
  expect(told.map(({ host }) => host)).not.toContain("node-7");
  // This API server listens on the loopback address, which would be the school's own.
  expect(told.filter(({ host }) => host.startsWith("127."))).toEqual([]);
});

it("a claim is tried again while a quota that was raised with it does not count yet, and refused when it never does", async () => {
  let refusals = 0;
  decide = ({ method, path }) => {
    if (method !== "PATCH" || !path.includes("/persistentvolumeclaims/") || refusals === 3) return undefined;
    refusals += 1;
    return "over-quota";
  };
  await engine.apply(namespace, school());
  expect(refusals).toBe(3);
  expect(object("PersistentVolumeClaim", "data")).toBeDefined();
  count += 1;
  namespace = `school-b${count}`;
  decide = ({ path }) => (path.includes("/persistentvolumeclaims/") ? "over-quota" : undefined);
  await expect(engine.apply(namespace, school())).rejects.toMatchObject({ reason: "QuotaExceeded" });
});
