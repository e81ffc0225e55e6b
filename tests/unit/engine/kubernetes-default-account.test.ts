import { afterAll, beforeAll, expect, it } from "vitest";
import type { Engine } from "../../../control-plane/engine/engine.ts";
import { createKubernetesEngine } from "../../../control-plane/engine/kubernetes/kubernetes.ts";
import { loadChart } from "../../../control-plane/render/render.ts";
import { smallPod } from "../../fixtures/kube-api/behaviour.ts";
import { IN_TEST_API } from "../../fixtures/kube-api/engine-options.ts";
import { writeKubeconfig } from "../../fixtures/kube-api/kubeconfig.ts";
import { type KubeApi, startKubeApi } from "../../fixtures/kube-api/server.ts";
import { tenantValues } from "../../fixtures/tenant-values.ts";

/** The account `default`, which the cluster itself makes in every namespace, sooner or later than we come to it. */
const NAMESPACE = "school-goethe";
const chart = loadChart("charts/tenant").renderTenant(tenantValues());
let api: KubeApi;
let kubeconfig: ReturnType<typeof writeKubeconfig>;
let engine: Engine;
beforeAll(async () => {
  api = await startKubeApi(smallPod);
  kubeconfig = writeKubeconfig(api.url);
  engine = createKubernetesEngine({ kubeconfig: kubeconfig.file, ...IN_TEST_API });
});
afterAll(async () => {
  await engine.close();
  kubeconfig.remove();
  await api.close();
});

const account = () => api.store.get("ServiceAccount", NAMESPACE, "default");
const isWhole = async () =>
  (await engine.observe(NAMESPACE)).objects.some(({ kind, name }) => kind === "ServiceAccount" && name === "default");
/** As the cluster's own controller does it. */
const makeByCluster = () =>
  api.store.put(
    { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "default", namespace: NAMESPACE } },
    "kube-controller-manager",
  );

it("mounts no token, although the cluster made it first; applying that again writes nothing", async () => {
  const [space] = chart;
  if (space === undefined) throw new Error("the chart is empty");
  await engine.apply(NAMESPACE, [space]);
  makeByCluster();
  await engine.apply(NAMESPACE, chart);
  expect(account()).toMatchObject({ automountServiceAccountToken: false });
  expect(await isWhole()).toBe(true);
  const writes = api.writes.length;
  await engine.apply(NAMESPACE, chart);
  expect(api.writes.slice(writes)).toEqual([]);
});

it("that somebody let mount tokens again, or deleted so that the cluster made a new one, is seen and put right", async () => {
  const changed = account();
  if (changed === undefined) throw new Error("no account");
  api.store.put({ ...changed, automountServiceAccountToken: true }, "someone");
  expect(await isWhole()).toBe(false);
  await engine.apply(NAMESPACE, chart);
  expect(account()).toMatchObject({ automountServiceAccountToken: false });
  const found = account();
  if (found !== undefined) api.store.erase(found);
  makeByCluster();
  expect(await isWhole()).toBe(false);
  await engine.apply(NAMESPACE, chart);
  expect(account()).toMatchObject({ automountServiceAccountToken: false });
});

it("is no obstacle to a purge", async () => {
  await engine.remove(NAMESPACE, [{ kind: "Namespace", name: NAMESPACE }]);
  expect((await engine.observe(NAMESPACE)).exists).toBe(false);
});
