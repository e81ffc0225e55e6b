import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import type { Engine, Observation } from "../../../control-plane/engine/engine.ts";
import { WATCH_TIMES } from "../../../control-plane/engine/kubernetes/keep-watching.ts";
import { createKubernetesEngine } from "../../../control-plane/engine/kubernetes/kubernetes.ts";
import { smallJob, smallSchool } from "../../fixtures/engine-school.ts";
import { type Fault, type FaultProxy, startFaultProxy } from "../../fixtures/fault-proxy.ts";
import { smallPod } from "../../fixtures/kube-api/behaviour.ts";
import { IN_TEST_API } from "../../fixtures/kube-api/engine-options.ts";
import { writeKubeconfig } from "../../fixtures/kube-api/kubeconfig.ts";
import { type KubeApi, startKubeApi } from "../../fixtures/kube-api/server.ts";

/** What a look at a school costs, and that what is remembered is never taken for what is. */
const IMAGE = "localhost/classmind/app:0123456789abcdef";
const APP = { kind: "Deployment", name: "app" };
const DB = { kind: "StatefulSet", name: "db" };
/** The namespace, the ten kinds in it, and the pods; with least rights the role binding too. */
const WHOLE_LOOK = 12;

let api: KubeApi;
let proxy: FaultProxy;
let kubeconfig: ReturnType<typeof writeKubeconfig>;
let engine: Engine;
let watching: AbortController;
let woken: string[];
let fault: Fault | undefined;
let namespace: string;
let count = 0;

const school = (more: object = {}) => smallSchool({ namespace, image: IMAGE, ...more });

async function look(): Promise<{ readonly reads: number; readonly seen: Observation }> {
  const before = api.requests.filter((request) => !request.endsWith("?watch")).length;
  const seen = await engine.observe(namespace);
  return { seen, reads: api.requests.filter((request) => !request.endsWith("?watch")).length - before };
}

/** Looks until a look is the short one: until the watches are open and have told everything. */
async function untilQuiet(): Promise<void> {
  await expect.poll(async () => (await look()).reads, { timeout: 5_000 }).toBe(2);
}

beforeAll(async () => {
  api = await startKubeApi({ ...smallPod });
  // Only watches suffer.
  proxy = await startFaultProxy(api.url, (call) => (call.watch ? fault : undefined));
  kubeconfig = writeKubeconfig(proxy.url);
});
afterAll(async () => {
  kubeconfig.remove();
  await proxy.close();
  await api.close();
});
beforeEach(async () => {
  fault = undefined;
  count += 1;
  namespace = `school-look-${count}`;
  woken = [];
  watching = new AbortController();
  engine = createKubernetesEngine({
    kubeconfig: kubeconfig.file,
    ...IN_TEST_API,
    patience: 3_000,
    watchTimes: { ...WATCH_TIMES, gather: 5, pause: 20 },
  });
  void (async () => {
    for await (const wakeup of engine.watch(watching.signal)) woken.push(wakeup.namespace);
  })();
  await engine.apply(namespace, school());
  await Promise.all([APP, DB].map((workload) => engine.awaitReady(namespace, workload, 3_000)));
});
afterEach(async () => {
  watching.abort();
  await engine.close();
});

const object = (kind: string, name: string) => {
  const found = api.store.get(kind, namespace, name);
  if (found === undefined) throw new Error(`no ${kind} ${name}`);
  return found;
};
const names = (seen: Observation): readonly string[] => seen.objects.map(({ kind, name }) => `${kind}/${name}`);

it("of a school in which nothing happens only its pods and its Secrets' versions are read", async () => {
  const { seen: whole, reads } = await look();
  expect(reads).toBeGreaterThanOrEqual(WHOLE_LOOK);
  await untilQuiet();
  const { seen } = await look();
  expect(seen).toEqual(whole);
  const last = api.requests.filter((request) => !request.endsWith("?watch")).slice(-2);
  expect(last.map((request) => request.split("/").at(-1)).sort()).toEqual(["pods", "secrets"]);
});

