import { expect, it } from "vitest";
import { canonicalJson } from "../../control-plane/canonical-json.ts";
import { type Engine, EngineError } from "../../control-plane/engine/engine.ts";
import { createKubernetesEngine } from "../../control-plane/engine/kubernetes/kubernetes.ts";
import { certificateOf, smallJob, smallSchool } from "../fixtures/engine-school.ts";
import {
  applies,
  FAULTS,
  type Fault,
  type FaultProxy,
  type ProxiedCall,
  startFaultProxy,
} from "../fixtures/fault-proxy.ts";
import { smallPod } from "../fixtures/kube-api/behaviour.ts";
import { type CertManagerBehaviour, makePair } from "../fixtures/kube-api/cert-manager.ts";
import { IN_TEST_API } from "../fixtures/kube-api/engine-options.ts";
import { writeKubeconfig } from "../fixtures/kube-api/kubeconfig.ts";
import { startKubeApi } from "../fixtures/kube-api/server.ts";
import type { Store } from "../fixtures/kube-api/store.ts";

const NAMESPACE = "school-faulty";
const IMAGE = "localhost/classmind/app:0123456789abcdef";
const APP = { kind: "Deployment", name: "app" };
const DB = { kind: "StatefulSet", name: "db" };
/** cert-manager makes it, which the API server of the test plays. */
const CERTIFICATE = certificateOf(NAMESPACE);
/** Made once: another one each time would take longer than all the rest. */
const pair = makePair(["faulty.classmind.localhost"]);
const SIDE_BY_SIDE = 12;
const MOST_ATTEMPTS = 6;

/** What a school's life does, step by step; each step is repeated until it succeeds, as the loop of the control plane does. */
const LIFE: Readonly<Record<string, (engine: Engine) => Promise<void>>> = {
  create: (engine) => engine.apply(NAMESPACE, [...smallSchool({ namespace: NAMESPACE, image: IMAGE }), CERTIFICATE]),
  ready: async (engine) => {
    await Promise.all([APP, DB].map((workload) => engine.awaitReady(NAMESPACE, workload, 2_000)));
  },
  job: async (engine) => {
    const manifest = smallJob(NAMESPACE, IMAGE);
    const result = await engine.run(NAMESPACE, { manifest, input: { action: "echo" }, deadline: 5_000 });
    expect(result).toMatchObject({ exitCode: 0, output: { action: "echo" }, logTail: ["line one", "line two"] });
  },
  update: async (engine) => {
    await engine.apply(NAMESPACE, smallSchool({ namespace: NAMESPACE, image: IMAGE, version: "two", storage: "96Mi" }));
    await engine.awaitReady(NAMESPACE, APP, 2_000);
  },
  // The first one is waited for as its renewal is: where it is on its way, nothing is asked for.
  certified: async (engine) => {
    await engine.renewCertificate?.(NAMESPACE, "tls", { revision: 0, deadline: 3_000 });
  },
  renewed: async (engine) => {
    await engine.renewCertificate?.(NAMESPACE, "tls", { revision: 1, deadline: 3_000 });
  },
  shrink: (engine) => engine.remove(NAMESPACE, [{ kind: "Secret", name: "database-app" }]),
  observed: async (engine) => {
    expect((await engine.observe(NAMESPACE)).objects.length).toBeGreaterThan(0);
  },
};
const END = { delete: (engine: Engine) => engine.remove(NAMESPACE, [{ kind: "Namespace", name: NAMESPACE }]) };

/** What is there, without what differs from run to run. */
function stateOf(store: Store): readonly unknown[] {
  const kinds = [
    "Namespace",
    "Deployment",
    "StatefulSet",
    "Job",
    "Secret",
    "Service",
    "NetworkPolicy",
    "PersistentVolumeClaim",
    "ServiceAccount",
    "ResourceQuota",
    "Certificate",
  ];
  // The cluster's own namespace is nobody's school.
  const objects = kinds.flatMap((kind) => store.list(kind)).filter(({ metadata }) => metadata.name !== "kube-system");
  const described = objects.map(({ kind, metadata, spec, data }) => {
    const managers = metadata.managedFields?.map((entry) => Reflect.get(Object(entry), "manager"));
    const { name, labels, annotations } = metadata;
    return { kind, name, labels, annotations, spec, data, managers };
  });
  const staying = store.list("Pod").filter((pod) => pod.metadata.deletionTimestamp === undefined);
  const pods = staying.map((pod) => pod.metadata.labels);
  return [...described, ...pods].map(canonicalJson).sort();
}

