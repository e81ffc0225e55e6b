/** One error type inside; mapped once at each edge (HTTP in api/, exit code in cli/). */

export const ERROR_CODES = [
  "Invalid",
  "Unauthorized",
  "Forbidden",
  "NotFound",
  "Conflict",
  "PreconditionFailed",
  "TooManyRequests",
  "Unavailable",
  "Internal",
] as const;
export type ErrorCode = (typeof ERROR_CODES)[number];

/** An error whose message may be shown to a person: it never contains a secret, names the field and the remedy. */
export class ClassmindError extends Error {
  readonly code: ErrorCode;
  /** Dotted path of the offending input, if any. */
  readonly field: string | undefined;
  /** What the person can do next. */
  readonly remedy: string | undefined;

  constructor(code: ErrorCode, message: string, options: { field?: string; remedy?: string; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.name = "ClassmindError";
    this.code = code;
    this.field = options.field;
    this.remedy = options.remedy;
  }
}

/** Text of anything thrown, for logs and messages. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
