import type { Clock } from "../clock.ts";

/** Work by name, one after the other: what is asked for twice is done once, what fails is done again, ever later. */
export interface Retries {
  /** Asks for it, now, whatever failed before. */
  readonly add: (name: string) => void;
  /** Works until the signal aborts. */
  run(): Promise<void>;
}

export interface RetriesOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Milliseconds before what failed is tried again; doubles each time up to `longest`. */
  readonly first: number;
  readonly longest: number;
  readonly carryOut: (name: string) => Promise<void>;
  /** Told of a failure when it is another one than the last of that name. @param seconds until it is tried again */
  readonly onFailure: (name: string, error: unknown, seconds: number) => void;
}

export function createRetries({ clock, signal, first, longest, carryOut, onFailure }: RetriesOptions): Retries {
  const due = new Set<string>();
  const failures = new Map<string, { readonly times: number; readonly said: string }>();
  /** Of those that wait: what ends the wait. */
  const waiting = new Map<string, AbortController>();
  let wake: (() => void) | undefined;

  function add(name: string): void {
    waiting.get(name)?.abort();
    due.add(name);
    wake?.();
  }

  function later(name: string, error: unknown): void {
    const before = failures.get(name);
    const times = (before?.times ?? 0) + 1;
    const pause = Math.min(longest, first * 2 ** (times - 1));
    const said = String(error);
    failures.set(name, { times, said });
    if (before?.said !== said) onFailure(name, error, pause / 1000);
    const stop = new AbortController();
    waiting.set(name, stop);
    void clock.sleep(pause * (0.75 + Math.random() / 2), AbortSignal.any([stop.signal, signal])).then(() => {
      if (waiting.get(name) === stop) waiting.delete(name);
      if (!stop.signal.aborted && !signal.aborted) add(name);
    });
  }

  async function next(): Promise<string | undefined> {
    while (due.size === 0 && !signal.aborted) {
      await new Promise<void>((resolve) => {
        wake = resolve;
        if (due.size > 0 || signal.aborted) resolve();
      });
      wake = undefined;
    }
    const [name] = due;
    if (name !== undefined) due.delete(name);
    return signal.aborted ? undefined : name;
  }

  return {
    add,
    async run() {
      signal.addEventListener("abort", () => wake?.(), { once: true });
      for (let name = await next(); name !== undefined; name = await next()) {
        try {
          await carryOut(name);
          failures.delete(name);
        } catch (error) {
          if (!signal.aborted) later(name, error);
        }
      }
    },
  };
}
