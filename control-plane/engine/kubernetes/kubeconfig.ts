import { KubeConfig } from "@kubernetes/client-node";
import { messageOf } from "../../errors.ts";
import { EngineError } from "../engine.ts";

/** Which cluster, and who we are there. */
export interface KubeConfigSource {
  /** A kubeconfig file; absent inside a pod, where its ServiceAccount is used. */
  readonly kubeconfig?: string | undefined;
  /** Context of the kubeconfig; its current one if absent. */
  readonly context?: string | undefined;
}

/** @throws EngineError when it cannot be read, or names no cluster */
export function loadKubeConfig(options: KubeConfigSource): KubeConfig {
  const config = new KubeConfig();
  try {
    if (options.kubeconfig === undefined) config.loadFromCluster();
    else config.loadFromFile(options.kubeconfig);
  } catch (error) {
    const what = options.kubeconfig ?? "the pod's ServiceAccount";
    throw new EngineError("EngineUnavailable", `${what} cannot be read: ${messageOf(error)}`, { retryable: false });
  }
  if (options.context !== undefined) config.setCurrentContext(options.context);
  if (config.getCurrentCluster() === null)
    throw new EngineError(
      "EngineUnavailable",
      `${options.kubeconfig ?? "the pod"} names no cluster for the context ${config.getCurrentContext()}`,
      { retryable: false },
    );
  return config;
}
