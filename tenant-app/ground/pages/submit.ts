import { randomUUID } from "node:crypto";
import { z } from "zod";
import { isDuplicate } from "../database/database.ts";
import { type Reply, redirect } from "../gate/reply.ts";
import { type InputError, InputProblem } from "./input.ts";
import { type Difference, StaleForm } from "./stale.ts";

/** The hidden number of a form that makes something, which becomes its id: the same form sent twice makes one thing. */
export function formNumber(form: URLSearchParams): string {
  const number = z.uuid().safeParse(form.get("vorgang"));
  return number.success ? number.data.toLowerCase() : randomUUID();
}

/** What a form that was not taken is shown with. */
export interface FormState {
  readonly errors: readonly InputError[];
  readonly stale?: readonly Difference[];
}

export interface Submission {
  /** Does what the form is for, or throws: InputProblem, StaleForm, what the database says. Yields where to go if that is not `done`. */
  // biome-ignore lint/suspicious/noConfusingVoidType: most forms have nothing to say
  work(): Promise<string | void>;
  /** Where to go when it is done. */
  readonly done: string;
  /** The form again, with what was typed and what is to be mended. */
  again(state: FormState): Reply | Promise<Reply>;
  /** The primary key that the same form violates when it is sent a second time: it has done what it is for. */
  readonly once?: string;
  /** What the database refused, in words. */
  problem?(error: unknown): InputProblem | undefined;
  /** What differs between what is stored by now and what was typed, for a form that was filled in from an older state. */
  stale?(): Promise<readonly Difference[]>;
}

/** Takes a form: redirect when it is done, 422 with the fields named, 409 with both states; a form sent twice is done once. */
export async function submit({ work, done, again, once, problem, stale }: Submission): Promise<Reply> {
  try {
    return redirect((await work()) ?? done);
  } catch (error) {
    if (once !== undefined && isDuplicate(error, once)) {
      return redirect(done);
    }
    if (error instanceof StaleForm && stale) {
      return again({ errors: [], stale: await stale() });
    }
    const refused = error instanceof InputProblem ? error : problem?.(error);
    if (refused) {
      return again({ errors: refused.errors });
    }
    throw error;
  }
}