it("what somebody changed wakes, and is seen at the look after it", async () => {
  await untilQuiet();
  woken.length = 0;
  const policy = object("NetworkPolicy", "db");
  api.store.put({ ...policy, spec: { ...Object(policy.spec), egress: [{}] }, metadata: policy.metadata }, "someone");
  await expect.poll(() => woken).toContain(namespace);
  const { seen, reads } = await look();
  expect(reads).toBeGreaterThanOrEqual(WHOLE_LOOK);
  expect(names(seen)).not.toContain("NetworkPolicy/db");
});

it("a Secret that somebody changed or removed is seen without a wake-up: Secrets are not watched", async () => {
  await untilQuiet();
  const secret = object("Secret", "database-app");
  api.store.put({ ...secret, data: { password: "eA==" }, metadata: secret.metadata }, "someone");
  expect(names((await look()).seen)).not.toContain("Secret/database-app");
  await engine.apply(namespace, school());
  await untilQuiet();
  api.store.erase(object("Secret", "database-app"));
  expect(names((await look()).seen)).not.toContain("Secret/database-app");
});

it("a pod that dies is seen without a wake-up, and the school is looked at whole until it is well again", async () => {
  await untilQuiet();
  for (const pod of api.store.list("Pod", namespace))
    api.store.touch(pod, (live) => {
      live.status = { ...Object(live.status), conditions: [{ type: "Ready", status: "False" }] };
    });
  const { seen } = await look();
  expect(seen.endpoints).toEqual([]);
});

it("what this process itself does is never hidden by what it remembered", async () => {
  await untilQuiet();
  await engine.remove(namespace, [{ kind: "Service", name: "app" }]);
  expect(names((await look()).seen)).not.toContain("Service/app");
  await engine.apply(namespace, school());
  expect(names((await look()).seen)).toContain("Service/app");
  await untilQuiet();
  await engine.apply(namespace, school({ replicas: 0 }));
  expect((await look()).seen.workloads.map(({ state }) => state)).toEqual(["Stopped", "Stopped"]);
  await engine.apply(namespace, school());
  await Promise.all([APP, DB].map((workload) => engine.awaitReady(namespace, workload, 3_000)));
  await untilQuiet();
  await engine.run(namespace, { manifest: smallJob(namespace, IMAGE), input: { action: "echo" }, deadline: 5_000 });
  expect((await look()).reads).toBeGreaterThanOrEqual(WHOLE_LOOK);
  await engine.remove(namespace, [{ kind: "Namespace", name: namespace }]);
  expect((await look()).seen.exists).toBe(false);
});

it("while a watch cannot be opened, and without anybody watching, every look is a whole one", async () => {
  await untilQuiet();
  fault = "error-500";
  watching.abort();
  await expect.poll(async () => (await look()).reads).toBeGreaterThanOrEqual(WHOLE_LOOK);
  expect((await look()).reads).toBeGreaterThanOrEqual(WHOLE_LOOK);
  watching = new AbortController();
  void (async () => {
    for await (const wakeup of engine.watch(watching.signal)) woken.push(wakeup.namespace);
  })();
  await expect.poll(() => proxy.done.length).toBeGreaterThan(3);
  expect((await look()).reads).toBeGreaterThanOrEqual(WHOLE_LOOK);
  fault = undefined;
  await untilQuiet();
});

it("what happened while no watch was open is seen once they are open again", async () => {
  await untilQuiet();
  watching.abort();
  api.store.erase(object("Service", "app"));
  watching = new AbortController();
  void (async () => {
    for await (const wakeup of engine.watch(watching.signal)) woken.push(wakeup.namespace);
  })();
  await untilQuiet();
  expect(names((await look()).seen)).not.toContain("Service/app");
});
