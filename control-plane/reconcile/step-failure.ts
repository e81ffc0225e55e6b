import type { Reason } from "../tenant.ts";

/** Why an attempt ended before its time. */
export interface StepFailure {
  readonly step: string;
  readonly reason: Reason;
  readonly message: string;
  readonly retryable: boolean;
}
