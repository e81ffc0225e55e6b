import type { Wakeup } from "./engine.ts";

/** Wake-ups for one watcher. One that is not yet taken is not repeated: it carries no data. */
export interface WakeupQueue {
  push(namespace: string): void;
  /** Until the signal aborts. For one taker. */
  take(signal: AbortSignal): AsyncGenerator<Wakeup>;
}

export function createWakeupQueue(): WakeupQueue {
  const pending = new Set<string>();
  let notify: () => void = () => undefined;
  return {
    push(namespace) {
      pending.add(namespace);
      notify();
    },
    async *take(signal) {
      const abort = () => notify();
      signal.addEventListener("abort", abort);
      try {
        while (!signal.aborted) {
          const [namespace] = pending;
          if (namespace === undefined) {
            await new Promise<void>((resolve) => {
              notify = resolve;
            });
          } else {
            pending.delete(namespace);
            yield { namespace };
          }
        }
      } finally {
        signal.removeEventListener("abort", abort);
      }
    },
  };
}
