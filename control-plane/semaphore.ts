/** Bounds how many tasks run at once. */
export interface Semaphore {
  /** Runs a task when there is room; those who wait get their turn in the order they came. */
  run<T>(task: () => Promise<T>): Promise<T>;
  /** Takes a place without waiting; what it returns gives the place back, once. Undefined when there is no room. */
  tryAcquire(): (() => void) | undefined;
}

/** A semaphore with `permits` places. */
export function createSemaphore(permits: number): Semaphore {
  let free = permits;
  const waiting: Array<() => void> = [];

  function release(): void {
    // The place goes straight to the next in line, so that nobody can slip in between.
    const next = waiting.shift();
    if (next) next();
    else free += 1;
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
    tryAcquire() {
      if (free === 0) return undefined;
      free -= 1;
      let released = false;
      return () => {
        if (!released) release();
        released = true;
      };
    },
  };
}
