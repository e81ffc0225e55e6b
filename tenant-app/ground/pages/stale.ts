import { z } from "zod";

/** A form was filled in from a state that is not the newest any more. Nothing was saved; the route shows both states. */
export class StaleForm extends Error {
  override readonly name = "StaleForm";
}

/**
 * Takes how many rows an UPDATE with `version = …` has changed.
 * @throws StaleForm when none
 */
export function unlessStale(changed: number): void {
  if (changed === 0) {
    throw new StaleForm();
  }
}

const version = z.coerce.number().int().min(1).catch(0);

/** The state that a form was filled in from, as its hidden field `version` says; 0, which no row has, for a form without. */
export function versionOf(form: URLSearchParams): number {
  return version.parse(form.get("version"));
}

/** One thing that differs between what is stored by now and what a form says. */
export interface Difference {
  readonly what: string;
  readonly stored: string;
  readonly typed: string;
}

/**
 * What differs, in words, for the page that shows both.
 * @param stored by now; @param typed in the form; both by what people call it
 */
export function differences(
  stored: Readonly<Record<string, string>>,
  typed: Readonly<Record<string, string>>,
): readonly Difference[] {
  return Object.keys({ ...stored, ...typed })
    .map((what) => ({ what, stored: stored[what] ?? "", typed: typed[what] ?? "" }))
    .filter((one) => one.stored !== one.typed);
}
