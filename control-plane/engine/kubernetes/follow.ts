import type { Clock } from "../../clock.ts";
import type { Client, ListQuery, WatchEvent } from "./client.ts";
import type { LiveObject } from "./live.ts";

export interface Following {
  readonly client: Client;
  readonly clock: Clock;
  /** Milliseconds after which everything is listed again: a watch may die without a word. */
  readonly relist: number;
  readonly path: string;
  readonly query?: ListQuery;
  /** Milliseconds from now. */
  readonly deadline: number;
  readonly signal?: AbortSignal | undefined;
}

const PAUSE = 200;

/**
 * Follows a collection until what is looked for is there: lists it, then watches for changes, and lists again whenever the watch
 * ends, fails, was too old (410), or has been open for a while.
 * @returns what `look` found, or undefined when the deadline passed or the signal aborted
 */
export async function follow<T>(
  following: Following,
  look: (objects: readonly LiveObject[]) => T | undefined,
): Promise<T | undefined> {
  const { client, clock, path, query, relist } = following;
  const end = clock.now().getTime() + following.deadline;
  const over = (): boolean => following.signal?.aborted === true || clock.now().getTime() >= end;
  for (;;) {
    const listing = await client.list(path, query, following.signal);
    const objects = new Map(listing.items.map((item) => [item.metadata.name, item]));
    let found = look([...objects.values()]);
    if (found !== undefined || over()) return found;
    const stop = new AbortController();
    const abort = (): void => stop.abort();
    following.signal?.addEventListener("abort", abort, { once: true });
    const left = Math.max(1, Math.min(relist, end - clock.now().getTime()));
    void clock.sleep(left, stop.signal).then(abort);
    let expired = false;
    const onEvent = (event: WatchEvent): void => {
      if (found !== undefined) return;
      if (event.type === "ERROR") expired = true;
      if (event.type === "DELETED") objects.delete(event.object.metadata.name);
      else if (event.type === "ADDED" || event.type === "MODIFIED")
        objects.set(event.object.metadata.name, event.object);
      if (event.type !== "BOOKMARK") found = look([...objects.values()]);
      if (found !== undefined || expired) stop.abort();
    };
    const { resourceVersion } = listing;
    const timeoutSeconds = Math.ceil(relist / 1000) + 1;
    const watching = client.watch(path, { ...query, resourceVersion, timeoutSeconds }, onEvent, stop.signal);
    // A broken watch is no failure: the next list tells what is.
    await watching.catch(() => undefined);
    following.signal?.removeEventListener("abort", abort);
    const broken = !stop.signal.aborted || expired;
    stop.abort();
    if (found !== undefined) return found;
    if (broken) await clock.sleep(PAUSE, following.signal);
  }
}
