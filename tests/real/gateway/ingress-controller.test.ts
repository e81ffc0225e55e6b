import { X509Certificate } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../../control-plane/clock.ts";
import { openClient } from "../../../control-plane/engine/kubernetes/client.ts";
import { WATCH_TIMES } from "../../../control-plane/engine/kubernetes/keep-watching.ts";
import { loadKubeConfig } from "../../../control-plane/engine/kubernetes/kubeconfig.ts";
import { openTransport } from "../../../control-plane/engine/kubernetes/transport.ts";
import { fingerprintOf } from "../../../control-plane/gateway/pair.ts";
import { runCommand } from "../../../control-plane/gateway/runtime.ts";
import { startIngressController } from "../../../control-plane/ingress/controller.ts";
import type { IssuedCertificate } from "../../../control-plane/issuer/issuer.ts";
import { type Fault, type FaultProxy, startFaultProxy } from "../../fixtures/fault-proxy.ts";
import { INGRESS_CLASS, putSchool, type SchoolInCluster, takeAway } from "../../fixtures/ingress-school.ts";
import { writeKubeconfig } from "../../fixtures/kube-api/kubeconfig.ts";
import { type KubeApi, startKubeApi } from "../../fixtures/kube-api/server.ts";
import { hostOf, openStage, type Stage } from "./stage.ts";
import { ask1, openTls, seenFingerprint } from "./wire.ts";

/** Our own gateway in a cluster: a real HAProxy that is told of the schools of a cluster's API. */

let stage: Stage;
let api: KubeApi;
let proxy: FaultProxy;
let kubeconfig: ReturnType<typeof writeKubeconfig>;
let fault: Fault | undefined;
let running: { stop(): Promise<void> } | undefined;
let warnings: string[];
let certificates: Readonly<Record<"a" | "b" | "c", IssuedCertificate>>;

const A = hostOf("a");
const B = hostOf("b");
const issue = (slug: string) => stage.issuer.issue({ hosts: [hostOf(slug)], now: new Date() });

/** A school whose pages come from a server of the stage. */
function put(slug: "a" | "b" | "c", more: Partial<SchoolInCluster> = {}): void {
  const { address, port } = slug === "b" ? stage.b : stage.a;
  putSchool(api.store, { slug, address, port, certificate: certificates[slug], ...more });
}

/** Starts the controller, as its pod does. @param relist milliseconds, see WatchTimes */
async function start(relist = 1_000): Promise<void> {
  const ending = new AbortController();
  const transport = openTransport({
    config: loadKubeConfig({ kubeconfig: kubeconfig.file }),
    clock: systemClock,
    tries: 2,
    pause: 10,
  });
  const note = (_fields: object, message: string): void => void warnings.push(message);
  const controller = startIngressController({
    client: openClient(transport),
    clock: systemClock,
    log: { debug: () => undefined, info: () => undefined, warn: note, error: note },
    gateway: stage.gateway,
    paths: stage.paths,
    ingressClass: INGRESS_CLASS,
    signal: ending.signal,
    times: { ...WATCH_TIMES, relist, pause: 20 },
    retry: 50,
  });
  running = {
    async stop() {
      running = undefined;
      ending.abort();
      await controller.ended;
      transport.close();
    },
  };
  await controller.ready;
}

const schoolAt = async (host: string): Promise<string> => {
  const { status, body } = await ask1(stage, { sni: host });
  return status === 200 ? String(JSON.parse(body).school) : String(status);
};
const refusal = (host: string): Promise<string> =>
  openTls(stage, host).then(
    (socket) => {
      socket.destroy();
      return "served";
    },
    () => "refused",
  );
const until = (look: () => Promise<unknown>) => expect.poll(look, { timeout: 10_000, interval: 50 });

beforeAll(async () => {
  stage = await openStage();
  const [a, b, c] = await Promise.all(["a", "b", "c"].map(issue));
  if (a === undefined || b === undefined || c === undefined) throw new Error("no certificates");
  certificates = { a, b, c };
});
afterAll(() => stage.close());
beforeEach(async () => {
  fault = undefined;
  warnings = [];
  api = await startKubeApi();
  proxy = await startFaultProxy(api.url, () => fault);
  kubeconfig = writeKubeconfig(proxy.url);
  put("a");
  put("b");
  await start();
  await until(() => Promise.all([A, B].map(schoolAt))).toEqual(["a", "b"]);
  // What an earlier test published is gone.
  await until(() => seenFingerprint(stage, B)).toBe(fingerprintOf(new X509Certificate(certificates.b.certificatePem)));
});
afterEach(async () => {
  await running?.stop();
  kubeconfig.remove();
  await proxy.close();
  await api.close();
});

