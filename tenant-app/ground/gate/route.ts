import type { Transaction } from "../database/database.ts";
import type { Policy, PublicPolicy, RightPolicy, SignedInPolicy } from "./policy.ts";
import type { Reply } from "./reply.ts";
import type { PersonVisit, UploadVisit, Visit } from "./visit.ts";

interface Where {
  readonly method: "GET" | "POST";
  /** Express path, e.g. `/konten/:id`. A parameter named `id` must be a UUID, or the answer is 404. */
  readonly path: string;
}

export interface PublicRoute extends Where {
  readonly policy: PublicPolicy;
  /** Answered for every Host header: health checks ask by address. */
  readonly anyHost?: true;
  /** Answers a form whose hidden field is not of the keys in the cookies, which then does nothing; without this it is refused. */
  stale?(visit: Visit): Promise<Reply>;
  handle(visit: Visit): Promise<Reply>;
}

export interface SignedInRoute extends Where {
  readonly policy: SignedInPolicy;
  handle(visit: PersonVisit): Promise<Reply>;
}

export interface RightRoute extends Where {
  readonly policy: RightPolicy;
  handle(visit: PersonVisit): Promise<Reply>;
}

export interface UploadRoute extends Where {
  readonly policy: RightPolicy;
  readonly body: "upload";
  handle(visit: UploadVisit): Promise<Reply>;
}

/** The object of a route: how it is found, and who says how it stands to the person. */
export interface Subject<T> {
  /**
   * View in the schema `bezug` that says what is true of which object: `(id, aktion, umfang)` for the acting account. Row-level security
   * asks the same.
   */
  readonly relation: string;
  /** Its id; without this the parameter `id` of the path. */
  id?(visit: Visit & { readonly accountId: string }): string;
  /** Loads it; undefined if it does not exist. Asked together with the relation, so what it loads is used only if that allows it. */
  load(tx: Transaction, id: string, visit: Visit & { readonly accountId: string }): Promise<T | undefined>;
}

/** A route about one object: the gate loads it, decides on it, and answers 404 for those of others. */
export interface ObjectRoute<T> extends Where {
  readonly policy: RightPolicy;
  readonly object: Subject<T>;
  handle(visit: PersonVisit, object: T): Promise<Reply>;
}

/** Answers a form of somebody who is not signed in any more: asks to sign in, and carries what they typed. */
export type AskToSignIn = (visit: Visit, draft: string) => Reply;

/** A declared route, as the gate runs it. */
export interface Declared extends Where {
  readonly policy: Policy;
  readonly anyHost: boolean;
  readonly body: "none" | "form" | "upload";
  readonly object: Subject<unknown> | undefined;
  readonly stale: ((visit: Visit) => Promise<Reply>) | undefined;
  /** Called by the gate only, after the decision. `found` is what was loaded. */
  run(visit: Visit | PersonVisit | UploadVisit, found: unknown): Promise<Reply>;
}

type AnyRoute<T> = PublicRoute | SignedInRoute | RightRoute | UploadRoute | ObjectRoute<T>;

/** The one way to declare a route. Its policy is checked when the routes are mounted, before the app listens. */
export function route(definition: PublicRoute): Declared;
export function route(definition: UploadRoute): Declared;
export function route<T>(definition: ObjectRoute<T>): Declared;
export function route(definition: RightRoute): Declared;
export function route(definition: SignedInRoute): Declared;
export function route<T>(definition: AnyRoute<T>): Declared {
  const { method, path, policy } = definition;
  const upload = "body" in definition;
  return {
    method,
    path,
    policy,
    anyHost: "anyHost" in definition,
    body: upload ? "upload" : method === "POST" ? "form" : "none",
    stale: "stale" in definition ? definition.stale : undefined,
    object: "object" in definition ? definition.object : undefined,
    // The gate builds the visit that the kind of route asks for; the overloads keep declaration and handler together.
    run: (visit, found) => (definition.handle as (visit: unknown, found: unknown) => Promise<Reply>)(visit, found),
  };
}
