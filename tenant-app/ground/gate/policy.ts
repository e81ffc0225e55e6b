import { z } from "zod";
import { type Resource, type Right, type Scope, scopes } from "./rights.ts";

/** Open to everybody, with the reason why that is right. */
export interface PublicPolicy {
  readonly public: string;
}

/** Open to everybody who is signed in, because it touches nothing but their own session; with the reason. */
export interface SignedInPolicy {
  readonly signedIn: string;
  /** Where a form of somebody leads who is not signed in any more; without this it is refused, for what it says would be lost. */
  readonly signedOut?: string;
  /** Also open to somebody who signed in with a one-time password and must choose their own first. */
  readonly beforePasswordChange?: true;
}

/** Open to those whose roles hold a rule for this right. */
export interface RightPolicy {
  readonly right: Right;
  /** Only a rule of this scope, or of one of these, opens the route: lists of everybody, forms that change others. */
  readonly scope?: Scope | readonly Scope[];
}

/** Whether one of the scopes that hold is one that the policy asks for. */
export function opens({ scope }: RightPolicy, held: ReadonlySet<Scope>): boolean {
  return scope === undefined || (typeof scope === "string" ? [scope] : scope).some((one) => held.has(one));
}

export type Policy = PublicPolicy | SignedInPolicy | RightPolicy;

const reason = z.string().min(10, "a reason is needed");
const policySchema = z.union([
  z.strictObject({ public: reason }),
  z.strictObject({
    signedIn: reason,
    beforePasswordChange: z.literal(true).optional(),
    signedOut: z.string().startsWith("/").optional(),
  }),
  z.strictObject({
    right: z.strictObject({ resource: z.string(), action: z.string() }),
    scope: z.union([z.enum(scopes), z.array(z.enum(scopes)).min(1)]).optional(),
  }),
]);

/** Refuses a policy that is missing, malformed or names a right that no feature brings. Throws with the route's name. */
export function assertPolicy(
  policy: unknown,
  route: string,
  resources: ReadonlyMap<string, Resource>,
): asserts policy is Policy {
  const result = policySchema.safeParse(policy);
  if (!result.success) {
    throw new Error(`Route ${route} has no policy: give it { public }, { signedIn } or { right }`);
  }
  if ("right" in result.data) {
    const { resource, action } = result.data.right;
    if (!Object.hasOwn(resources.get(resource)?.actions ?? {}, action)) {
      throw new Error(`Route ${route}: its policy names a right that does not exist: ${resource} ${action}`);
    }
  }
}
