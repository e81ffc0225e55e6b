/** Lets callers wait until something that changes from time to time is as they need it. */
export interface Changes {
  notify(): void;
  /** Resolves when the condition holds (looked at now and at each change), or when everything is closed. */
  until(condition: () => boolean): Promise<void>;
  close(): void;
}

export function createChanges(): Changes {
  const waiting = new Set<() => void>();
  let closed = false;
  return {
    notify() {
      for (const look of [...waiting]) look();
    },
    until: (condition) =>
      new Promise((resolve) => {
        const look = () => {
          if (!condition() && !closed) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
    close() {
      closed = true;
      for (const look of [...waiting]) look();
    },
  };
}
