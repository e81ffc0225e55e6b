import { CoreV1Api, KubeConfig, NetworkingV1Api, PatchStrategy, setHeaderOptions } from "@kubernetes/client-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../../control-plane/clock.ts";
import type { Engine, Manifest } from "../../../control-plane/engine/engine.ts";
import { createKubernetesEngine } from "../../../control-plane/engine/kubernetes/kubernetes.ts";
import { silentLog } from "../../../control-plane/log.ts";
import { hashManifest } from "../../../control-plane/render/hash.ts";
import { loadChart } from "../../../control-plane/render/render.ts";
import { type RealApi, startRealApi } from "../../fixtures/kube-api/assets.ts";
import { tenantValues } from "../../fixtures/tenant-values.ts";

/** What a real API server alone can show, whenever KUBEBUILDER_ASSETS names a directory with `etcd` and `kube-apiserver`. */
const { KUBEBUILDER_ASSETS: assets } = process.env;

describe.runIf(assets !== undefined)("the kubernetes engine on a real API server", () => {
  let api: RealApi;
  let engine: Engine;
  const config = new KubeConfig();
  const objects: readonly Manifest[] = loadChart("charts/tenant").renderTenant(tenantValues());
  const namespace = objects.find((manifest) => manifest.kind === "Namespace")?.metadata.name ?? "";
  const versions = async (): Promise<readonly (string | undefined)[]> => {
    const secrets = await config.makeApiClient(CoreV1Api).listNamespacedSecret({ namespace });
    const policies = await config.makeApiClient(NetworkingV1Api).listNamespacedNetworkPolicy({ namespace });
    return [...secrets.items, ...policies.items].map((item) => item.metadata?.resourceVersion);
  };

  beforeAll(async () => {
    api = await startRealApi(assets ?? "");
    config.loadFromFile(api.kubeconfig);
    engine = createKubernetesEngine({
      kubeconfig: api.kubeconfig,
      clock: systemClock,
      log: silentLog,
      storageClass: "none",
      ingressClass: "none",
      patience: 1_000,
    });
  });
  afterAll(async () => {
    await engine.close();
    await api.stop();
  });

  it("every object of the chart is taken as it is rendered, and observed as it was wanted", async () => {
    await engine.apply(namespace, objects);
    const seen = await engine.observe(namespace);
    const wanted = objects.map((manifest) => [manifest.kind, manifest.metadata.name, hashManifest(manifest)].join(" "));
    expect(seen.objects.map((object) => [object.kind, object.name, object.hash].join(" ")).sort()).toEqual(
      wanted.sort(),
    );
  });

  it("applied again, it writes nothing, also in a new process", async () => {
    const before = await versions();
    const other = createKubernetesEngine({
      kubeconfig: api.kubeconfig,
      clock: systemClock,
      log: silentLog,
      storageClass: "none",
      ingressClass: "none",
    });
    await other.apply(namespace, objects);
    await other.close();
    expect(await versions()).toEqual(before);
  });

  it("a wall that somebody opened is found and closed again", async () => {
    const networking = config.makeApiClient(NetworkingV1Api);
    await networking.patchNamespacedNetworkPolicy(
      { name: "db", namespace, body: { spec: { egress: [{}] } }, fieldManager: "kubectl-patch" },
      setHeaderOptions("Content-Type", PatchStrategy.MergePatch),
    );
    expect((await engine.observe(namespace)).objects).not.toContainEqual(
      expect.objectContaining({ kind: "NetworkPolicy", name: "db" }),
    );
    const told: string[] = [];
    await engine.apply(namespace, objects, { onProgress: (message) => told.push(message) });
    expect(told.join()).toMatch(/kubectl-patch set \.spec\.egress/);
    const policy = await networking.readNamespacedNetworkPolicy({ name: "db", namespace });
    expect(policy.spec?.egress ?? []).toEqual([]);
    expect((await engine.observe(namespace)).objects).toContainEqual(
      expect.objectContaining({ kind: "NetworkPolicy", name: "db" }),
    );
  });

  it("without controllers a namespace does not end, and the engine says so", async () => {
    await expect(engine.remove(namespace, [{ kind: "Namespace", name: namespace }])).rejects.toMatchObject({
      reason: expect.stringMatching(/RemovalBlocked|NamespaceTerminating/),
    });
  });
});

if (assets === undefined) {
  it("the kubernetes engine on a real API server", (context) =>
    context.skip("no API server is given: set KUBEBUILDER_ASSETS to a directory with etcd and kube-apiserver"));
}
