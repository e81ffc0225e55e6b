import { messageOf } from "../../errors.ts";
import { REASONS } from "../../tenant.ts";
import {
  EngineError,
  type ManifestHash,
  type ObjectRef,
  type WorkloadObservation,
  type WorkloadState,
} from "../engine.ts";
import { createChanges } from "./changes.ts";
import type { EngineContext } from "./context.ts";
import { describeWorkload } from "./keeper-status.ts";
import { claimsFor, labelsOf, readNamespace } from "./namespace.ts";
import { lastLine, removePods, userOf } from "./pods.ts";
import { endPod, findPod, type RunningPod as Pod, startPod, watchPod } from "./running-pod.ts";
import type { PodModel } from "./translate/pod.ts";
import type { WorkloadModel } from "./translate/translate.ts";

/** Keeps one workload as desired: starts, probes, restarts, replaces and stops its pods. Level-triggered: `kick` says only "look". */
export interface Keeper {
  readonly ref: ObjectRef;
  /** Sets what is wanted (undefined: nothing, the workload is being removed) and resolves when the first attempt is over. */
  want(model: WorkloadModel | undefined, hash: ManifestHash): Promise<void>;
  /** Something may have changed: look again, now. */
  kick(): Promise<void>;
  /** Ids of all containers that run: a pod that is not among them has ended. */
  running(ids: ReadonlySet<string>): void;
  /** A container of this workload has ended. */
  ended(id: string): void;
  /** Replaces the pod by a fresh one. */
  restart(): Promise<void>;
  observation(): WorkloadObservation;
  /** Address of the pod that is ready to serve, if any. */
  endpoint(): string | undefined;
  /** Rejects with the reason once it is hopeless or the signal aborts. */
  ready(signal: AbortSignal): Promise<void>;
  /** Resolves when pods found at the start have been asked for the first time. */
  settled(): Promise<void>;
  newestPod(): Promise<string | undefined>;
  close(): Promise<void>;
}

interface Want {
  readonly model: WorkloadModel;
  readonly hash: ManifestHash;
}

/** After this many failures in a row waiting for it is hopeless. */
const HOPELESS = 3;
const LONGEST_BACKOFF = 60_000;
/** What answers its startup probe, but is not ready after this long, fails. */
const STARTS_WITHIN = 60_000;
/** A pod that ran this long was good: its end starts a new count. */
const GOOD_RUN = 30_000;
/** Seconds for an app to end that nobody ever reached: it may not hear the signal yet, and has nothing to bring to an end. */
const NEVER_SERVED_GRACE = 1;
/** Reasons that time alone does not mend. */
const TERMINAL: ReadonlySet<string> = new Set([
  REASONS.ImageMissing,
  "VolumeKeyWrong",
  REASONS.VolumeMissing,
  "ManifestRefused",
]);

