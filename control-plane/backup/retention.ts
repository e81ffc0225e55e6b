/** What is kept: one backup for each of the newest 30 days, 12 weeks and 12 months that have any; nothing older than 365 days (R61). */
export const KEEP = { daily: 30, weekly: 12, monthly: 12, maximumDays: 365 } as const;

const DAY = 86_400_000;

export interface Dated {
  readonly runId: string;
  /** RFC 3339. */
  readonly startedAt: string;
}

function isoWeek(date: Date): string {
  // ISO 8601: the week belongs to the year of its Thursday.
  const thursday = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()));
  thursday.setUTCDate(thursday.getUTCDate() + 3 - ((thursday.getUTCDay() + 6) % 7));
  const firstThursday = Date.UTC(thursday.getUTCFullYear(), 0, 4);
  const week = 1 + Math.round((thursday.getTime() - firstThursday) / (7 * DAY) - 0.000001);
  return `${thursday.getUTCFullYear()}-W${week}`;
}

/** The newest backup of each of the newest `count` periods. */
function newestPerPeriod(backups: readonly Dated[], periodOf: (date: Date) => string, count: number): Set<string> {
  const kept = new Map<string, string>();
  for (const backup of backups) {
    const period = periodOf(new Date(backup.startedAt));
    if (kept.has(period)) continue;
    if (kept.size >= count) break;
    kept.set(period, backup.runId);
  }
  return new Set(kept.values());
}

function oldestKept(now: Date): number {
  return now.getTime() - KEEP.maximumDays * DAY;
}

/** Backups that nobody may keep any longer, whatever becomes of newer ones (R61). Pure. */
export function pastTheirTime<T extends Dated>(backups: readonly T[], now: Date): readonly T[] {
  return backups.filter((backup) => Date.parse(backup.startedAt) < oldestKept(now));
}

/**
 * Which backups are to be forgotten. Pure.
 * @param backups complete backups of one school, in any order
 * @returns run ids; the newest backup is among them only when it is older than 365 days and a newer one cannot exist
 */
export function toForget(backups: readonly Dated[], now: Date): readonly string[] {
  // A date to come was given by a clock that was wrong. Such a backup takes no other's place and is kept until that day.
  const newestFirst = backups
    .filter((backup) => Date.parse(backup.startedAt) <= now.getTime() + DAY)
    .sort((a, b) => Date.parse(b.startedAt) - Date.parse(a.startedAt));
  const keep = new Set([
    ...newestPerPeriod(newestFirst, (date) => date.toISOString().slice(0, 10), KEEP.daily),
    ...newestPerPeriod(newestFirst, isoWeek, KEEP.weekly),
    ...newestPerPeriod(newestFirst, (date) => date.toISOString().slice(0, 7), KEEP.monthly),
  ]);
  const oldest = oldestKept(now);
  return newestFirst
    .filter((backup) => !keep.has(backup.runId) || Date.parse(backup.startedAt) < oldest)
    .map((backup) => backup.runId);
}
