import type { Pool } from "pg";
import type { Clock } from "../clock.ts";
import type { PlatformConfig } from "../config.ts";
import type { Engine } from "../engine/engine.ts";
import type { Issuer } from "../issuer/issuer.ts";
import type { Keyring } from "../keys/keyring.ts";
import type { Log } from "../log.ts";
import type { Chart } from "../render/render.ts";
import type { Semaphore } from "../semaphore.ts";
import type { ControlSocket } from "../verify/targets.ts";

/** Where a school's host names lead: to its app, to the page that says it is closed, or nowhere. */
export type GatewayRoute =
  | { readonly state: "open"; readonly address: string; readonly port: number }
  | { readonly state: "closed" };

export interface GatewayObservation {
  readonly route: GatewayRoute | undefined;
  /** SHA-256 fingerprint of the certificate served (over the DER, lower-case hexadecimal), undefined when none is. */
  readonly certificateFingerprint: string | undefined;
}

/** What the reconciler needs of a gateway. Engines with an ingress of their own have none. */
export interface GatewayPort {
  observe(slug: string): Promise<GatewayObservation>;
  setRoute(slug: string, hosts: readonly string[], route: GatewayRoute): Promise<void>;
  setCertificate(
    slug: string,
    hosts: readonly string[],
    pem: { readonly chain: string; readonly key: string },
  ): Promise<void>;
  remove(slug: string): Promise<void>;
}

/** Everything an attempt works with; built once in main.ts. */
export interface Dependencies {
  readonly pool: Pool;
  readonly engine: Engine;
  readonly gateway: GatewayPort | undefined;
  readonly issuer: Issuer;
  readonly keyring: Keyring;
  readonly chart: Chart;
  readonly platform: PlatformConfig;
  readonly clock: Clock;
  readonly log: Log;
  readonly backups: Semaphore;
  /** Lines NAME=value for restic. */
  readonly repositoryEnvironment: string;
  /** PEM of the repository's own certificate authority; empty when it has none. */
  readonly repositoryAuthority: string;
  /** Private key and known hosts of an sftp: repository; empty for others. */
  readonly repositoryKey: string;
  readonly repositoryKnownHosts: string;
  /** What of the control plane listens on this machine without a port: no school may see it. */
  readonly controlSockets?: readonly ControlSocket[];
  /** Called before and after each step; tests kill here. */
  readonly onStep?: (moment: "before" | "after", step: string) => Promise<void> | void;
}
