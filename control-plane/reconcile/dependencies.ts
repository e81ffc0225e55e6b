import type { Pool } from "pg";
import type { Clock } from "../clock.ts";
import { type PlatformConfig, withRepositoryAt } from "../config.ts";
import type { Engine } from "../engine/engine.ts";
import type { Issuer } from "../issuer/issuer.ts";
import type { Keyring } from "../keys/keyring.ts";
import type { Log } from "../log.ts";
import type { Chart } from "../render/render.ts";
import type { Semaphore } from "../semaphore.ts";
import type { ControlSocket } from "../verify/targets.ts";
import type { ReconcilerMetrics } from "./metrics.ts";

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
  /** Tells of each school whose part of the gateway somebody else changed, until the signal aborts. */
  watch?(signal: AbortSignal, onChange: (slug: string) => void): Promise<void>;
}

/** What opens a backup repository that is not on schools' own storage; all of it empty for one that is. */
export interface RepositoryAccess {
  /** Lines NAME=value for restic. */
  readonly repositoryEnvironment: string;
  /** PEM of the repository's own certificate authority; empty when it has none. */
  readonly repositoryAuthority: string;
  /** Private key and known hosts of an sftp: repository; empty for others. */
  readonly repositoryKey: string;
  readonly repositoryKnownHosts: string;
}

/** What opens the mail relay; empty where it asks for nothing, or there is none. */
export interface MailAccess {
  readonly mailPassword: string;
  /** PEM of the relay's own certificate authority. */
  readonly mailAuthority: string;
}

/** One engine with all that is peculiar to schools there. */
export interface Site extends RepositoryAccess, MailAccess {
  /** The engine's name in configuration and store. */
  readonly name: string;
  readonly engine: Engine;
  readonly gateway: GatewayPort | undefined;
  /** The platform's configuration as it holds there. */
  readonly platform: PlatformConfig;
  /** What opens `platform.backup.former`. */
  readonly former?: RepositoryAccess;
  /** What of the control plane listens on this machine without a port: no school may see it. */
  readonly controlSockets?: readonly ControlSocket[];
}

/** What a reconciler works with, wherever a school lives; built once in reconciler.ts. */
export interface Fleet {
  readonly pool: Pool;
  readonly issuer: Issuer;
  readonly keyring: Keyring;
  readonly chart: Chart;
  readonly clock: Clock;
  readonly log: Log;
  readonly backups: Semaphore;
  /** Engines by their names. */
  readonly sites: ReadonlyMap<string, Site>;
  readonly metrics?: ReconcilerMetrics;
  /** Called before and after each step; tests kill here. */
  readonly onStep?: (moment: "before" | "after", step: string) => Promise<void> | void;
}

/** What an attempt at one school works with: the fleet, and the engine on which that school lives. */
export interface Dependencies extends Fleet, Omit<Site, "name" | "former"> {
  /** Name of the engine. */
  readonly engineName: string;
  /** Address of what a school's backups are in, where the configuration does not name it: nobody can reach them. */
  readonly unnamedRepository?: string;
  /** Of a school whose backups are still where they were until now: where they are to be. */
  readonly afterwards?: RepositoryAccess & { readonly backup: PlatformConfig["backup"] };
}

/**
 * The dependencies of an attempt on the given engine; undefined if this reconciler is not configured with it.
 * @param at address of the repository that the school's backups are in, where that is not the engine's any more
 */
export function dependenciesAt(fleet: Fleet, engineName: string, at?: string): Dependencies | undefined {
  const site = fleet.sites.get(engineName);
  if (site === undefined) return undefined;
  const { name: _name, former, ...here } = site;
  const current: Dependencies = { ...fleet, ...here, engineName };
  if (at === undefined) return current;
  const platform = withRepositoryAt(site.platform, at);
  if (platform === site.platform) return { ...current, unnamedRepository: at };
  const { repositoryEnvironment, repositoryAuthority, repositoryKey, repositoryKnownHosts } = site;
  const access = { repositoryEnvironment, repositoryAuthority, repositoryKey, repositoryKnownHosts };
  return { ...current, ...former, platform, afterwards: { ...access, backup: site.platform.backup } };
}
