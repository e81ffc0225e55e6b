import type { z } from "zod";
import { lenient } from "./strict.ts";

/** One thing to mend in a form, with the field it belongs to. */
export interface InputError {
  readonly field: string;
  readonly text: string;
}

/** A form's values were refused; the route shows the form again with 422. */
export class InputProblem extends Error {
  override readonly name = "InputProblem";
  readonly errors: readonly InputError[];
  constructor(...errors: InputError[]) {
    super(errors.map(({ field, text }) => `${field}: ${text}`).join("; "));
    this.errors = errors;
  }
}

/** The named fields of a form as plain text, absent ones empty: only these reach the schema, whatever else was sent. */
export function fieldsOf<Name extends string>(form: URLSearchParams, ...names: readonly Name[]): Record<Name, string> {
  const entries = names.map((name) => [name, form.get(name) ?? ""] as const);
  return Object.fromEntries(entries) as Record<Name, string>;
}

/** Checks values with a zod schema; throws InputProblem that names each field once. */
export function checked<S extends z.ZodType>(schema: S, values: unknown): z.infer<S> {
  const result = schema.safeParse(values);
  if (result.success) {
    return result.data;
  }
  const seen = new Set<string>();
  const errors: InputError[] = [];
  for (const issue of result.error.issues) {
    const field = String(issue.path[0] ?? "");
    if (!seen.has(field)) {
      seen.add(field);
      errors.push({ field, text: issue.message });
    }
  }
  throw new InputProblem(...errors);
}

/** The message for each field, for the view: fields without one are asked for, too. */
export function byField(errors: readonly InputError[]): Record<string, string> {
  return lenient(Object.fromEntries(errors.map(({ field, text }) => [field, text])));
}
