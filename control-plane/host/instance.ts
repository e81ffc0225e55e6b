import { createHash } from "node:crypto";
import { join } from "node:path";
import { ClassmindError } from "../errors.ts";

/**
 * An installation on this host. Several may live side by side (a platform and a test run): everything host-wide (bridges,
 * firewall tables, mounts, sockets, state, container labels) derives from the instance's name.
 */
export interface Instance {
  readonly name: string;
  /** Four hex digits of the name, for interface names (at most 15 characters). */
  readonly short: string;
  /** What must survive a reboot. */
  readonly stateDir: string;
  /** What must not: sockets, secrets (tmpfs), process ids. */
  readonly runDir: string;
  readonly configDir: string;
  /** Debian root file systems and other things that can be made again; shared by all instances of a host. */
  readonly cacheDir: string;
  /** Private IPv4 /16 out of which each school gets a /28, as "10.x.0.0/16". */
  readonly addressPool: string;
}

export interface InstanceOptions {
  readonly stateDir?: string;
  readonly runDir?: string;
  readonly configDir?: string;
  readonly cacheDir?: string;
  readonly addressPool?: string;
}

export const DEFAULT_INSTANCE = "classmind";
const NAME = /^[a-z][a-z0-9]{0,11}$/;
const POOL = /^(10\.(\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])|172\.(1[6-9]|2\d|3[01])|192\.168)\.0\.0\/16$/;

/**
 * 10.64 to 10.191: away from the ranges that home routers and container engines like to use. And not 10.96 to 10.111, the addresses
 * that Kubernetes gives to services: where this host is a node too, kube-proxy drops what goes to those that it does not know.
 */
function poolNumber(digest: Buffer): number {
  const number = 64 + (digest.readUInt8(2) % 128);
  return number >= 96 && number < 112 ? number + 80 : number;
}

/** Derives all host-wide names and paths of an instance. Throws ClassmindError Invalid for a bad name or address pool. */
export function createInstance(name: string = DEFAULT_INSTANCE, options: InstanceOptions = {}): Instance {
  if (!NAME.test(name)) {
    throw new ClassmindError(
      "Invalid",
      `instance name ${JSON.stringify(name)} is not a letter and up to 11 letters or digits`,
      {
        field: "instance",
        remedy: "use lower-case letters and digits, beginning with a letter",
      },
    );
  }
  const digest = createHash("sha256").update(name).digest();
  const addressPool = options.addressPool ?? `10.${poolNumber(digest)}.0.0/16`;
  if (!POOL.test(addressPool)) {
    throw new ClassmindError("Invalid", `address pool ${JSON.stringify(addressPool)} is no private /16`, {
      field: "addressPool",
      remedy: "choose an unused one: 10.x.0.0/16, 172.16.0.0/16 to 172.31.0.0/16 or 192.168.0.0/16",
    });
  }
  return {
    name,
    short: digest.toString("hex").slice(0, 4),
    stateDir: options.stateDir ?? join("/var/lib/classmind", name),
    runDir: options.runDir ?? join("/run/classmind", name),
    configDir: options.configDir ?? join("/etc/classmind", name),
    cacheDir: options.cacheDir ?? "/var/cache/classmind",
    addressPool,
  };
}

/** Name of the instance's nftables tables. */
export function firewallTable(instance: Instance): string {
  return `classmind_${instance.name}`;
}

/** Interface name of a namespace's bridge, at most 15 characters. */
export function bridgeName(instance: Instance, namespace: string): string {
  return `cm${instance.short}${createHash("sha256").update(namespace).digest("hex").slice(0, 6)}`;
}

/** Socket of the instance's container engine (Docker API). */
export function engineSocket(instance: Instance): string {
  return join(instance.runDir, "engine.sock");
}
