import { lookup } from "node:dns/promises";
import { systemClock } from "./clock.ts";
import { clusterIssuerOf, type EngineConfig, type PlatformConfig } from "./config.ts";
import type { Engine, Finding } from "./engine/engine.ts";
import type { Log } from "./log.ts";

/**
 * Opens an engine from its configuration. Only code of its kind is loaded.
 * @param platform as it holds on this engine, see platformAt
 * @param country where its machines stand
 * @param onRequest is told of each request to a cluster's API; status 0 where no answer came
 */
export async function openEngine(
  config: EngineConfig,
  platform: PlatformConfig,
  country: string,
  log: Log,
  onRequest?: (verb: string, status: number, seconds: number) => void,
): Promise<Engine> {
  if (config.kind === "simulated") {
    const [{ createSimulatedEngine }, { schoolJob }, { fileWorld }] = await Promise.all([
      import("./engine/simulated/simulated.ts"),
      import("./engine/simulated/school-jobs.ts"),
      import("./engine/simulated/world.ts"),
    ]);
    return createSimulatedEngine({ world: fileWorld(config.stateFile), clock: systemClock, runJob: schoolJob });
  }
  if (config.kind === "kubernetes") {
    const { createKubernetesEngine } = await import("./engine/kubernetes/kubernetes.ts");
    const { storageClass, ingressClass, clusterGateway, nodeCountryLabel: label, userNamespaces } = platform;
    const { kubeconfig, context, grant } = config;
    const clusterIssuer = clusterIssuerOf(platform);
    return createKubernetesEngine({
      // Without a kubeconfig this is a pod of that cluster.
      ...(kubeconfig === undefined ? { lookup: (name: string) => lookup(name) } : { kubeconfig }),
      ...(context === undefined ? {} : { context }),
      ...(grant === undefined ? {} : { grant }),
      ...(clusterGateway === undefined ? {} : { gatewayGrant: clusterGateway }),
      storageClass,
      ingressClass,
      probeImage: platform.images.app,
      ...(userNamespaces === undefined ? {} : { userNamespaces }),
      ...(clusterIssuer === undefined ? {} : { clusterIssuer }),
      ...(onRequest === undefined ? {} : { requests: { onRequest } }),
      ...(label === undefined ? {} : { country: { label, value: country } }),
      clock: systemClock,
      log,
    });
  }
  const { createContainersEngine } = await import("./engine/containers/containers.ts");
  return createContainersEngine({
    instance: config.instance,
    dockerSocket: config.socket,
    clock: systemClock,
    log,
    hostAccessUids: config.hostAccessUids,
    ...(config.ownUsers === undefined ? {} : { ownUsers: config.ownUsers }),
  });
}

/** A finding of preflight in words, for a terminal without colours. Pure. */
export function describeFinding({ check, ok, message, remedy }: Finding): string {
  const next = remedy === undefined ? "" : `     Next: ${remedy}\n`;
  return `${ok ? "ok  " : "FAIL"} ${check.padEnd(20)} ${message}\n${next}`;
}
