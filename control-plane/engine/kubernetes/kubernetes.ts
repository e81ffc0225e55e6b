import type { Clock } from "../../clock.ts";
import type { Log } from "../../log.ts";
import { type Engine, EngineError } from "../engine.ts";
import { applyObjects } from "./apply.ts";
import { renewCertificate } from "./certificates.ts";
import { openClient } from "./client.ts";
import { createConflictLog, type KubernetesContext } from "./context.ts";
import { runJob } from "./jobs.ts";
import type { WatchTimes } from "./keep-watching.ts";
import { collectionPath, kindOf, kindsWith, MANAGED_BY, MARK } from "./kinds.ts";
import { loadKubeConfig } from "./kubeconfig.ts";
import { createLooks } from "./looks.ts";
import { observeNamespace } from "./observe.ts";
import { outsideOf } from "./outside.ts";
import { type PreflightOptions, preflight } from "./preflight.ts";
import { awaitReady, readLogs, restart } from "./ready.ts";
import { removeObjects } from "./remove.ts";
import { openTransport, type TransportOptions } from "./transport.ts";
import { tryOut } from "./try-out.ts";
import { openVolumeUsage } from "./usage.ts";
import { createWatchHub } from "./watch.ts";

export interface KubernetesEngineOptions extends PreflightOptions {
  /** A kubeconfig file; absent inside a pod, where its ServiceAccount is used. */
  readonly kubeconfig?: string;
  /** Context of the kubeconfig; its current one if absent. */
  readonly context?: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Milliseconds a step that waits for the cluster may take before it says what blocks it. */
  readonly patience?: number;
  readonly requests?: Partial<
    Pick<TransportOptions, "concurrency" | "timeout" | "tries" | "pause" | "random" | "onRequest">
  >;
  readonly watchTimes?: WatchTimes;
  /** Milliseconds after which what is waited for is listed again although a watch is open. */
  readonly relist?: number;
}

const PATIENCE = 120_000;
const RELIST = 5_000;

/**
 * Opens the engine for one Kubernetes cluster. It keeps nothing that would be lost with the process: what a school is made of is
 * written on its objects.
 * @throws EngineError when the kubeconfig cannot be used
 */
export function createKubernetesEngine(options: KubernetesEngineOptions): Engine {
  const { clock, log } = options;
  const config = loadKubeConfig(options);
  const transport = openTransport({ config, clock, ...options.requests });
  const client = openClient(transport);
  const closing = new AbortController();
  const kinds = kindsWith(options.clusterIssuer);
  const { grant, gatewayGrant } = options;
  const hub = createWatchHub({ client, clock, log, kinds, grant, gatewayGrant }, closing.signal, options.watchTimes);
  const looks = createLooks(hub);
  const context: KubernetesContext = {
    client,
    clock,
    log,
    closing: closing.signal,
    grant,
    gatewayGrant,
    userNamespaces: options.userNamespaces ?? false,
    kinds,
    patience: options.patience ?? PATIENCE,
    relist: options.relist ?? RELIST,
    accepted: new Map(),
    conflicts: createConflictLog(clock),
    looks,
    usage: openVolumeUsage(transport, clock),
  };

  /** What we do in a namespace is known before a watch tells, and may take effect until it ends. */
  async function touching<T>(namespace: string, work: () => Promise<T>): Promise<T> {
    looks.touch(namespace);
    try {
      return await work();
    } finally {
      looks.touch(namespace);
    }
  }

  return {
    name: "kubernetes",
    async preflight(depth, signal) {
      const looked = await preflight(client, options);
      if (depth === "look") return looked;
      return [...looked, ...(await tryOut(context, options, signal))];
    },
    async identity() {
      const space = await client.get("kube-system", { kind: "Namespace", name: "kube-system" });
      if (space === undefined) throw new EngineError("EngineUnavailable", "the cluster has no namespace kube-system");
      return space.metadata.uid ?? "";
    },
    async answers(signal) {
      await transport.request({ path: "/version", signal });
    },
    observe: (namespace) => observeNamespace(context, namespace),
    async list() {
      const query = { labelSelector: `${MARK.managedBy}=${MANAGED_BY},${MARK.tenant}`, metadataOnly: true };
      const { items } = await client.list(collectionPath(kindOf("Namespace")), query);
      return items.map((item) => item.metadata.name).sort();
    },
    apply: (namespace, objects, applyOptions = {}) =>
      touching(namespace, () => applyObjects(context, namespace, objects, applyOptions)),
    awaitReady: (namespace, workload, deadline, signal) => awaitReady(context, namespace, workload, deadline, signal),
    remove: (namespace, refs, removeOptions = {}) =>
      touching(namespace, () => removeObjects(context, namespace, refs, removeOptions)),
    run: (namespace, job) => touching(namespace, () => runJob(context, namespace, job)),
    logs: (namespace, workload, logOptions = {}) => readLogs(context, namespace, workload, logOptions),
    restart: (namespace, workload) => touching(namespace, () => restart(context, namespace, workload)),
    ...(options.clusterIssuer === undefined
      ? {}
      : {
          renewCertificate: (namespace, name, renewOptions) =>
            touching(namespace, () => renewCertificate(context, namespace, name, renewOptions)),
        }),
    outside: () => outsideOf(client, config.getCurrentCluster()?.server ?? "", options.grant),
    watch: (signal) => hub.watch(signal),
    async close() {
      closing.abort();
      transport.close();
    },
  };
}
