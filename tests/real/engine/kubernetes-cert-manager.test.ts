import { readFileSync } from "node:fs";
import { CustomObjectsApi, KubeConfig, type KubernetesObject, KubernetesObjectApi } from "@kubernetes/client-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { systemClock } from "../../../control-plane/clock.ts";
import type { Engine } from "../../../control-plane/engine/engine.ts";
import { createKubernetesEngine } from "../../../control-plane/engine/kubernetes/kubernetes.ts";
import type { Call, Transport } from "../../../control-plane/engine/kubernetes/transport.ts";
import { silentLog } from "../../../control-plane/log.ts";
import { hashManifest } from "../../../control-plane/render/hash.ts";
import { loadChart } from "../../../control-plane/render/render.ts";
import { type RealApi, startRealApi } from "../../fixtures/kube-api/assets.ts";
import { attempt, transportOf } from "../../fixtures/kube-api/attempt.ts";
import { makePair } from "../../fixtures/kube-api/cert-manager.ts";
import { buildKustomization } from "../../fixtures/kustomize.ts";
import { tenantValues } from "../../fixtures/tenant-values.ts";
import { until } from "../../fixtures/until.ts";

/**
 * A school's Certificate on a real API server with cert-manager's published types, whenever KUBEBUILDER_ASSETS names a directory with
 * `etcd` and `kube-apiserver`, and CLASSMIND_TEST_CERT_MANAGER_CRDS a file with the CustomResourceDefinitions of a release. What the
 * controllers of cert-manager write, the test writes, in the way they do: by update of the whole status.
 */
const { KUBEBUILDER_ASSETS: assets, CLASSMIND_TEST_CERT_MANAGER_CRDS: crds } = process.env;
const namespace = "school-goethe";
const TYPE = { group: "cert-manager.io", version: "v1" };
const GROUP = "/apis/cert-manager.io/v1";
const PATH = `${GROUP}/namespaces/${namespace}/certificates/tls`;
const GRANT = { role: "classmind-school", account: "reconciler", namespace: "classmind" };

interface Live {
  readonly metadata: { readonly resourceVersion: string; readonly generation: number };
  readonly status?: { readonly conditions?: ReadonlyArray<{ readonly type: string; readonly status: string }> };
}

