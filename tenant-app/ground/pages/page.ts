import type { App } from "../app.ts";
import type { Refused } from "../gate/refusal.ts";
import type { Extra, Reply } from "../gate/reply.ts";
import type { PersonVisit, Visit } from "../gate/visit.ts";
import { withScript } from "./headers.ts";
import { byField, type InputError } from "./input.ts";
import { type Frame, frameOf, publicFrame } from "./layout.ts";
import type { Difference } from "./stale.ts";

/** A view and the data that it shows. */
export interface View<Data extends object> {
  readonly name: string;
  /** Only a type. */
  readonly __data?: Data;
}

/**
 * Names a view with its data, e.g. `view<Liste>("nachrichten/liste")` for `features/nachrichten/views/liste.hbs`. A name in the view
 * that the data lack is an error when the page is made.
 */
export function view<Data extends object>(name: string): View<Data> {
  return { name };
}

interface PageExtra extends Extra {
  /** Browser's title, and heading of most pages. */
  readonly title: string;
  readonly status?: number;
  /** What is to be mended in the form on this page; a page with errors is answered with 422 unless a status is given. */
  readonly errors?: readonly InputError[];
  /** What differs between a form and what is stored by now; the page is answered with 409 unless a status is given. */
  readonly stale?: readonly Difference[];
  /** Counters that this page has changed. */
  readonly badges?: Readonly<Record<string, number>>;
  /** What stands above the errors. */
  readonly errorTitle?: string;
  /** Whether the page has forms that the script makes easier: it runs on those pages alone. */
  readonly script?: true;
  /** Takes the place of the frame's hidden field: forms of people who are not signed in. */
  readonly formKey?: string;
}

/** A page in its frame. */
export function page<Data extends object>(
  visit: Visit | PersonVisit,
  { name }: View<Data>,
  data: NoInfer<Data>,
  {
    title,
    errors = [],
    errorTitle,
    stale,
    badges = {},
    script,
    formKey,
    status = statusOf(errors, stale),
    ...extra
  }: PageExtra,
): Reply {
  const frame = frameOf("person" in visit ? { ...visit, badges: { ...visit.badges, ...badges } } : visit);
  const all = {
    ...inFrame(frame, title, errors, errorTitle),
    veraltet: stale && { unterschiede: stale },
    ...(formKey === undefined ? {} : { sicherheit: formKey }),
    ...(script === undefined ? {} : { skript: visit.app.assets.script }),
    ...data,
  };
  const headers = { ...(script && withScript(visit.app.config.origin + visit.app.assets.script)), ...extra.headers };
  return { kind: "page", view: name, data: all, status, ...extra, headers };
}

function statusOf(errors: readonly InputError[], stale: readonly Difference[] | undefined): number {
  return errors.length > 0 ? 422 : stale === undefined ? 200 : 409;
}

/** The page of a refusal, in the frame of whoever met it. */
export function refusalPage(app: App, { status, title, advice }: Refused, visitor: PersonVisit | undefined): Reply {
  return {
    kind: "page",
    view: "ground/error",
    data: { ...inFrame(visitor ? frameOf(visitor) : publicFrame(app), title, []), rat: advice },
    status,
  };
}

function inFrame(
  frame: Frame,
  titel: string,
  errors: readonly InputError[],
  fehlertitel = "Bitte prüfen Sie Ihre Eingaben",
): object {
  return {
    ...frame,
    skript: undefined,
    titel,
    fehlertitel,
    fehler: errors.length > 0 ? errors : undefined,
    fehlerJe: byField(errors),
  };
}
