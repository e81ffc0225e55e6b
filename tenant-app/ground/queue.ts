import { randomUUID } from "node:crypto";

/** There is no room to wait, or the wait would be too long; try again after `retryAfter` seconds. */
export class TooBusy extends Error {
  override readonly name = "TooBusy";
  readonly retryAfter: number;
  constructor(retryAfter: number) {
    super("too many at once");
    this.retryAfter = retryAfter;
  }
}

export interface QueueSettings {
  /** How many run at once. */
  readonly running: number;
  /** How many of one source run at once, however many places are free; all if absent. */
  readonly perSource?: number;
  /** How many may wait. */
  readonly waiting: number;
  /** Milliseconds after which whoever still waits is refused; for ever if absent. */
  readonly patienceMs?: number;
}

/** Who comes, so that nobody takes the room of all. */
export interface Comer {
  /** Those of one source wait in one line; the lines take turns. Without one, no share of a source bounds it. */
  readonly source: string | undefined;
  /** Known from before: they come first, but for every fourth turn. */
  readonly known?: boolean;
}

/** What is asked for is refused with TooBusy, or done in turn. */
export type FairQueue = <T>(comer: Comer, work: () => Promise<T>) => Promise<T>;

/**
 * Bounds costly work (each password check takes 19 MiB): a few run, some wait, the rest is refused with TooBusy, so that a burst neither
 * fills the memory nor keeps everybody waiting. The sources take turns, so that one that sends many waits longer and nobody else; when
 * there is no room, the newest of the longest line gives way.
 */
export function fairQueue(settings: QueueSettings): FairQueue {
  const lanes = { known: new Lane(), others: new Lane() };
  /** How many of each source run. */
  const active = new Map<string, number>();
  let running = 0;
  let turns = 0;
  /** Milliseconds that one takes, as lately. */
  let pace = 0;

  const waitingNow = () => lanes.known.size + lanes.others.size;
  const busy = () => new TooBusy(Math.max(1, Math.ceil(((waitingNow() + 1) * pace) / settings.running / 1000)));
  const mayRun = (source: string) => (active.get(source) ?? 0) < (settings.perSource ?? Number.POSITIVE_INFINITY);
  const nextWaiter = (): Waiter | undefined => {
    turns += 1;
    const [first, second] = turns % 4 === 0 ? [lanes.others, lanes.known] : [lanes.known, lanes.others];
    return first.shift(mayRun) ?? second.shift(mayRun);
  };
  const begin = (source: string) => {
    running += 1;
    active.set(source, (active.get(source) ?? 0) + 1);
  };
  /** Gives the place back, and free places to those who wait: at once, so that no newcomer slips in before them. */
  const end = (source: string) => {
    running -= 1;
    const left = (active.get(source) ?? 1) - 1;
    if (left > 0) active.set(source, left);
    else active.delete(source);
    while (running < settings.running) {
      const next = nextWaiter();
      if (!next) return;
      begin(next.source);
      next.give();
    }
  };
  /** Makes room in the longest line. False when that is the newcomer's own. */
  const makeRoom = (newcomer: Lane, source: string): boolean => {
    const longer = lanes.others.size > 0 ? lanes.others : lanes.known;
    const [longest, length] = longer.longest();
    if (longer === newcomer && (longest === source || length <= newcomer.lengthOf(source) + 1)) return false;
    if (longer === lanes.known && newcomer === lanes.others) return false;
    longer.dropNewest(longest)?.give(busy());
    return true;
  };
  const takeTurn = (lane: Lane, source: string): Promise<void> => {
    if (waitingNow() >= settings.waiting && !makeRoom(lane, source)) {
      return Promise.reject(busy());
    }
    return new Promise<void>((resolve, reject) => {
      const waiter: Waiter = {
        source,
        give: (refusal) => {
          clearTimeout(timer);
          if (refusal) reject(refusal);
          else resolve();
        },
      };
      const timer =
        settings.patienceMs === undefined
          ? undefined
          : setTimeout(() => {
              if (lane.drop(waiter)) reject(busy());
            }, settings.patienceMs);
      lane.push(waiter);
    });
  };

  return async (comer, work) => {
    // Whoever is nobody in particular is no source of many.
    const source = comer.source ?? randomUUID();
    if (running < settings.running && mayRun(source)) {
      begin(source);
    } else {
      await takeTurn(comer.known ? lanes.known : lanes.others, source);
    }
    const begun = performance.now();
    try {
      return await work();
    } finally {
      const took = performance.now() - begun;
      pace = pace === 0 ? took : pace * 0.9 + took * 0.1;
      end(source);
    }
  };
}

interface Waiter {
  readonly source: string;
  /** Gives the place, or says why there is none. */
  give(refusal?: TooBusy): void;
}

/** Lines of waiters, one for each source, that take turns. */
class Lane {
  /** In the order in which they are served next. */
  readonly #lines = new Map<string, Waiter[]>();
  size = 0;

  push(waiter: Waiter): void {
    const line = this.#lines.get(waiter.source);
    if (line) line.push(waiter);
    else this.#lines.set(waiter.source, [waiter]);
    this.size += 1;
  }

  /** The first of the next line that may be served; that line goes behind the others. */
  shift(mayRun: (source: string) => boolean): Waiter | undefined {
    for (const [source, line] of this.#lines) {
      if (!mayRun(source)) continue;
      const waiter = line.shift();
      this.#lines.delete(source);
      if (line.length > 0) this.#lines.set(source, line);
      this.size -= 1;
      return waiter;
    }
    return undefined;
  }

  lengthOf(source: string): number {
    return this.#lines.get(source)?.length ?? 0;
  }

  longest(): readonly [source: string, length: number] {
    let found: readonly [string, number] = ["", 0];
    for (const [source, { length }] of this.#lines) if (length > found[1]) found = [source, length];
    return found;
  }

  dropNewest(source: string): Waiter | undefined {
    const waiter = this.#lines.get(source)?.at(-1);
    if (waiter) this.drop(waiter);
    return waiter;
  }

  /** Whether it still waited. */
  drop(waiter: Waiter): boolean {
    const line = this.#lines.get(waiter.source);
    const at = line?.indexOf(waiter) ?? -1;
    if (!line || at < 0) return false;
    line.splice(at, 1);
    if (line.length === 0) this.#lines.delete(waiter.source);
    this.size -= 1;
    return true;
  }
}
