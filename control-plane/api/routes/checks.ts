import { ClassmindError } from "../../errors.ts";
import { type Candidate, place } from "../../placement.ts";
import { holdEngines, type RegisteredEngine, unmetOf } from "../../store/engines.ts";
import { type OperationKind, openOperations } from "../../store/operations.ts";
import type { Queryable, StoredTenant } from "../../store/tenants.ts";
import type { TenantSpec } from "../../tenant.ts";

/** What several routes check before any effect. */

/** @throws ClassmindError `PreconditionFailed` unless the school's name is repeated */
export function checkConfirmation(slug: string, confirm: string): void {
  if (confirm === slug) return;
  throw new ClassmindError("PreconditionFailed", "The confirmation does not repeat the school's name.", {
    field: "confirm",
    remedy: `Send confirm: "${slug}".`,
  });
}

/** @throws ClassmindError `PreconditionFailed` when the school is deleted or, if it has to run, suspended */
export function refuseUnless(tenant: StoredTenant, running: boolean): void {
  if (tenant.deletion === undefined && (!running || !tenant.spec.suspended)) return;
  throw new ClassmindError("PreconditionFailed", `The school ${tenant.slug} is not running.`, {
    field: "slug",
    remedy: `Start it first: classmind tenant ${tenant.deletion === undefined ? "resume" : "undelete"} ${tenant.slug}`,
  });
}

/** @throws ClassmindError `Conflict` while there is work on the school that would take away what the other needs */
export async function refuseBeside(
  db: Queryable,
  tenant: StoredTenant,
  kinds: readonly OperationKind[],
): Promise<void> {
  const open = await openOperations(db, tenant.uid);
  const [first] = open.filter(({ kind }) => kinds.includes(kind));
  if (first === undefined) return;
  throw new ClassmindError("Conflict", `${tenant.slug} has work of this kind under way already (${first.kind}).`, {
    field: "slug",
    remedy: `Look at it: classmind tenant get ${tenant.slug}`,
  });
}

/** An engine as placement looks at it. Pure. */
export function candidateOf(engine: RegisteredEngine): Candidate {
  return { ...engine, unmet: unmetOf(engine).map(({ check }) => check) };
}

/**
 * Name of the engine for a new school. The engines' rows are held until the transaction ends.
 * @throws ClassmindError `PreconditionFailed` saying which wish no engine meets
 */
export async function placeSchool(db: Queryable, spec: Pick<TenantSpec, "country" | "placement">): Promise<string> {
  return place({ ...spec.placement, country: spec.country }, (await holdEngines(db)).map(candidateOf));
}
