import type { Operation } from "../../store/operations.ts";

/** Work that has begun. */
export interface BegunOperation extends Operation {
  /** Whether it had begun before: by a holder that was cut off, who may have left something. */
  readonly resumed: boolean;
}
