import { randomUUID } from "node:crypto";
import { connectionOf, type DatabaseConfig } from "../config.ts";
import { messageOf } from "../errors.ts";
import { claimTenant, secondsUntilDue } from "../store/leases.ts";
import { listen } from "../store/listen.ts";
import { wakeTenant } from "../store/tenants.ts";
import { attemptTenant } from "./attempt.ts";
import { watchClock } from "./clock-guard.ts";
import type { Fleet, Site } from "./dependencies.ts";
import { createExaminer } from "./fitness.ts";
import { createHolds } from "./holds.ts";
import { answerRollouts, createRollouts } from "./rollouts.ts";
import { watchRoom } from "./room.ts";
import { watchSilence } from "./silence.ts";

/** If every wake-up were lost, a due school still waits no longer than this. */
const MAX_SLEEP_MS = 30_000;
/** Ending takes a moment; what takes longer than this says what it waits for. */
const SLOW_END_MS = 5_000;

export interface Loop {
  /** Stops taking schools, lets attempts end, and waits for them. */
  stop(): Promise<void>;
}

/**
 * The reconcile loop: workers that take due schools one at a time. Notifications, the engine's events and a timer all do the
 * same: wake the workers, which look into the store themselves.
 */
export function startLoop(deps: Fleet, options: { readonly workers: number; readonly database: DatabaseConfig }): Loop {
  const stopping = new AbortController();
  const holds = createHolds(deps, randomUUID(), stopping.signal);
  let wake: () => void = () => undefined;
  let woken = false;

  function wakeUp(): void {
    woken = true;
    wake();
  }

  function sleep(milliseconds: number): Promise<void> {
    if (woken || stopping.signal.aborted) {
      woken = false;
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      const timer = setTimeout(done, milliseconds);
      function done(): void {
        clearTimeout(timer);
        woken = false;
        wake = () => undefined;
        resolve();
      }
      wake = done;
    });
  }

  /** Attempts under way. */
  const active = new Set<Promise<void>>();
  const examiner = createExaminer(deps, stopping.signal);
  const rollouts = createRollouts(deps);

  async function takeDue(): Promise<void> {
    while (!stopping.signal.aborted && active.size < options.workers) {
      const tenant = await claimTenant(deps.pool, holds.holder, holds.busy());
      if (tenant === undefined) return;
      const attempt = holds
        .attempt(tenant, (held) => attemptTenant(deps, tenant, held))
        .finally(() => {
          active.delete(attempt);
          wakeUp();
        });
      active.add(attempt);
    }
  }

  const main = (async () => {
    while (!stopping.signal.aborted) {
      try {
        // First: what a rollout gives is due at once.
        await answerRollouts(rollouts, deps.log);
        await takeDue();
        await examiner.answer();
        const seconds =
          active.size >= options.workers ? undefined : await secondsUntilDue(deps.pool, holds.holder, holds.busy());
        await sleep(seconds === undefined ? MAX_SLEEP_MS : Math.min(Math.max(seconds * 1000, 10), MAX_SLEEP_MS));
      } catch (error) {
        deps.log.error({ error: messageOf(error) }, "the store cannot be reached; nothing is done until it can");
        await deps.clock.sleep(1000, stopping.signal);
      }
    }
  })();

  async function followEvents({ name, engine }: Site): Promise<void> {
    try {
      for await (const wakeup of engine.watch(stopping.signal)) {
        const slug = wakeup.namespace.replace(/^school-/, "");
        await wakeTenant(deps.pool, slug, name).catch(() => undefined);
      }
    } catch (error) {
      deps.log.error({ engine: name, error: messageOf(error) }, "the engine's events ended; the resync goes on");
    }
  }
  const events = Promise.all([...deps.sites.values()].map(followEvents));

  const watches = [
    watchClock(deps, stopping.signal),
    watchRoom(deps, stopping.signal),
    watchSilence(deps, stopping.signal),
  ];

  const stopListening = listen(
    connectionOf(options.database),
    "classmind_work",
    { onWake: wakeUp, onGap: wakeUp },
    deps.clock,
  );

  return {
    async stop() {
      stopping.abort();
      wakeUp();
      const slow = setTimeout(
        () => deps.log.warn({ schools: holds.describe() }, "still ending; what has not ended is at these"),
        SLOW_END_MS,
      );
      await Promise.all([main, events, ...watches, stopListening(), examiner.settled(), ...active]);
      await holds.settled();
      clearTimeout(slow);
    },
  };
}
