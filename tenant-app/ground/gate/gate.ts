import { randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { App } from "../app.ts";
import type { Transaction } from "../database/database.ts";
import { addressOf } from "./address.ts";
import { readKeys } from "./cookies.ts";
import { sealDraft } from "./draft.ts";
import { hasNul, readForm } from "./form.ts";
import { formKey, keyHash, sameSecret } from "./keys.ts";
import type { Keys, Person } from "./person.ts";
import { opens, type RightPolicy } from "./policy.ts";
import {
  cookiesNeeded,
  forbidden,
  foreignForm,
  notFound,
  secondFactorNeeded,
  sessionOver,
  staleForm,
  unintelligible,
} from "./refusal.ts";
import { relationTo } from "./relation.ts";
import { type Reply, redirect } from "./reply.ts";
import { decide, type Scope } from "./rights.ts";
import type { AskToSignIn, Declared } from "./route.ts";
import { readUpload } from "./upload.ts";
import { asPerson, type PersonVisit, type Visit } from "./visit.ts";
import { noteVisitor } from "./visitor.ts";

/** Who stands behind a session. */
interface Known {
  readonly person: Person;
  readonly badges: Readonly<Record<string, number>>;
}

interface Passed extends Known {
  readonly scopes: ReadonlySet<Scope>;
  readonly object: unknown;
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const none: ReadonlySet<Scope> = new Set();

/**
 * The gate: every request to every route comes through here, in this order: origin, session, security key, rules,
 * object. What is not allowed by then is refused (R38, R39). Throws Refused, or whatever the route throws.
 */
export async function pass(
  app: App,
  declared: Declared,
  request: IncomingMessage,
  params: Record<string, string>,
  askToSignIn: AskToSignIn,
): Promise<Reply> {
  const keys = readKeys(request.headers.cookie);
  const visit = visitOf(app, request, params, keys);
  if (hasNul(visit.query)) {
    throw unintelligible();
  }
  if (Object.values(params).some((value) => value.includes("\0"))) {
    throw notFound();
  }
  if (params.id !== undefined && !uuid.test(params.id)) {
    throw notFound();
  }
  if (declared.method !== "GET") {
    requireOwnOrigin(app, request);
  }
  if ("public" in declared.policy) {
    return declared.body === "form" ? publicForm(visit, declared, request) : declared.run(visit, undefined);
  }
  const { sitzung, sicherheit } = keys;
  const signedOut = () => notSignedIn(visit, declared, request, askToSignIn);
  if (sitzung === undefined || sicherheit === undefined) {
    return signedOut();
  }
  const shown = { sitzung, sicherheit };
  const reply = await (declared.method === "GET" ? show(visit, declared, shown) : act(visit, declared, shown, request));
  return reply === "signed-out" ? signedOut() : reply;
}

/** A page: decided and made in one transaction. */
function show(visit: Visit, declared: Declared, keys: Keys): Promise<Reply | "signed-out"> {
  const refused = rememberingWho();
  return refused.asThem(
    asBrowser(visit, keys, async (tx) => {
      const asked = asPersonOf(visit, keys, (work, visitor) => work(tx, visitor));
      const passed = await admit(tx, visit, declared, keys, (who) => refused.know(asked(who)));
      return typeof passed === "string"
        ? turnedAway(passed, visit, declared)
        : declared.run(asked(passed), passed.object);
    }),
  );
}

/**
 * A form: decided before it is read, and once more in each transaction that its route makes, for it may take long to come and
 * rights may have changed meanwhile.
 */
function act(visit: Visit, declared: Declared, keys: Keys, request: IncomingMessage): Promise<Reply | "signed-out"> {
  const refused = rememberingWho();
  const asked: AsPerson = asPersonOf(visit, keys, (work) =>
    asBrowser(visit, keys, async (tx) => {
      const again = await admit(tx, visit, declared, keys);
      if (typeof again === "string") {
        throw sessionOver();
      }
      return work(tx, asked(again));
    }),
  );
  const decideAndRun = async () => {
    const passed = await asBrowser(visit, keys, (tx) =>
      admit(tx, visit, declared, keys, (who) => refused.know(asked(who))),
    );
    return typeof passed === "string"
      ? turnedAway(passed, visit, declared)
      : declared.run(await withBody(asked(passed), declared, request), passed.object);
  };
  return refused.asThem(decideAndRun());
}

type AsPerson = (who: Known & { readonly scopes?: ReadonlySet<Scope> }) => PersonVisit;
type Work<T> = (tx: Transaction, visit: PersonVisit) => Promise<T>;

/** What a person's visit is made of, once they are known. */
function asPersonOf(
  visit: Visit,
  keys: Keys,
  transaction: <T>(work: Work<T>, visitor: PersonVisit) => Promise<T>,
): AsPerson {
  const formed = formKey(visit.app.sessionKey, keys);
  return ({ person, badges, scopes = none }) => {
    const visitor: PersonVisit = asPerson(visit, { person, badges, scopes, formKey: formed }, (work) =>
      transaction(work, visitor),
    );
    return visitor;
  };
}

/** Notes with an error who met it, so that its page is in their frame. */
function rememberingWho() {
  let known: PersonVisit | undefined;
  return {
    know: (visitor: PersonVisit) => {
      known = visitor;
    },
    asThem: async <T>(work: Promise<T>): Promise<T> => {
      try {
        return await work;
      } catch (error) {
        noteVisitor(error, known);
        throw error;
      }
    },
  };
}

/** A transaction in which row-level security shows only the session whose key was sent. */
function asBrowser<T>(visit: Visit, keys: Keys, work: (tx: Transaction) => Promise<T>): Promise<T> {
  const sitzung = keyHash(visit.app.sessionKey, "sitzung", keys.sitzung).toString("hex");
  return visit.app.database.as({ sitzung, jetzt: visit.now, anfrage: visit.id }, work);
}

/** Why somebody gets no further for now. */
type Turned = "signed-out" | "choose-password" | "second-factor";

function turnedAway(why: Turned, visit: Visit, { method }: Declared): Reply | "signed-out" {
  if (why === "signed-out") return why;
  if (why === "choose-password") return redirect("/passwort");
  // A form is refused and stays in its tab: there it can be sent again afterwards.
  if (method !== "GET") throw secondFactorNeeded();
  const next = visit.path + (visit.query.size > 0 ? `?${visit.query}` : "");
  return redirect(`${visit.app.identity.secondFactorPath}?weiter=${encodeURIComponent(next)}`);
}

/** What is especially sensitive is for those who have shown their second factor, if they have one or must. */
function lacksSecondFactor(visit: Visit, { right }: RightPolicy, person: Person, held: ReadonlySet<Scope>): boolean {
  const lacking = person.secondFactor === "open" || (person.secondFactor === "none" && person.secondFactorDemanded);
  return lacking && (visit.app.catalogue.resources.get(right.resource)?.sensitive(right.action, held) ?? false);
}

/**
 * Session, rules and object, in a transaction that from the identity on acts as the person.
 * @param know is told who it is as soon as that is known; without it no page follows, and nothing is counted
 */
async function admit(
  tx: Transaction,
  visit: Visit,
  declared: Declared,
  keys: Keys,
  know?: (who: Known) => void,
): Promise<Passed | Turned> {
  const { policy } = declared;
  const { identity, catalogue, sessionKey } = visit.app;
  const [person, badges] = await Promise.all([
    identity.find(tx, sessionKey, keys, visit.now),
    know ? countBadges(tx, catalogue.badges) : {},
  ]);
  if (!person) {
    return "signed-out";
  }
  know?.({ person, badges });
  if (person.passwordOnly && !("beforePasswordChange" in policy)) {
    return "choose-password";
  }
  if (!("right" in policy)) {
    return { person, badges, scopes: none, object: undefined };
  }
  const general = decide(person.rules, policy.right);
  if (!general.allowed || !opens(policy, general.scopes)) {
    throw forbidden();
  }
  if (!declared.object) {
    return lacksSecondFactor(visit, policy, person, general.scopes)
      ? "second-factor"
      : { person, badges, scopes: general.scopes, object: undefined };
  }
  const asked = { ...visit, accountId: person.accountId };
  const id = declared.object.id?.(asked) ?? visit.params.id ?? "";
  const [relation, object] = await Promise.all([
    relationTo(tx, declared.object.relation, id, policy.right.action),
    declared.object.load(tx, id, asked),
  ]);
  const decision = decide(person.rules, policy.right, relation);
  if (object === undefined || !decision.allowed || !opens(policy, decision.scopes)) {
    throw notFound();
  }
  if (lacksSecondFactor(visit, policy, person, decision.scopes)) {
    return "second-factor";
  }
  return { person, badges, scopes: decision.scopes, object };
}

/** Counters of the features for the acting person, all in one statement. */
async function countBadges(
  tx: Transaction,
  badges: ReadonlyMap<string, string>,
): Promise<Readonly<Record<string, number>>> {
  if (badges.size === 0) {
    return {};
  }
  const columns = [...badges].map(([name, sql]) => `(${sql})::int AS "${name}"`);
  return (await tx.one<Record<string, number>>(`SELECT ${columns.join(", ")}`)) ?? {};
}

/** Reads what was sent along and compares the form's hidden field with the keys in the cookies. */
async function withBody(visit: PersonVisit, declared: Declared, request: IncomingMessage): Promise<PersonVisit> {
  if (declared.body === "form") {
    const form = await readForm(request);
    if (!carriesKey(form, visit.formKey)) {
      throw staleForm();
    }
    return { ...visit, form };
  }
  if (declared.body === "upload") {
    const upload = await readUpload(request, {
      bytes: visit.app.config.uploadLimit,
      windowMs: 10_000,
      windowBytes: 10_000,
    });
    if (!carriesKey(upload.fields, visit.formKey)) {
      upload.content.resume();
      throw staleForm();
    }
    if (hasNul(upload.fields)) {
      upload.content.resume();
      throw unintelligible();
    }
    return { ...visit, form: upload.fields, ...{ upload } };
  }
  return visit;
}

async function publicForm(visit: Visit, declared: Declared, request: IncomingMessage): Promise<Reply> {
  const form = await readForm(request);
  if (visit.securityKey === undefined) {
    throw cookiesNeeded();
  }
  const expected = formKey(visit.app.sessionKey, { sicherheit: visit.securityKey });
  const filled = { ...visit, form };
  if (carriesKey(form, expected)) {
    return declared.run(filled, undefined);
  }
  if (declared.stale) {
    return declared.stale(filled);
  }
  throw staleForm();
}

/** Whether a form was made for this browser: its hidden field fits the keys in the cookies. */
function carriesKey(fields: URLSearchParams, expected: string): boolean {
  return sameSecret(fields.get("sicherheit") ?? "", expected);
}

/** A form counts only when it was sent from one of the school's own addresses; browsers always say from where. */
function requireOwnOrigin(app: App, request: IncomingMessage): void {
  const { origin } = request.headers;
  const own = typeof origin === "string" && [...app.config.hosts].some((host) => origin === `https://${host}`);
  if (!own) {
    throw foreignForm();
  }
}

/** A page asks to sign in and returns to it; a form asks to sign in and comes back with what it said. Nothing is done until then. */
async function notSignedIn(
  visit: Visit,
  declared: Declared,
  request: IncomingMessage,
  askToSignIn: AskToSignIn,
): Promise<Reply> {
  if (declared.method === "GET") {
    const next = visit.path + (visit.query.size > 0 ? `?${visit.query}` : "");
    return redirect(next === "/" ? "/anmelden" : `/anmelden?weiter=${encodeURIComponent(next)}`);
  }
  if ("signedIn" in declared.policy && declared.policy.signedOut !== undefined) {
    return redirect(declared.policy.signedOut);
  }
  const draft =
    declared.body === "form"
      ? sealDraft(visit.app.sessionKey, visit.path, await readForm(request), visit.now)
      : undefined;
  if (draft === undefined) {
    throw sessionOver();
  }
  return askToSignIn(visit, draft);
}

function visitOf(app: App, request: IncomingMessage, params: Record<string, string>, keys: Partial<Keys>): Visit {
  const url = new URL(request.url ?? "/", app.config.origin);
  return {
    app,
    id: randomUUID(),
    now: app.now(),
    path: url.pathname,
    query: url.searchParams,
    params,
    address: addressOf(request),
    form: new URLSearchParams(),
    encodings: String(request.headers["accept-encoding"] ?? ""),
    userAgent: request.headers["user-agent"] ?? "",
    sentSession: keys.sitzung !== undefined,
    securityKey: keys.sicherheit,
  };
}
