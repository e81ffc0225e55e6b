import { pino } from "pino";

/** Structured logs. Only what is named here may be logged: slugs, steps, durations, messages; never personal data or secrets. */
export interface Log {
  debug(fields: Record<string, unknown>, message: string): void;
  info(fields: Record<string, unknown>, message: string): void;
  warn(fields: Record<string, unknown>, message: string): void;
  error(fields: Record<string, unknown>, message: string): void;
}

/** A log to standard output, one JSON object a line. */
export function createLog(component: string, level = "info"): Log {
  return pino({ level, base: { component }, timestamp: pino.stdTimeFunctions.isoTime });
}

/** Says nothing; for tests. */
export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