describe.runIf(assets !== undefined && crds !== undefined)("a Certificate on a real API server", () => {
  const objects = loadChart("charts/tenant").renderTenant(
    tenantValues({ clusterIssuer: "letsencrypt", certificate: undefined }),
  );
  let api: RealApi | undefined;
  let admin: Transport;
  let reconciler: Transport;
  let engine: Engine;
  let custom: CustomObjectsApi;

  const read = async (): Promise<Live> => (await admin.request({ path: PATH })) as Live;

  /** As cert-manager's controllers write: the whole status, with the version that was read. */
  async function writeStatus(status: object): Promise<void> {
    const live = await read();
    const body = { ...live, status };
    await custom.replaceNamespacedCustomObjectStatus({ ...TYPE, namespace, plural: "certificates", name: "tls", body });
  }

  async function deliver(revision: number): Promise<void> {
    const { chain, key, notBefore, notAfter } = await makePair(["goethe.classmind.localhost"]);
    const base64 = (text: string): string => Buffer.from(text).toString("base64");
    await admin.request({
      method: "PATCH",
      path: `/api/v1/namespaces/${namespace}/secrets/tls-issued`,
      query: { fieldManager: "cert-manager-certificates-issuing", force: true },
      contentType: "application/apply-patch+yaml",
      body: {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name: "tls-issued", namespace },
        type: "kubernetes.io/tls",
        data: { "tls.crt": base64(chain), "tls.key": base64(key) },
      },
    });
    const { generation } = (await read()).metadata;
    const stamp = (date: Date): string => date.toISOString().replace(/\.\d+Z$/, "Z");
    const ready = {
      type: "Ready",
      status: "True",
      reason: "Ready",
      message: "Certificate is up to date and has not expired",
      lastTransitionTime: stamp(new Date()),
      observedGeneration: generation,
    };
    await writeStatus({
      conditions: [ready],
      revision,
      notBefore: stamp(notBefore),
      notAfter: stamp(notAfter),
      renewalTime: stamp(new Date(notAfter.getTime() - 15 * 86_400_000)),
    });
  }

  beforeAll(async () => {
    api = await startRealApi(assets ?? "");
    admin = transportOf(api.kubeconfig);
    reconciler = transportOf(api.kubeconfigOf("reconciler"));
    const config = new KubeConfig();
    config.loadFromFile(api.kubeconfig);
    custom = config.makeApiClient(CustomObjectsApi);
    const client = KubernetesObjectApi.makeApiClient(config);
    const published = parseAllDocuments(readFileSync(crds ?? "", "utf8"))
      .map((document) => document.toJS() as KubernetesObject | null)
      .filter((object) => object?.kind === "CustomResourceDefinition");
    for (const object of published) if (object !== null) await client.create(object);
    for (const object of buildKustomization("k8s/install", ["k8s/components/cert-manager"]))
      await client.create({ ...object, metadata: { ...object.metadata } });
    engine = createKubernetesEngine({
      kubeconfig: api.kubeconfigOf("reconciler"),
      clock: systemClock,
      log: silentLog,
      storageClass: "none",
      ingressClass: "none",
      clusterIssuer: "letsencrypt",
      grant: GRANT,
      patience: 1_000,
      relist: 500,
    });
    const issuers = `${GROUP}/clusterissuers`;
    const issuer = {
      apiVersion: "cert-manager.io/v1",
      kind: "ClusterIssuer",
      metadata: { name: "letsencrypt" },
      spec: { selfSigned: {} },
    };
    await until("the types are served", async () => {
      const outcome = await attempt(admin, { method: "POST", path: issuers, body: issuer });
      return /^done|^409/.test(outcome) ? outcome : undefined;
    });
    const namespaceOfStranger = { apiVersion: "v1", kind: "Namespace", metadata: { name: "stranger" } };
    await admin.request({ method: "POST", path: "/api/v1/namespaces", body: namespaceOfStranger });
  });
  afterAll(async () => {
    // Whatever failed, no server stays behind.
    await api?.stop();
    await engine?.close();
    admin?.close();
    reconciler?.close();
  });

  it("preflight sees the type, and the issuer once cert-manager has said that it is ready", async () => {
    const finding = async () => (await engine.preflight("look")).find(({ check }) => check === "cert-manager");
    expect(await finding()).toMatchObject({ ok: false, message: expect.stringContaining("has not looked at it yet") });
    const path = `${GROUP}/clusterissuers/letsencrypt`;
    const live = (await admin.request({ path })) as object;
    const ready = { type: "Ready", status: "True", reason: "IsReady", message: "ready" };
    const body = { ...live, status: { conditions: [ready] } };
    await custom.replaceClusterCustomObjectStatus({ ...TYPE, plural: "clusterissuers", name: "letsencrypt", body });
    expect(await finding()).toMatchObject({ ok: true, message: "the ClusterIssuer letsencrypt is ready: ready" });
  });

  it("is taken as it is rendered with the reconciler's rights, observed as it was wanted, and not written again", async () => {
    await engine.apply(namespace, objects);
    const certificate = objects.find(({ kind }) => kind === "Certificate");
    const wanted = { kind: "Certificate", name: "tls", hash: hashManifest(certificate) };
    expect((await engine.observe(namespace)).objects).toContainEqual(wanted);
    const { resourceVersion } = (await read()).metadata;
    await engine.apply(namespace, objects);
    expect((await read()).metadata.resourceVersion).toBe(resourceVersion);
  });

  it("is told of with what cert-manager wrote, and is no other object for that", async () => {
    await deliver(1);
    const seen = await engine.observe(namespace);
    expect(seen.certificates).toMatchObject([
      { name: "tls", revision: 1, upToDate: true, ready: { status: "True" }, leaf: { serial: expect.any(String) } },
    ]);
    expect(seen.objects).toContainEqual(expect.objectContaining({ kind: "Certificate", name: "tls" }));
  });

  it("is renewed when that is asked for: cert-manager sees the wish, and answers it by taking it away", async () => {
    const before = await read();
    const renewing = engine.renewCertificate?.(namespace, "tls", { revision: 1, deadline: 20_000 });
    const wish = async () => (await read()).status?.conditions?.find(({ type }) => type === "Issuing");
    await expect.poll(wish, { timeout: 10_000 }).toMatchObject({ status: "True", reason: "ManuallyTriggered" });
    expect((await read()).status).toMatchObject({ revision: 1, conditions: [{ type: "Ready" }, { type: "Issuing" }] });
    await deliver(2);
    await renewing;
    expect(await wish()).toBeUndefined();
    expect((await read()).metadata.generation).toBe(before.metadata.generation);
    await engine.renewCertificate?.(namespace, "tls", { revision: 2 - 1, deadline: 1_000 });
    expect(await wish()).toBeUndefined();
  });

  it("is made by the reconciler's account in schools alone, and its status is all that it may write beside it", async () => {
    const body = (where: string) => ({
      apiVersion: "cert-manager.io/v1",
      kind: "Certificate",
      metadata: { name: "x", namespace: where },
      spec: { secretName: "x", dnsNames: ["x.example"], issuerRef: { name: "letsencrypt", kind: "ClusterIssuer" } },
    });
    const made = (where: string): Call => ({
      method: "POST",
      path: `${GROUP}/namespaces/${where}/certificates`,
      body: body(where),
    });
    for (const where of ["stranger", "classmind", "kube-system"])
      expect(await attempt(reconciler, made(where))).toMatch(/^403/);
    expect(await attempt(reconciler, { path: `${GROUP}/namespaces/${namespace}/certificaterequests` })).toMatch(/^403/);
    expect(await attempt(reconciler, { path: `${GROUP}/clusterissuers` })).toMatch(/^403/);
    expect(await attempt(reconciler, { method: "DELETE", path: `${GROUP}/clusterissuers/letsencrypt` })).toMatch(
      /^403/,
    );
    expect(await attempt(reconciler, made(namespace))).toBe("done");
  });

  it("goes when it is not wanted any more; its Secret stays", async () => {
    await engine.remove(namespace, [{ kind: "Certificate", name: "tls" }]);
    expect(await attempt(admin, { path: PATH })).toMatch(/^404/);
    expect(await attempt(admin, { path: `/api/v1/namespaces/${namespace}/secrets/tls-issued` })).toBe("done");
  });
});

if (assets === undefined || crds === undefined) {
  it("a Certificate on a real API server", (context) =>
    context.skip(
      "set KUBEBUILDER_ASSETS to a directory with etcd and kube-apiserver, and CLASSMIND_TEST_CERT_MANAGER_CRDS to a file with cert-manager's types",
    ));
}
