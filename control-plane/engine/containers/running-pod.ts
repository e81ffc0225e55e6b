import { messageOf } from "../../errors.ts";
import { EngineError, type ManifestHash, type ObjectRef } from "../engine.ts";
import type { EngineContext } from "./context.ts";
import { LABEL } from "./names.ts";
import { labelsOf } from "./namespace.ts";
import { type PodRequest, preparePod, runInitContainers, userOf } from "./pods.ts";
import type { PodModel } from "./translate/pod.ts";

/** A pod whose main container was started, and what is known of it. */
export interface RunningPod {
  readonly id: string;
  readonly address: string;
  /** Digest of the pod model it was made from. */
  readonly digest: string;
  /** Hash of the manifest it was made from. */
  readonly hash: ManifestHash;
  readonly grace: number;
  /** Aborted when its probes are to end. */
  readonly watching: AbortController;
  /** Milliseconds since the epoch. */
  readonly since: number;
  started: boolean;
  ready: boolean;
  /** What the readiness probe finds wrong, while it does. */
  unreadyWhy: string | undefined;
  /** Whether somebody may have reached it: it has been ready, or an earlier process started it. */
  served: boolean;
  /** Why it has to be replaced. */
  dead: string | undefined;
  /** Seconds for a dead one to end well, if the probe that found it dead says so. */
  deadGrace: number | undefined;
}

/** Milliseconds from a pod's start to its limit of processor time. */
const LIMIT_AFTER = 5_000;

function runningPod(
  context: EngineContext,
  known: Pick<RunningPod, "id" | "address" | "digest" | "hash" | "grace" | "served">,
): RunningPod {
  return {
    ...known,
    watching: new AbortController(),
    since: context.clock.now().getTime(),
    started: false,
    ready: false,
    unreadyWhy: undefined,
    dead: undefined,
    deadGrace: undefined,
  };
}

/** Makes and starts a pod: init containers one after the other, then the main container. `onPlaced`: something runs. */
export async function startPod(context: EngineContext, request: PodRequest, onPlaced: () => void): Promise<RunningPod> {
  const { pod, signal, hash, address } = request;
  const maker = await preparePod(context, request);
  const hopeless = new AbortController();
  const initRequest = { ...request, signal: AbortSignal.any([signal, hopeless.signal]) };
  const init = runInitContainers(context, maker, initRequest, onPlaced);
  // Made while the init containers still run; started after them. If it cannot be made, they run in vain.
  const making = maker.create(pod.main, "main");
  making.catch(() => hopeless.abort());
  const [, main] = await Promise.allSettled([init, making]);
  await init.catch(async (error: unknown) => {
    if (main.status === "fulfilled") await context.api.remove(main.value);
    throw error;
  });
  if (main.status === "rejected") throw main.reason;
  if (signal.aborted) {
    await context.api.remove(main.value);
    throw new EngineError("Interrupted", "something else is wanted now");
  }
  await context.api.start(main.value);
  onPlaced();
  return runningPod(context, {
    id: main.value,
    address,
    digest: pod.digest,
    hash,
    grace: pod.graceSeconds,
    served: false,
  });
}

/** A running pod of a workload, if there is one: one made from the wanted model rather than another. */
export async function findPod(
  context: EngineContext,
  namespace: string,
  ref: ObjectRef,
  wanted: PodModel,
): Promise<{ readonly pod: RunningPod; readonly restarts: number } | undefined> {
  const containers = await context.api.list(labelsOf(context, namespace, ref));
  const running = containers.filter((container) => container.running && container.labels[LABEL.role] === "main");
  const best = running.find((container) => container.labels[LABEL.pod] === wanted.digest) ?? running[0];
  if (best === undefined) return undefined;
  const { [LABEL.address]: address = "", [LABEL.hash]: hash = "", [LABEL.pod]: digest = "" } = best.labels;
  const pod = runningPod(context, { id: best.id, address, hash, digest, grace: wanted.graceSeconds, served: true });
  return { pod, restarts: Number(best.labels[LABEL.restarts] ?? 0) };
}

/** Probes a pod until it is ended, noting in it what they find; told are changes only. */
export function watchPod(
  context: EngineContext,
  namespace: string,
  ref: ObjectRef,
  pod: RunningPod,
  model: PodModel,
  told: { ready(ready: boolean): void; dead(): void },
): void {
  const complain = (error: unknown) => context.log.warn({ namespace, workload: userOf(ref) }, messageOf(error));
  const report = {
    started: () => {
      pod.started = true;
      // It started with more (see pods.ts); also after another process has taken over. Not at once: setting it takes as long
      // as a container's start, and whoever waits for the school waits for the next one.
      void context.clock
        .sleep(LIMIT_AFTER, pod.watching.signal)
        .then(() =>
          pod.watching.signal.aborted ? undefined : context.api.limitProcessors(pod.id, model.main.nanoCpus),
        )
        .catch(complain);
    },
    ready: (ready: boolean, why: string | undefined) => {
      pod.unreadyWhy = why;
      if (pod.ready === ready) return;
      pod.ready = ready;
      pod.served ||= ready;
      told.ready(ready);
    },
    dead: (why: string, graceSeconds: number | undefined) => {
      pod.dead = why;
      pod.deadGrace = graceSeconds;
      pod.ready = false;
      told.dead();
    },
  };
  const target = { address: pod.address, container: model.main };
  void context.prober.watch(target, report, pod.watching.signal).catch(complain);
}

/** Ends a pod gracefully and removes it. */
export async function endPod(
  context: EngineContext,
  pod: RunningPod,
  graceSeconds: number = pod.deadGrace ?? pod.grace,
): Promise<void> {
  pod.watching.abort();
  pod.ready = false;
  await context.api.stop(pod.id, graceSeconds);
  await context.api.remove(pod.id);
}
