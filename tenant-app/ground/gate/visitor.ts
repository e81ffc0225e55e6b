import type { PersonVisit } from "./visit.ts";

const visitors = new WeakMap<object, PersonVisit>();

/** Notes who met an error. */
export function noteVisitor(error: unknown, visitor: PersonVisit | undefined): void {
  if (visitor && typeof error === "object" && error !== null) {
    visitors.set(error, visitor);
  }
}

/** Who met an error, if they were signed in. */
export function visitorOf(error: unknown): PersonVisit | undefined {
  return typeof error === "object" && error !== null ? visitors.get(error) : undefined;
}
