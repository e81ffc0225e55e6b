import type { Wakeup } from "../engine.ts";

/** Fans wake-ups out to watchers. One that is not yet taken is not repeated: it carries no data. */
export interface Wakeups {
  wake(namespace: string): void;
  watch(signal: AbortSignal): AsyncIterable<Wakeup>;
}

export function createWakeups(): Wakeups {
  const watchers = new Set<(namespace: string) => void>();
  return {
    wake(namespace) {
      for (const watcher of watchers) watcher(namespace);
    },
    async *watch(signal) {
      const pending = new Set<string>();
      let notify: () => void = () => undefined;
      const watcher = (namespace: string) => {
        pending.add(namespace);
        notify();
      };
      const abort = () => notify();
      watchers.add(watcher);
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
        watchers.delete(watcher);
        signal.removeEventListener("abort", abort);
      }
    },
  };
}
