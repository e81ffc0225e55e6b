import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../control-plane/clock.ts";
import { WATCH_TIMES } from "../../control-plane/engine/kubernetes/keep-watching.ts";
import { createKubernetesEngine } from "../../control-plane/engine/kubernetes/kubernetes.ts";
import { schoolJob } from "../../control-plane/engine/simulated/school-jobs.ts";
import { createSimulatedEngine } from "../../control-plane/engine/simulated/simulated.ts";
import { memoryWorld, type WorldStore } from "../../control-plane/engine/simulated/world.ts";
import type { AuthorityMaterial } from "../../control-plane/issuer/internal.ts";
import type { Dependencies, Fleet } from "../../control-plane/reconcile/dependencies.ts";
import { readCertificate } from "../../control-plane/reconcile/gather.ts";
import { type Loop, startLoop } from "../../control-plane/reconcile/loop.ts";
import { registerEngines } from "../../control-plane/store/engines.ts";
import { getOperation, type OperationKind, requestOperation } from "../../control-plane/store/operations.ts";
import { findTenant, getTenant, insertTenant, setDeletion, updateSpec } from "../../control-plane/store/tenants.ts";
import { answeredJobs } from "../fixtures/kube-api/answered-jobs.ts";
import { FAILURE_WORDS } from "../fixtures/kube-api/cert-manager.ts";
import type { Behaviour } from "../fixtures/kube-api/cluster.ts";
import { IN_TEST_API } from "../fixtures/kube-api/engine-options.ts";
import { writeKubeconfig } from "../fixtures/kube-api/kubeconfig.ts";
import { type KubeApi, startKubeApi } from "../fixtures/kube-api/server.ts";
import { platformConfig, platformOn, registration, tenantSpec, testAuthority } from "../fixtures/platform.ts";
import { type PlatformDatabase, platformDatabase } from "../fixtures/platform-database.ts";
import { until } from "../fixtures/until.ts";

/**
 * Schools whose certificates cert-manager makes: the reconcile loop on a real PostgreSQL and the kubernetes engine on an API server in
 * this process, which plays cert-manager. Beside it a machine whose certificates are the control plane's own.
 */
const NAMESPACE = "school-goethe";

let authority: AuthorityMaterial;
let databases: PlatformDatabase;
let api: KubeApi;
let kubeconfig: ReturnType<typeof writeKubeconfig>;
let world: WorldStore;
let platform: Dependencies & { close(): Promise<void> };
let fleet: Fleet;
let loop: Loop;
let outcome: "issue" | "fail" | "wait";

const behaviour: Behaviour = { ...answeredJobs, certManager: { outcome: () => outcome } };

const BACKUP = { ...platformConfig().backup, repository: "rest:https://backup.example.org:8000/" };
const CERT_MANAGER = { kind: "cert-manager", name: "letsencrypt", issuerKind: "ClusterIssuer" } as const;

/** Opens the control plane; the cluster's certificates are cert-manager's, or not yet. */
async function open(...issuers: readonly (typeof CERT_MANAGER)[]): Promise<void> {
  const [issuer] = issuers;
  const engine = createKubernetesEngine({
    ...IN_TEST_API,
    kubeconfig: kubeconfig.file,
    probeImage: platformConfig().images.app,
    ...(issuer === undefined ? {} : { clusterIssuer: issuer.name }),
    relist: 300,
    watchTimes: { ...WATCH_TIMES, gather: 5, pause: 20 },
  });
  const { database, keyring } = databases;
  const kek = Buffer.alloc(32, 1);
  platform = await platformOn(engine, { database, keyring, authority, kek });
  const machine = createSimulatedEngine({ world, clock: systemClock, startupMs: 0, runJob: schoolJob });
  const [first] = platform.sites.values();
  if (first === undefined) throw new Error("no site");
  const here = { ...first, platform: platformConfig({ backup: BACKUP, ...(issuer === undefined ? {} : { issuer }) }) };
  const there = { ...first, name: "simulated", engine: machine, platform: platformConfig({ backup: BACKUP }) };
  await registerEngines(databases.pool, [registration("kubernetes"), registration("simulated")]);
  fleet = { ...platform, sites: new Map([here, there].map((site) => [site.name, site])) };
  loop = startLoop(fleet, { workers: 2, database });
}

async function close(): Promise<void> {
  await loop.stop();
  await Promise.all([...fleet.sites.values()].map(({ engine }) => engine.close()));
  await platform.close();
}

const create = (engine: string) => insertTenant(databases.pool, "goethe", tenantSpec(), engine, undefined);
const tenant = () => getTenant(databases.pool, "goethe");

