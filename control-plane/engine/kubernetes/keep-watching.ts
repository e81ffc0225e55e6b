import type { Clock } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import type { Log } from "../../log.ts";
import type { Client, ListQuery, WatchEvent } from "./client.ts";
import type { LiveObject } from "./live.ts";

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

/** A collection to be known at all times. */
export interface Watching {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Pick<Log, "debug">;
  readonly path: string;
  readonly query: ListQuery;
  readonly times: WatchTimes;
  readonly signal: AbortSignal;
}

/** Who is told of it. */
export interface Watcher {
  /** All there is, at the start and after each gap. */
  listed(items: readonly LiveObject[]): void;
  changed(type: "ADDED" | "MODIFIED" | "DELETED", object: LiveObject): void;
  /** The watch is open: from now on each change is told. */
  opened?(): void;
  closed?(): void;
  /** Listing or watching failed and is tried again; a line of the debug log if nobody is to be told. */
  broke?(why: string): void;
}

/** A function of its own, so that what was listed is not held while the watch is open. */
async function listAnew({ client, path, query, signal }: Watching, watcher: Watcher): Promise<string> {
  const { items, resourceVersion } = await client.list(path, query, signal);
  watcher.listed(items);
  return resourceVersion;
}

const isChange = (type: string): type is "ADDED" | "MODIFIED" | "DELETED" =>
  type === "ADDED" || type === "MODIFIED" || type === "DELETED";

/** Lists, then watches until something ends it. */
async function round(watching: Watching, watcher: Watcher): Promise<void> {
  const { client, clock, path, query, times, signal } = watching;
  let resourceVersion = await listAnew(watching, watcher);
  watcher.opened?.();
  const relistAt = clock.now().getTime() + times.relist;
  while (!signal.aborted && clock.now().getTime() < relistAt) {
    const stop = new AbortController();
    const abort = (): void => stop.abort();
    signal.addEventListener("abort", abort, { once: true });
    void clock.sleep(Math.max(1, relistAt - clock.now().getTime()), stop.signal).then(abort);
    let expired = false;
    const onEvent = ({ type, object }: WatchEvent): void => {
      if (type === "ERROR") {
        expired = true;
        stop.abort();
        return;
      }
      resourceVersion = object.metadata.resourceVersion ?? resourceVersion;
      if (isChange(type)) watcher.changed(type, object);
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

/** Lists a collection and watches it, again and again, until the signal aborts. Whatever breaks is tried again, ever more slowly. */
export async function keepWatching(watching: Watching, watcher: Watcher): Promise<void> {
  const { clock, log, path, times, signal } = watching;
  let pause = times.pause;
  while (!signal.aborted) {
    const began = clock.now().getTime();
    try {
      await round(watching, watcher);
    } catch (error) {
      if (!signal.aborted && watcher.broke !== undefined) watcher.broke(messageOf(error));
      else if (!signal.aborted) log.debug({ path, error: messageOf(error) }, "a watch broke");
    } finally {
      watcher.closed?.();
    }
    pause = clock.now().getTime() - began > LONGEST_PAUSE ? times.pause : Math.min(pause * 2, LONGEST_PAUSE);
    await clock.sleep(pause * (0.5 + Math.random() / 2), signal);
  }
}
