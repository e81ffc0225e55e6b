import type { Wakeup } from "../engine.ts";
import { createWakeupQueue, type WakeupQueue } from "../wakeup-queue.ts";

/** Fans wake-ups out to watchers. */
export interface Wakeups {
  wake(namespace: string): void;
  watch(signal: AbortSignal): AsyncIterable<Wakeup>;
}

export function createWakeups(): Wakeups {
  const queues = new Set<WakeupQueue>();
  return {
    wake(namespace) {
      for (const queue of queues) queue.push(namespace);
    },
    async *watch(signal) {
      const queue = createWakeupQueue();
      queues.add(queue);
      try {
        yield* queue.take(signal);
      } finally {
        queues.delete(queue);
      }
    },
  };
}
