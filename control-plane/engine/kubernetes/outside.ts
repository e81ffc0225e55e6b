import { promises as dns, getServers } from "node:dns";
import { isIPv4, isIPv6 } from "node:net";
import type { Forbidden } from "../engine.ts";
import type { Client } from "./client.ts";
import type { Grant } from "./context.ts";
import { listAt, textAt } from "./live.ts";

/**
 * What a school must not reach in a cluster besides other schools: nodes, the API server, cluster DNS and the control plane.
 * Which ports a node listens on nobody tells, so those are tried that nodes of common clusters have.
 */
const NODE_PORTS = [
  22, 53, 80, 111, 443, 2379, 2380, 4240, 4244, 6443, 8080, 8443, 9090, 9099, 9100, 9345, 10010, 10248, 10249, 10250,
  10255, 10256, 10257, 10259, 16443,
] as const;
/** Services of `k8s/`, with the ports of their pods as well: a policy sees either. */
const CONTROL_PLANE = { api: [80, 8080], database: [5432] } as const;

const isOwn = (address: string): boolean => address.startsWith("127.") || address === "::1";
const tcp = (kind: Forbidden["kind"], label: string, host: string, port: number): Forbidden => ({
  kind,
  label,
  host,
  port,
  protocol: "tcp",
});

async function nodeTargets(client: Client): Promise<readonly Forbidden[]> {
  const { items } = await client.list("/api/v1/nodes");
  const addresses = items.flatMap((node) =>
    listAt(node, "status", "addresses").flatMap((entry) => textAt(entry, "address") ?? []),
  );
  // A node's host name is among them too.
  return [...new Set(addresses)]
    .filter((address) => isIPv4(address) || isIPv6(address))
    .flatMap((host) => NODE_PORTS.map((port) => tcp("host-port", `port ${port} of a node`, host, port)));
}

async function controlPlaneTargets(namespace: string): Promise<readonly Forbidden[]> {
  const found = Object.entries(CONTROL_PLANE).map(async ([name, ports]) => {
    const addresses = await dns.lookup(`${name}.${namespace}.svc`, { all: true }).catch(() => []);
    return addresses.flatMap(({ address }) =>
      ports.map((port) => tcp("control-plane", `${name} of the control plane`, address, port)),
    );
  });
  return (await Promise.all(found)).flat();
}

function resolverTargets(): readonly Forbidden[] {
  return getServers().flatMap((server): readonly Forbidden[] => {
    const host = server.replace(/^\[(.*)\](:\d+)?$/, "$1");
    if (isOwn(host) || !(isIPv4(host) || isIPv6(host))) return [];
    const label = "the cluster's resolver";
    return [tcp("control-plane", label, host, 53), { kind: "control-plane", label, host, port: 53, protocol: "udp" }];
  });
}

/** See Engine.outside. @param server address of the API server, as the kubeconfig has it */
export async function outsideOf(
  client: Client,
  server: string,
  grant: Grant | undefined,
): Promise<readonly Forbidden[]> {
  const { hostname, port, protocol } = new URL(server);
  const host = hostname.replace(/^\[|\]$/g, "");
  const apiPort = port === "" ? (protocol === "http:" ? 80 : 443) : Number(port);
  return [
    ...(isOwn(host) ? [] : [tcp("control-plane", "the cluster's API server", host, apiPort)]),
    ...resolverTargets(),
    ...(await nodeTargets(client)),
    ...(grant === undefined ? [] : await controlPlaneTargets(grant.namespace)),
  ];
}
