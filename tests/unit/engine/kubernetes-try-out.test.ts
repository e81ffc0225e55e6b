import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Engine, Finding } from "../../../control-plane/engine/engine.ts";
import {
  createKubernetesEngine,
  type KubernetesEngineOptions,
} from "../../../control-plane/engine/kubernetes/kubernetes.ts";
import { TRIAL } from "../../../control-plane/engine/kubernetes/try-out-objects.ts";
import type { PodBehaviour } from "../../fixtures/kube-api/cluster.ts";
import { IN_TEST_API } from "../../fixtures/kube-api/engine-options.ts";
import { isRecord } from "../../fixtures/kube-api/fields.ts";
import { writeKubeconfig } from "../../fixtures/kube-api/kubeconfig.ts";
import { type KubeApi, startKubeApi } from "../../fixtures/kube-api/server.ts";

/** Preflight with pods of its own, on an API server in this process: what clients see is told to it, as no network is there. */

/** What a client of each step sees: of a policy that lets nothing out, one that lets nothing in, and the way through both. */
interface Network {
  readonly out: "blocked" | "reached";
  readonly in: "blocked" | "reached";
  readonly through: "blocked" | "reached";
}
const ENFORCED: Network = { out: "blocked", in: "blocked", through: "reached" };

let api: KubeApi;
let kubeconfig: ReturnType<typeof writeKubeconfig>;
let engine: Engine;
let network: Network;
/** Of the node, that a pod's own first one is. */
let firstUser: number;
let pods: PodBehaviour;
/** Policies in force while each client ran. */
let policies: Record<string, readonly string[]>;
/** Whether pods are to be users of the node, as they say. */
let hostUsers: unknown[];

beforeAll(async () => {
  api = await startKubeApi({
    startup: 5,
    grace: 5,
    pod: () => pods,
    job(_input, pod) {
      const name = pod.metadata.labels?.["batch.kubernetes.io/job-name"]?.replace("preflight-", "") ?? "";
      hostUsers.push(isRecord(pod.spec) ? pod.spec.hostUsers : "no pod");
      policies[name] = api.store
        .list("NetworkPolicy", TRIAL)
        .map(({ metadata }) => metadata.name)
        .sort();
      return { stdout: JSON.stringify({ seen: Reflect.get(network, name), firstUser }) };
    },
  });
  kubeconfig = writeKubeconfig(api.url);
});
afterAll(async () => {
  kubeconfig.remove();
  await api.close();
});
beforeEach(() => {
  network = ENFORCED;
  firstUser = 0;
  pods = "ready";
  policies = {};
  hostUsers = [];
  engine = open({});
});
afterEach(() => engine.close());

function open(settings: Pick<KubernetesEngineOptions, "userNamespaces">): Engine {
  return createKubernetesEngine({
    kubeconfig: kubeconfig.file,
    ...IN_TEST_API,
    probeImage: "localhost/classmind/app:0123456789abcdef",
    patience: 1_000,
    trialPatience: 1_000,
    relist: 100,
    ...settings,
  });
}

const tried = async (check: string): Promise<Finding | undefined> =>
  (await engine.preflight("try")).find((finding) => finding.check === check);

describe("trying a cluster out", () => {
  it("passes where pods run and policies are enforced, and leaves nothing", async () => {
    const findings = await engine.preflight("try");
    expect(findings.filter(({ ok }) => !ok)).toEqual([]);
    expect(findings.map(({ check }) => check)).toEqual(expect.arrayContaining(["trial-pod", "network-policies"]));
    expect(api.store.get("Namespace", undefined, TRIAL)).toBeUndefined();
    expect(await engine.list()).toEqual([]);
  });

  it("looks alone when it is asked to look: nothing is made", async () => {
    const before = api.writes.length;
    const findings = await engine.preflight("look");
    expect(findings.map(({ check }) => check)).not.toContain("network-policies");
    // What is only tried of a namespace is made of nothing.
    expect(api.writes.slice(before).filter((write) => !JSON.stringify(write).includes("dryRun"))).toEqual([]);
  });

  it("tries each wall alone, and then the way through both", async () => {
    await engine.preflight("try");
    expect(policies).toEqual({
      out: ["default-deny", "way-in"],
      in: ["default-deny", "way-out"],
      through: ["default-deny", "way-in", "way-out"],
    });
  });

  it.each([
    ["lets everything out", { ...ENFORCED, out: "reached" }, "lets nothing out of a pod is not enforced"],
    ["lets everything in", { ...ENFORCED, in: "reached" }, "lets nothing into a pod is not enforced"],
    ["lets nothing through", { ...ENFORCED, through: "blocked" }, "that policies allow did not come about"],
  ] as const)("a network that %s fails, and keeps schools out", async (_what, seen, words) => {
    network = seen;
    expect(await tried("network-policies")).toMatchObject({
      ok: false,
      required: true,
      message: expect.stringContaining(words),
      remedy: expect.stringMatching(/plugin/),
    });
    expect(api.store.get("Namespace", undefined, TRIAL)).toBeUndefined();
  });

  it("an image that no node can pull fails with what to do, and what was not tried does not pass", async () => {
    pods = "no-image";
    const findings = await engine.preflight("try");
    expect(findings.find(({ check }) => check === "trial-pod")).toMatchObject({
      ok: false,
      remedy: expect.stringContaining("image"),
    });
    expect(findings.find(({ check }) => check === "network-policies")).toMatchObject({
      ok: false,
      message: "not tried: trial-pod failed",
    });
  });

  it.each([
    ["passes where pods get them", 1_310_720, true],
    ["fails where the cluster leaves them out without a word", 0, false],
  ])("user namespaces are asked for where the settings say so: it %s", async (_what, first, ok) => {
    await engine.close();
    engine = open({ userNamespaces: true });
    firstUser = first;
    expect(await tried("user-namespaces")).toMatchObject({ ok, required: true });
    expect(hostUsers).toEqual([false, false, false]);
  });

  it("asks for no user namespaces else", async () => {
    expect(await tried("user-namespaces")).toBeUndefined();
    expect(hostUsers).toEqual([undefined, undefined, undefined]);
  });

  it("removes what an earlier try left behind", async () => {
    const leftover = { apiVersion: "v1", kind: "Namespace", metadata: { name: TRIAL } };
    await engine.apply(TRIAL, [leftover]);
    expect(isRecord(api.store.get("Namespace", undefined, TRIAL))).toBe(true);
    expect(await tried("network-policies")).toMatchObject({ ok: true });
    expect(api.store.get("Namespace", undefined, TRIAL)).toBeUndefined();
  });
});
