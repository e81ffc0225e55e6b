/** Bounds how many tasks run at once. */
export interface Semaphore {
  /** Runs a task when there is room; those who wait get their turn in the order they came. */
  run<T>(task: () => Promise<T>): Promise<T>;
  /**
   * Takes a place without waiting; what it returns gives the place back, once. Undefined when there is no room.
   * @param refused is told, once, as soon as a place has become free; one of each key, in the order they came
   */
  tryAcquire(refused?: Refused): (() => void) | undefined;
}

/** Somebody who found no room and does not wait. */
export interface Refused {
  readonly key: string;
  readonly tell: () => void;
}

/** A semaphore with `permits` places. */
export function createSemaphore(permits: number): Semaphore {
  let free = permits;
  const waiting: Array<() => void> = [];
  const refusals = new Map<string, () => void>();

  function release(): void {
    // The place goes straight to the next in line, so that nobody can slip in between.
    const next = waiting.shift();
    if (next) {
      next();
      return;
    }
    free += 1;
    for (const [key, tell] of refusals) {
      refusals.delete(key);
      tell();
      return;
    }
  }

  return {
    async run(task) {
      if (free > 0) free -= 1;
      else await new Promise<void>((resolve) => waiting.push(resolve));
      try {
        return await task();
      } finally {
        release();
      }
    },
    tryAcquire(refused) {
      if (free === 0) {
        if (refused !== undefined && !refusals.has(refused.key)) refusals.set(refused.key, refused.tell);
        return undefined;
      }
      free -= 1;
      if (refused !== undefined) refusals.delete(refused.key);
      let released = false;
      return () => {
        if (!released) release();
        released = true;
      };
    },
  };
}
