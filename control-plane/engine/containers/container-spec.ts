import type Dockerode from "dockerode";
import type { Instance } from "../../host/instance.ts";
import type { ProcessLimits } from "../../host/process-limits.ts";
import type { ManifestHash, ObjectRef } from "../engine.ts";
import { containerName, LABEL, networkName } from "./names.ts";
import { type ContainerModel, claimsOf, type PodModel } from "./translate/pod.ts";

/** Where and as what a container of a pod is to run. */
export interface Placement {
  readonly instance: Instance;
  readonly namespace: string;
  readonly workload: ObjectRef;
  readonly role: "init" | "main";
  /** Makes the container's name unique among the pods of its workload. */
  readonly suffix: string;
  readonly address: string;
  readonly hash: ManifestHash;
  readonly restarts: number;
  /** Billionths of a processor while it starts; the manifest's limit follows once it has. */
  readonly startNanoCpus: number;
  /** Names of the namespace's Services that lead to one address: "db" → "10.70.0.2". */
  readonly hosts: Readonly<Record<string, string>>;
  /** Directory on the host for each mount of a claim or secret, by mount path. */
  readonly sources: Readonly<Record<string, string>>;
  /** Of this host: what it runs as, in place of the manifest's. */
  readonly uid: number;
  /** The host's file for /etc/passwd. */
  readonly passwd: string;
  /** An empty file, for /etc/resolv.conf: a school has no DNS. */
  readonly emptyFile: string;
  readonly limits: ProcessLimits;
  /** Which kernel calls it may make, as an option of the container engine. */
  readonly seccomp: string;
  /** Podman takes mount options that Docker refuses; Docker's binds keep the flags of the volume's own mount. */
  readonly podman: boolean;
}

/**
 * The hardware address that goes with an address, for ever. A successor at the same address would otherwise not be found for
 * half a minute by those who remember its predecessor's (the host, and the app its database).
 */
export function macOf(address: string): string {
  const octets = address.split(".").map((octet) => Number(octet).toString(16).padStart(2, "0"));
  // Locally administered, unicast.
  return ["02", "63", ...octets].join(":");
}

const PIDS = 256;
const TMPFS = "nosuid,nodev,noexec";

/** The Docker API's create request for one container of a pod. Pure. */
export function containerOptions(
  pod: PodModel,
  container: ContainerModel,
  placement: Placement,
): Dockerode.ContainerCreateOptions {
  const { instance, namespace, workload } = placement;
  const network = networkName(instance, namespace);
  const flags = placement.podman ? `,${TMPFS}` : "";
  // Podman makes /run and /var/tmp writable in read-only containers; nobody needs them here.
  const tmpfs: Record<string, string> = {
    "/run": `size=65536,mode=0755,${TMPFS}`,
    "/var/tmp": `size=4096,mode=0555,${TMPFS}`,
  };
  const binds = [`${placement.emptyFile}:/etc/resolv.conf:ro${flags}`, `${placement.passwd}:/etc/passwd:ro${flags}`];
  for (const mount of container.mounts) {
    if (mount.kind === "memory") tmpfs[mount.path] = `size=${mount.bytes},mode=1777,${TMPFS}`;
    else binds.push(`${placement.sources[mount.path]}:${mount.path}:${mount.readOnly ? "ro" : "rw"}${flags}`);
  }
  return {
    name: containerName(instance, namespace, workload.name, placement.suffix),
    Image: container.image,
    Entrypoint: [...container.command],
    Cmd: [],
    Env: [...container.env],
    User: `${placement.uid}:${pod.gid}`,
    Hostname: workload.name,
    WorkingDir: "/",
    Labels: {
      [LABEL.instance]: instance.name,
      [LABEL.namespace]: namespace,
      [LABEL.workload]: `${workload.kind}/${workload.name}`,
      [LABEL.role]: placement.role,
      [LABEL.pod]: pod.digest,
      [LABEL.hash]: placement.hash,
      [LABEL.address]: placement.address,
      [LABEL.restarts]: String(placement.restarts),
      [LABEL.claims]: claimsOf(pod).join(","),
      [LABEL.labels]: JSON.stringify(pod.labels),
    },
    HostConfig: {
      NetworkMode: network,
      ReadonlyRootfs: true,
      Privileged: false,
      CapDrop: ["ALL"],
      SecurityOpt: ["no-new-privileges", placement.seccomp],
      // The first process takes in what lost its parent, and hands on signals, to programs that expect neither.
      Init: true,
      Memory: container.memoryBytes,
      MemorySwap: container.memoryBytes,
      NanoCpus: Math.max(container.nanoCpus, placement.startNanoCpus),
      PidsLimit: PIDS,
      Ulimits: [
        { Name: "nofile", Soft: placement.limits.openFiles, Hard: placement.limits.openFiles },
        { Name: "nproc", Soft: placement.limits.processes, Hard: placement.limits.processes },
        { Name: "core", Soft: 0, Hard: 0 },
      ],
      Sysctls: { "net.ipv6.conf.all.disable_ipv6": "1", "net.ipv6.conf.default.disable_ipv6": "1" },
      Binds: binds,
      Tmpfs: tmpfs,
      ExtraHosts: Object.entries(placement.hosts).map(([name, address]) => `${name}:${address}`),
      // The engine restarts what ended; a second authority would race it.
      RestartPolicy: { Name: "no" },
      LogConfig: { Type: "json-file", Config: { "max-size": "5m" } },
    },
    NetworkingConfig: {
      EndpointsConfig: {
        [network]: { IPAMConfig: { IPv4Address: placement.address }, MacAddress: macOf(placement.address) },
      },
    },
  };
}
