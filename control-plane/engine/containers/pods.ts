import { availableParallelism } from "node:os";
import { statusOf } from "../../host/docker-errors.ts";
import { EngineError, type ManifestHash, type ObjectRef } from "../engine.ts";
import { containerOptions } from "./container-spec.ts";
import type { EngineContext } from "./context.ts";
import { claimsFor, labelsOf, type NamespaceState, serviceHosts } from "./namespace.ts";
import { type ContainerModel, type PodModel, secretsOf } from "./translate/pod.ts";
import { subDirectory } from "./volumes.ts";
import { waysOut } from "./ways-out.ts";

/** One pod to be made. */
export interface PodRequest {
  readonly state: NamespaceState;
  readonly workload: ObjectRef;
  readonly pod: PodModel;
  readonly hash: ManifestHash;
  readonly address: string;
  readonly restarts: number;
  readonly signal: AbortSignal;
}

/** Who uses a claim: released when the last of them is gone. */
export function userOf(workload: ObjectRef): string {
  return `${workload.kind}/${workload.name}`;
}

/**
 * Makes sure that a pod's secrets are there; for each container then, that its claims are, and yields the host's directory for
 * each of its mounts. A container that mounts no claim need not wait for one.
 */
async function sourcesOf(
  context: EngineContext,
  request: PodRequest,
  uid: number,
): Promise<(container: ContainerModel) => Promise<Record<string, string>>> {
  const { state, workload, pod } = request;
  for (const secret of secretsOf(pod)) {
    if ((await context.secrets.hash(state.namespace, secret)) === undefined) {
      throw new EngineError("SecretMissing", `${userOf(workload)} waits for Secret ${secret}`);
    }
  }
  const claims = new Map(claimsFor(state, pod).map((claim) => [claim.metadata.name, claim]));
  return async (container) => {
    const sources: Record<string, string> = {};
    for (const mount of container.mounts) {
      if (mount.kind === "secret") sources[mount.path] = context.secrets.directory(state.namespace, mount.secret);
      if (mount.kind !== "claim") continue;
      const claim = claims.get(mount.claim);
      if (claim === undefined) throw new Error(`claim ${mount.claim} is not one of the pod's`);
      const directory = await context.claims.acquire(claim, userOf(workload));
      sources[mount.path] =
        mount.subPath === undefined ? directory : await subDirectory(directory, mount.subPath, uid, pod.gid);
    }
    return sources;
  };
}

/** Makes a pod's containers one by one. */
export interface PodMaker {
  create(container: ContainerModel, role: "init" | "main"): Promise<string>;
}

/** Whether the images of all pods of the namespace say that they run as any user: older ones hold files that only theirs can read. */
async function runAsAnybody(context: EngineContext, { state, pod }: PodRequest): Promise<boolean> {
  const pods = [pod, ...state.workloads.map((workload) => workload.pod)];
  const images = new Set(pods.flatMap(({ init, main }) => [...init, main].map(({ image }) => image)));
  const capable = await Promise.all([...images].map((image) => context.api.runsAsAnybody(image)));
  return capable.every((each) => each);
}

export async function preparePod(context: EngineContext, request: PodRequest): Promise<PodMaker> {
  const { state, workload, pod } = request;
  const uid = (await context.identities.settle(state.namespace, await runAsAnybody(context, request))) ?? pod.uid;
  const [{ gateway }, sources, hosts, version, passwd] = await Promise.all([
    context.networks.ensure(state.namespace),
    sourcesOf(context, request, uid),
    serviceHosts(context, state),
    context.api.version(),
    context.identities.passwd(uid),
  ]);
  const seccomp = await context.seccomp.option(version.podman);
  const octet = request.address.split(".").at(-1) ?? "0";
  const position = String(Number(octet) % 16);
  return {
    async create(container, role) {
      const options = containerOptions(pod, container, {
        instance: context.instance,
        namespace: state.namespace,
        workload,
        role,
        suffix: role === "main" ? position : `${position}-${container.name}`,
        address: request.address,
        hash: request.hash,
        restarts: request.restarts,
        // A pod's first start may use what the host has: it takes half the time. One that fails again and again may not.
        startNanoCpus: request.restarts === 0 && workload.kind !== "Job" ? availableParallelism() * 1e9 : 0,
        hosts: { ...hosts, ...waysOut(state, userOf(workload), pod, gateway).aliases },
        sources: await sources(container),
        uid,
        passwd,
        emptyFile: context.emptyFile,
        limits: context.limits,
        seccomp,
        podman: version.podman,
      });
      try {
        return await context.api.create(options);
      } catch (error) {
        if (statusOf(error) !== 409 && !/already in use/i.test(String(error))) throw error;
        // Left by an attempt whose answer was lost.
        await context.api.remove(options.name ?? "");
        return context.api.create(options);
      }
    },
  };
}

/** Runs the init containers one after the other. @throws EngineError "ContainerCrashing" with the last words of one that failed */
export async function runInitContainers(
  context: EngineContext,
  maker: PodMaker,
  request: PodRequest,
  onStarted: () => void,
): Promise<void> {
  for (const container of request.pod.init) {
    if (request.signal.aborted) return;
    const id = await maker.create(container, "init");
    const abort = () => void context.api.remove(id).catch(() => undefined);
    request.signal.addEventListener("abort", abort, { once: true });
    try {
      const output = await context.api.attach(id);
      let words = "";
      output.stderr.on("data", (chunk: Buffer) => {
        words = (words + chunk.toString("utf8")).slice(-2_000);
      });
      output.stdout.resume();
      await context.api.start(id);
      onStarted();
      await output.ended;
      const exit = await context.api.finalExit(id);
      if (request.signal.aborted) return;
      if (exit === undefined || exit.running || exit.exitCode !== 0) {
        throw new EngineError(
          "ContainerCrashing",
          `init container ${container.name} ended with ${exit?.outOfMemory ? "too little memory" : `code ${exit?.exitCode ?? "unknown"}`}: ${lastLine(words)}`,
        );
      }
    } finally {
      request.signal.removeEventListener("abort", abort);
      await context.api.remove(id);
    }
  }
}

export function lastLine(text: string): string {
  return text.trim().split("\n").at(-1) ?? "";
}

/** Removes containers of a workload, gracefully those that run. `except` stay. */
export async function removePods(
  context: EngineContext,
  namespace: string,
  workload: ObjectRef,
  graceSeconds: number,
  except: ReadonlySet<string> = new Set(),
): Promise<void> {
  const containers = await context.api.list(labelsOf(context, namespace, workload));
  await Promise.all(
    containers
      .filter((container) => !except.has(container.id))
      .map(async (container) => {
        if (container.running) await context.api.stop(container.id, graceSeconds);
        await context.api.remove(container.id);
      }),
  );
}