describe("the gateway of a cluster", () => {
  test("R1 serves every school that is there, and one that comes", async () => {
    expect(await refusal(hostOf("c"))).toBe("refused");
    put("c");
    await until(() => schoolAt(hostOf("c"))).toBe("a");
    expect(await seenFingerprint(stage, hostOf("c"))).toBe(
      fingerprintOf(new X509Certificate(certificates.c.certificatePem)),
    );
  });

  test("a school that goes is refused in the handshake, and nothing of it is left", async () => {
    takeAway(api.store, "b", "Ingress");
    await until(() => refusal(B)).toBe("refused");
    await until(() => stage.gateway.list()).toEqual(["a"]);
    expect(await schoolAt(A)).toBe("a");
  });

  test("a suspended school shows that it is closed, and opens again", async () => {
    put("b", { closed: true });
    await until(() => schoolAt(B)).toBe("503");
    expect((await ask1(stage, { sni: B })).body).toContain("vorübergehend geschlossen");
    put("b");
    await until(() => schoolAt(B)).toBe("b");
  });

  test("without its Service a school gets no request: that address may be another school's soon; with a new one it is there again", async () => {
    takeAway(api.store, "b", "Service");
    await until(() => schoolAt(B)).toBe("503");
    put("b", { address: stage.a.address, port: stage.a.port });
    await until(() => schoolAt(B)).toBe("a");
  });

  test("another certificate is served once the Ingress announces it; open connections live on", async () => {
    const before = await seenFingerprint(stage, B);
    const open = await openTls(stage, B);
    let received = "";
    open.on("data", (chunk: Buffer) => {
      received += chunk.toString("latin1");
    });
    put("b", { certificate: await issue("b") });
    await until(() => seenFingerprint(stage, B)).not.toBe(before);
    open.write(`GET /after HTTP/1.1\r\nHost: ${B}\r\n\r\n`);
    await until(async () => received).toContain("HTTP/1.1 200");
    open.destroy();
  });

  test("a school that gets a second name is served under both, with the certificate that it has", async () => {
    const second = `b.zwei.${A.slice(A.indexOf(".") + 1)}`;
    const both = await stage.issuer.issue({ hosts: [B, second], now: new Date() });
    put("b", { certificate: both });
    await until(() => seenFingerprint(stage, B)).toBe(fingerprintOf(new X509Certificate(both.certificatePem)));
    expect(await refusal(second)).toBe("refused");
    const ingress = api.store.get("Ingress", "school-b", "app");
    if (ingress === undefined) throw new Error("no Ingress");
    const spec = Object(ingress.spec);
    const rules = [...spec.rules, { ...spec.rules[0], host: second }];
    const tls = [{ ...spec.tls[0], hosts: [B, second] }];
    api.store.put({ ...ingress, spec: { ...spec, rules, tls } }, "someone");
    await until(() => schoolAt(second)).toBe("b");
    expect(await schoolAt(B)).toBe("b");
  });

  test("announced before it lies there, a certificate is waited for; the old one serves", async () => {
    const before = await seenFingerprint(stage, B);
    const next = await issue("b");
    put("b", { serial: next.serial });
    await until(async () => warnings.length).toBeGreaterThan(0);
    expect(await seenFingerprint(stage, B)).toBe(before);
    put("b", { certificate: next });
    await until(() => seenFingerprint(stage, B)).not.toBe(before);
  });

  test("a Secret that somebody spoiled changes nothing", async () => {
    const before = await seenFingerprint(stage, B);
    const secret = api.store.get("Secret", "school-b", "tls");
    if (secret === undefined) throw new Error("no Secret");
    api.store.put({ ...secret, data: { "tls.crt": "eA==", "tls.key": "eA==" } }, "someone");
    put("c");
    await until(() => schoolAt(hostOf("c"))).toBe("a");
    expect(await seenFingerprint(stage, B)).toBe(before);
  });

  test("a certificate that HAProxy cannot serve keeps no other school from being served", async () => {
    put("c", { certificate: certificates.a });
    await until(async () => warnings.length).toBeGreaterThan(0);
    put("b", { closed: true });
    await until(() => schoolAt(B)).toBe("503");
    put("c");
    await until(() => schoolAt(hostOf("c"))).toBe("a");
  });

  test("an Ingress of another class, and one of our class that is not a school's, lead nowhere", async () => {
    put("c");
    const ours = api.store.get("Ingress", "school-c", "app");
    if (ours === undefined) throw new Error("no Ingress");
    api.store.put({ ...ours, spec: { ...Object(ours.spec), ingressClassName: "nginx" } }, "someone");
    await until(() => refusal(hostOf("c"))).toBe("refused");
    api.store.put({ kind: "Namespace", metadata: { name: "other" } }, "someone");
    const { metadata, ...rest } = ours;
    const { name, labels } = metadata;
    api.store.put({ ...rest, metadata: { name, namespace: "other", ...(labels && { labels }) } }, "someone");
    await until(async () => warnings).toContain("an Ingress is not served: it is not one of a school");
    expect(await refusal(hostOf("c"))).toBe("refused");
    expect(await schoolAt(A)).toBe("a");
  });

  test("a school that asks for another one's host gets nothing of it", async () => {
    put("c");
    const ingress = api.store.get("Ingress", "school-c", "app");
    if (ingress === undefined) throw new Error("no Ingress");
    const spec = JSON.parse(JSON.stringify(ingress.spec).replaceAll(hostOf("c"), A));
    api.store.put({ ...ingress, spec }, "someone");
    await until(async () => warnings).toContain("an Ingress is not served: it is not one of a school");
    expect(await schoolAt(A)).toBe("a");
    expect((await stage.gateway.observe("c")).hosts).not.toContain(A);
  });
});

