import { CliError, EXIT } from "./errors.ts";

/** A reason that was given. Throws, with the remedy, where there is none. */
export function requireReason(
  reason: string | undefined,
  what: string,
  keeper = "the audit keeps it.",
): asserts reason is string {
  if (reason !== undefined) return;
  throw new CliError(EXIT.usage, `${what} needs a reason.`, { field: "reason", remedy: `Add --reason "…"; ${keeper}` });
}

/** What --reason is for, where the school is told. */
export const REASON_OF_REACHING_IN = "why; kept in the audit, and shown to the school (required)";

/** Who is told of what an operator does in a school by hand. */
export const SHOWN_TO_THE_SCHOOL = "the audit keeps it, and the school is shown it.";
