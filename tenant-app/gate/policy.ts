import { z } from "zod";
import { type Aktion, aktionenJeRessource, type Ressource, type Umfang, umfaenge } from "./rechte.ts";

/** Open to everybody, with the reason why that is right. */
export interface PublicPolicy {
  readonly public: string;
}

/** Open to everybody who is signed in, because it touches nothing but their own session; with the reason. */
export interface SignedInPolicy {
  readonly signedIn: string;
  /** Also open to somebody who signed in with a one-time password and must choose their own first. */
  readonly beforePasswordChange?: true;
}

/** Open to those whose roles hold a rule for this resource and action. */
export interface RightPolicy {
  readonly resource: Ressource;
  readonly action: Aktion;
  /** Only a rule of this scope opens the route: lists of everybody, forms that change others. */
  readonly scope?: Umfang;
}

export type Policy = PublicPolicy | SignedInPolicy | RightPolicy;

const reason = z.string().min(10, "a reason is needed");
const policySchema = z.union([
  z.strictObject({ public: reason }),
  z.strictObject({ signedIn: reason, beforePasswordChange: z.literal(true).optional() }),
  z.strictObject({ resource: z.string(), action: z.string(), scope: z.enum(umfaenge).optional() }),
]);

/** Refuses a policy that is missing, malformed or names a right that does not exist. Throws with the route's name. */
export function assertPolicy(policy: unknown, route: string): asserts policy is Policy {
  const result = policySchema.safeParse(policy);
  if (!result.success) {
    throw new Error(`Route ${route} has no policy: give it { public }, { signedIn } or { resource, action }`);
  }
  if ("resource" in result.data) {
    const { resource, action } = result.data;
    const known = Object.entries(aktionenJeRessource).find(([name]) => name === resource)?.[1];
    if (!known?.some((name) => name === action)) {
      throw new Error(`Route ${route}: its policy names a right that does not exist: ${resource} ${action}`);
    }
  }
}
