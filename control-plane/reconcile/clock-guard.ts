import type { BootTime } from "../clock.ts";
import { messageOf } from "../errors.ts";
import { clockJumped } from "../issuer/certificate.ts";
import { type ClockRecord, confirmedTime, readClockRecord, replaceClockRecord } from "../store/clock.ts";
import { wakeAfterJump } from "../store/leases.ts";
import type { Dependencies } from "./dependencies.ts";

/**
 * Whether the clock can be believed. A clock that is wrong by a year would forget backups, renew every certificate, close
 * demos and purge schools; so whatever destroys or does something everywhere because of the date asks here first. What an
 * operator wishes by name is done whatever the clock says.
 */

type Guarded = Pick<Dependencies, "pool" | "clock" | "log">;

/** While all is well the time is recorded once in so many milliseconds, for the whole installation. */
const RECORD_EVERY_MS = 10 * 60_000;
const LOOK_EVERY_MS = 10_000;
/** After a jump every school is looked at within so many seconds. */
const WAKE_SPREAD_SECONDS = 10;

export interface ClockState {
  readonly trusted: boolean;
  /** What is wrong and what to do, while it is not trusted. The same words from attempt to attempt. */
  readonly message: string;
}

/**
 * What the clock should say by now, if the machine's own count of seconds goes back to the record; else the recorded time
 * itself: a machine that was off cannot know for how long.
 */
function expectedTime(record: ClockRecord, boot: BootTime | undefined): Date {
  const seen = Date.parse(record.seen);
  const same = record.boot !== undefined && boot?.id === record.boot.id && boot.seconds >= record.boot.seconds;
  return new Date(same && record.boot !== undefined ? seen + (boot.seconds - record.boot.seconds) * 1000 : seen);
}

/** Judges the clock against the record: pure. Within one start of the machine, any pause of the platform is accounted for. */
export function isSteady(record: ClockRecord, now: Date, boot: BootTime | undefined): boolean {
  return !clockJumped(now, expectedTime(record, boot));
}

function messageFor(record: ClockRecord): string {
  return (
    `The clock is more than two days away from the last time seen (${record.seen}): it is wrong, or the machine was off. ` +
    "Until it is set right or confirmed, no backup is forgotten, no certificate renewed for its age, no demo closed, no school purged. " +
    "If it is right: classmind clock confirm"
  );
}

/** Whether to believe the clock right now. Reads one row; writes nothing. */
export async function askClock(deps: Pick<Guarded, "pool" | "clock">): Promise<ClockState> {
  const record = await readClockRecord(deps.pool);
  const now = deps.clock.now();
  if (record === undefined || isSteady(record, now, deps.clock.boot?.())) return { trusted: true, message: "" };
  const confirmed = await confirmedTime(deps.pool, record.seen);
  if (confirmed !== undefined && !clockJumped(now, confirmed)) return { trusted: true, message: "" };
  return { trusted: false, message: messageFor(record) };
}

/**
 * One look at the clock: records the time if it is believed, and notes once if it is not. Wakes all schools when that changes,
 * and lets go of leases and wake-ups that the jump carried far away.
 */
export async function lookAtClock(deps: Guarded): Promise<ClockState> {
  const before = await readClockRecord(deps.pool);
  const state = await askClock(deps);
  const now = deps.clock.now();
  const boot = deps.clock.boot?.();
  const present: ClockRecord = { seen: now.toISOString(), ...(boot === undefined ? {} : { boot }) };
  if (before === undefined) {
    await replaceClockRecord(deps.pool, undefined, present);
    return state;
  }
  if (!state.trusted) {
    if (before.jumped !== undefined) return state;
    if (await replaceClockRecord(deps.pool, before, { ...before, jumped: { noticed: now.toISOString() } })) {
      deps.log.error({ clock: now.toISOString(), lastSeen: before.seen }, state.message);
      await wakeAfterJump(deps.pool, WAKE_SPREAD_SECONDS);
    }
    return state;
  }
  const recorded = Math.abs(now.getTime() - Date.parse(before.seen)) < RECORD_EVERY_MS && before.boot?.id === boot?.id;
  if (recorded && before.jumped === undefined) return state;
  if ((await replaceClockRecord(deps.pool, before, present)) && before.jumped !== undefined) {
    deps.log.info({ clock: now.toISOString(), lastSeen: before.seen }, "the clock is believed again");
    await wakeAfterJump(deps.pool, WAKE_SPREAD_SECONDS);
  }
  return state;
}

/** Looks at the clock at once and then regularly until the signal aborts. */
export async function watchClock(deps: Guarded, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await lookAtClock(deps).catch((error: unknown) =>
      deps.log.warn({ error: messageOf(error) }, "the time cannot be recorded now"),
    );
    await deps.clock.sleep(LOOK_EVERY_MS, signal);
  }
}
