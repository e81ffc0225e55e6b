import { subscribe } from "node:diagnostics_channel";
import { cpus, loadavg } from "node:os";
import { KubeConfig, KubernetesObjectApi } from "@kubernetes/client-node";
import { systemClock } from "../../control-plane/clock.ts";
import type { Engine, Manifest } from "../../control-plane/engine/engine.ts";
import { collectionPath, KINDS, objectPath } from "../../control-plane/engine/kubernetes/kinds.ts";
import { createKubernetesEngine } from "../../control-plane/engine/kubernetes/kubernetes.ts";
import { openTransport, type Transport } from "../../control-plane/engine/kubernetes/transport.ts";
import { silentLog } from "../../control-plane/log.ts";
import { loadChart } from "../../control-plane/render/render.ts";
import { createSemaphore } from "../../control-plane/semaphore.ts";
import { startRealApi } from "../fixtures/kube-api/assets.ts";
import { buildKustomization, type KubeObject } from "../fixtures/kustomize.ts";
import { tenantValues } from "../fixtures/tenant-values.ts";

/**
 * Many schools on a real API server without nodes, with the rights of `k8s/`: what they cost to make, to look at, and while nothing
 * happens; beside a bare loop that applies the same manifests. The part of the cluster's controllers is played: workloads are
 * reported ready.
 *
 *   KUBEBUILDER_ASSETS=DIRECTORY npm run bench:cluster -- 1000
 */
const SIDE_BY_SIDE = 8;
const IDLE_MS = 60_000;
const GRANT = { role: "classmind-school", account: "reconciler", namespace: "classmind" };

const assets = process.env.KUBEBUILDER_ASSETS;
if (assets === undefined) throw new Error("KUBEBUILDER_ASSETS must name a directory with etcd and kube-apiserver");
const count = Number(process.argv[2] ?? 100);
const chart = loadChart("charts/tenant");
const slugOf = (index: number, prefix: string): string => `${prefix}${String(index).padStart(5, "0")}`;
const manifestsOf = (slug: string): readonly Manifest[] => chart.renderTenant(tenantValues({ slug }));

const sent = { reads: 0, writes: 0 };
subscribe("http.client.request.start", (message) => {
  const { method } = (message as { readonly request: { readonly method: string } }).request;
  if (method === "GET") sent.reads += 1;
  else sent.writes += 1;
});

interface Cost {
  readonly seconds: number;
  readonly reads: number;
  readonly writes: number;
  readonly cpuSeconds: number;
  /** Of API server and etcd. */
  readonly serverSeconds: number;
}

const serverSeconds = (): number => api.used()?.cpuSeconds ?? Number.NaN;

async function costOf(work: () => Promise<unknown>): Promise<Cost> {
  const [before, cpu, server, start] = [{ ...sent }, process.cpuUsage(), serverSeconds(), performance.now()];
  await work();
  const used = process.cpuUsage(cpu);
  return {
    seconds: (performance.now() - start) / 1000,
    reads: sent.reads - before.reads,
    writes: sent.writes - before.writes,
    cpuSeconds: (used.user + used.system) / 1e6,
    serverSeconds: serverSeconds() - server,
  };
}

async function each(prefix: string, work: (slug: string) => Promise<unknown>): Promise<void> {
  const places = createSemaphore(SIDE_BY_SIDE);
  await Promise.all([...Array(count).keys()].map((index) => places.run(() => work(slugOf(index, prefix)))));
}

function print(title: string, cost: Cost): void {
  const per = (value: number): string => (value / count).toFixed(2).padStart(8);
  const total = `${cost.seconds.toFixed(1).padStart(8)} s`;
  process.stdout.write(
    `${title.padEnd(38)}${total}  per school:${per(cost.reads)} reads${per(cost.writes)} writes${per(cost.cpuSeconds * 1000)} ms CPU,${per(cost.serverSeconds * 1000)} ms the server's\n`,
  );
}

function megabytes(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed / 2 ** 20;
}

/** The same manifests, one after the other in each namespace, and nothing else: no look before, no rights taken, no waiting. */
async function bareApply(transport: Transport, slug: string): Promise<void> {
  for (const manifest of manifestsOf(slug)) {
    await transport.request({
      method: "PATCH",
      path: objectPath(`school-${slug}`, { kind: manifest.kind, name: manifest.metadata.name }),
      query: { fieldManager: "bare", force: true },
      contentType: "application/apply-patch+yaml",
      body: manifest,
    });
  }
}

const STATUS = {
  Deployment: { observedGeneration: 1, replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1 },
  StatefulSet: {
    observedGeneration: 1,
    replicas: 1,
    updatedReplicas: 1,
    readyReplicas: 1,
    currentRevision: "one",
    updateRevision: "one",
  },
} as const;

