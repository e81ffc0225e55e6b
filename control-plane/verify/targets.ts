import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import type { Engine } from "../engine/engine.ts";
import { KERNEL_CALLS } from "./kernel-calls.ts";

/** Something a school must not reach. */
export interface ProbeTarget {
  readonly kind: "neighbour" | "host-port" | "control-plane" | "metadata" | "internet" | "outside-name" | "kernel";
  readonly label: string;
  /** For `unix` the socket's path, for `call` the name of the kernel's call. */
  readonly host: string;
  readonly port: number;
  readonly protocol: "tcp" | "udp" | "dns" | "unix" | "call";
  /** What to do about it where it was reached and the cause is known beforehand. */
  readonly remedy?: string;
}

/** Where a part of the control plane listens that has no port. */
export interface ControlSocket {
  readonly label: string;
  readonly path: string;
}

const LISTEN = "0A";

interface SocketRow {
  readonly address: string;
  readonly port: number;
}

/** Listening sockets of a /proc/net/{tcp,tcp6,udp,udp6} table: address in hex as the kernel prints it, and port. Pure. */
export function listeningSockets(table: string, protocol: "tcp" | "udp"): readonly SocketRow[] {
  const rows = table
    .split("\n")
    .slice(1)
    .flatMap((line): SocketRow[] => {
      const fields = line.trim().split(/\s+/);
      const [address, port] = (fields[1] ?? "").split(":");
      if (address === undefined || port === undefined) return [];
      if (protocol === "tcp" && fields[3] !== LISTEN) return [];
      return [{ address, port: Number.parseInt(port, 16) }];
    });
  return rows;
}

function readTable(name: string): string {
  try {
    return readFileSync(`/proc/net/${name}`, "utf8");
  } catch {
    // A host without IPv6 has no such table.
    return "";
  }
}

/** Addresses by which others see this host; a loopback address would be the school's own. */
function hostAddresses(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((entries) =>
    (entries ?? []).filter((entry) => entry.family === "IPv4" && !entry.internal).map((entry) => entry.address),
  );
}

function hostPorts(protocol: "tcp" | "udp"): readonly number[] {
  const tables = protocol === "tcp" ? ["tcp", "tcp6"] : ["udp", "udp6"];
  return [...new Set(tables.flatMap((table) => listeningSockets(readTable(table), protocol).map((row) => row.port)))];
}

function hostTargets(): readonly ProbeTarget[] {
  const addresses = hostAddresses();
  return (["tcp", "udp"] as const).flatMap((protocol) =>
    hostPorts(protocol).flatMap((port) =>
      addresses.map(
        (host): ProbeTarget => ({ kind: "host-port", label: `port ${port} of this host`, host, port, protocol }),
      ),
    ),
  );
}

const REMEDIES: Readonly<Record<Engine["name"], string>> = {
  containers:
    "The container engine does not keep to the platform's seccomp profile: classmind down, then classmind up, on Podman 4.3 or newer.",
  kubernetes:
    "The nodes' container runtime lets pods do this under RuntimeDefault: take a current one (containerd 2), and see that it was built with seccomp. User namespaces can be switched off on the nodes besides (sysctl user.max_user_namespaces=0).",
  simulated: "",
};

/** Kernel calls that must be refused: on a cluster those that its runtime's default profile has to refuse. Pure. */
export function kernelTargets(engine: Engine["name"]): readonly ProbeTarget[] {
  return KERNEL_CALLS.filter(({ everywhere }) => everywhere || engine !== "kubernetes").map(({ name, label }) => ({
    kind: "kernel",
    label,
    host: name,
    port: 0,
    protocol: "call",
    remedy: REMEDIES[engine],
  }));
}

/**
 * Everything that a school must not reach: every neighbour's services, every listening port of the host on each of its addresses
 * (on a cluster: nodes, API server, resolver and control plane), sockets of the control plane, the metadata address, the Internet,
 * outside names by DNS, and kernel calls.
 * @param neighbours other schools at most
 */
export async function isolationTargets(
  engine: Engine,
  namespace: string,
  neighbours: number,
  sockets: readonly ControlSocket[],
): Promise<readonly ProbeTarget[]> {
  const others = (await engine.list()).filter((other) => other !== namespace).slice(0, neighbours);
  const observed = await Promise.all(others.map((other) => engine.observe(other)));
  const neighbourTargets = observed.flatMap((neighbour) =>
    neighbour.endpoints.map(
      (endpoint): ProbeTarget => ({
        kind: "neighbour",
        label: `${endpoint.service} of another school`,
        host: endpoint.address,
        port: endpoint.port,
        protocol: "tcp",
      }),
    ),
  );
  const controlTargets = sockets.map(
    ({ label, path }): ProbeTarget => ({ kind: "control-plane", label, host: path, port: 0, protocol: "unix" }),
  );
  const host = engine.outside === undefined ? hostTargets() : await engine.outside();
  const outside: ProbeTarget[] = [
    { kind: "metadata", label: "metadata address", host: "169.254.169.254", port: 80, protocol: "tcp" },
    // A root name server: an address of the open Internet that never changes.
    { kind: "internet", label: "the Internet", host: "198.41.0.4", port: 53, protocol: "tcp" },
    { kind: "internet", label: "the Internet, by UDP", host: "198.41.0.4", port: 53, protocol: "udp" },
    { kind: "outside-name", label: "an outside name", host: "example.org", port: 443, protocol: "dns" },
  ];
  return [...neighbourTargets, ...host, ...controlTargets, ...outside, ...kernelTargets(engine.name)];
}
