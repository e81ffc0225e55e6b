import type { Clock } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import type { Log } from "../../log.ts";
import type { Relays } from "./relays.ts";
import type { Outside } from "./translate/policies.ts";

/** Somebody who may leave, for as long as policies say so. */
export interface Leaving {
  /** The pod's address. */
  readonly from: string;
  readonly targets: readonly Outside[];
}

/** Ways out of schools for what always runs (relays.ts has them for the time of a job): opened, kept open, and closed as policies say. */
export interface StandingRelays {
  /** Says who of a namespace may leave now; what was said before counts no more. @param gateway the host's side of its bridge */
  set(namespace: string, gateway: string, leaving: readonly Leaving[]): void;
  close(): void;
}

/** The host has the bridge's address only once a pod of the school runs. */
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 30_000;

/** @returns nothing is open yet: whatever cannot be opened is tried again, and said once */
export function createStandingRelays(relays: Relays, clock: Clock, log: Pick<Log, "warn">): StandingRelays {
  const namespaces = new Map<string, Map<string, AbortController>>();

  async function keepOpen(namespace: string, gateway: string, from: string, target: Outside, signal: AbortSignal) {
    let said: string | undefined;
    for (let wait = FIRST_RETRY_MS; !signal.aborted; wait = Math.min(LONGEST_RETRY_MS, wait * 2)) {
      try {
        const close = await relays.open(gateway, from, [target]);
        if (signal.aborted) return close();
        signal.addEventListener("abort", close, { once: true });
        return;
      } catch (error) {
        const why = messageOf(error);
        // A bridge that is on its way is no trouble: it takes a second or two.
        if (wait > 4 * FIRST_RETRY_MS && why !== said) {
          said = why;
          log.warn({ namespace, error: why }, "a school's app cannot reach outside what it may; it is tried again");
        }
        await clock.sleep(wait, signal).catch(() => undefined);
      }
    }
  }

  return {
    set(namespace, gateway, leaving) {
      const before = namespaces.get(namespace) ?? new Map<string, AbortController>();
      const now = new Map<string, AbortController>();
      for (const { from, targets } of leaving) {
        for (const target of targets) {
          const key = `${gateway} ${from} ${target.address}:${target.port}`;
          const open = before.get(key) ?? new AbortController();
          now.set(key, open);
          if (!before.has(key)) void keepOpen(namespace, gateway, from, target, open.signal);
        }
      }
      for (const [key, open] of before) if (!now.has(key)) open.abort();
      if (now.size === 0) namespaces.delete(namespace);
      else namespaces.set(namespace, now);
    },
    close() {
      for (const open of [...namespaces.values()].flatMap((ways) => [...ways.values()])) open.abort();
      namespaces.clear();
    },
  };
}
