/** When backups are read back, how far, and what a fault that was found is disproved by. Pure. */

/** A backup as its readings tell of it. */
export interface Read {
  readonly runId: string;
  /** RFC 3339. */
  readonly startedAt: string;
  readonly finishedAt?: string | undefined;
  readonly verifiedAt?: string | undefined;
  readonly verifyError?: string | undefined;
  readonly verifyCode?: string | undefined;
  /** `whole`, or a part of the repository's data, such as `3/7`. */
  readonly verifiedExtent?: string | undefined;
  readonly repository: number;
}

const DAY = 86_400_000;
/** The whole of a repository is read in so many days, a part each day; a backup's database every time. */
const PARTS = 7;
/** Soon after a backup was made, but not while its neighbours are still being made. */
const AFTER_MS = 10 * 60_000;

/** The part of the repository that is read on a day. */
export function partOf(day: Date): string {
  return `${(Math.floor(day.getTime() / DAY) % PARTS) + 1}/${PARTS}`;
}

/** When the newest backup is to be read back by itself; undefined if it has been, or there is none. */
export function readBackAt(newest: Read | undefined): Date | undefined {
  if (newest?.finishedAt === undefined || newest.verifiedAt !== undefined) return undefined;
  return new Date(Date.parse(newest.finishedAt) + AFTER_MS);
}

/**
 * Whether a reading that went well disproves a fault that was found before: only the check that failed can pass. A fresh repository
 * has nothing of the fault; a broken archive is that one backup's; anything else is about the part that was read.
 */
function disproves(passed: Read, fault: Read): boolean {
  if (passed.verifyError !== undefined || passed.verifiedAt === undefined || fault.verifiedAt === undefined)
    return false;
  if (passed.verifiedAt <= fault.verifiedAt) return false;
  if (passed.repository !== fault.repository) return passed.repository > fault.repository;
  if (fault.verifyCode === "ArchiveBroken" && passed.startedAt > fault.startedAt) return true;
  return passed.verifiedExtent === "whole" || passed.verifiedExtent === fault.verifiedExtent;
}

/** The newest fault that nothing has disproved yet. @param backups complete ones */
export function openFault<T extends Read>(backups: readonly T[]): T | undefined {
  return backups
    .filter(({ verifyError }) => verifyError !== undefined)
    .sort((a, b) => ((a.verifiedAt ?? "") < (b.verifiedAt ?? "") ? 1 : -1))
    .find((fault) => !backups.some((passed) => disproves(passed, fault)));
}
