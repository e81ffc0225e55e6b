import { messageOf } from "../../errors.ts";
import type { Wakeup } from "../engine.ts";
import { createWakeupQueue, type WakeupQueue } from "../wakeup-queue.ts";
import type { WatchEvent } from "./client.ts";
import type { KubernetesContext } from "./context.ts";
import { collectionPath, type KindInfo, MANAGED_BY, MARK } from "./kinds.ts";
import type { LiveObject } from "./live.ts";
import type { Happenings } from "./looks.ts";

/**
 * Wake-ups from cluster-wide, metadata-only watches over our label. Of each object only its resource version is remembered; a
 * list after a gap is compared with what is remembered, so that a gap wakes what changed in it and nothing else. Secrets are not
 * watched: the right to read all secrets of a cluster is more than the wake-up is worth; a resync finds what changed in them.
 */

export interface WatchTimes {
  /** Seconds after which the API ends a watch by itself. */
  readonly watchSeconds: number;
  /** Milliseconds after which everything is listed anew, in case a watch died without a word. */
  readonly relist: number;
  /** Milliseconds that events of one namespace are gathered before it is woken. */
  readonly gather: number;
  /** Milliseconds before a failed watch is tried again; doubles up to a minute. */
  readonly pause: number;
}

export const WATCH_TIMES: WatchTimes = { watchSeconds: 300, relist: 600_000, gather: 200, pause: 500 };

const LONGEST_PAUSE = 60_000;

export interface WatchHub extends Happenings {
  watch(signal: AbortSignal): AsyncIterable<Wakeup>;
  /** Objects remembered now. */
  remembered(): number;
}

/** Namespaces in which something differs between what was remembered and what was listed; remembers the list. Pure but for `known`. */
export function compareListing(known: Map<string, string>, items: readonly LiveObject[]): ReadonlySet<string> {
  const changed = new Set<string>();
  const listed = new Set<string>();
  for (const { metadata } of items) {
    const key = `${metadata.namespace ?? metadata.name}/${metadata.name}`;
    listed.add(key);
    if (known.get(key) === metadata.resourceVersion) continue;
    known.set(key, metadata.resourceVersion ?? "");
    changed.add(metadata.namespace ?? metadata.name);
  }
  for (const key of [...known.keys()]) {
    if (listed.has(key)) continue;
    known.delete(key);
    changed.add(key.slice(0, key.indexOf("/")));
  }
  return changed;
}

export function createWatchHub(
  context: Pick<KubernetesContext, "client" | "clock" | "log" | "kinds">,
  closing: AbortSignal,
  times: WatchTimes = WATCH_TIMES,
): WatchHub {
  const { client, clock, log, kinds } = context;
  const watched = Object.entries(kinds).filter(([kind]) => kind !== "Secret");
  const queues = new Set<WakeupQueue>();
  const known = new Map<string, Map<string, string>>();
  const gathering = new Set<string>();
  /** Kinds whose watch is open, and what they told of each namespace so far. */
  const open = new Set<string>();
  const counts = new Map<string, number>();
  const query = { labelSelector: `${MARK.managedBy}=${MANAGED_BY},!${MARK.job}`, metadataOnly: true };
  let running: AbortController | undefined;

  function note(namespace: string): void {
    counts.set(namespace, (counts.get(namespace) ?? 0) + 1);
  }

  function wake(namespace: string): void {
    note(namespace);
    if (gathering.has(namespace)) return;
    gathering.add(namespace);
    void clock.sleep(times.gather, closing).then(() => {
      gathering.delete(namespace);
      for (const queue of queues) queue.push(namespace);
    });
  }

  /** Lists a kind and wakes what changed. A function of its own, so that what was listed is not held while the watch is open. */
  async function listAnew(kind: string, path: string, signal: AbortSignal): Promise<string> {
    const memory = known.get(kind);
    const { items, resourceVersion } = await client.list(path, query, signal);
    const changed = compareListing(memory ?? memoryOf(kind), items);
    if (memory !== undefined) for (const namespace of changed) wake(namespace);
    return resourceVersion;
  }

  function memoryOf(kind: string): Map<string, string> {
    const memory = known.get(kind) ?? new Map<string, string>();
    known.set(kind, memory);
    return memory;
  }

  /** Lists a kind, compares, then watches until something ends it. */
  async function round(kind: string, info: KindInfo, signal: AbortSignal): Promise<void> {
    const path = collectionPath(info);
    let resourceVersion = await listAnew(kind, path, signal);
    const memory = memoryOf(kind);
    open.add(kind);
    const relistAt = clock.now().getTime() + times.relist;
    while (!signal.aborted && clock.now().getTime() < relistAt) {
      const stop = new AbortController();
      const abort = (): void => stop.abort();
      signal.addEventListener("abort", abort, { once: true });
      void clock.sleep(Math.max(1, relistAt - clock.now().getTime()), stop.signal).then(abort);
      let expired = false;
      const onEvent = (event: WatchEvent): void => {
        const { metadata } = event.object;
        if (event.type === "ERROR") {
          expired = true;
          stop.abort();
          return;
        }
        resourceVersion = metadata.resourceVersion ?? resourceVersion;
        if (event.type === "BOOKMARK") return;
        const namespace = metadata.namespace ?? metadata.name;
        const key = `${namespace}/${metadata.name}`;
        if (event.type === "DELETED") memory.delete(key);
        else memory.set(key, metadata.resourceVersion ?? "");
        wake(namespace);
      };
      try {
        const { watchSeconds: timeoutSeconds } = times;
        await client.watch(path, { ...query, resourceVersion, timeoutSeconds }, onEvent, stop.signal);
      } finally {
        signal.removeEventListener("abort", abort);
        stop.abort();
      }
      if (expired) return;
    }
  }

  async function keepWatching(kind: string, info: KindInfo, signal: AbortSignal): Promise<void> {
    let pause = times.pause;
    while (!signal.aborted) {
      const began = clock.now().getTime();
      try {
        await round(kind, info, signal);
      } catch (error) {
        if (!signal.aborted) log.debug({ kind, error: messageOf(error) }, "a watch broke");
      } finally {
        open.delete(kind);
      }
      pause = clock.now().getTime() - began > LONGEST_PAUSE ? times.pause : Math.min(pause * 2, LONGEST_PAUSE);
      await clock.sleep(pause * (0.5 + Math.random() / 2), signal);
    }
  }

  function start(): void {
    if (running !== undefined) return;
    running = new AbortController();
    const signal = AbortSignal.any([running.signal, closing]);
    for (const [kind, info] of watched) void keepWatching(kind, info, signal);
  }

  return {
    note,
    count: (namespace) => (open.size === watched.length ? (counts.get(namespace) ?? 0) : undefined),
    remembered: () => [...known.values()].reduce((sum, memory) => sum + memory.size, 0),
    async *watch(asked) {
      const signal = AbortSignal.any([asked, closing]);
      const queue = createWakeupQueue();
      queues.add(queue);
      start();
      try {
        yield* queue.take(signal);
      } finally {
        queues.delete(queue);
        if (queues.size === 0) {
          running?.abort();
          running = undefined;
        }
      }
    },
  };
}
