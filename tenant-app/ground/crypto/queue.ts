/** The queue is full or the wait would be too long; try again after `retryAfter` seconds. */
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
  /** How many may wait. */
  readonly waiting: number;
}

/**
 * Bounds costly work (each password check takes 19 MiB): a few run, some wait, the rest is refused at once with
 * TooBusy, so that a burst neither fills the memory nor keeps everybody waiting.
 */
export function boundedQueue(settings: QueueSettings): <T>(work: () => Promise<T>) => Promise<T> {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (work) => {
    if (running >= settings.running) {
      if (waiting.length >= settings.waiting) {
        throw new TooBusy(5);
      }
      await new Promise<void>((resolve) => waiting.push(resolve));
    } else {
      running += 1;
    }
    try {
      return await work();
    } finally {
      // The place is handed on, not freed, so that a newcomer cannot slip in before those who wait.
      const next = waiting.shift();
      if (next) {
        next();
      } else {
        running -= 1;
      }
    }
  };
}
