import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../../../control-plane/engine/engine.ts";
import { WATCH_TIMES } from "../../../control-plane/engine/kubernetes/keep-watching.ts";
import { createKubernetesEngine } from "../../../control-plane/engine/kubernetes/kubernetes.ts";
import { CERTIFICATE_RIGHTS, NEEDED_RIGHTS } from "../../../control-plane/engine/kubernetes/preflight.ts";
import { loadChart } from "../../../control-plane/render/render.ts";
import { smallPod } from "../../fixtures/kube-api/behaviour.ts";
import { IN_TEST_API } from "../../fixtures/kube-api/engine-options.ts";
import { writeKubeconfig } from "../../fixtures/kube-api/kubeconfig.ts";
import { Authorizer, type Rule, rightsOf } from "../../fixtures/kube-api/rbac.ts";
import { type KubeApi, startKubeApi } from "../../fixtures/kube-api/server.ts";
import { kubectlKustomize, sortedKeys } from "../../fixtures/kubectl.ts";
import { buildKustomization, type KubeObject } from "../../fixtures/kustomize.ts";
import { tenantValues } from "../../fixtures/tenant-values.ts";

/** k8s/components/cert-manager: its rights suffice, and none is left over; without it nothing asks for any of them. */
const COMPONENT = "k8s/components/cert-manager";
const BASE = buildKustomization("k8s/install");
const OBJECTS = buildKustomization("k8s/install", [COMPONENT]);
const ACCOUNT = { name: "reconciler", namespace: "classmind" };
const ADDED = [
  "classmind-reconciler: get clusterissuers.cert-manager.io",
  "classmind-school: create certificates.cert-manager.io",
  "classmind-school: delete certificates.cert-manager.io",
  "classmind-school: get certificates.cert-manager.io",
  "classmind-school: list certificates.cert-manager.io",
  "classmind-school: patch certificates.cert-manager.io",
  "classmind-school: patch certificates/status.cert-manager.io",
  "classmind-school: watch certificates.cert-manager.io",
  "classmind-wakeups: list certificates.cert-manager.io",
  "classmind-wakeups: watch certificates.cert-manager.io",
];
/** Refused with and without cert-manager; see rights.test.ts. */
const REFUSED_ON_PURPOSE = "get nodes/proxy node-1 in the cluster";

const namespace = "school-goethe";
const chart = loadChart("charts/tenant").renderTenant(tenantValues({ clusterIssuer: "letsencrypt" }));

interface Under {
  readonly api: KubeApi;
  readonly engine: Engine;
  close(): Promise<void>;
}

async function under(objects: readonly KubeObject[]): Promise<Under> {
  const api = await startKubeApi(
    { ...smallPod, certManager: { outcome: () => "issue" } },
    { objects, account: ACCOUNT },
  );
  const kubeconfig = writeKubeconfig(api.url);
  const engine = createKubernetesEngine({
    ...IN_TEST_API,
    clusterIssuer: "letsencrypt",
    grant: { role: "classmind-school", account: ACCOUNT.name, namespace: ACCOUNT.namespace },
    kubeconfig: kubeconfig.file,
    relist: 500,
    patience: 30_000,
    watchTimes: { ...WATCH_TIMES, gather: 5, pause: 20 },
  });
  return {
    api,
    engine,
    async close() {
      await engine.close();
      kubeconfig.remove();
      await api.close();
    },
  };
}

const granted = (objects: readonly KubeObject[]): readonly string[] => new Authorizer(objects, ACCOUNT).granted();

