import { EventEmitter, on } from "node:events";
import type { Clock } from "../../clock.ts";
import { hashManifest } from "../../render/hash.ts";
import { schemaProblems } from "../../render/schema.ts";
import { quantityToBytes } from "../../render/values.ts";
import {
  type Engine,
  EngineError,
  type Finding,
  isAnothers,
  type JobResult,
  type JobRun,
  type Manifest,
  type ObjectRef,
  type Observation,
  type Wakeup,
  type WorkloadObservation,
} from "../engine.ts";
import type { SimulatedNamespace, SimulatedWorld, WorldStore } from "./world.ts";

/** Faults: called before and after the effect of each engine call; what they throw, the caller gets (the effect stays). */
export interface Faults {
  before?(call: string): void | Promise<void>;
  after?(call: string): void | Promise<void>;
}

export interface SimulatedOptions {
  readonly world: WorldStore;
  readonly clock: Clock;
  /** Milliseconds a workload takes to become ready. */
  readonly startupMs?: number;
  readonly faults?: Faults;
  /** See Engine.identity. */
  readonly identity?: () => string;
  /** What preflight finds. */
  readonly findings?: () => readonly Finding[];
  /** Answers jobs; the data it may change is the namespace's volumes. */
  readonly runJob?: (namespace: string, job: JobRun, state: SimulatedNamespace) => JobResult;
}

const WORKLOADS = new Set(["Deployment", "StatefulSet"]);
const KINDS = new Set([
  "Namespace",
  "ServiceAccount",
  "ResourceQuota",
  "LimitRange",
  "NetworkPolicy",
  "Secret",
  "PersistentVolumeClaim",
  "Service",
  "Ingress",
  ...WORKLOADS,
]);

function field(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (inner, key) => (typeof inner === "object" && inner !== null ? Reflect.get(inner, key) : undefined),
    value,
  );
}

function replicasOf(manifest: Manifest): number {
  const replicas = field(manifest, "spec", "replicas");
  return typeof replicas === "number" ? replicas : 1;
}

function storageOf(manifest: Manifest): number {
  return quantityToBytes(String(field(manifest, "spec", "resources", "requests", "storage")));
}

function namespaceIn(world: SimulatedWorld, name: string): SimulatedNamespace {
  const existing = world.namespaces[name];
  if (existing !== undefined) return existing;
  const fresh: SimulatedNamespace = { objects: [], workloads: [], volumes: [] };
  world.namespaces[name] = fresh;
  return fresh;
}

function applyVolume(world: SimulatedWorld, state: SimulatedNamespace, manifest: Manifest): void {
  const capacityBytes = storageOf(manifest);
  const asked = field(manifest, "spec", "storageClassName");
  const className = typeof asked === "string" ? { className: asked } : {};
  const volume = state.volumes.find((candidate) => candidate.name === manifest.metadata.name);
  if (volume === undefined) {
    world.volumesMade += 1;
    state.volumes.push({
      name: manifest.metadata.name,
      capacityBytes,
      made: world.volumesMade,
      data: {},
      ...className,
    });
    return;
  }
  if (volume.className !== className.className)
    throw new EngineError("ManifestRefused", "The class of a volume cannot be changed.", { retryable: false });
  if (capacityBytes < volume.capacityBytes)
    throw new EngineError("VolumeShrinks", "A volume cannot shrink.", { retryable: false });
  volume.capacityBytes = capacityBytes;
}

function applyWorkload(state: SimulatedNamespace, manifest: Manifest, readyAt: number): void {
  const hash = hashManifest(manifest);
  const { kind, metadata } = manifest;
  const running = state.workloads.find((candidate) => candidate.kind === kind && candidate.name === metadata.name);
  if (running?.hash === hash) return;
  state.workloads = state.workloads.filter((candidate) => candidate !== running);
  if (replicasOf(manifest) > 0)
    state.workloads.push({
      kind,
      name: metadata.name,
      readyAt,
      hash,
      restarts: 0,
      crashing: running?.crashing ?? false,
    });
}

