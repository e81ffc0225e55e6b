import { existsSync } from "node:fs";
import { chmod, mkdir, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import type { Instance } from "../../host/instance.ts";
import { processLimits } from "../../host/process-limits.ts";
import { runHost } from "../../host/program.ts";
import type { Log } from "../../log.ts";
import { type Engine, EngineError, type ObjectRef } from "../engine.ts";
import { type Applying, applyObjects } from "./apply.ts";
import { openClaims } from "./claims.ts";
import type { EngineContext } from "./context.ts";
import { type ContainerApi, openContainerApi } from "./docker.ts";
import { followEvents } from "./events.ts";
import { openFirewall, type Walled } from "./firewall.ts";
import { guardHost } from "./guard.ts";
import { openIdentities } from "./identities.ts";
import { createJobRunner } from "./jobs.ts";
import { createKeeper, type Keeper } from "./keeper.ts";
import { createMutex } from "./mutex.ts";
import { LABEL } from "./names.ts";
import { leaving, objectsOf, permitted, readNamespace } from "./namespace.ts";
import { openNetworks } from "./network.ts";
import { openObjectStore } from "./objects.ts";
import { observeNamespace, wholeRecords } from "./observe.ts";
import { preflight } from "./preflight.ts";
import { createProber } from "./probes.ts";
import { createRelays } from "./relays.ts";
import { removeObjects } from "./remove.ts";
import { openSeccomp } from "./seccomp.ts";
import { openSecretFiles } from "./secrets.ts";
import { createStandingRelays } from "./standing-relays.ts";
import type { WorkloadModel } from "./translate/translate.ts";
import { openEncryptedVolumes } from "./volumes.ts";
import { createWakeups } from "./wakeups.ts";
import { examineWalls } from "./walls.ts";

export interface ContainersEngineOptions {
  readonly instance: Instance;
  /** Unix socket of a Docker Engine API: the instance's own Podman, or Docker. */
  readonly dockerSocket: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Users of this host that may reach what policies open to the gateway; root always may. */
  readonly hostAccessUids?: readonly number[];
  /** Whether each school runs as a user of the host of its own, which is usual. */
  readonly ownUsers?: boolean;
  /** Images that preflight looks for. */
  readonly images?: readonly string[];
  /** Containers created or started at once; Podman is not made for many. */
  readonly concurrentStarts?: number;
  /** Milliseconds a replaced pod keeps answering, so that the gateway can follow. */
  readonly drain?: number;
  /** False for a process that only looks (doctor): nothing is probed, restarted or repaired. */
  readonly keep?: boolean;
}

const RESYNC = 60_000;

/** fscrypt wants one configuration per host. Whether we made it is remembered, so that the last uninstall can take it away. */
async function prepareFscrypt(instance: Instance): Promise<void> {
  if (existsSync("/etc/fscrypt.conf")) return;
  await runHost("fscrypt", ["setup", "--force", "--quiet"]);
  await writeFile(join(instance.stateDir, "made-fscrypt-conf"), "");
}

/** Whether a running container mounts a claim, told by its label. */
function mountedBy(api: ContainerApi, instance: Instance): (namespace: string, claim: string) => Promise<boolean> {
  return async (namespace, claim) => {
    const containers = await api.list({ [LABEL.instance]: instance.name, [LABEL.namespace]: namespace });
    return containers.some(
      (container) => container.running && (container.labels[LABEL.claims] ?? "").split(",").includes(claim),
    );
  };
}

/** States of a container that nothing of it runs in, nor will; a paused or a stopping one still does. */
const OVER: ReadonlySet<string> = new Set(["exited", "stopped", "dead"]);

/** Whether any container of a namespace runs, or may yet. */
function aliveIn(api: ContainerApi, instance: Instance): (namespace: string) => Promise<boolean> {
  return async (namespace) => {
    const containers = await api.list({ [LABEL.instance]: instance.name, [LABEL.namespace]: namespace });
    return containers.some(({ state }) => !OVER.has(state));
  };
}

/**
 * Opens the engine for one Linux machine. Several may be open at once, but only one should keep schools running.
 * Schools that were applied earlier are taken over as they are: running pods go on, ended ones are started again.
 */
export async function createContainersEngine(options: ContainersEngineOptions): Promise<Engine> {
  const { instance, clock, log } = options;
  const keep = options.keep ?? true;
  await mkdir(join(instance.stateDir, "engine"), { recursive: true, mode: 0o700 });
  await mkdir(instance.runDir, { recursive: true, mode: 0o700 });
  const emptyFile = join(instance.runDir, "empty");
  await writeFile(emptyFile, "", { mode: 0o444 });
  // Set, not asked for: it is /etc/resolv.conf to every container, whatever the umask was.
  await chmod(emptyFile, 0o444);

  const api = openContainerApi(options.dockerSocket, clock, options.concurrentStarts ?? 3);
  const objects = openObjectStore(instance.stateDir);
  const secrets = openSecretFiles(instance.runDir);
  const wakeups = createWakeups();
  const identities = openIdentities(instance, aliveIn(api, instance), options.ownUsers);
  const mended = new Map<string, Date>();
  const context: EngineContext = {
    instance,
    clock,
    log,
    api,
    objects,
    secrets,
    claims: openClaims(instance, openEncryptedVolumes(instance), secrets, identities, clock, mountedBy(api, instance)),
    identities,
    networks: openNetworks(instance, api, () => objects.namespaces()),
    firewall: openFirewall(instance, options.hostAccessUids ?? [], (namespaces) => {
      for (const namespace of namespaces) mended.set(namespace, clock.now());
    }),
    prober: createProber(clock),
    relays: createRelays(log),
    seccomp: openSeccomp(instance.runDir),
    limits: processLimits(),
    emptyFile,
    drain: options.drain ?? 3_000,
    mended,
    wake: wakeups.wake,
  };
  const keepers = new Map<string, Map<string, Keeper>>();
  const mutex = createMutex();
  const jobs = createJobRunner(context, loadFirewall);
  const standing = createStandingRelays(context.relays, clock, log);
  const closing = new AbortController();

  function keepersOf(namespace: string): readonly Keeper[] {
    return [...(keepers.get(namespace)?.values() ?? [])];
  }

  function keeperOf(namespace: string, ref: ObjectRef): Keeper {
    const own = keepers.get(namespace) ?? new Map<string, Keeper>();
    keepers.set(namespace, own);
    const key = `${ref.kind}/${ref.name}`;
    const keeper = own.get(key) ?? createKeeper(context, namespace, { kind: ref.kind, name: ref.name });
    own.set(key, keeper);
    return keeper;
  }

  async function walledOf(namespace: string): Promise<readonly Walled[]> {
    const network = await context.networks.find(namespace);
    const state = network === undefined ? undefined : await readNamespace(context, namespace);
    if (network === undefined || state === undefined || state.records.length === 0) {
      standing.set(namespace, "", []);
      return [];
    }
    standing.set(namespace, network.gateway, await leaving(context, state));
    return [{ namespace, network, allowed: await permitted(context, state, jobs.placed(namespace)) }];
  }

  function loadFirewall(...namespaces: readonly string[]): Promise<void> {
    return context.firewall.load(async () => (await Promise.all(namespaces.map(walledOf))).flat());
  }

  const observe = (namespace: string) =>
    observeNamespace(context, namespace, keepersOf(namespace), jobs.placed(namespace));

  const whole: Applying["whole"] = (state, records) =>
    wholeRecords(context, state, records, keepersOf(state.namespace), jobs.placed(state.namespace));

  const want = (namespace: string, workload: WorkloadModel, hash: string) =>
    keeperOf(namespace, workload).want(workload, hash);

  async function forget(namespace: string, ref: ObjectRef): Promise<void> {
    const keeper = keeperOf(namespace, ref);
    await keeper.want(undefined, "");
    await keeper.close();
    keepers.get(namespace)?.delete(`${ref.kind}/${ref.name}`);
  }

  /** Takes over a namespace that an earlier process applied. What a reboot took away waits for the caller to apply it again. */
  async function takeOver(namespace: string): Promise<void> {
    const state = await readNamespace(context, namespace);
    await loadFirewall(namespace);
    await Promise.all(
      state.workloads.map((workload) => {
        const record = state.records.find(
          ({ manifest }) => manifest.kind === workload.kind && manifest.metadata.name === workload.name,
        );
        return want(namespace, workload, record?.hash ?? "");
      }),
    );
    // A stop that was cut off may have left a volume open.
    await context.claims.release("", objectsOf(state, "PersistentVolumeClaim"));
  }

  async function open(): Promise<void> {
    await secrets.open();
    await prepareFscrypt(instance);
    await context.firewall.open();
    await jobs.sweep();
    for (const namespace of await objects.namespaces()) {
      await takeOver(namespace).catch((error: unknown) => log.error({ namespace }, messageOf(error)));
    }
    void resync();
    void guardHost({ context, loadFirewall: (namespaces) => loadFirewall(...namespaces) }, closing.signal);
    void followEvents(
      api,
      instance,
      clock,
      closing.signal,
      ({ id, namespace, workload }) => keepers.get(namespace)?.get(workload)?.ended(id),
      () => {
        for (const own of keepers.values()) for (const keeper of own.values()) void keeper.kick();
      },
    );
  }
  /** Events may be missed while the engine's API restarts: one look at everything a minute finds what ended unseen. */
  async function resync(): Promise<void> {
    while (!closing.signal.aborted) {
      await clock.sleep(RESYNC, closing.signal);
      const containers = await api.list({ [LABEL.instance]: instance.name }).catch(() => undefined);
      const running = new Set(containers?.filter((container) => container.running).map((container) => container.id));
      for (const keeper of [...keepers.values()].flatMap((own) => [...own.values()])) {
        if (containers !== undefined && !closing.signal.aborted) keeper.running(running);
      }
    }
  }

  if (keep) await open();

  return {
    name: "containers",
    preflight: () => preflight(context, options.images ?? []),
    examineIsolation: (namespace) => examineWalls(context, namespace, jobs.placed(namespace)),
    observe,
    answers: () => api.ping(),
    async room() {
      const { blocks, bavail, bsize } = await statfs(instance.stateDir);
      return { totalBytes: blocks * bsize, freeBytes: bavail * bsize };
    },
    async list() {
      const [recorded, volumes, files, containers, networks] = await Promise.all([
        objects.namespaces(),
        context.claims.namespaces(),
        secrets.namespaces(),
        api.list({ [LABEL.instance]: instance.name }),
        api.networks({ [LABEL.instance]: instance.name }),
      ]);
      const found = new Set([...recorded, ...volumes, ...files.filter((name) => !name.startsWith("."))]);
      for (const container of containers) {
        const namespace = container.labels[LABEL.namespace];
        if (namespace !== undefined) found.add(namespace);
      }
      for (const name of networks) found.add(name.slice(instance.name.length + 1));
      return [...found].sort();
    },
    apply: (namespace, manifests, applyOptions = {}) =>
      mutex.run(`namespace ${namespace}`, () =>
        applyObjects({ context, whole, loadFirewall, want }, namespace, manifests, applyOptions),
      ),
    async awaitReady(namespace, workload, deadline, signal) {
      const keeper = keepers.get(namespace)?.get(`${workload.kind}/${workload.name}`);
      if (keeper === undefined) {
        throw new EngineError("ContainerMissing", `${workload.kind}/${workload.name} was never applied`);
      }
      const limit = new AbortController();
      const abort = () => limit.abort();
      signal?.addEventListener("abort", abort, { once: true });
      const over = new AbortController();
      void clock.sleep(deadline, over.signal).then(abort);
      try {
        if (signal?.aborted) abort();
        await keeper.ready(limit.signal);
      } finally {
        over.abort();
        signal?.removeEventListener("abort", abort);
      }
    },
    remove: (namespace, refs, removeOptions = {}) =>
      mutex.run(`namespace ${namespace}`, async () => {
        await removeObjects({ context, forget, loadFirewall }, namespace, refs, removeOptions);
        if (keepersOf(namespace).length === 0) keepers.delete(namespace);
      }),
    run: (namespace, job) => jobs.run(namespace, job),
    async logs(namespace, workload, logOptions = {}) {
      const keeper = keepers.get(namespace)?.get(`${workload.kind}/${workload.name}`);
      const id = await keeper?.newestPod();
      return id === undefined ? [] : api.tail(id, logOptions.tail ?? 100);
    },
    async restart(namespace, workload) {
      const keeper = keepers.get(namespace)?.get(`${workload.kind}/${workload.name}`);
      if (keeper === undefined) {
        throw new EngineError("ContainerMissing", `${workload.kind}/${workload.name} was never applied`);
      }
      await keeper.restart();
    },
    watch: (signal) => wakeups.watch(AbortSignal.any([signal, closing.signal])),
    async close() {
      closing.abort();
      standing.close();
      context.relays.close();
      await Promise.all([...keepers.values()].flatMap((own) => [...own.values()].map((keeper) => keeper.close())));
    },
  };
}
