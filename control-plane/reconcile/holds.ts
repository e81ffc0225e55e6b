import { messageOf } from "../errors.ts";
import type { Hold } from "../store/held.ts";
import { LEASE_SECONDS, releaseTenant, renewLease } from "../store/leases.ts";
import type { Operation } from "../store/operations.ts";
import type { Fleet } from "./dependencies.ts";

/**
 * The schools that this process holds: for an attempt, and beyond it for as long as long work goes on. An attempt never waits
 * for work: it starts what is to be done and ends; upkeep and judging go on beside, and what the work comes to wakes the next one.
 */

const HEARTBEAT_MS = 4000;

/** Long work under way in this process. */
export interface Work {
  readonly operation: Operation;
  /** Ends it before its time, for a reason that people read. Repeatable. */
  callOff(why: string): void;
  readonly ended: Promise<void>;
}

/** Why work is to end: told to it through its signal. */
export class CalledOffError extends Error {
  constructor(why: string) {
    super(why);
    this.name = "CalledOffError";
  }
}

/** One school that this process holds. */
export interface HeldSchool {
  readonly hold: Hold;
  readonly slug: string;
  /** Aborts when the lease is lost, or this process ends: nothing may be done at the school any more. */
  readonly signal: AbortSignal;
  readonly works: ReadonlyMap<string, Work>;
  /** Whether work ended without having recorded that: whoever looks next takes it up again, and that must be soon. */
  readonly brokenOff: boolean;
  /** Begins work that goes on beside attempts. Never throws; the work records its own end. */
  start(operation: Operation, work: (signal: AbortSignal) => Promise<void>): void;
}

export interface Holds {
  readonly holder: string;
  /** Schools that cannot be taken now although this process holds them. */
  busy(): readonly string[];
  /** Names of the schools that are held, and what for. */
  describe(): readonly string[];
  /** Runs an attempt at a school that was just claimed. It ends by letting the school go, or by saying that work goes on. */
  attempt(
    school: { readonly uid: string; readonly slug: string },
    run: (held: HeldSchool) => Promise<void>,
  ): Promise<void>;
  /** Resolves when everything has ended; what was broken off is due at once for whoever comes. */
  settled(): Promise<void>;
}

interface Entry extends HeldSchool {
  brokenOff: boolean;
  attempting: boolean;
  lost: boolean;
  readonly works: Map<string, Work>;
  end(): void;
}

/** @param stop ends all work of this process; what is recorded as running is resumed by the next holder */
export function createHolds(fleet: Pick<Fleet, "pool" | "log">, holder: string, stop: AbortSignal): Holds {
  const schools = new Map<string, Entry>();

  function open(uid: string, slug: string): Entry {
    const lost = new AbortController();
    const hold: Hold = { uid, holder };
    const works = new Map<string, Work>();
    let heldAt = performance.now();
    const lose = (why: string) => {
      entry.lost = true;
      lost.abort(new Error(why));
    };
    const heartbeat = setInterval(() => {
      // Whoever cannot reach the store cannot know: before somebody else may hold the school, it is let go.
      if (performance.now() - heldAt > LEASE_SECONDS * 1000 - HEARTBEAT_MS) lose("the lease ran out");
      const asked = performance.now();
      renewLease(fleet.pool, hold).then(
        (held) => {
          if (held) heldAt = asked;
          // Between an attempt's end and the school's leaving this list the lease is given back, not lost.
          else if (entry.attempting || works.size > 0) lose("the lease is lost");
        },
        () => undefined,
      );
    }, HEARTBEAT_MS);
    const signal = AbortSignal.any([stop, lost.signal]);
    const entry: Entry = {
      hold,
      slug,
      signal,
      works,
      brokenOff: false,
      attempting: false,
      lost: false,
      end: () => clearInterval(heartbeat),
      start(operation, work) {
        const own = new AbortController();
        const ended = work(AbortSignal.any([signal, own.signal]))
          .catch((error: unknown) => {
            entry.brokenOff = true;
            fleet.log.error({ slug, operation: operation.kind, error: messageOf(error) }, "work ended unrecorded");
          })
          .finally(() => {
            works.delete(operation.id);
            leave(uid, entry);
          });
        works.set(operation.id, { operation, ended, callOff: (why) => own.abort(new CalledOffError(why)) });
      },
    };
    schools.set(uid, entry);
    return entry;
  }

  /** Forgets a school that nothing goes on at. A lease that is still ours lapses, or was given back by the attempt. */
  function leave(uid: string, entry: Entry): void {
    if (entry.attempting || entry.works.size > 0) return;
    entry.end();
    if (schools.get(uid) === entry) schools.delete(uid);
    // Recorded work wakes an attempt of ours, which gives the lease back; broken-off work leaves that to us.
    if (stop.aborted && !entry.lost) released.push(releaseTenant(fleet.pool, entry.hold).catch(() => undefined));
  }
  const released: Promise<void>[] = [];

  return {
    holder,
    busy: () => [...schools].filter(([, entry]) => entry.attempting || entry.lost).map(([uid]) => uid),
    describe: () =>
      [...schools.values()].map((entry) =>
        [entry.slug, ...[...entry.works.values()].map(({ operation }) => operation.kind)].join(" "),
      ),
    async attempt({ uid, slug }, run) {
      const entry = schools.get(uid) ?? open(uid, slug);
      entry.attempting = true;
      try {
        await run(entry);
      } finally {
        entry.attempting = false;
        leave(uid, entry);
      }
    },
    async settled() {
      await Promise.all([...schools.values()].flatMap((entry) => [...entry.works.values()].map((work) => work.ended)));
      await Promise.all(released);
    },
  };
}
