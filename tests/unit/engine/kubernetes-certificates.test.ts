import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../../control-plane/clock.ts";
import type { CertificateObservation, Engine, Manifest } from "../../../control-plane/engine/engine.ts";
import { WATCH_TIMES } from "../../../control-plane/engine/kubernetes/keep-watching.ts";
import {
  createKubernetesEngine,
  type KubernetesEngineOptions,
} from "../../../control-plane/engine/kubernetes/kubernetes.ts";
import { createSimulatedEngine } from "../../../control-plane/engine/simulated/simulated.ts";
import { memoryWorld } from "../../../control-plane/engine/simulated/world.ts";
import { certificateOf, smallSchool } from "../../fixtures/engine-school.ts";
import { smallPod } from "../../fixtures/kube-api/behaviour.ts";
import { FAILURE_WORDS } from "../../fixtures/kube-api/cert-manager.ts";
import { IN_TEST_API } from "../../fixtures/kube-api/engine-options.ts";
import { writeKubeconfig } from "../../fixtures/kube-api/kubeconfig.ts";
import { type KubeApi, startKubeApi } from "../../fixtures/kube-api/server.ts";

/** The engine with a cluster that has cert-manager, which the API server in this process plays, and with one that has not. */
const IMAGE = "localhost/classmind/app:0123456789abcdef";
const CERTIFICATE = { kind: "Certificate", name: "tls" };

let api: KubeApi;
let bare: KubeApi;
let kubeconfig: ReturnType<typeof writeKubeconfig>;
let bareKubeconfig: ReturnType<typeof writeKubeconfig>;
let engine: Engine;
let outcome: "issue" | "fail" | "wait" = "issue";
let isDown = false;
let slug: string;
let namespace: string;
let count = 0;

function open(file: string, more: Partial<KubernetesEngineOptions> = {}): Engine {
  return createKubernetesEngine({
    ...IN_TEST_API,
    kubeconfig: file,
    clusterIssuer: "letsencrypt",
    patience: 400,
    relist: 300,
    requests: { timeout: 2_000, pause: 5 },
    ...more,
  });
}

const school = (): readonly Manifest[] => [...smallSchool({ namespace, image: IMAGE }), certificateOf(namespace)];
const told = async (of = engine): Promise<CertificateObservation | undefined> =>
  (await of.observe(namespace)).certificates?.[0];
const until = (match: object) => expect.poll(() => told(), { timeout: 5_000 }).toMatchObject(match);
const live = () => {
  const found = api.store.get("Certificate", namespace, "tls");
  if (found === undefined) throw new Error("no Certificate");
  return found;
};
const orders = () => api.certManager?.orders.get(namespace);
const renew = (revision: number, deadline = 3_000) =>
  engine.renewCertificate?.(namespace, "tls", { revision, deadline });

beforeAll(async () => {
  [api, bare] = await Promise.all([
    startKubeApi({ ...smallPod, certManager: { outcome: () => outcome, isDown: () => isDown } }),
    startKubeApi(smallPod),
  ]);
  kubeconfig = writeKubeconfig(api.url);
  bareKubeconfig = writeKubeconfig(bare.url);
});
afterAll(async () => {
  kubeconfig.remove();
  bareKubeconfig.remove();
  await Promise.all([api.close(), bare.close()]);
});
beforeEach(() => {
  outcome = "issue";
  isDown = false;
  count += 1;
  slug = `c${count}`;
  namespace = `school-${slug}`;
  engine = open(kubeconfig.file);
  return () => engine.close();
});