/** Waits until the school's condition has this reason. */
const certificate = (reason: string) =>
  until(`goethe's certificate is ${reason}`, async () => {
    const found = await findTenant(databases.pool, "goethe");
    const condition = found?.status.conditions.find(({ type }) => type === "CertificateReady");
    return found !== undefined && condition?.reason === reason ? { found, condition } : undefined;
  });

async function phase(wanted: string) {
  let last: unknown;
  try {
    return await until(`goethe is ${wanted}`, async () => {
      const found = await findTenant(databases.pool, "goethe");
      last = found?.status.conditions.filter(({ status }) => status !== "True");
      const settled = found?.status.phase === wanted && found.status.observedGeneration === found.generation;
      return settled ? found : undefined;
    });
  } catch (error) {
    throw new Error(`${String(error)}: ${JSON.stringify(last)}`);
  }
}

async function ask(kind: OperationKind, params: Record<string, unknown> = {}) {
  const { uid } = await tenant();
  const { id } = await requestOperation(databases.pool, { tenantUid: uid, kind, params, requestedBy: "anna" });
  return until(`${kind} has ended`, async () => {
    const operation = await getOperation(databases.pool, id);
    return operation.state === "Succeeded" || operation.state === "Failed" ? operation : undefined;
  });
}

async function suspend(suspended: boolean): Promise<void> {
  const client = await databases.pool.connect();
  await updateSpec(client, "goethe", ({ spec }) => ({ ...spec, suspended }));
  client.release();
}

const orders = () => api.certManager?.orders.get(NAMESPACE) ?? 0;
const inCluster = (kind: string, name: string) => api.store.get(kind, NAMESPACE, name);
const served = () => Reflect.get(Object(inCluster("Ingress", "app")?.spec), "tls");

/** What cert-manager waited for is there; it looks again. */
function deliver(): void {
  outcome = "issue";
  const live = inCluster("Certificate", "tls");
  if (live === undefined) throw new Error("no Certificate");
  api.store.touch(live, (object) => {
    object.metadata.annotations = { ...object.metadata.annotations, "test/looks": "again" };
  });
}

const own = async () => readCertificate(platform, (await tenant()).uid);

beforeAll(async () => {
  authority = await testAuthority();
});
beforeEach(async () => {
  outcome = "issue";
  world = memoryWorld();
  [databases, api] = await Promise.all([platformDatabase(), startKubeApi(behaviour)]);
  kubeconfig = writeKubeconfig(api.url);
});
afterEach(async () => {
  await close();
  kubeconfig.remove();
  await api.close();
  await databases.drop();
});