type Harm = Fault | "killed-before" | "killed-after";

function canHappen(harm: Harm, call: ProxiedCall): boolean {
  return harm === "killed-before" || harm === "killed-after" || applies(harm, call);
}

interface Outcome {
  readonly alive: readonly unknown[];
  readonly gone: readonly unknown[];
  readonly calls: readonly ProxiedCall[];
  /** The request that was harmed. */
  readonly hit: ProxiedCall | undefined;
  readonly harmed: number;
  /** What an authority, which allows only so many, was asked for. */
  readonly orders: number | undefined;
}

/** One school's life with one harm done to one request: the one of that number among those that can suffer it. */
async function live(harm: Harm | undefined, index: number, pace: number): Promise<Outcome> {
  const certManager: CertManagerBehaviour = { outcome: () => "issue", delay: pace / 3, pair: () => pair };
  const api = await startKubeApi({ ...smallPod, startup: pace, grace: pace, certManager });
  let engine: Engine | undefined;
  let killed = 0;
  let number = 0;
  let hit: ProxiedCall | undefined;
  const decide = (call: ProxiedCall): Fault | undefined => {
    if (harm === undefined || !canHappen(harm, call) || number++ !== index) return undefined;
    hit = call;
    if (harm !== "killed-before" && harm !== "killed-after") return harm;
    killed += 1;
    const dying = engine;
    engine = undefined;
    // After: the request is on its way and takes effect, while nobody hears of it any more.
    setTimeout(() => void dying?.close(), harm === "killed-after" ? 2 : 0);
    return harm === "killed-before" ? "broken" : "lost-answer";
  };
  const proxy: FaultProxy = await startFaultProxy(api.url, decide);
  const kubeconfig = writeKubeconfig(proxy.url);
  const open = (): Engine =>
    createKubernetesEngine({
      ...IN_TEST_API,
      kubeconfig: kubeconfig.file,
      clusterIssuer: "letsencrypt",
      patience: 2_000,
      relist: 300,
      requests: { timeout: 400, pause: 5 },
    });
  async function insist(step: (engine: Engine) => Promise<void>): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      engine ??= open();
      try {
        await step(engine);
        return;
      } catch (error) {
        if (!(error instanceof EngineError) || !error.retryable || attempt === MOST_ATTEMPTS) throw error;
      }
    }
  }
  try {
    for (const step of Object.values(LIFE)) await insist(step);
    const alive = stateOf(api.store);
    await insist(END.delete);
    const gone = stateOf(api.store);
    const orders = api.certManager?.orders.get(NAMESPACE);
    return { alive, gone, calls: proxy.calls, hit, harmed: proxy.done.length + killed, orders };
  } finally {
    await engine?.close();
    await proxy.close();
    await api.close();
    kubeconfig.remove();
  }
}

async function inParallel(indices: readonly number[], work: (index: number) => Promise<void>): Promise<void> {
  const queue = [...indices];
  const worker = async (): Promise<void> => {
    for (let index = queue.shift(); index !== undefined; index = queue.shift()) await work(index);
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, worker));
}

const QUICK = 15;
/** Slow enough that what is waited for is not there yet when it is listed first, so that it is watched. */
const SLOW = 150;

const reference = await live(undefined, -1, QUICK);

it("an undisturbed school leaves nothing behind", () => {
  expect(reference.alive.length).toBeGreaterThan(12);
  expect(reference.gone).toEqual([]);
  expect(reference.calls.length).toBeGreaterThan(50);
  expect(reference.orders).toBe(2);
});

it.each<Harm>([...FAULTS, "killed-before", "killed-after"])(
  "%s at any call of creation, update, job and deletion ends in the same state",
  { timeout: 600_000 },
  async (harm) => {
    let harmed = 0;
    const pace = harm === "gone" || harm === "silent" ? SLOW : QUICK;
    const { calls } = pace === QUICK ? reference : await live(undefined, -1, pace);
    const count = calls.filter((call) => canHappen(harm, call)).length;
    await inParallel([...Array(count).keys()], async (index) => {
      const outcome = await live(harm, index, pace).catch((error: unknown) => {
        throw new Error(`${harm} at call ${index}: ${String(error)}`, { cause: error });
      });
      harmed += outcome.harmed;
      const title = `${harm} at ${outcome.hit?.method} ${outcome.hit?.path}`;
      expect(outcome.alive, title).toEqual(reference.alive);
      expect(outcome.gone, title).toEqual([]);
      expect(outcome.orders, title).toBe(reference.orders);
    });
    expect(harmed).toBeGreaterThan(0);
  },
);