describe("a certificate that cert-manager makes", () => {
  it("is told of with its dates, its names and its serial, and never with its key", async () => {
    await engine.apply(namespace, school());
    await until({ revision: 1, ready: { status: "True", reason: "Ready" }, upToDate: true, issuing: undefined });
    const seen = await told();
    expect(seen).toMatchObject({ name: "tls", issuer: "ClusterIssuer/letsencrypt" });
    expect(seen?.leaf).toMatchObject({
      names: [`${slug}.classmind.localhost`],
      serial: expect.stringMatching(/^[0-9A-F]+$/),
    });
    expect(Date.parse(seen?.renewalTime ?? "")).toBeLessThan(Date.parse(seen?.leaf?.notAfter ?? ""));
    expect(JSON.stringify(await engine.observe(namespace))).not.toMatch(/PRIVATE KEY|tls\.key/);
  });

  it("that fails is told of in cert-manager's words, and so is one that is awaited", async () => {
    outcome = "fail";
    await engine.apply(namespace, school());
    await until({ leaf: undefined, issuing: { status: "False", message: expect.stringContaining(FAILURE_WORDS) } });
    outcome = "wait";
    await engine.remove(namespace, [CERTIFICATE]);
    await engine.apply(namespace, school());
    await until({ issuing: { status: "True", message: "Issuing certificate as Secret does not exist" } });
  });

  it("costs no write once it is as desired, and what somebody changed in it is set back", async () => {
    await engine.apply(namespace, school());
    await until({ revision: 1 });
    const before = api.writes.length;
    await engine.apply(namespace, school());
    expect(api.writes.length).toBe(before);
    const { name } = live().metadata;
    api.store.put(
      { ...live(), metadata: { name, namespace }, spec: { ...Object(live().spec), secretName: "x" } },
      "someone",
    );
    expect((await engine.observe(namespace)).objects).not.toContainEqual(expect.objectContaining(CERTIFICATE));
    await engine.apply(namespace, school());
    expect(live().spec).toMatchObject({ secretName: "tls-issued" });
  });

  it("about something that was asked for before is said to be that", async () => {
    await engine.apply(namespace, school());
    await until({ revision: 1 });
    isDown = true;
    api.store.put({ ...live(), spec: { ...Object(live().spec), secretName: "x" } }, "someone");
    expect(await told()).toMatchObject({ upToDate: false, ready: { status: "True" } });
    await engine.remove(namespace, [CERTIFICATE]);
    await engine.apply(namespace, school());
    expect(await told()).toMatchObject({ upToDate: false, ready: undefined });
  });

  it("is removed before its namespace, and what holds it back is named", async () => {
    await engine.apply(namespace, school());
    await until({ revision: 1 });
    api.store.touch(live(), (object) => {
      object.metadata.finalizers = ["test/held"];
    });
    await expect(engine.remove(namespace, [{ kind: "Namespace", name: namespace }])).rejects.toMatchObject({
      reason: "RemovalBlocked",
      message: expect.stringContaining("Certificate/tls is not gone yet (finalizers: test/held)"),
    });
    expect(api.store.get("Namespace", undefined, namespace)?.metadata.deletionTimestamp).toBeUndefined();
    api.store.erase(live());
    await engine.remove(namespace, [{ kind: "Namespace", name: namespace }]);
    expect(await engine.observe(namespace)).toMatchObject({ exists: false });
  });

  it("is looked at shortly while nothing happens; a renewal wakes, and is seen at the look after it", async () => {
    const woken: string[] = [];
    const watching = new AbortController();
    const watcher = open(kubeconfig.file, { watchTimes: { ...WATCH_TIMES, gather: 5, pause: 20 }, patience: 3_000 });
    void (async () => {
      for await (const wakeup of watcher.watch(watching.signal)) woken.push(wakeup.namespace);
    })();
    await watcher.apply(namespace, school());
    const reads = async () => {
      const before = api.requests.filter((request) => !request.endsWith("?watch")).length;
      const seen = await told(watcher);
      return { seen, reads: api.requests.filter((request) => !request.endsWith("?watch")).length - before };
    };
    await expect.poll(reads, { timeout: 8_000 }).toMatchObject({ reads: 2, seen: { revision: 1 } });
    woken.length = 0;
    await renew(1);
    await expect.poll(() => woken).toContain(namespace);
    expect((await reads()).seen).toMatchObject({ revision: 2 });
    watching.abort();
    await watcher.close();
  });
});

