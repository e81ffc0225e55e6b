/** What a look at this machine has found. */
export interface HostFinding {
  readonly check: string;
  readonly ok: boolean;
  readonly message: string;
  /** What to do about it when not ok. */
  readonly remedy?: string;
  /** Nobody looked, so nothing is known: neither well nor a fault. */
  readonly skipped?: true;
}
