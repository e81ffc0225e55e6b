import type { Wakeup } from "../engine.ts";
import { createWakeupQueue, type WakeupQueue } from "../wakeup-queue.ts";
import type { KubernetesContext } from "./context.ts";
import { BINDINGS } from "./grant.ts";
import { keepWatching, WATCH_TIMES, type Watcher, type WatchTimes } from "./keep-watching.ts";
import { collectionPath, MANAGED_BY, MARK } from "./kinds.ts";
import type { LiveObject } from "./live.ts";
import type { Happenings } from "./looks.ts";

/**
 * Wake-ups from cluster-wide, metadata-only watches over our label. Of each object only its resource version is remembered; a
 * list after a gap is compared with what is remembered, so that a gap wakes what changed in it and nothing else. Secrets are not
 * watched: the right to read all secrets of a cluster is more than the wake-up is worth; a resync finds what changed in them. The
 * role bindings are, where the engine makes any: without them neither it nor the gateway may do its work in a school.
 */

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
  context: Pick<KubernetesContext, "client" | "clock" | "log" | "kinds" | "grant" | "gatewayGrant">,
  closing: AbortSignal,
  times: WatchTimes = WATCH_TIMES,
): WatchHub {
  const { client, clock, log, kinds, grant, gatewayGrant } = context;
  const bindings = grant === undefined && gatewayGrant === undefined ? {} : { RoleBinding: BINDINGS };
  const watched = Object.entries({ ...kinds, ...bindings }).filter(([kind]) => kind !== "Secret");
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

  function memoryOf(kind: string): Map<string, string> {
    const memory = known.get(kind) ?? new Map<string, string>();
    known.set(kind, memory);
    return memory;
  }

  const watcherOf = (kind: string): Watcher => ({
    listed(items) {
      // The first list tells what is there, not what changed.
      const isFirst = !known.has(kind);
      const changed = compareListing(memoryOf(kind), items);
      if (!isFirst) for (const namespace of changed) wake(namespace);
    },
    changed(type, { metadata }) {
      const namespace = metadata.namespace ?? metadata.name;
      const key = `${namespace}/${metadata.name}`;
      if (type === "DELETED") memoryOf(kind).delete(key);
      else memoryOf(kind).set(key, metadata.resourceVersion ?? "");
      wake(namespace);
    },
    opened: () => open.add(kind),
    closed: () => open.delete(kind),
  });

  function start(): void {
    if (running !== undefined) return;
    running = new AbortController();
    const signal = AbortSignal.any([running.signal, closing]);
    for (const [kind, info] of watched)
      void keepWatching({ client, clock, log, path: collectionPath(info), query, times, signal }, watcherOf(kind));
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
