import type { Manifest } from "../engine.ts";
import { at, isRecord, type LiveObject, listAt, textAt } from "./live.ts";

/**
 * A school asks no resolver: cluster DNS answers for names outside too, and what can be asked can carry data out. Its pods know the
 * services of their namespace as they do on one machine, by an entry in /etc/hosts (hostAliases), and every other question ends at
 * once, in the pod itself.
 */
export interface HostAlias {
  readonly ip: string;
  readonly hostnames: readonly string[];
}

/** No resolver at all cannot be said; nobody listens on a pod's loopback. */
const NO_RESOLVER = { dnsPolicy: "None", dnsConfig: { nameservers: ["127.0.0.1"] } } as const;

/** The services that have an address of their own, in a stable order. Pure. */
export function aliasesOf(services: Iterable<LiveObject>): readonly HostAlias[] {
  const found = [...services].flatMap((service): HostAlias[] => {
    const several = listAt(service, "spec", "clusterIPs").filter((ip) => typeof ip === "string");
    const [ip = textAt(service, "spec", "clusterIP")] = several;
    const addresses = several.length > 1 ? several : ip === undefined ? [] : [ip];
    return addresses
      .filter((address) => address !== "" && address !== "None")
      .map((address) => ({ ip: address, hostnames: [service.metadata.name] }));
  });
  const key = ({ hostnames, ip }: HostAlias): string => `${hostnames[0]} ${ip}`;
  return found.sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

/** What a cluster's settings add to each pod of a school. */
export interface PodFrame {
  readonly aliases: readonly HostAlias[];
  /** Pods run in user namespaces: as users of the node that nobody else is, whatever they are called inside. */
  readonly userNamespaces: boolean;
}

function frame(podSpec: unknown, { aliases, userNamespaces }: PodFrame): unknown {
  if (!isRecord(podSpec)) return podSpec;
  const hostAliases = [...listAt(podSpec, "hostAliases"), ...aliases];
  return {
    ...NO_RESOLVER,
    ...(userNamespaces ? { hostUsers: false } : {}),
    ...podSpec,
    ...(hostAliases.length === 0 ? {} : { hostAliases }),
  };
}

/** A manifest whose pods know these names and ask nobody for others; what it says itself stays. Other kinds stay as they are. Pure. */
export function withFrame(manifest: Manifest, around: PodFrame): Manifest {
  const template = at(manifest, "spec", "template");
  if (!isRecord(manifest.spec) || !isRecord(template)) return manifest;
  const spec = frame(template.spec, around);
  return { ...manifest, spec: { ...manifest.spec, template: { ...template, spec } } };
}

/** Whether a workload's pods know the services as they are now: one that was made anew has another address. Pure. */
export function knowsServices(workload: LiveObject, aliases: readonly HostAlias[]): boolean {
  const known = listAt(workload, "spec", "template", "spec", "hostAliases").flatMap((alias) =>
    listAt(alias, "hostnames").map((name) => `${String(name)} ${textAt(alias, "ip")}`),
  );
  const wanted = aliases.flatMap(({ ip, hostnames }) => hostnames.map((name) => `${name} ${ip}`));
  const names = new Set(aliases.flatMap(({ hostnames }) => hostnames));
  return (
    wanted.every((entry) => known.includes(entry)) &&
    known.every((entry) => !names.has(entry.split(" ")[0] ?? "") || wanted.includes(entry))
  );
}
