import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Engine, EngineError } from "../../../control-plane/engine/engine.ts";
import { KINDS } from "../../../control-plane/engine/kubernetes/kinds.ts";
import { createKubernetesEngine } from "../../../control-plane/engine/kubernetes/kubernetes.ts";
import { NEEDED_RIGHTS } from "../../../control-plane/engine/kubernetes/preflight.ts";
import { loadChart } from "../../../control-plane/render/render.ts";
import { smallJob } from "../../fixtures/engine-school.ts";
import { smallPod } from "../../fixtures/kube-api/behaviour.ts";
import { IN_TEST_API } from "../../fixtures/kube-api/engine-options.ts";
import { writeKubeconfig } from "../../fixtures/kube-api/kubeconfig.ts";
import { type Rule, rightsOf } from "../../fixtures/kube-api/rbac.ts";
import { type KubeApi, startKubeApi } from "../../fixtures/kube-api/server.ts";
import { buildKustomization } from "../../fixtures/kustomize.ts";
import { tenantValues } from "../../fixtures/tenant-values.ts";
import { engineContract } from "../../real/engine/contract.ts";

/**
 * Least rights, both ways: the engine's whole contract runs with nothing but the rights of `k8s/`, enforced at each request; and
 * what they grant beyond that is an error.
 */
const OBJECTS = buildKustomization("k8s/install");
const ACCOUNT = { name: "reconciler", namespace: "classmind" };
const GRANT = { role: "classmind-school", account: ACCOUNT.name, namespace: ACCOUNT.namespace };

/** Asked for and refused on purpose. */
const REFUSED_ON_PURPOSE: Readonly<Record<string, string>> = {
  "get nodes/proxy node-1 in the cluster":
    "reads how full volumes are, but could run commands in any pod of the node: the fill stays unknown",
};

const JOB_NAME = "batch.kubernetes.io/job-name";

let api: KubeApi;
let kubeconfig: ReturnType<typeof writeKubeconfig>;
const OPTIONS = {
  ...IN_TEST_API,
  grant: GRANT,
  relist: 500,
  patience: 30_000,
};
const open = (ingressClass = "nginx"): Engine =>
  createKubernetesEngine({ ...OPTIONS, kubeconfig: kubeconfig.file, ingressClass });

beforeAll(async () => {
  api = await startKubeApi(smallPod, { objects: OBJECTS, account: ACCOUNT });
  kubeconfig = writeKubeconfig(api.url);
});
afterAll(async () => {
  kubeconfig.remove();
  await api.close();
});

engineContract("kubernetes (with the rights of k8s/)", () => ({
  open: async () => open(),
  image: "localhost/classmind/app:0123456789abcdef",
  patience: 5_000,
  usageLater: true,
}));

