import { z } from "zod";

/** Configuration of our own gateway's controller in a cluster (k8s/gateway). */
export const gatewayControllerConfig = z.strictObject({
  /** Class of the Ingresses that it leads to. */
  ingressClass: z.string().min(1),
  /** Where HAProxy listens in its pod, and the port that people use for HTTPS. */
  httpPort: z.int().min(1).max(65535),
  httpsPort: z.int().min(1).max(65535),
  publicHttpsPort: z.int().min(1).max(65535),
  /** Sums for Prometheus, and whether HAProxy answers. */
  metricsPort: z.int().min(1).max(65535),
  /** Threads of HAProxy; no more than its processors' limit. */
  threads: z.int().min(1).max(64),
  /** Connections at each of the two ports; each takes up to two open files. */
  maxConnections: z.int().min(100).max(200_000),
  /** A kubeconfig file; absent inside a pod, where its ServiceAccount is used. */
  kubeconfig: z.string().min(1).optional(),
  /** Written once HAProxy's files are there, and touched while the controller runs. */
  readyFile: z.string().min(1).optional(),
});
export type GatewayControllerConfig = z.infer<typeof gatewayControllerConfig>;
