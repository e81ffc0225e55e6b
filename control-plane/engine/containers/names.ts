import type { Instance } from "../../host/instance.ts";

/** Labels by which the engine finds again what it made; they are all the state a container carries. */
export const LABEL = {
  instance: "classmind.instance",
  namespace: "classmind.namespace",
  /** "Deployment/app", "StatefulSet/db" or "Job/<name>". */
  workload: "classmind.workload",
  /** "init" or "main". */
  role: "classmind.role",
  /** Digest of the pod model the container was made from. */
  pod: "classmind.pod",
  /** Hash of the manifest that was desired when the container was made. */
  hash: "classmind.hash",
  address: "classmind.address",
  restarts: "classmind.restarts",
  /** Claims the pod mounts, separated by commas. */
  claims: "classmind.claims",
  /** Kubernetes labels of the pod, as JSON. */
  labels: "classmind.labels",
} as const;

/** Name of a namespace's network in the container engine. */
export function networkName(instance: Instance, namespace: string): string {
  return `${instance.name}-${namespace}`;
}

/** Name of a container: unique on the host, readable by a person. */
export function containerName(instance: Instance, namespace: string, workload: string, suffix: string): string {
  return `${instance.name}-${namespace}-${workload}-${suffix}`;
}
