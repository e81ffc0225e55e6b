import { KubeConfig, KubernetesObjectApi } from "@kubernetes/client-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../../control-plane/clock.ts";
import type { Engine } from "../../../control-plane/engine/engine.ts";
import { wrapJob } from "../../../control-plane/engine/kubernetes/job-wrapper.ts";
import { createKubernetesEngine } from "../../../control-plane/engine/kubernetes/kubernetes.ts";
import type { Call, Transport } from "../../../control-plane/engine/kubernetes/transport.ts";
import { silentLog } from "../../../control-plane/log.ts";
import { loadChart } from "../../../control-plane/render/render.ts";
import { hasPods, listAt, podOf, textAt } from "../../fixtures/hardening/objects.ts";
import { type RealApi, startRealApi } from "../../fixtures/kube-api/assets.ts";
import { attempt, transportOf } from "../../fixtures/kube-api/attempt.ts";
import { buildKustomization, type KubeObject } from "../../fixtures/kustomize.ts";
import { tenantValues } from "../../fixtures/tenant-values.ts";

/**
 * `k8s/` on a real API server, whenever KUBEBUILDER_ASSETS names a directory with `etcd` and `kube-apiserver`: the reconciler's
 * account makes a whole school, and nothing outside of schools.
 */
const { KUBEBUILDER_ASSETS: assets } = process.env;
const GRANT = { role: "classmind-school", account: "reconciler", namespace: "classmind" };
const GATEWAY_GRANT = { role: "classmind-gateway-school", account: "gateway", namespace: "classmind-gateway" };
const INSTALLED = buildKustomization("k8s/install", ["k8s/gateway"]);
const RBAC = "/apis/rbac.authorization.k8s.io/v1";
const OURS = { "app.kubernetes.io/managed-by": "classmind" };
const RESTRICTED = { "pod-security.kubernetes.io/enforce": "restricted" };
const POLICY = /ValidatingAdmissionPolicy 'classmind-reconciler'/;
const NO_RIGHT = /cannot|is attempting to grant/;

const namespaceOf = (name: string, labels: object) => ({
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name, labels },
});
const make = (path: string, body: unknown): Call => ({ method: "POST", path, body });
const applied = (path: string, body: unknown): Call => ({
  method: "PATCH",
  path,
  query: { fieldManager: "test", force: true },
  contentType: "application/apply-patch+yaml",
  body,
});
const binding = (namespace: string, more: { role?: string; account?: string; name?: string } = {}): Call =>
  make(`${RBAC}/namespaces/${namespace}/rolebindings`, {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "RoleBinding",
    metadata: { name: more.name ?? "classmind", namespace },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: more.role ?? GRANT.role },
    subjects: [{ kind: "ServiceAccount", name: more.account ?? GRANT.account, namespace: GRANT.namespace }],
  });
const service = (spec: object): Call =>
  make("/api/v1/namespaces/school-goethe/services", {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "way-in", namespace: "school-goethe" },
    spec: { ports: [{ port: 80 }], ...spec },
  });

