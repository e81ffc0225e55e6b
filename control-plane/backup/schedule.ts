import { createHash } from "node:crypto";

/** The nightly window, in hours of the day (UTC) and hours of length. */
export interface BackupWindow {
  readonly startHour: number;
  readonly hours: number;
}

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** A backup that is this old is late: it must not be older than 24 h (R41), so half an hour is left to make it. */
const LATE_MS = 23.5 * HOUR;
/** After a failure the next try waits this long. */
const RETRY_MS = HOUR / 2;

/** Where in the window a school's slot lies, in milliseconds: a hash of its uid, so that schools spread evenly and stay put. */
export function slotOffset(uid: string, window: BackupWindow): number {
  const fraction = createHash("sha256").update(`backup-slot:${uid}`).digest().readUInt32BE(0) / 2 ** 32;
  return Math.floor(fraction * window.hours * HOUR);
}

/**
 * When a school's next scheduled backup is due. Pure.
 * @param newest start of the newest complete backup, undefined when there is none
 * @param lastFailure start of a failed one since then
 * @returns a time, possibly in the past: then it is due now
 */
export function nextBackup(
  uid: string,
  window: BackupWindow,
  newest: Date | undefined,
  lastFailure: Date | undefined,
  createdAt: Date,
): Date {
  if (newest === undefined) return lastFailure === undefined ? createdAt : new Date(lastFailure.getTime() + RETRY_MS);
  const midnight = Math.floor(newest.getTime() / DAY) * DAY;
  let slot = midnight + window.startHour * HOUR + slotOffset(uid, window);
  // The first slot that is at least half a day away from the newest backup.
  while (slot < newest.getTime() + DAY / 2) slot += DAY;
  const regular = Math.min(slot, newest.getTime() + LATE_MS);
  const afterFailure = lastFailure === undefined || lastFailure < newest ? 0 : lastFailure.getTime() + RETRY_MS;
  return new Date(Math.max(regular, afterFailure));
}
