import { createHash } from "node:crypto";
import { cpuToMillis, quantityToBytes } from "../../../render/values.ts";
import { EngineError } from "../../engine.ts";
import type { ContainerShape, PodShape, ProbeShape } from "./shapes.ts";

export type MountModel = { readonly path: string; readonly readOnly: boolean } & (
  | { readonly kind: "secret"; readonly secret: string }
  | { readonly kind: "memory"; readonly bytes: number }
  | { readonly kind: "claim"; readonly claim: string; readonly subPath: string | undefined }
);

export interface ProbeModel {
  readonly check: /** What images/postgres/postgres-probe asks: whether it takes logins, or whether it answers at all. */
    | { readonly kind: "postgres"; readonly question: "ready" | "alive"; readonly port: number }
    | { readonly kind: "http"; readonly path: string; readonly port: number }
    | { readonly kind: "tcp"; readonly port: number };
  /** Milliseconds. */
  readonly initialDelay: number;
  readonly period: number;
  readonly timeout: number;
  readonly failureThreshold: number;
  /** Seconds to end well for a container that this probe found dead; the pod's own if undefined. */
  readonly graceSeconds: number | undefined;
}

export interface ContainerModel {
  readonly name: string;
  readonly image: string;
  readonly command: readonly string[];
  /** NAME=value. */
  readonly env: readonly string[];
  readonly memoryBytes: number;
  readonly nanoCpus: number;
  readonly ports: readonly number[];
  readonly mounts: readonly MountModel[];
  readonly startup: ProbeModel | undefined;
  readonly liveness: ProbeModel | undefined;
  readonly readiness: ProbeModel | undefined;
}

export interface PodModel {
  /** Hex digest of everything a running pod depends on: equal means no restart is due. */
  readonly digest: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly uid: number;
  readonly gid: number;
  /** Seconds between SIGTERM and SIGKILL. */
  readonly graceSeconds: number;
  readonly init: readonly ContainerModel[];
  readonly main: ContainerModel;
  /** Names that it reaches outside, by address (hostAliases); absent if there are none. */
  readonly aliases?: ReadonlyArray<{ readonly name: string; readonly address: string }>;
}

/** Where PostgreSQL listens in a container that names no port. */
const POSTGRES_PORT = 5432;

/** Kubernetes' defaults. */
function probeOf(shape: ProbeShape | undefined, ports: readonly number[]): ProbeModel | undefined {
  if (shape === undefined) return undefined;
  const times = {
    initialDelay: (shape.initialDelaySeconds ?? 0) * 1000,
    period: (shape.periodSeconds ?? 10) * 1000,
    timeout: (shape.timeoutSeconds ?? 1) * 1000,
    failureThreshold: shape.failureThreshold ?? 3,
    graceSeconds: shape.terminationGracePeriodSeconds,
  };
  if (shape.exec) {
    const question = shape.exec.command[1] === "alive" ? "alive" : "ready";
    return { check: { kind: "postgres", question, port: ports[0] ?? POSTGRES_PORT }, ...times };
  }
  if (shape.httpGet) return { check: { kind: "http", path: shape.httpGet.path, port: shape.httpGet.port }, ...times };
  if (shape.tcpSocket) return { check: { kind: "tcp", port: shape.tcpSocket.port }, ...times };
  return undefined;
}

function mountsOf(title: string, container: ContainerShape, volumes: PodShape["volumes"]): readonly MountModel[] {
  return (container.volumeMounts ?? []).map((mount, index) => {
    const path = `containers.${container.name}.volumeMounts[${index}]`;
    const refuse = (why: string) =>
      new EngineError("ManifestRefused", `${title}: ${path}: ${why}`, { retryable: false });
    const volume = volumes?.find((candidate) => candidate.name === mount.name);
    if (volume === undefined) throw refuse(`there is no volume ${mount.name}`);
    const common = { path: mount.mountPath, readOnly: mount.readOnly ?? false };
    if (volume.persistentVolumeClaim) {
      return { kind: "claim", claim: volume.persistentVolumeClaim.claimName, subPath: mount.subPath, ...common };
    }
    if (mount.subPath !== undefined) throw refuse("subPath: supported for a claim only");
    if (volume.secret) {
      if (!common.readOnly) throw refuse("readOnly: a secret is mounted read-only");
      return { kind: "secret", secret: volume.secret.secretName, ...common };
    }
    if (common.readOnly) throw refuse("readOnly: an emptyDir nobody can write to");
    return { kind: "memory", bytes: quantityToBytes(volume.emptyDir?.sizeLimit ?? "0"), ...common };
  });
}

function containerOf(title: string, shape: ContainerShape, volumes: PodShape["volumes"]): ContainerModel {
  const ports = (shape.ports ?? []).map((port) => port.containerPort);
  return {
    name: shape.name,
    image: shape.image,
    command: [...shape.command, ...(shape.args ?? [])],
    env: (shape.env ?? []).map((entry) => `${entry.name}=${entry.value}`),
    memoryBytes: quantityToBytes(shape.resources.limits.memory),
    nanoCpus: cpuToMillis(shape.resources.limits.cpu) * 1_000_000,
    ports,
    mounts: mountsOf(title, shape, volumes),
    startup: probeOf(shape.startupProbe, ports),
    liveness: probeOf(shape.livenessProbe, ports),
    readiness: probeOf(shape.readinessProbe, ports),
  };
}

/** A pod in the terms of containers. An init container has no probes: it runs to its end. */
export function podOf(
  title: string,
  labels: Readonly<Record<string, string>>,
  spec: Omit<PodShape, "initContainers">,
  init: readonly ContainerShape[],
): PodModel {
  const aliases = (spec.hostAliases ?? []).flatMap(({ ip, hostnames }) =>
    hostnames.map((name) => ({ name, address: ip })),
  );
  const model = {
    labels,
    uid: spec.securityContext.runAsUser,
    gid: spec.securityContext.runAsGroup,
    graceSeconds: spec.terminationGracePeriodSeconds ?? 30,
    init: init.map((container) => containerOf(title, container, spec.volumes)),
    main: containerOf(title, spec.containers[0], spec.volumes),
    ...(aliases.length === 0 ? {} : { aliases }),
  };
  const probed = init.find(
    (container) => container.startupProbe ?? container.livenessProbe ?? container.readinessProbe,
  );
  if (probed) {
    throw new EngineError(
      "ManifestRefused",
      `${title}: initContainers.${probed.name}: an init container has no probes`,
      {
        retryable: false,
      },
    );
  }
  return { ...model, digest: createHash("sha256").update(JSON.stringify(model)).digest("hex").slice(0, 32) };
}

/** Names of the claims a pod mounts. */
export function claimsOf(pod: PodModel): readonly string[] {
  const mounts = [...pod.init, pod.main].flatMap((container) => container.mounts);
  return [...new Set(mounts.flatMap((mount) => (mount.kind === "claim" ? [mount.claim] : [])))];
}

/** Names of the secrets a pod mounts. */
export function secretsOf(pod: PodModel): readonly string[] {
  const mounts = [...pod.init, pod.main].flatMap((container) => container.mounts);
  return [...new Set(mounts.flatMap((mount) => (mount.kind === "secret" ? [mount.secret] : [])))];
}
