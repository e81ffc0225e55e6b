import type { z } from "zod";

/** One thing to mend in a form, with the field it belongs to. */
export interface Eingabefehler {
  readonly feld: string;
  readonly text: string;
}

/** A form's values were refused; the route shows the form again with 422. */
export class Eingabeproblem extends Error {
  override readonly name = "Eingabeproblem";
  readonly fehler: readonly Eingabefehler[];
  constructor(...fehler: Eingabefehler[]) {
    super(fehler.map((einer) => `${einer.feld}: ${einer.text}`).join("; "));
    this.fehler = fehler;
  }
}

/** The named fields of a form as plain text, absent ones empty: only these reach the schema, whatever else was sent. */
export function felder<Name extends string>(form: URLSearchParams, ...names: readonly Name[]): Record<Name, string> {
  const entries = names.map((name) => [name, form.get(name) ?? ""] as const);
  return Object.fromEntries(entries) as Record<Name, string>;
}

/** Checks values with a zod schema; throws Eingabeproblem that names each field once. */
export function pruefe<S extends z.ZodType>(schema: S, values: unknown): z.infer<S> {
  const result = schema.safeParse(values);
  if (result.success) {
    return result.data;
  }
  const seen = new Set<string>();
  const fehler: Eingabefehler[] = [];
  for (const issue of result.error.issues) {
    const feld = String(issue.path[0] ?? "");
    if (!seen.has(feld)) {
      seen.add(feld);
      fehler.push({ feld, text: issue.message });
    }
  }
  throw new Eingabeproblem(...fehler);
}

/** The message for each field, for the view. */
export function jeFeld(fehler: readonly Eingabefehler[]): Record<string, string> {
  return Object.fromEntries(fehler.map((einer) => [einer.feld, einer.text]));
}