describe("with the rights of k8s/", () => {
  const namespace = "school-goethe";
  const chart = loadChart("charts/tenant").renderTenant(tenantValues());
  let engine: Engine;
  beforeAll(() => {
    engine = open();
  });
  afterAll(() => engine.close());

  /** What is removed is held until the engine has watched for its end, however long it takes to come to that. */
  const untilWatched = async (resource: string, role = "classmind-school"): Promise<void> => {
    const right = new RegExp(`^${role}: watch ${resource}(\\.|$)`);
    const watched = () => [...(api.authorizer?.used ?? [])].some((used) => right.test(used));
    await expect.poll(watched, { timeout: 30_000 }).toBe(true);
  };

  it("preflight finds every right granted", async () => {
    const findings = await engine.preflight("look");
    expect(findings.filter((finding) => !finding.ok)).toEqual([]);
  });

  it("preflight names the ingress classes that are there", async () => {
    const other = open("traefik");
    expect(await other.preflight("look")).toContainEqual(
      expect.objectContaining({ check: "ingress-class", message: expect.stringContaining("nginx") }),
    );
    await other.close();
  });

  it("a school of the whole chart is made, and every kind of it can be removed and waited for", async () => {
    await engine.apply(namespace, chart);
    for (const kind of Object.keys(KINDS).filter((each) => each !== "Namespace")) {
      const manifest = chart.find((candidate) => candidate.kind === kind);
      if (manifest === undefined) throw new Error(`the chart has no ${kind}`);
      const { name } = manifest.metadata;
      const found = api.store.get(kind, namespace, name);
      if (found === undefined) throw new Error(`${kind}/${name} was not made`);
      const held = api.store.touch(found, (object) => {
        object.metadata.finalizers = ["test/held"];
      });
      const removing = engine.remove(namespace, [{ kind, name }]);
      await untilWatched(KINDS[kind]?.plural ?? "");
      const now = api.store.get(kind, namespace, name);
      if (now !== undefined) api.store.erase(now);
      await removing;
      expect(held === undefined ? undefined : api.store.get(kind, namespace, name), `${kind}/${name}`).toBeUndefined();
    }
  });

  it("a volume's end in the storage is waited for", async () => {
    await engine.apply(namespace, chart);
    const claim = api.store.get("PersistentVolumeClaim", namespace, "data");
    if (claim === undefined) throw new Error("no claim");
    api.store.touch(claim, (object) => {
      object.spec = { ...Object(object.spec), volumeName: "pv-1" };
    });
    const claimRef = { uid: claim.metadata.uid };
    const spec = { claimRef, persistentVolumeReclaimPolicy: "Delete" };
    const volume = api.store.put({ kind: "PersistentVolume", metadata: { name: "pv-1" }, spec }, "test");
    const removing = engine.remove(namespace, [{ kind: "PersistentVolumeClaim", name: "data" }]);
    await untilWatched("persistentvolumes", "classmind-reconciler");
    api.store.erase(volume);
    await removing;
    expect(api.store.get("PersistentVolume", undefined, "pv-1")).toBeUndefined();
  });

  it("a job whose pod is taken away is said to be lost, and its end is waited for", async () => {
    const running = engine.run(namespace, {
      manifest: smallJob(namespace, "localhost/classmind/app:0123456789abcdef"),
      input: { action: "hang" },
      deadline: 60_000,
    });
    const outcome = running.then(
      () => "done",
      (error: unknown) => (error instanceof EngineError ? error.reason : String(error)),
    );
    const find = () => api.store.list("Pod", namespace).find((pod) => pod.metadata.labels?.[JOB_NAME] !== undefined);
    await expect.poll(() => JSON.stringify(find()?.status ?? {})).toContain("running");
    await expect
      .poll(() => api.requests.some((request) => request.endsWith(`/${find()?.metadata.name}/log`)))
      .toBe(true);
    const [pod, job] = [find(), api.store.list("Job", namespace)[0]];
    if (pod === undefined || job === undefined) throw new Error("no job");
    const held = api.store.touch(job, (object) => {
      object.metadata.finalizers = ["test/held"];
    });
    api.store.erase(pod);
    await untilWatched("jobs");
    api.store.erase(held ?? job);
    expect(await outcome).toBe("JobLost");
  });

  it("nothing else was asked for than is granted", () => {
    expect([...(api.authorizer?.refused ?? [])]).toEqual(Object.keys(REFUSED_ON_PURPOSE));
  });

  it("nothing else is granted than was used", () => {
    const used = api.authorizer?.used ?? new Set();
    expect((api.authorizer?.granted() ?? []).filter((right) => !used.has(right))).toEqual([]);
  });

  it("without rights-wakeups.yaml a school is made, looked at and removed all the same", async () => {
    const without = OBJECTS.filter((object) => object.metadata.name !== "classmind-wakeups");
    const other = await startKubeApi(smallPod, { objects: without, account: ACCOUNT });
    const config = writeKubeconfig(other.url);
    const blind = createKubernetesEngine({ ...OPTIONS, kubeconfig: config.file });
    const stop = new AbortController();
    const woken: string[] = [];
    const watching = (async () => {
      for await (const wakeup of blind.watch(stop.signal)) woken.push(wakeup.namespace);
    })();
    await blind.apply(namespace, chart);
    expect((await blind.observe(namespace)).objects).toHaveLength(chart.length);
    // Namespaces are watched still, so that one which somebody deleted is made again at once.
    await expect.poll(() => woken).toContain(namespace);
    await blind.remove(namespace, [{ kind: "Namespace", name: namespace }]);
    stop.abort();
    await watching;
    expect((await blind.observe(namespace)).exists).toBe(false);
    const refused = [...(other.authorizer?.refused ?? [])].filter((request) => !(request in REFUSED_ON_PURPOSE));
    expect(refused.filter((request) => !/^list [a-z.0-9]+ in the cluster$/.test(request))).toEqual([]);
    await blind.close();
    config.remove();
    await other.close();
  });

  it("preflight asks for the rights inside a school that the role gives, right by right", () => {
    const role = OBJECTS.find((object) => object.kind === "ClusterRole" && object.metadata.name === GRANT.role);
    const outside = new Set(["namespaces", "persistentvolumes"]);
    const asked = NEEDED_RIGHTS.filter(([, resource]) => !outside.has(resource)).map(([group, resource, verbs]) => ({
      apiGroups: [group],
      resources: [resource],
      verbs,
    }));
    expect([...rightsOf((role?.rules ?? []) as readonly Rule[])].sort()).toEqual([...rightsOf(asked)].sort());
  });

  it("rights that somebody took away are taken back before a job and before a removal", async () => {
    await engine.apply(namespace, chart);
    const lose = (): void => {
      const binding = api.store.get("RoleBinding", namespace, "classmind");
      if (binding !== undefined) api.store.erase(binding);
    };
    lose();
    const manifest = smallJob(namespace, "localhost/classmind/app:0123456789abcdef");
    expect(await engine.run(namespace, { manifest, input: { action: "echo" }, deadline: 5_000 })).toMatchObject({
      exitCode: 0,
    });
    lose();
    await engine.remove(namespace, [{ kind: "Ingress", name: "app" }]);
    lose();
    await engine.remove(namespace, [{ kind: "Namespace", name: namespace }]);
    expect(api.store.get("Namespace", undefined, namespace)).toBeUndefined();
  });

  // The namespace controller removes role bindings like everything else, while a finalizer may hold the namespace for long.
  it("a namespace that ends and has lost the rights in it is seen as ending, not as forbidden", async () => {
    await engine.apply(namespace, chart);
    const held = api.store.get("Service", namespace, "app");
    if (held === undefined) throw new Error("no service");
    api.store.touch(held, (object) => {
      object.metadata.finalizers = ["test/held"];
    });
    const removing = engine.remove(namespace, [{ kind: "Namespace", name: namespace }]).then(
      () => "removed",
      (error: unknown) => (error instanceof EngineError ? error.reason : String(error)),
    );
    await expect.poll(() => api.store.list("RoleBinding", namespace)).toEqual([]);
    expect(await engine.observe(namespace)).toMatchObject({ exists: true });
    const service = api.store.get("Service", namespace, "app");
    if (service !== undefined) api.store.erase(service);
    expect(await removing).toBe("removed");
  });
});