describe("what the gateway of a cluster survives", () => {
  test("while the API does not answer it goes on, and afterwards it does what it missed", async () => {
    fault = "broken";
    await wait(1_500);
    takeAway(api.store, "b", "Ingress");
    put("c");
    await wait(500);
    expect([await schoolAt(A), await schoolAt(B), await refusal(hostOf("c"))]).toEqual(["a", "b", "refused"]);
    expect(warnings).toContain("the cluster does not tell what its schools want; what is served goes on");
    fault = undefined;
    await until(() => schoolAt(hostOf("c"))).toBe("a");
    await until(() => refusal(B)).toBe("refused");
  });

  test.each(["gone", "silent", "stale", "too-many", "error-500", "cut-answer"] as const)(
    "an API that is %s for a while: what changed meanwhile is done",
    async (what) => {
      fault = what;
      await wait(200);
      put("b", { closed: true });
      await wait(1_300);
      fault = undefined;
      await until(() => schoolAt(B)).toBe("503");
      expect(await schoolAt(A)).toBe("a");
    },
  );

  test("its own restart: what changed meanwhile is done, and nobody notices anything else", async () => {
    const pid = async () => /^Pid: .*$/m.exec(await runCommand(stage.paths.adminSocket, "show info"))?.[0];
    const before = await pid();
    await running?.stop();
    takeAway(api.store, "b", "Ingress");
    put("c");
    put("a", { certificate: await issue("a") });
    const fingerprint = await seenFingerprint(stage, A);
    await start();
    await until(() => schoolAt(hostOf("c"))).toBe("a");
    await until(() => refusal(B)).toBe("refused");
    await until(() => seenFingerprint(stage, A)).not.toBe(fingerprint);
    expect(await pid()).toBe(before);
  });

  test("its own restart while a certificate cannot be read: the one that was served stays", async () => {
    await running?.stop();
    takeAway(api.store, "b", "Secret", "tls");
    await start();
    await wait(300);
    expect(await schoolAt(B)).toBe("b");
  });

  test("nothing happens while nothing happens", async () => {
    await running?.stop();
    await start(WATCH_TIMES.relist);
    await until(async () => proxy.calls.filter(({ watch }) => watch).length).toBeGreaterThanOrEqual(4);
    await wait(200);
    const calls = proxy.calls.length;
    await wait(1_500);
    expect(proxy.calls.length).toBe(calls);
    expect(api.writes).toEqual([]);
  });
});
