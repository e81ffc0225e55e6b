import { isReferenced } from "../database/database.ts";
import type { Reply } from "../gate/reply.ts";
import type { PersonVisit } from "../gate/visit.ts";
import type { Entry } from "../journal/write.ts";
import { type InputError, InputProblem } from "./input.ts";
import { type Submission, submit } from "./submit.ts";

interface Removal<Deed extends string> extends Pick<Submission, "done" | "again"> {
  /** DELETE of the row whose id is `$1`. */
  readonly statement: string;
  readonly entry: Entry<Deed>;
  /** What the form says when something hangs on it, so that it stays. */
  readonly inUse: InputError;
}

/** Takes the form that removes what was made by mistake: only what nothing hangs on, as the database says. */
export function removeUnused<Deed extends string>(
  visit: PersonVisit,
  { statement, entry, inUse, done, again }: Removal<Deed>,
): Promise<Reply> {
  return submit({
    done,
    again,
    problem: (error) => (isReferenced(error) ? new InputProblem(inUse) : undefined),
    work: () =>
      visit.transaction(async (tx) => {
        await tx.run(statement, [entry.object]);
        await visit.record(tx, entry);
      }),
  });
}
