import { CliError, EXIT } from "./errors.ts";

/** ISO 8601 with a date, a time and a zone: the one form that means the same moment to everybody. */
const MOMENT = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2})(?::(\d{2})(?:\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$/;

/**
 * A moment as the API wants it: RFC 3339, in UTC.
 * @param option the option that it was given with, for the message
 * @throws CliError (2) for anything but ISO 8601 with a zone: other forms are another day to whoever reads them otherwise
 */
export function parseMoment(text: string, option: string, now = new Date()): string {
  const [, year, month, day] = MOMENT.exec(text) ?? [];
  const time = Date.parse(text);
  // A day that does not exist is taken for one of the next month.
  const real = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day))).getUTCDate() === Number(day);
  if (year !== undefined && real && !Number.isNaN(time)) return new Date(time).toISOString();
  throw new CliError(EXIT.usage, `${option} is not a moment with a date, a time and a zone (ISO 8601).`, {
    field: option.replace(/^-+/, ""),
    remedy: `Write it as ${now.toISOString().slice(0, 19)}Z, or with your zone: ${now.toISOString().slice(0, 16)}+01:00. The times of "classmind backup list" can be pasted.`,
  });
}

/** A moment as people and parseMoment both read it: to the second, in UTC. */
export function showMoment(time: string): string {
  return `${time.slice(0, 19)}Z`;
}