const DENIED: ReadonlyArray<readonly [what: string, call: Call, why: RegExp]> = [
  ["reads the secrets of kube-system", { path: "/api/v1/namespaces/kube-system/secrets" }, NO_RIGHT],
  ["reads the secrets of the cluster", { path: "/api/v1/secrets" }, NO_RIGHT],
  ["reads the key-encryption key of its own namespace", { path: "/api/v1/namespaces/classmind/secrets" }, NO_RIGHT],
  ["reads pods elsewhere", { path: "/api/v1/namespaces/kube-system/pods" }, NO_RIGHT],
  ["takes its role in kube-system", binding("kube-system"), POLICY],
  ["takes its role in its own namespace", binding("classmind"), POLICY],
  ["takes its role in a namespace of a school's name that is not ours", binding("school-foreign"), POLICY],
  ["gives its role to another account", binding("school-goethe", { account: "api", name: "other" }), POLICY],
  [
    "takes the gateway's role itself",
    binding("school-goethe", { role: GATEWAY_GRANT.role, name: "classmind-gateway" }),
    POLICY,
  ],
  [
    "gives the gateway's role to an account of that name elsewhere",
    binding("school-goethe", { role: GATEWAY_GRANT.role, account: "gateway", name: "classmind-gateway" }),
    POLICY,
  ],
  ["takes the role of an administrator", binding("school-goethe", { role: "cluster-admin" }), NO_RIGHT],
  [
    "binds a role for the whole cluster",
    make(`${RBAC}/clusterrolebindings`, {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRoleBinding",
      metadata: { name: "more" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: GRANT.role },
    }),
    NO_RIGHT,
  ],
  [
    "makes a namespace of another name",
    make("/api/v1/namespaces", namespaceOf("other", { ...OURS, ...RESTRICTED })),
    POLICY,
  ],
  ["makes a school without our label", make("/api/v1/namespaces", namespaceOf("school-x", RESTRICTED)), POLICY],
  ["makes a school with privileged pods", make("/api/v1/namespaces", namespaceOf("school-x", OURS)), POLICY],
  [
    "takes Pod Security from a school",
    applied(
      "/api/v1/namespaces/school-goethe",
      namespaceOf("school-goethe", { ...OURS, "pod-security.kubernetes.io/enforce": "privileged" }),
    ),
    POLICY,
  ],
  [
    "labels a foreign namespace as ours",
    applied("/api/v1/namespaces/school-foreign", namespaceOf("school-foreign", { ...OURS, ...RESTRICTED })),
    POLICY,
  ],
  ["labels kube-system", applied("/api/v1/namespaces/kube-system", namespaceOf("kube-system", OURS)), POLICY],
  [
    "deletes kube-system",
    { method: "DELETE", path: "/api/v1/namespaces/kube-system" },
    /forbidden|ValidatingAdmissionPolicy/,
  ],
  ["deletes a foreign namespace", { method: "DELETE", path: "/api/v1/namespaces/school-foreign" }, POLICY],
  ["opens a school to the outside", service({ type: "LoadBalancer" }), POLICY],
  ["takes somebody else's address", service({ type: "ClusterIP", externalIPs: ["192.0.2.1"] }), POLICY],
  ["makes a pod", make("/api/v1/namespaces/school-goethe/pods", { apiVersion: "v1", kind: "Pod" }), NO_RIGHT],
  ["runs something on a node", { path: "/api/v1/nodes/node-1/proxy/pods" }, NO_RIGHT],
  [
    "changes the policy that confines it",
    {
      method: "DELETE",
      path: "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/classmind-reconciler",
    },
    NO_RIGHT,
  ],
];