function applyObject(world: SimulatedWorld, namespace: string, manifest: Manifest, readyAt: number): void {
  const state = namespaceIn(world, namespace);
  const { kind, metadata } = manifest;
  if (kind === "PersistentVolumeClaim") applyVolume(world, state, manifest);
  if (WORKLOADS.has(kind)) applyWorkload(state, manifest, readyAt);
  state.objects = state.objects.filter((object) => object.kind !== kind || object.name !== metadata.name);
  state.objects.push({ kind, name: metadata.name, hash: hashManifest(manifest), manifest });
}

function removeObject(world: SimulatedWorld, namespace: string, ref: ObjectRef): void {
  if (ref.kind === "Namespace") {
    delete world.namespaces[namespace];
    return;
  }
  const state = world.namespaces[namespace];
  if (state === undefined) return;
  const stays = (object: ObjectRef): boolean => object.kind !== ref.kind || object.name !== ref.name;
  state.objects = state.objects.filter(stays);
  state.workloads = state.workloads.filter(stays);
  if (ref.kind === "PersistentVolumeClaim") state.volumes = state.volumes.filter((volume) => volume.name !== ref.name);
}

function observeWorkload(
  state: SimulatedNamespace,
  object: SimulatedNamespace["objects"][number],
  now: number,
): WorkloadObservation {
  const ref = { kind: object.kind, name: object.name };
  const running = state.workloads.find((candidate) => candidate.kind === object.kind && candidate.name === object.name);
  const base = { ref, runningHash: running?.hash, restarts: running?.restarts ?? 0 };
  if (running === undefined) {
    const stopped = replicasOf(object.manifest) === 0;
    return {
      ...base,
      state: stopped ? "Stopped" : "Missing",
      reason: stopped ? "Suspended" : "ContainerMissing",
      message: stopped ? "stopped" : "no container",
    };
  }
  if (running.crashing)
    return { ...base, state: "Failing", reason: "ContainerCrashing", message: "exits again and again" };
  if (running.readyAt > now) return { ...base, state: "Starting", reason: "ContainerStarting", message: "starting" };
  return { ...base, state: "Ready", reason: "AsDesired", message: "ready" };
}

/** As an ext4 has them: one for each 16 KiB. */
function inodesOf({ capacityBytes, data, fill }: SimulatedNamespace["volumes"][number]) {
  return { used: fill?.inodes ?? Object.keys(data).length, total: Math.floor(capacityBytes / 16_384) };
}

function observeNamespace(name: string, state: SimulatedNamespace | undefined, now: number): Observation {
  if (state === undefined)
    return { namespace: name, exists: false, objects: [], workloads: [], volumes: [], endpoints: [] };
  const workloads = state.objects
    .filter((object) => WORKLOADS.has(object.kind))
    .map((object) => observeWorkload(state, object, now));
  const used = state.workloads.length > 0;
  const appReady = workloads.some((workload) => workload.ref.name === "app" && workload.state === "Ready");
  return {
    namespace: name,
    exists: true,
    objects: state.objects.map(({ kind, name: object, hash }) => ({ kind, name: object, hash })),
    workloads,
    volumes: state.volumes.map((volume) => ({
      name: volume.name,
      state: "Present",
      identity: String(volume.made),
      capacityBytes: volume.capacityBytes,
      usedBytes: used ? (volume.fill?.bytes ?? JSON.stringify(volume.data).length) : undefined,
      ...(used ? { inodes: inodesOf(volume) } : {}),
      locked: !used,
      asked: { className: volume.className, size: String(volume.capacityBytes) },
    })),
    endpoints: appReady ? [{ service: "app", address: "192.0.2.1", port: 8080 }] : [],
  };
}

/** What a cluster would refuse: other kinds, fields that Kubernetes does not have, objects of another namespace. */
function refuseUnknown(namespace: string, objects: readonly Manifest[]): void {
  for (const manifest of objects) {
    const title = `${manifest.kind}/${manifest.metadata.name}`;
    const problems = KINDS.has(manifest.kind) ? [...schemaProblems(manifest)] : ["not a kind this engine knows"];
    const home = manifest.kind === "Namespace" ? manifest.metadata.name : manifest.metadata.namespace;
    if (home !== namespace) problems.push(`metadata.namespace: is ${String(home)}, not ${namespace}`);
    if (problems.length > 0)
      throw new EngineError("ManifestRefused", `${title}: ${problems.join("; ")}`, { retryable: false });
  }
}

