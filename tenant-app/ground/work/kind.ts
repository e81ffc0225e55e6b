import type { z } from "zod";
import type { App } from "../app.ts";
import type { Transaction } from "../database/database.ts";
import type { Right, Scope } from "../gate/rights.ts";
import type { Entry } from "../journal/write.ts";

/** What a step may use. Its transaction acts for whoever gave the order, with the rights that they have by now. */
export interface WorkStep {
  readonly app: App;
  readonly tx: Transaction;
  readonly now: Date;
  /** Who gave the order; undefined: the school itself. */
  readonly accountId: string | undefined;
  /** Where the step before said to go on; empty for the first. */
  readonly cursor: string;
  /** How much the steps before have done. */
  readonly done: number;
  /** Writes in the journal what is done, in the step's transaction. */
  record<Deed extends string>(entry: Entry<Deed>): Promise<void>;
  /** The same for many at once, in a few statements; `entryOf` makes each. */
  recordAll(entries: readonly Entry<string>[]): Promise<void>;
}

/** What people are told when it is over. */
export interface WorkResult {
  readonly text: string;
  /** Where what came of it can be seen: a path of our own. */
  readonly href?: string;
}

/** What a step says: where to go on (up to 1,000 characters, other than where it began), how much is done and, if that is known, how much it is in all; or what came of it. */
export type StepOutcome =
  | { readonly cursor: string; readonly done: number; readonly total?: number }
  | { readonly finished: WorkResult; readonly done: number };

/** A kind of work that takes longer than a request. */
export interface WorkKind<Order = unknown> {
  readonly name: string;
  /** What people call it, e.g. „Konten anlegen". */
  readonly title: string;
  /** Asked before each step; of the school's own work nobody needs one. */
  readonly policy?: { readonly right: Right; readonly scope?: Scope };
  readonly order: z.ZodType<Order>;
  /**
   * One step, of at most a few seconds, in one transaction: repeated from the same cursor if it is cut off, and then as if it had never been.
   * @throws WorkRefused, or InputProblem, when it cannot go on, for a reason that people can do something about
   */
  step(step: WorkStep, order: Order): Promise<StepOutcome>;
}

/** A kind with its type erased, as the register keeps it. */
export interface RegisteredKind extends Omit<WorkKind, "order" | "step"> {
  /** @throws ZodError when the order is not of this kind */
  run(step: WorkStep, order: unknown): Promise<StepOutcome>;
}

/** Puts a kind into a register. */
export function registered<Order>({ order, step, ...rest }: WorkKind<Order>): RegisteredKind {
  return { ...rest, run: async (given, asked) => step(given, order.parse(asked)) };
}

/** Work cannot go on; what it did in earlier steps stands. The text is for people, and says so. */
export class WorkRefused extends Error {
  override readonly name = "WorkRefused";
  /** Where people can do something about it: a path of our own. */
  readonly href: string | undefined;
  constructor(text: string, href?: string) {
    super(text);
    this.href = href;
  }
}
