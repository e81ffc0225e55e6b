import type { Clock } from "./clock.ts";

/**
 * Waits for a task, but not for ever. What is late goes on unheard, but that its signal aborts.
 * @param milliseconds how long it may take
 * @param late what is thrown when that is over
 */
export async function within<T>(
  clock: Pick<Clock, "sleep">,
  milliseconds: number,
  task: (signal: AbortSignal) => Promise<T>,
  late: () => Error,
): Promise<T> {
  const over = new AbortController();
  const limit = clock.sleep(milliseconds, over.signal).then(() => {
    if (over.signal.aborted) return new Promise<never>(() => undefined);
    throw late();
  });
  try {
    return await Promise.race([task(over.signal), limit]);
  } finally {
    over.abort();
  }
}
