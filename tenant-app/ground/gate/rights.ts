/**
 * Rights, as data. What exists to be allowed is said by the features, each for its own resources; the rules themselves are rows that
 * a school edits. Nothing here knows a resource.
 */

/** own: one's own · taught: taught course and subject on that date · by membership or sharing · one's child · everybody's. */
export const scopes = ["eigen", "unterrichtet", "mitglied", "kind", "schule"] as const;
export type Scope = (typeof scopes)[number];

/** What a policy asks for, and what a rule allows: an action on a kind of thing. */
export interface Right {
  readonly resource: string;
  readonly action: string;
}

/** How the page of roles says an action, and for whose data a rule may allow it. */
export interface ActionWords {
  readonly text: string;
  readonly scopes: readonly Scope[];
}

/** A kind of thing that rules speak of, with the words that people read. */
export interface Resource<Action extends string = string, Deed extends string = string> {
  readonly name: string;
  /** What the page of roles calls it, e.g. „Nachrichten". */
  readonly title: string;
  /** What a rule may allow. */
  readonly actions: Readonly<Record<Action, ActionWords>>;
  /** What the journal may record of it: all actions, and what else is done to it under one of them. */
  readonly deeds: ReadonlySet<string>;
  /** The right to one action, for policies and for asking. */
  right(action: Action): Right;
  /** Whether an action in these scopes is especially sensitive: then a password alone does not do for who has a second factor, or must have. */
  sensitive(action: string, held: ReadonlySet<Scope>): boolean;
  /** Only a type: which deeds the journal takes. */
  readonly __deed?: Deed;
}

/**
 * Declares a resource.
 * @param definition.actions of each the words, and the scopes in which its relation can be true
 * @param definition.deeds what the journal records beside the actions, e.g. a lock that is lifted under the right to lock
 */
export function resource<Action extends string, Deed extends string = never>(definition: {
  readonly name: string;
  readonly title: string;
  readonly actions: Readonly<Record<Action, readonly [text: string, ...scopes: Scope[]]>>;
  readonly deeds?: readonly Deed[];
  readonly sensitive?: (action: string, held: ReadonlySet<Scope>) => boolean;
}): Resource<Action, Action | Deed> {
  const { name, title, deeds = [], sensitive = () => false } = definition;
  const words = Object.entries<readonly [string, ...Scope[]]>(definition.actions);
  const actions = {} as Record<Action, ActionWords>;
  for (const [action, [text, ...held]] of words) {
    actions[action as Action] = { text, scopes: held };
  }
  return {
    name,
    title,
    actions,
    deeds: new Set<string>([...Object.keys(actions), ...deeds]),
    right: (action) => ({ resource: name, action }),
    sensitive,
  };
}

/** For what is managed: whatever is done to others than oneself. */
export const managing = (action: string, held: ReadonlySet<Scope>): boolean => action !== "lesen" && held.has("schule");

/** One rule that an active role of the account holds. Text from the database: nothing about it is assumed. */
export interface Rule {
  readonly role: string;
  readonly resource: string;
  readonly action: string;
  readonly scope: string;
}

/** What is true of one object for one person. What is not strictly `true` counts as false. */
export type Relation = { readonly [S in Scope]?: boolean };

export type Denial = "no-rule" | "two-rules" | "unknown-scope" | "out-of-scope" | "error";

export type Decision =
  | { readonly allowed: true; readonly scopes: ReadonlySet<Scope> }
  | { readonly allowed: false; readonly reason: Denial };

/**
 * Whether the rules allow the action; pure, and refusing whatever is unclear (R39). A role may hold one rule for a
 * resource and action; of several roles one matching rule suffices. Without `relation` the question is "anything of this
 * kind at all?" and the answer carries the scopes; with it, one scope must be strictly true for the object.
 */
export function decide(rules: readonly Rule[], right: Right, relation?: Relation): Decision {
  try {
    const matching = rules.filter((rule) => rule.resource === right.resource && rule.action === right.action);
    if (matching.length === 0) {
      return { allowed: false, reason: "no-rule" };
    }
    if (new Set(matching.map((rule) => rule.role)).size !== matching.length) {
      return { allowed: false, reason: "two-rules" };
    }
    const found = new Set<Scope>();
    for (const rule of matching) {
      const scope = scopes.find((known) => known === rule.scope);
      if (scope === undefined) {
        return { allowed: false, reason: "unknown-scope" };
      }
      found.add(scope);
    }
    if (relation === undefined) {
      return { allowed: true, scopes: found };
    }
    const holding = new Set([...found].filter((scope) => Object.hasOwn(relation, scope) && relation[scope] === true));
    return holding.size > 0 ? { allowed: true, scopes: holding } : { allowed: false, reason: "out-of-scope" };
  } catch {
    return { allowed: false, reason: "error" };
  }
}