/** An engine in memory, for tests and for very many schools: the same interface, a settable clock, injectable faults. */
export function createSimulatedEngine(options: SimulatedOptions): Engine {
  const { world, clock } = options;
  const wakeups = new EventEmitter();

  async function call<T>(name: string, effect: () => T): Promise<T> {
    await options.faults?.before?.(name);
    const result = effect();
    await options.faults?.after?.(name);
    return result;
  }

  function wake(namespace: string): void {
    wakeups.emit("wake", { namespace } satisfies Wakeup);
  }

  const observe = (namespace: string): Observation =>
    observeNamespace(namespace, world.read().namespaces[namespace], clock.now().getTime());

  return {
    name: "simulated",
    preflight: async () =>
      options.findings?.() ?? [
        { check: "simulated", ok: true, message: "Nothing is needed: this engine is in memory." },
      ],
    identity: async () => options.identity?.() ?? "memory",
    observe: (namespace) => call(`observe ${namespace}`, () => observe(namespace)),
    list: () => call("list", () => Object.keys(world.read().namespaces)),
    async apply(namespace, objects) {
      refuseUnknown(namespace, objects);
      // One object at a time, as a cluster would take them: a kill may come between any two.
      for (const manifest of objects) {
        await call(`apply ${manifest.kind}/${manifest.metadata.name}`, () => {
          const present = world
            .read()
            .namespaces[namespace]?.objects.find(
              (object) => object.kind === manifest.kind && object.name === manifest.metadata.name,
            );
          const lost =
            WORKLOADS.has(manifest.kind) &&
            replicasOf(manifest) > 0 &&
            !world.read().namespaces[namespace]?.workloads.some((workload) => workload.name === manifest.metadata.name);
          if (present?.hash === hashManifest(manifest) && !lost) return;
          world.change((state) =>
            applyObject(state, namespace, manifest, clock.now().getTime() + (options.startupMs ?? 0)),
          );
        });
      }
      wake(namespace);
      // What starts says so when it is ready.
      if ((options.startupMs ?? 0) > 0) void clock.sleep(options.startupMs ?? 0).then(() => wake(namespace));
    },
    async awaitReady(namespace, workload, deadline, signal) {
      const end = clock.now().getTime() + deadline;
      await options.faults?.before?.(`awaitReady ${workload.name}`);
      for (;;) {
        const found = observe(namespace).workloads.find(
          (candidate) => candidate.ref.kind === workload.kind && candidate.ref.name === workload.name,
        );
        if (found?.state === "Ready") return;
        if (found === undefined || found.state === "Failing")
          throw new EngineError(found?.reason ?? "ContainerMissing", found?.message ?? "no such workload");
        if (signal?.aborted || clock.now().getTime() >= end)
          throw new EngineError("ContainerStarting", `${workload.name} was not ready in time`);
        await clock.sleep(5, signal);
      }
    },
    async remove(namespace, objects, removeOptions = {}) {
      const space = world.read().namespaces[namespace]?.objects.find(({ kind }) => kind === "Namespace");
      if (isAnothers(space?.manifest.metadata.annotations, removeOptions.tenantUid)) return;
      for (const ref of objects)
        await call(`remove ${ref.kind}/${ref.name}`, () =>
          world.change((state) => removeObject(state, namespace, ref)),
        );
      wake(namespace);
    },
    run: (namespace, job) =>
      call(`run ${job.manifest.metadata.name}`, () =>
        world.change((state) => {
          const target = state.namespaces[namespace];
          if (target === undefined) throw new EngineError("NamespaceMissing", `There is no namespace ${namespace}.`);
          return options.runJob?.(namespace, job, target) ?? { exitCode: 0, output: job.input, logTail: [] };
        }),
      ),
    logs: async () => [],
    restart: (namespace, workload) =>
      call(`restart ${workload.name}`, () => {
        world.change((state) => {
          for (const running of state.namespaces[namespace]?.workloads ?? []) {
            if (running.kind === workload.kind && running.name === workload.name) running.restarts += 1;
          }
        });
        wake(namespace);
      }),
    async *watch(signal) {
      try {
        for await (const [wakeup] of on(wakeups, "wake", { signal })) yield wakeup as Wakeup;
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    },
    close: async () => {
      wakeups.removeAllListeners();
    },
  };
}