export function createKeeper(context: EngineContext, namespace: string, ref: ObjectRef): Keeper {
  let want: Want | undefined;
  /** The pod that serves; during a surge the old one. */
  let current: Pod | undefined;
  let upcoming: Pod | undefined;
  let failure: { reason: string; message: string; terminal: boolean } | undefined;
  let failures = 0;
  let restarts = 0;
  let adopted = false;
  let fresh = false;
  let closed = false;
  let work: Promise<void> | undefined;
  let again = false;
  let interrupt = new AbortController();
  let backoff = new AbortController();
  const draining = new Set<Promise<void>>();
  const drainingIds = new Set<string>();
  const changes = createChanges();
  /** Resolves callers of `want` as soon as something runs; the end of the attempt does so too. */
  let placed: () => void = () => undefined;
  /** Resolves `settled` once pods of an earlier process were looked for. */
  let found: () => void = () => undefined;
  const looked = new Promise<void>((resolve) => {
    found = resolve;
  });

  function changed(): void {
    changes.notify();
    context.wake(namespace);
  }

  function fail(error: unknown): void {
    failures += 1;
    const reason = error instanceof EngineError ? error.reason : REASONS.StepFailed;
    failure = { reason, message: messageOf(error), terminal: TERMINAL.has(reason) };
    context.log.warn({ namespace, workload: userOf(ref), reason, failures }, messageOf(error));
    changed();
  }

  /** Starts the probes of a running container. */
  function watch(pod: Pod, model: PodModel): void {
    watchPod(context, namespace, ref, pod, model, {
      ready: (ready) => {
        if (ready && pod.digest === want?.model.pod.digest) failure = undefined;
        // A restart loop that reaches readiness for a moment is still a loop.
        if (ready && (context.clock.now().getTime() - pod.since > GOOD_RUN || restarts === 0)) failures = 0;
        changed();
        // It may have ended without anybody noticing.
        if (!ready && pod === current) void kick();
      },
      dead: () => {
        changed();
        // A pod that never took over is the rollout's own business.
        if (pod === current) void kick();
      },
    });
  }

  /** Takes over what runs already: this process may be younger than the pods. */
  async function adopt(wanted: Want): Promise<void> {
    adopted = true;
    const found = await findPod(context, namespace, ref, wanted.model.pod);
    if (found === undefined) return;
    restarts = found.restarts;
    current = found.pod;
    const state = await readNamespace(context, namespace);
    for (const claim of claimsFor(state, wanted.model.pod)) await context.claims.acquire(claim, userOf(ref));
    watch(current, wanted.model.pod);
  }

  async function start(wanted: Want, address: string, signal: AbortSignal): Promise<Pod> {
    const state = await readNamespace(context, namespace);
    const { pod } = wanted.model;
    const request = { state, workload: ref, pod, hash: wanted.hash, address, restarts, signal };
    const made = await startPod(context, request, () => placed());
    watch(made, pod);
    return made;
  }

  /** Podman may have lost one of the addresses for good (it was killed at a bad moment): then at another one, where there is one. */
  async function startAtAny(wanted: Want, addresses: readonly string[], signal: AbortSignal): Promise<Pod> {
    const [address = "", ...others] = addresses;
    try {
      return await start(wanted, address, signal);
    } catch (error) {
      const held = error instanceof EngineError && error.reason === "AddressHeld";
      if (!held || others.length === 0 || signal.aborted) throw error;
      await removePods(context, namespace, ref, NEVER_SERVED_GRACE, drainingIds);
      return startAtAny(wanted, others, signal);
    }
  }

  /** Notes how a pod ended, with its last words, and removes it. */
  async function bury(pod: Pod): Promise<void> {
    const exit = await context.api.exit(pod.id);
    const words = await context.api.tail(pod.id, 3).catch(() => []);
    await endPod(context, pod);
    if (current === pod) current = undefined;
    restarts += 1;
    if (context.clock.now().getTime() - pod.since > GOOD_RUN) failures = 0;
    const how = exit?.outOfMemory ? "ran out of memory" : `ended with code ${exit?.exitCode ?? "unknown"}`;
    const reason = pod.dead === undefined ? REASONS.ContainerCrashing : REASONS.ProbeFailing;
    fail(new EngineError(reason, pod.dead ?? `the container ${how}: ${lastLine(words.join("\n"))}`));
  }

  /** Seconds for what runs to end well. A database that still starts is given its time: it may be recovering. */
  function graceSeconds(): number {
    if (ref.kind === "Deployment" && current?.served === false) return NEVER_SERVED_GRACE;
    return current?.grace ?? want?.model.pod.graceSeconds ?? 30;
  }

  async function stopAll(): Promise<void> {
    const grace = graceSeconds();
    for (const pod of [current, upcoming]) pod?.watching.abort();
    await removePods(context, namespace, ref, grace);
    await Promise.allSettled(draining);
    current = undefined;
    upcoming = undefined;
    failure = undefined;
    failures = 0;
    const state = await readNamespace(context, namespace);
    const claims = state.objects.filter((object) => object.kind === "PersistentVolumeClaim");
    await context.claims.release(userOf(ref), claims);
    changed();
  }

  /** The old pod answers until the gateway has learned of the new one, then ends in its own time. */
  function drain(pod: Pod): void {
    pod.watching.abort();
    drainingIds.add(pod.id);
    const ending = context.clock
      .sleep(context.drain, interrupt.signal)
      .then(() => endPod(context, pod))
      .catch((error: unknown) => context.log.warn({ namespace, workload: userOf(ref) }, messageOf(error)))
      .finally(() => {
        drainingIds.delete(pod.id);
        draining.delete(ending);
      });
    draining.add(ending);
  }

  async function surge(wanted: Want, addresses: readonly string[], signal: AbortSignal): Promise<void> {
    const old = current;
    const address = addresses.find((candidate) => candidate !== old?.address) ?? addresses[0] ?? "";
    await Promise.allSettled(draining);
    const next = await start(wanted, address, signal);
    upcoming = next;
    changed();
    try {
      await changes.until(() => next.ready || next.dead !== undefined || signal.aborted);
      if (!next.ready) {
        if (signal.aborted) return;
        throw new EngineError(REASONS.ContainerCrashing, next.dead ?? "the new pod did not become ready");
      }
      current = next;
      failure = undefined;
      fresh = false;
      changed();
      if (old) drain(old);
    } catch (error) {
      const words = await context.api.tail(next.id, 3).catch(() => []);
      await endPod(context, next, NEVER_SERVED_GRACE);
      throw new EngineError(REASONS.ContainerCrashing, `${messageOf(error)}: ${lastLine(words.join("\n"))}`);
    } finally {
      upcoming = undefined;
      if (signal.aborted && current !== next) await endPod(context, next, NEVER_SERVED_GRACE);
    }
  }

  /** Buries a pod that has ended. True when the next one has to wait for the backoff. */
  async function checkCurrent(): Promise<boolean> {
    if (current === undefined) return false;
    const exit = await context.api.exit(current.id);
    if (current.dead === undefined && exit?.running) return false;
    const repeated = failures > 0;
    await bury(current);
    return repeated;
  }

  async function replace(wanted: Want, signal: AbortSignal): Promise<void> {
    const addresses = await context.networks.addressesOf(namespace, ref);
    if (ref.kind === "Deployment" && current !== undefined) {
      await removePods(context, namespace, ref, 0, new Set([current.id, ...drainingIds]));
      await surge(wanted, addresses, signal);
    } else {
      if (current !== undefined) await endPod(context, current);
      current = undefined;
      await removePods(context, namespace, ref, wanted.model.pod.graceSeconds, drainingIds);
      current = await startAtAny(wanted, addresses, signal);
      fresh = false;
      changed();
    }
  }

  async function converge(signal: AbortSignal): Promise<void> {
    const wanted = want;
    if (wanted === undefined || wanted.model.replicas === 0) return stopAll();
    if (!adopted) await adopt(wanted);
    found();
    if (await checkCurrent()) return;
    if (current === undefined || needsNew(wanted)) await replace(wanted, signal);
  }

  async function attempts(): Promise<void> {
    do {
      again = false;
      interrupt = new AbortController();
      try {
        await converge(interrupt.signal);
      } catch (error) {
        if (!interrupt.signal.aborted) {
          fail(error);
          // What was asked meanwhile waits for the backoff like everything else, or a failing pod would be made at once again.
          break;
        }
      } finally {
        found();
      }
    } while (again && !closed);
  }

  function kick(): Promise<void> {
    if (closed) return Promise.resolve();
    again = true;
    backoff.abort();
    work ??= attempts().finally(() => {
      work = undefined;
      const wanted = want !== undefined && want.model.replicas === 1 ? want : undefined;
      // What could not be stopped is still there, or what it used is.
      const unmet = wanted === undefined ? failure !== undefined : current === undefined || needsNew(wanted);
      if (closed || !unmet) return;
      backoff = new AbortController();
      const { signal } = backoff;
      const pause = Math.min(LONGEST_BACKOFF, 500 * 2 ** Math.max(0, failures - 1)) * (0.8 + 0.4 * Math.random());
      void context.clock.sleep(pause, signal).then(() => {
        if (!signal.aborted) void kick();
      });
    });
    return work;
  }

  function needsNew(wanted: Want): boolean {
    return fresh || current?.digest !== wanted.model.pod.digest;
  }

  function describe(): readonly [WorkloadState, string, string] {
    return describeWorkload({
      wanted: want !== undefined && want.model.replicas === 1,
      present: current !== undefined,
      busy: work !== undefined,
      asWanted: want !== undefined && !needsNew(want),
      started: current?.started ?? false,
      young: current !== undefined && !current.served && context.clock.now().getTime() - current.since < STARTS_WITHIN,
      ready: current?.ready ?? false,
      unreadyWhy: current?.unreadyWhy,
      dead: current?.dead,
      failure,
    });
  }

  return {
    ref,
    want(model, hash) {
      const same = want?.model.pod.digest === model?.pod.digest && want?.model.replicas === model?.replicas;
      want = model === undefined ? undefined : { model, hash };
      if (!same || failure !== undefined) {
        failures = 0;
        failure = undefined;
        if (!same) interrupt.abort();
        changed();
      }
      const started = new Promise<void>((resolve) => {
        placed = resolve;
      });
      return Promise.race([kick(), started]);
    },
    kick,
    running(ids) {
      if (work === undefined && current !== undefined && !ids.has(current.id)) void kick();
    },
    ended(id) {
      if (current?.id === id) void kick();
      if (upcoming?.id === id) {
        upcoming.dead ??= "the container ended while it started";
        changed();
      }
    },
    restart() {
      fresh = true;
      changed();
      const started = new Promise<void>((resolve) => {
        placed = resolve;
      });
      return Promise.race([kick(), started]);
    },
    observation() {
      const [state, reason, message] = describe();
      const running = current;
      const runningHash =
        running === undefined ? undefined : running.digest === want?.model.pod.digest ? want.hash : running.hash;
      return { ref, state, reason, message, runningHash, restarts };
    },
    endpoint: () => (current?.ready ? current.address : undefined),
    async ready(signal) {
      const over = () => {
        const [state] = describe();
        return state === "Ready" || signal.aborted || failure?.terminal === true || failures >= HOPELESS;
      };
      const look = () => changed();
      signal.addEventListener("abort", look, { once: true });
      await changes.until(over);
      signal.removeEventListener("abort", look);
      const [state, reason, message] = describe();
      if (state === "Ready") return;
      throw new EngineError(reason, `${userOf(ref)} is not ready: ${message}`, {
        retryable: failure?.terminal !== true,
      });
    },
    async settled() {
      await looked;
      const limit = AbortSignal.timeout(3_000);
      const pod = current;
      if (pod === undefined || pod.started) return;
      const look = () => changed();
      limit.addEventListener("abort", look, { once: true });
      await changes.until(() => pod.started || pod.dead !== undefined || limit.aborted);
      limit.removeEventListener("abort", look);
    },
    async newestPod() {
      const known = upcoming ?? current;
      if (known !== undefined) return known.id;
      const [left] = await context.api.list(labelsOf(context, namespace, ref));
      return left?.id;
    },
    async close() {
      closed = true;
      found();
      interrupt.abort();
      backoff.abort();
      for (const pod of [current, upcoming]) pod?.watching.abort();
      changes.close();
      await work?.catch(() => undefined);
    },
  };
}
