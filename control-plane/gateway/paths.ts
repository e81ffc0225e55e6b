import { join } from "node:path";

/**
 * Files of the gateway. HAProxy in its container and the control plane on the host see the same directories under
 * different names; HAProxy's runtime interface knows certificates, lists and maps by the name inside.
 */

/** Inside the container: configuration (read-only) and state. */
export const CONFIG_MOUNT = "/etc/classmind-gateway";
export const RUN_MOUNT = "/run/classmind-gateway";

export interface GatewayPaths {
  readonly config: string;
  readonly pages: string;
  /** Level `admin` of the worker. */
  readonly adminSocket: string;
  /** The master's: reload with a result. */
  readonly masterSocket: string;
  /** HTTP: /healthz and /metrics. */
  readonly healthSocket: string;
  /** Host name to route. */
  readonly routes: string;
  /** Which certificate serves which host names (HAProxy's crt-list). */
  readonly certificateList: string;
  readonly certificates: string;
}

/** The gateway's paths below a configuration and a run directory, on either side of the container's wall. */
export function gatewayPaths(directories: { readonly configDir: string; readonly runDir: string }): GatewayPaths {
  const { configDir, runDir } = directories;
  return {
    config: join(configDir, "haproxy.cfg"),
    pages: join(configDir, "pages"),
    adminSocket: join(runDir, "admin.sock"),
    masterSocket: join(runDir, "master.sock"),
    healthSocket: join(runDir, "health.sock"),
    routes: join(runDir, "routes.map"),
    certificateList: join(runDir, "certificates.list"),
    certificates: join(runDir, "certificates"),
  };
}

/** As HAProxy sees them. */
export const PATHS_INSIDE: GatewayPaths = gatewayPaths({ configDir: CONFIG_MOUNT, runDir: RUN_MOUNT });

/** Where a school's certificate lies within a directory of certificates. */
export function certificatePath(paths: GatewayPaths, slug: string): string {
  return join(paths.certificates, `${slug}.pem`);
}