describe("a school whose certificate cert-manager makes", () => {
  it("opens with it; none of our own is made, and what is known of it is shown", async () => {
    await open(CERT_MANAGER);
    await create("kubernetes");
    const { status } = await phase("Ready");
    expect(status.certificate).toMatchObject({
      issuer: "ClusterIssuer/letsencrypt",
      serial: expect.stringMatching(/^[0-9A-F]+$/),
    });
    expect(status.conditions).toContainEqual(
      expect.objectContaining({ type: "CertificateReady", status: "True", reason: "AsDesired" }),
    );
    expect(await own()).toBeUndefined();
    expect(inCluster("Secret", "tls")).toBeUndefined();
    expect(served()).toMatchObject([{ secretName: "tls-issued" }]);
    expect(orders()).toBe(1);
  });

  it("is not open while that fails, for the reason that cert-manager gives, and opens by itself when it does not", async () => {
    outcome = "fail";
    await open(CERT_MANAGER);
    await create("kubernetes");
    const { found, condition } = await certificate("IssuerFailing");
    expect(condition).toMatchObject({ status: "False", message: expect.stringContaining(FAILURE_WORDS) });
    expect(found.status.phase).not.toBe("Ready");
    outcome = "issue";
    expect((await ask("renew-certificate")).state).toBe("Succeeded");
    await phase("Ready");
  });

  it("renews it when an operator asks, and keeps what serves when that fails", async () => {
    await open(CERT_MANAGER);
    await create("kubernetes");
    const before = (await phase("Ready")).status.certificate;
    expect(await ask("renew-certificate")).toMatchObject({ state: "Succeeded", result: { renewed: true } });
    const renewed = await until("another certificate is shown", async () => {
      const { certificate: now } = (await tenant()).status;
      return now?.serial === before?.serial ? undefined : now;
    });
    outcome = "fail";
    const failed = await ask("renew-certificate");
    expect(failed).toMatchObject({ state: "Failed", error: expect.stringContaining(FAILURE_WORDS) });
    const { found, condition } = await certificate("IssuerFailing");
    expect(condition.status).toBe("True");
    expect(found.status).toMatchObject({ phase: "Ready", certificate: renewed });
    expect(orders()).toBe(3);
  });

  it("does not order another one when it is suspended and comes back, and leaves nothing when it is purged", async () => {
    await open(CERT_MANAGER);
    await create("kubernetes");
    const { status } = await phase("Ready");
    await suspend(true);
    await phase("Suspended");
    expect(inCluster("Certificate", "tls")).toBeDefined();
    expect(inCluster("Secret", "tls-issued")).toBeDefined();
    await suspend(false);
    expect((await phase("Ready")).status.certificate).toEqual(status.certificate);
    expect(orders()).toBe(1);
    const now = new Date();
    await setDeletion(databases.pool, "goethe", { requestedAt: now, purgeAfter: now });
    await until("goethe is gone", async () =>
      (await findTenant(databases.pool, "goethe")) === undefined ? true : undefined,
    );
    expect(api.store.get("Namespace", undefined, NAMESPACE)).toBeUndefined();
  });

  it("that had one of our own keeps serving that until cert-manager's is there, and has it no longer then", async () => {
    await open();
    await create("kubernetes");
    const before = (await phase("Ready")).status.certificate;
    expect(before?.issuer).toBe("internal");
    await close();
    outcome = "wait";
    await open(CERT_MANAGER);
    const { condition } = await certificate("CertificateExpiring");
    expect(condition).toMatchObject({ status: "True", message: expect.stringContaining("(internal) serves until") });
    expect((await phase("Ready")).status.certificate).toEqual(before);
    expect(served()).toMatchObject([{ secretName: "tls" }]);
    expect(inCluster("Secret", "tls")).toBeDefined();
    deliver();
    await certificate("AsDesired");
    await until("our own pair is gone", async () => (inCluster("Secret", "tls") === undefined ? true : undefined));
    expect(served()).toMatchObject([{ secretName: "tls-issued" }]);
  });
});

describe("a school that moves", () => {
  it("to a cluster with cert-manager takes its certificate along, and serves cert-manager's once its name leads there", async () => {
    outcome = "wait";
    await open(CERT_MANAGER);
    await create("simulated");
    const before = (await phase("Ready")).status.certificate;
    expect((await ask("move", { to: "kubernetes" })).state).toBe("Succeeded");
    await certificate("CertificateExpiring");
    expect(await phase("Ready")).toMatchObject({ engine: "kubernetes", status: { certificate: before } });
    expect(served()).toMatchObject([{ secretName: "tls" }]);
    deliver();
    await certificate("AsDesired");
    expect((await tenant()).status.certificate?.issuer).toBe("ClusterIssuer/letsencrypt");
    await until("our own pair is gone", async () => (inCluster("Secret", "tls") === undefined ? true : undefined));
    expect(orders()).toBe(1);
  });

  it("from a cluster with cert-manager to a machine gets one of our own there, and orders no more for the copy it left", async () => {
    await open(CERT_MANAGER);
    await create("kubernetes");
    await phase("Ready");
    expect((await ask("move", { to: "simulated" })).state).toBe("Succeeded");
    await certificate("AsDesired");
    const { status, engine, leftEngine } = await phase("Ready");
    expect({ engine, leftEngine, issuer: status.certificate?.issuer }).toEqual({
      engine: "simulated",
      leftEngine: "kubernetes",
      issuer: "internal",
    });
    const secrets = world.read().namespaces[NAMESPACE]?.objects.filter(({ kind }) => kind === "Secret");
    expect(secrets?.map(({ name }) => name)).toContain("tls");
    expect(inCluster("Certificate", "tls")).toBeUndefined();
    expect(orders()).toBe(1);
  });

  it("there and back lives with cert-manager's again", async () => {
    await open(CERT_MANAGER);
    await create("kubernetes");
    await phase("Ready");
    await ask("move", { to: "simulated" });
    await certificate("AsDesired");
    expect((await ask("move", { to: "kubernetes" })).state).toBe("Succeeded");
    const { status } = await until("goethe is back", async () => {
      const found = await tenant();
      const back = found.engine === "kubernetes" && found.status.certificate?.issuer === "ClusterIssuer/letsencrypt";
      return back ? found : undefined;
    });
    expect(status.conditions).toContainEqual(expect.objectContaining({ type: "CertificateReady", status: "True" }));
    expect(served()).toMatchObject([{ secretName: "tls-issued" }]);
  });
});