describe("a renewal that is asked for", () => {
  beforeEach(async () => {
    await engine.apply(namespace, school());
    await until({ revision: 1 });
  });

  it("is waited for, and changes the certificate and nothing of what is asked for", async () => {
    const before = await told();
    const { spec, metadata } = live();
    await renew(1);
    const after = await told();
    expect([before?.revision, after?.revision, orders()]).toEqual([1, 2, 2]);
    expect(after?.leaf?.serial).not.toBe(before?.leaf?.serial);
    expect(live().spec).toEqual(spec);
    expect(live().metadata.generation).toBe(metadata.generation);
  });

  it("that an earlier caller asked for is neither ordered again while it is under way nor once it is there", async () => {
    outcome = "wait";
    const first = renew(1);
    await expect.poll(() => told()).toMatchObject({ issuing: { status: "True", reason: "ManuallyTriggered" } });
    const second = renew(1);
    outcome = "issue";
    api.store.touch(live(), (object) => {
      object.metadata.annotations = { ...object.metadata.annotations, "test/poke": "1" };
    });
    await Promise.all([first, second]);
    await renew(1);
    expect(orders()).toBe(2);
  });

  it("that fails says so in cert-manager's words, and what served goes on serving", async () => {
    outcome = "fail";
    const before = await told();
    await expect(renew(1)).rejects.toMatchObject({
      reason: "IssuerFailing",
      message: expect.stringContaining(FAILURE_WORDS),
    });
    expect((await told())?.leaf).toEqual(before?.leaf);
    outcome = "issue";
    await renew(1);
    expect(await told()).toMatchObject({ revision: 2, issuing: undefined });
  });

  it("that takes too long says where to look", async () => {
    outcome = "wait";
    await expect(renew(1, 200)).rejects.toMatchObject({
      reason: "IssuerFailing",
      message: expect.stringContaining(`cmctl status certificate tls --namespace ${namespace}`),
    });
  });

  it("of a certificate that is not there says that", async () => {
    await engine.remove(namespace, [CERTIFICATE]);
    await expect(renew(1)).rejects.toMatchObject({ reason: "CertificateMissing" });
  });
});

describe("where cert-manager is not configured", () => {
  it("no engine knows the kind, and nothing is asked of it", async () => {
    const plain = createKubernetesEngine({ ...IN_TEST_API, kubeconfig: bareKubeconfig.file });
    const simulated = createSimulatedEngine({ world: memoryWorld(), clock: systemClock });
    for (const each of [plain, simulated]) {
      await expect(each.apply(namespace, school())).rejects.toMatchObject({
        reason: "ManifestRefused",
        message: expect.stringMatching(/^Certificate.*not a kind this engine knows/),
      });
      expect(await each.observe(namespace)).not.toHaveProperty("certificates");
      expect(each.renewCertificate).toBeUndefined();
    }
    await plain.apply(namespace, smallSchool({ namespace, image: IMAGE }));
    expect(await plain.observe(namespace)).not.toHaveProperty("certificates");
    expect((await plain.preflight("look")).map(({ check }) => check)).not.toContain("cert-manager");
    await plain.remove(namespace, [{ kind: "Namespace", name: namespace }]);
    expect(bare.requests.filter((request) => request.includes("cert-manager"))).toEqual([]);
    await plain.close();
  });
});

describe("preflight", () => {
  const finding = async (of: Engine) => (await of.preflight("look")).find(({ check }) => check === "cert-manager");

  it("finds the issuer ready", async () => {
    expect(await finding(engine)).toEqual({
      check: "cert-manager",
      ok: true,
      required: true,
      message: "the ClusterIssuer letsencrypt is ready: registered",
    });
  });

  it("says what is missing and what to do: the issuer, its account", async () => {
    const other = open(kubeconfig.file, { clusterIssuer: "other" });
    expect(await finding(other)).toMatchObject({ ok: false, message: "there is no ClusterIssuer other" });
    await other.close();
    const issuer = api.store.get("ClusterIssuer", undefined, "letsencrypt");
    if (issuer === undefined) throw new Error("no issuer");
    const withStatus = (status: unknown) =>
      api.store.touch(issuer, (object) => {
        object.status = status;
      });
    withStatus({ conditions: [{ type: "Ready", status: "False", reason: "ErrRegister", message: "no account" }] });
    expect(await finding(engine)).toMatchObject({
      ok: false,
      required: true,
      message: "the ClusterIssuer letsencrypt is not ready: no account",
      remedy: expect.stringContaining("kubectl describe clusterissuer letsencrypt"),
    });
    withStatus({});
    expect(await finding(engine)).toMatchObject({ message: expect.stringContaining("has not looked at it yet") });
    withStatus(issuer.status);
  });

  it("says that the cluster has no cert-manager; schools are looked at and removed all the same", async () => {
    const without = open(bareKubeconfig.file);
    expect(await finding(without)).toMatchObject({
      ok: false,
      message: expect.stringContaining("cert-manager.io/v1 is not served"),
      remedy: expect.stringContaining("install cert-manager"),
    });
    await without.apply(namespace, smallSchool({ namespace, image: IMAGE }));
    expect(await without.observe(namespace)).toMatchObject({ exists: true, certificates: [] });
    await expect(without.apply(namespace, school())).rejects.toMatchObject({ status: 404 });
    await without.remove(namespace, [{ kind: "Namespace", name: namespace }]);
    expect(await without.observe(namespace)).toMatchObject({ exists: false });
    await without.close();
  });
});