/** Plays the cluster's controllers: both workloads report that they are ready. */
async function reportReady(transport: Transport, slug: string): Promise<void> {
  for (const manifest of manifestsOf(slug)) {
    const status =
      manifest.kind === "Deployment" || manifest.kind === "StatefulSet" ? STATUS[manifest.kind] : undefined;
    if (status === undefined) continue;
    const path = objectPath(`school-${slug}`, { kind: manifest.kind, name: manifest.metadata.name });
    const contentType = "application/merge-patch+json";
    await transport.request({ method: "PATCH", path: `${path}/status`, contentType, body: { status } });
  }
}

/** Somebody opens a wall; until it is seen by a watch, and closed again. */
async function repairDrift(engine: Engine, admin: Transport, woken: readonly string[]): Promise<void> {
  const slug = slugOf(0, "s");
  const namespace = `school-${slug}`;
  const before = woken.length;
  await admin.request({
    method: "PATCH",
    path: `${collectionPath(KINDS.NetworkPolicy ?? { apiVersion: "", plural: "" }, namespace)}/db`,
    query: { fieldManager: "someone" },
    contentType: "application/merge-patch+json",
    body: { spec: { egress: [{}] } },
  });
  while (!woken.slice(before).includes(namespace)) await systemClock.sleep(5);
  await engine.observe(namespace);
  await engine.apply(namespace, manifestsOf(slug));
  const { objects } = await engine.observe(namespace);
  if (objects.length !== manifestsOf(slug).length) throw new Error("the drift was not repaired");
}

const api = await startRealApi(assets);
const transports: Transport[] = [];
let engine: Engine | undefined;
const stop = new AbortController();
try {
  const config = new KubeConfig();
  config.loadFromFile(api.kubeconfig);
  const objects = KubernetesObjectApi.makeApiClient(config);
  for (const object of buildKustomization("k8s/install") as readonly KubeObject[])
    await objects.create({ ...object, metadata: { ...object.metadata } });
  // As many connections as the engine has.
  const admin = openTransport({ config, clock: systemClock });
  transports.push(admin);
  const kubeconfig = api.kubeconfigOf("reconciler");
  const opened = createKubernetesEngine({
    kubeconfig,
    clock: systemClock,
    log: silentLog,
    storageClass: "none",
    ingressClass: "none",
    grant: GRANT,
  });
  engine = opened;
  process.stdout.write(`${count} schools, ${manifestsOf("x").length} objects each\n`);
  const empty = megabytes();
  const resident = (): string => ((api.used()?.residentBytes ?? Number.NaN) / 2 ** 20).toFixed(0);
  process.stdout.write(`${cpus().length} × ${cpus()[0]?.model}; load ${loadavg()[0]?.toFixed(1)}\n`);
  print("made by a bare loop", await costOf(() => each("b", (slug) => bareApply(admin, slug))));
  print(
    "made by the engine",
    await costOf(() => each("s", (slug) => opened.apply(`school-${slug}`, manifestsOf(slug)))),
  );
  await each("s", (slug) => reportReady(admin, slug));
  print(
    "applied again, unchanged",
    await costOf(() => each("s", (slug) => opened.apply(`school-${slug}`, manifestsOf(slug)))),
  );
  print("looked at whole", await costOf(() => each("s", (slug) => opened.observe(`school-${slug}`))));
  const woken: string[] = [];
  void (async () => {
    for await (const { namespace } of opened.watch(stop.signal)) woken.push(namespace);
  })();
  await systemClock.sleep(5_000);
  await each("s", (slug) => opened.observe(`school-${slug}`));
  process.stdout.write(
    `memory while all are watched and remembered: ${((megabytes() - empty) / count).toFixed(3)} MiB a school\n`,
  );
  print(
    "looked at, nothing having happened",
    await costOf(() => each("s", (slug) => opened.observe(`school-${slug}`))),
  );
  print("an idle minute", await costOf(() => systemClock.sleep(IDLE_MS)));
  process.stdout.write(`woken meanwhile: ${woken.length}\n`);
  process.stdout.write(
    `API server and etcd: ${resident()} MiB with ${2 * count} schools in them; load ${loadavg()[0]?.toFixed(1)}\n`,
  );
  const drift = await costOf(() => repairDrift(opened, admin, woken));
  process.stdout.write(
    `one drift seen and repaired: ${(drift.seconds * 1000).toFixed(0)} ms, ${drift.reads} reads, ${drift.writes} writes, the harm's own among them\n`,
  );
} finally {
  stop.abort();
  await engine?.close();
  for (const transport of transports) transport.close();
  await api.stop();
}