describe("k8s/components/cert-manager", () => {
  let here: Under;
  beforeAll(async () => {
    here = await under(OBJECTS);
  });
  afterAll(() => here.close());

  it("adds these rights to the roles of k8s/base, and nothing else to what is installed", () => {
    const before = new Set(granted(BASE));
    expect(
      granted(OBJECTS)
        .filter((right) => !before.has(right))
        .sort(),
    ).toEqual(ADDED);
    const withoutRules = (objects: readonly KubeObject[]) => objects.map(({ rules: _rules, ...rest }) => rest);
    expect(withoutRules(OBJECTS)).toEqual(withoutRules(BASE));
  });

  it("preflight finds nothing missing, and asks for the rights inside a school that the role gives", async () => {
    expect((await here.engine.preflight("look")).filter(({ ok }) => !ok)).toEqual([]);
    const role = OBJECTS.find(({ kind, metadata }) => kind === "ClusterRole" && metadata.name === "classmind-school");
    const asked = [...NEEDED_RIGHTS, ...CERTIFICATE_RIGHTS]
      .filter(([, resource]) => resource !== "namespaces" && resource !== "persistentvolumes")
      .map(([group, resource, verbs]) => ({ apiGroups: [group], resources: [resource], verbs }));
    expect([...rightsOf((role?.rules ?? []) as readonly Rule[])].sort()).toEqual([...rightsOf(asked)].sort());
  });

  it("a school's certificate is made, told of by a watch, renewed, waited for and removed with them", async () => {
    const { api, engine } = here;
    const woken: string[] = [];
    const stop = new AbortController();
    const watching = (async () => {
      for await (const wakeup of engine.watch(stop.signal)) woken.push(wakeup.namespace);
    })();
    const used = (right: string) => [...(api.authorizer?.used ?? [])].includes(right);
    await expect.poll(() => used("classmind-wakeups: watch certificates.cert-manager.io")).toBe(true);
    await engine.apply(namespace, chart);
    const certificates = async () => (await engine.observe(namespace)).certificates;
    await expect.poll(certificates, { timeout: 5_000 }).toMatchObject([{ revision: 1 }]);
    woken.length = 0;
    await engine.renewCertificate?.(namespace, "tls", { revision: 1, deadline: 5_000 });
    await expect.poll(() => woken).toContain(namespace);
    const live = api.store.get("Certificate", namespace, "tls");
    if (live === undefined) throw new Error("no Certificate");
    const held = api.store.touch(live, (object) => {
      object.metadata.finalizers = ["test/held"];
    });
    const removing = engine.remove(namespace, [{ kind: "Certificate", name: "tls" }]);
    const ending = () => api.store.get("Certificate", namespace, "tls")?.metadata.deletionTimestamp;
    await expect.poll(ending).toBeDefined();
    await expect.poll(() => used("classmind-school: watch certificates.cert-manager.io")).toBe(true);
    api.store.erase(api.store.get("Certificate", namespace, "tls") ?? held ?? live);
    await removing;
    await engine.remove(namespace, [{ kind: "Namespace", name: namespace }]);
    expect((await engine.observe(namespace)).exists).toBe(false);
    stop.abort();
    await watching;
  });

  it("each of them was used, and nothing was asked for that is not granted", () => {
    const used = here.api.authorizer?.used ?? new Set();
    expect(ADDED.filter((right) => !used.has(right))).toEqual([]);
    expect([...(here.api.authorizer?.refused ?? [])].filter((request) => request !== REFUSED_ON_PURPOSE)).toEqual([]);
  });

  it("without it, cert-manager that is configured all the same is refused, and preflight says what to grant", async () => {
    const without = await under(BASE);
    expect(await without.engine.preflight("look")).toContainEqual(
      expect.objectContaining({
        check: "cert-manager",
        ok: false,
        message: expect.stringContaining("get clusterissuers.cert-manager.io letsencrypt"),
        remedy: expect.stringContaining("k8s/components/cert-manager"),
      }),
    );
    await expect(without.engine.apply(namespace, chart)).rejects.toMatchObject({ reason: "EngineForbidden" });
    await without.close();
  });

  // kubectl is not part of what the tests bring along; where it is, it has the last word.
  it("is what kubectl makes of it", (context) => {
    const theirs = kubectlKustomize("k8s/install", [COMPONENT]);
    if (theirs === undefined) return context.skip("no kubectl on this machine");
    const roles = (objects: readonly unknown[]) =>
      objects
        .filter((object) => Reflect.get(Object(object), "kind") === "ClusterRole")
        .map((object) => JSON.stringify(Reflect.get(Object(object), "rules")))
        .sort();
    expect(roles(theirs)).toEqual(roles(OBJECTS.map(sortedKeys)));
  });
});