describe.runIf(assets !== undefined)("k8s/ on a real API server", () => {
  let api: RealApi | undefined;
  let engine: Engine;
  let admin: Transport;
  let reconciler: Transport;
  let account: Transport;
  const chart = loadChart("charts/tenant").renderTenant(tenantValues());

  beforeAll(async () => {
    api = await startRealApi(assets ?? "");
    const { kubeconfig, kubeconfigOf } = api;
    admin = transportOf(kubeconfig);
    reconciler = transportOf(kubeconfigOf("reconciler"));
    account = transportOf(kubeconfigOf("api"));
    const config = new KubeConfig();
    config.loadFromFile(kubeconfig);
    const objects = KubernetesObjectApi.makeApiClient(config);
    for (const object of INSTALLED as readonly KubeObject[])
      await objects.create({ ...object, metadata: { ...object.metadata } });
    await admin.request(make("/api/v1/namespaces", namespaceOf("school-foreign", {})));
    // A policy is in force a moment after it was made.
    const dry = { ...make("/api/v1/namespaces", namespaceOf("other", {})), query: { dryRun: "All" } };
    for (const end = Date.now() + 30_000; !POLICY.test(await attempt(reconciler, dry)); ) {
      if (Date.now() > end) throw new Error(`the policy is not in force: ${await attempt(reconciler, dry)}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    engine = createKubernetesEngine({
      kubeconfig: kubeconfigOf("reconciler"),
      clock: systemClock,
      log: silentLog,
      storageClass: "none",
      ingressClass: "none",
      grant: GRANT,
      gatewayGrant: GATEWAY_GRANT,
      patience: 1_000,
    });
  });
  afterAll(async () => {
    // Whatever failed, no server stays behind.
    await api?.stop();
    await engine?.close();
    admin?.close();
    reconciler?.close();
    account?.close();
  });

  it("preflight finds the rights granted and Pod Security enforced", async () => {
    const failed = (await engine.preflight("look")).filter((finding) => !finding.ok).map((finding) => finding.check);
    // There is no node, no storage and no ingress class on a bare API server.
    expect(failed.sort()).toEqual([
      "ingress-class",
      "nodes",
      "storage-class",
      "storage-encryption",
      "storage-expansion",
    ]);
  });

  it("the reconciler's account makes a whole school, and sees it as it was wanted", async () => {
    await engine.apply("school-goethe", chart);
    const seen = await engine.observe("school-goethe");
    expect(seen.objects).toHaveLength(chart.length);
    expect(await engine.list()).toEqual(["school-goethe"]);
  });

  it.each(DENIED)("the reconciler's account never %s", async (_what, call, why) => {
    const outcome = await attempt(reconciler, call);
    expect(outcome).toMatch(/^403 /);
    expect(outcome).toMatch(why);
  });

  it("Pod Security restricted admits every pod of the control plane and of a school", async () => {
    const JOB = { deadlineSeconds: 600, superuser: true };
    const jobs = (["admin", "backup", "probe"] as const).map(
      (name) =>
        wrapJob(loadChart("charts/tenant").renderJob(name, tenantValues(), { ...JOB, name, command: name })).manifest,
    );
    const workloads = ([...INSTALLED, ...chart, ...jobs] as readonly KubeObject[]).filter(hasPods);
    expect(workloads).toHaveLength(9);
    for (const workload of workloads) {
      const namespace = workload.metadata.name === "gateway" ? GATEWAY_GRANT.namespace : "classmind";
      const metadata = { generateName: "tried-", namespace };
      // As the controller of a StatefulSet does it.
      const claims = listAt(workload, "spec", "volumeClaimTemplates").map((template) => {
        const name = textAt(template, "metadata", "name");
        return { name, persistentVolumeClaim: { claimName: name } };
      });
      const volumes = [...listAt(podOf(workload), "volumes"), ...claims];
      const pod = { apiVersion: "v1", kind: "Pod", metadata, spec: { ...Object(podOf(workload)), volumes } };
      const call = {
        ...make(`/api/v1/namespaces/${namespace}/pods`, pod),
        query: { dryRun: "All", fieldValidation: "Strict" },
      };
      expect(await attempt(admin, call), workload.metadata.name).toBe("done");
    }
    const bad = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "x" },
      spec: { containers: [{ name: "x", image: "x" }] },
    };
    expect(await attempt(admin, make("/api/v1/namespaces/classmind/pods", bad))).toMatch(/^403 .*violates PodSecurity/);
  });

  it("the gateway may read a certificate of the school where the reconciler let it, and nothing else there", async () => {
    const as = (verb: string, resource: string, name?: string, namespace = "school-goethe") =>
      admin.request(
        make("/apis/authorization.k8s.io/v1/subjectaccessreviews", {
          apiVersion: "authorization.k8s.io/v1",
          kind: "SubjectAccessReview",
          spec: {
            user: "system:serviceaccount:classmind-gateway:gateway",
            resourceAttributes: { verb, resource, namespace, ...(name === undefined ? {} : { name }) },
          },
        }),
      );
    const may = async (...asked: Parameters<typeof as>) =>
      Reflect.get(Object(Reflect.get(Object(await as(...asked)), "status")), "allowed");
    expect(await may("get", "secrets", "tls")).toBe(true);
    expect(await may("get", "secrets", "tls-issued")).toBe(true);
    expect(await may("get", "secrets", "database-owner")).toBe(false);
    expect(await may("list", "secrets")).toBe(false);
    expect(await may("get", "secrets", "tls", "school-foreign")).toBe(false);
    expect(await may("patch", "secrets", "tls")).toBe(false);
  });

  it("what it is denied, an administrator may still do", async () => {
    const dry = { query: { dryRun: "All" } };
    expect(await attempt(admin, { ...make("/api/v1/namespaces", namespaceOf("other", {})), ...dry })).toBe("done");
    expect(await attempt(admin, { ...binding("kube-system"), ...dry })).toBe("done");
  });

  it("the API's account may nothing at all", async () => {
    const paths = [
      "/api/v1/namespaces",
      "/api/v1/namespaces/classmind/secrets",
      "/api/v1/namespaces/school-goethe/secrets",
    ];
    for (const path of paths) expect(await attempt(account, { path })).toMatch(/^403 .*cannot/);
    const rules = await account.request(
      make("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", {
        apiVersion: "authorization.k8s.io/v1",
        kind: "SelfSubjectRulesReview",
        spec: { namespace: "classmind" },
      }),
    );
    const granted = JSON.stringify(Reflect.get(Object(Reflect.get(Object(rules), "status")), "resourceRules"));
    // What everybody who is known may: ask about themselves.
    expect(granted).not.toMatch(/"(get|list|watch|update|patch|delete)"/);
  });
});

if (assets === undefined) {
  it("k8s/ on a real API server", (context) =>
    context.skip("no API server is given: set KUBEBUILDER_ASSETS to a directory with etcd and kube-apiserver"));
}
