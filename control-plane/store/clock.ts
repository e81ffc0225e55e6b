import { z } from "zod";
import type { Queryable } from "./queryable.ts";
import { readSetting } from "./settings.ts";

/** What the installation remembers of the time: one row, written by the reconciler alone. */
const clockRecord = z.object({
  /** The last time that was believed (RFC 3339). */
  seen: z.iso.datetime(),
  /** The machine's own count of seconds at that time. */
  boot: z.object({ id: z.string(), seconds: z.number() }).optional(),
  /** Set while the clock is not believed: what it said when that was noticed. */
  jumped: z.object({ noticed: z.iso.datetime() }).optional(),
});
export type ClockRecord = z.infer<typeof clockRecord>;

const NAME = "clock";

export function readClockRecord(db: Queryable): Promise<ClockRecord | undefined> {
  return readSetting(db, NAME, clockRecord);
}

/**
 * Replaces the record if it still is the one that was judged: of two reconcilers that look at once, one writes, and a time
 * that was not believed never replaces one that was.
 * @param before undefined: only if there is none yet
 * @returns whether this call wrote
 */
export async function replaceClockRecord(
  db: Queryable,
  before: ClockRecord | undefined,
  after: ClockRecord,
): Promise<boolean> {
  const value = JSON.stringify(after);
  const { rowCount } =
    before === undefined
      ? await db.query("insert into settings (name, value) values ($1, $2) on conflict (name) do nothing", [
          NAME,
          value,
        ])
      : await db.query("update settings set value = $2, updated_at = now() where name = $1 and value = $3::jsonb", [
          NAME,
          value,
          JSON.stringify(before),
        ]);
  return rowCount === 1;
}

/** Records that an operator vouches for the clock. */
export async function confirmClock(
  db: Queryable,
  word: { readonly lastSeen: string; readonly time: Date; readonly operator: string; readonly reason: string },
): Promise<void> {
  await db.query(
    "insert into clock_confirmations (last_seen, confirmed_time, operator, reason) values ($1, $2, $3, $4)",
    [word.lastSeen, word.time, word.operator, word.reason],
  );
}

/** The time that an operator last vouched for although it is far from `lastSeen`. */
export async function confirmedTime(db: Queryable, lastSeen: string): Promise<Date | undefined> {
  const { rows } = await db.query<{ confirmed_time: Date }>(
    "select confirmed_time from clock_confirmations where last_seen = $1 order by id desc limit 1",
    [lastSeen],
  );
  return rows[0]?.confirmed_time;
}

/** Whether the reconciler believes the clock, for those who may not judge it themselves. */
export async function isClockTrusted(db: Queryable): Promise<boolean> {
  return (await readClockRecord(db))?.jumped === undefined;
}
