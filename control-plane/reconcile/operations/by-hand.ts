import { z } from "zod";
import type { Operation } from "../../store/operations.ts";
import { type Attempt, runJob } from "../steps.ts";

/** What the school's own programs answer: ids and counts, never a mark. The API passes it on as it is. */
const answer = z.looseObject({});
/** Every entry of 30 days is opened and compared. */
const DEADLINE_MS = 15 * 60_000;

/**
 * A command of the school's own image that reaches into it by hand: puts its journal to use (R30, R44, R45), or removes somebody's second
 * factor, puts together what is stored about somebody (R49), or takes a file down (R25). The school is shown who asked for it, and why, by the command itself, in the transaction that does it: cut off and run again it
 * does nothing twice, and says so.
 */
export function reachIn(attempt: Attempt, { kind, params, requestedBy }: Operation): Promise<unknown> {
  const input = { ...params, by: requestedBy };
  return runJob(attempt, "admin", { command: kind, input, schema: answer, deadline: DEADLINE_MS });
}
