/** How a command ends when it does not succeed. The codes are documented in docs/cli.md and stay as they are. */
export const EXIT = {
  ok: 0,
  /** A fault of ours, or one nobody foresaw. */
  fault: 1,
  /** The command line is wrong. */
  usage: 2,
  /** The platform refused what was asked for: wrong value, missing confirmation, not allowed. */
  refused: 3,
  notFound: 4,
  conflict: 5,
  /** The platform cannot be reached, or is not ready. */
  unavailable: 6,
  /** The work was done and failed, or what was to be verified does not hold. */
  failed: 7,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** An error that is the user's to fix: what, and what to do next. Anything else thrown is a bug and shown as one. */
export class CliError extends Error {
  readonly exitCode: ExitCode;
  readonly remedy: string | undefined;
  readonly field: string | undefined;
  constructor(
    exitCode: ExitCode,
    message: string,
    options: { remedy?: string | undefined; field?: string | undefined } = {},
  ) {
    super(message);
    this.name = "CliError";
    this.exitCode = exitCode;
    this.remedy = options.remedy;
    this.field = options.field;
  }
}

/** Ends a command with a code when everything has been said: a check that found something, a state that is not well. */
export class Ended extends Error {
  readonly exitCode: ExitCode;
  constructor(exitCode: ExitCode) {
    super(`ended with ${exitCode}`);
    this.name = "Ended";
    this.exitCode = exitCode;
  }
}

const EXIT_OF_CODE: Readonly<Record<string, ExitCode>> = {
  Invalid: EXIT.refused,
  Unauthorized: EXIT.refused,
  Forbidden: EXIT.refused,
  PreconditionFailed: EXIT.refused,
  NotFound: EXIT.notFound,
  Conflict: EXIT.conflict,
  TooManyRequests: EXIT.unavailable,
  Unavailable: EXIT.unavailable,
};

/** Exit code for an error code of the API. */
export function exitCodeOf(code: string): ExitCode {
  return EXIT_OF_CODE[code] ?? EXIT.fault;
}
