/**
 * What is kept: one backup for each of the newest 30 days, 12 weeks and 12 months that have any; nothing older than 365 days (R61).
 * Whatever these classes say, what an operator made by hand stays for a week, and so does what was set aside before a restore.
 */
export const KEEP = { daily: 30, weekly: 12, monthly: 12, maximumDays: 365, manualDays: 7 } as const;

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

/** What decides about a backup besides its age. */
export interface Kept extends Dated {
  readonly trigger: string;
  /** When it was last read back, and what was found wrong. */
  readonly verifiedAt?: string | undefined;
  readonly verifyError?: string | undefined;
  /** What it holds far less than the one before, while nobody has said that this is right. */
  readonly shrunk?: string | undefined;
  /** Kept until then, whatever the classes say; RFC 3339. */
  readonly keepUntil?: string | undefined;
}

/** How much a backup is worth beside another one: found broken, suspiciously small, not read yet, read back. */
export function worthOf({ verifiedAt, verifyError, shrunk }: Kept): 0 | 1 | 2 | 3 {
  if (verifyError !== undefined) return 0;
  if (shrunk !== undefined) return 1;
  return verifiedAt === undefined ? 2 : 3;
}

/** Whether a backup is to be preferred to another one of its period: by its worth, and then by its age. */
export function isBetter(one: Kept, other: Kept): boolean {
  const [a, b] = [worthOf(one), worthOf(other)];
  return a === b ? Date.parse(one.startedAt) > Date.parse(other.startedAt) : a > b;
}

/** The best backup of each of the newest `count` periods. */
function bestPerPeriod(newestFirst: readonly Kept[], periodOf: (date: Date) => string, count: number): Set<string> {
  const best = new Map<string, Kept>();
  for (const backup of newestFirst) {
    const period = periodOf(new Date(backup.startedAt));
    const present = best.get(period);
    if (present === undefined && best.size >= count) break;
    if (present === undefined || isBetter(backup, present)) best.set(period, backup);
  }
  return new Set([...best.values()].map(({ runId }) => runId));
}

/** The periods by which backups are kept, with how many of each. */
export const CLASSES: ReadonlyArray<{ readonly periodOf: (date: Date) => string; readonly count: number }> = [
  { periodOf: (date) => date.toISOString().slice(0, 10), count: KEEP.daily },
  { periodOf: isoWeek, count: KEEP.weekly },
  { periodOf: (date) => date.toISOString().slice(0, 7), count: KEEP.monthly },
];

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
 * @param named runs that open work is reading, or is to read: they stay until it has ended
 * @returns run ids. The newest is among them only when it is older than 365 days; so is the newest that was read back. While one has
 *   shrunk beyond reason and nobody has said that this is right, only what is older than 365 days is.
 */
export function toForget(
  backups: readonly Kept[],
  now: Date,
  named: ReadonlySet<string> = new Set(),
): readonly string[] {
  // A date to come was given by a clock that was wrong. Such a backup takes no other's place and is kept until that day.
  const newestFirst = backups
    .filter((backup) => Date.parse(backup.startedAt) <= now.getTime() + DAY)
    .sort((a, b) => Date.parse(b.startedAt) - Date.parse(a.startedAt));
  const keep = new Set(CLASSES.flatMap(({ periodOf, count }) => [...bestPerPeriod(newestFirst, periodOf, count)]));
  const [newest] = newestFirst;
  for (const backup of [newest, newestFirst.find((each) => worthOf(each) === 3)])
    if (backup !== undefined) keep.add(backup.runId);
  const suspicious = newestFirst.some(({ shrunk }) => shrunk !== undefined);
  const young = now.getTime() - KEEP.manualDays * DAY;
  const stays = (backup: Kept): boolean =>
    suspicious ||
    keep.has(backup.runId) ||
    (backup.trigger === "manual" && Date.parse(backup.startedAt) > young) ||
    (backup.keepUntil !== undefined && Date.parse(backup.keepUntil) > now.getTime());
  const oldest = oldestKept(now);
  return newestFirst
    .filter((backup) => !named.has(backup.runId) && (!stays(backup) || Date.parse(backup.startedAt) < oldest))
    .map((backup) => backup.runId);
}

/** A backup that holds less than this share of the one before has shrunk beyond reason. */
const SHRUNK = 0.5;
/** Below this, a school is too young for shares to mean anything. */
const FEW_ROWS = 200;
const FEW_BYTES = 4 * 1024 * 1024;

/**
 * Whether a backup holds far less than another one did: a school that was emptied, by mistake or by a volume that was lost. Pure.
 * @returns what has shrunk, in words; undefined if nothing has
 */
export function shrinkOf(
  size: { readonly rows: number; readonly filesBytes: number },
  before: { readonly rows: number; readonly filesBytes: number } | undefined,
): string | undefined {
  if (before === undefined) return undefined;
  if (before.rows >= FEW_ROWS && size.rows < before.rows * SHRUNK)
    return `${size.rows} rows, and ${before.rows} before`;
  if (before.filesBytes >= FEW_BYTES && size.filesBytes < before.filesBytes * SHRUNK)
    return `${size.filesBytes} bytes of files, and ${before.filesBytes} before`;
  return undefined;
}
