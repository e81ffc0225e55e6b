import { purgeIsDue, REASONS, type Reason, type Tenant } from "../tenant.ts";
import type { PlanInput } from "./plan.ts";

/** What a school is to become, by its spec and the clock. Pure. */

type Dated = Pick<Tenant, "spec" | "status" | "deletion">;

function demoIsOver(tenant: Dated, now: Date, clockTrusted: boolean): boolean {
  const { terms } = tenant.spec;
  if (terms.kind === "contract") return false;
  if (clockTrusted) return Date.parse(terms.expiresAt) <= now.getTime();
  // As it was: neither closed nor opened again.
  return tenant.status.conditions.some(
    (condition) => condition.type === "Ready" && condition.reason === REASONS.DemoExpired,
  );
}

/**
 * Whether a school is to run, to stop, or to be destroyed.
 * @param clockTrusted while false, no date alone closes, opens or destroys anything
 */
export function goalOf(tenant: Dated, now: Date, clockTrusted: boolean): PlanInput["goal"] {
  if (tenant.deletion !== undefined) return purgeIsDue(tenant, now, clockTrusted) ? "purge" : "stop";
  return tenant.spec.suspended || demoIsOver(tenant, now, clockTrusted) ? "stop" : "run";
}

/** Why a school that is to stop does. */
export function stopReasonOf(tenant: Pick<Tenant, "spec" | "deletion">): Reason {
  if (tenant.deletion !== undefined) return REASONS.SoftDeleted;
  return tenant.spec.suspended ? REASONS.Suspended : REASONS.DemoExpired;
}
