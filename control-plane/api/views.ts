import { type PlatformConfig, urlOf } from "../config.ts";
import type { Backup } from "../store/backups.ts";
import type { Operation } from "../store/operations.ts";
import type { StoredTenant } from "../store/tenants.ts";
import { hostOf, PLAN_LIMITS } from "../tenant.ts";
import type { TenantView } from "./schemas.ts";

/** A stored school as the API shows it. Pure. */
export function viewTenant(tenant: StoredTenant, platform: PlatformConfig): TenantView {
  const { spec, status } = tenant;
  return {
    slug: tenant.slug,
    uid: tenant.uid,
    url: urlOf(hostOf(tenant.slug, platform.domain), platform),
    displayName: spec.displayName,
    phase: status.phase,
    generation: tenant.generation,
    observedGeneration: status.observedGeneration,
    plan: spec.plan,
    storage: spec.storage ?? PLAN_LIMITS[spec.plan].storage,
    terms: { ...spec.terms },
    ...(spec.agreement === undefined
      ? {}
      : { agreement: { version: spec.agreement.version, clauses: [...spec.agreement.clauses] } }),
    country: spec.country,
    suspended: spec.suspended,
    backupEnabled: spec.backup.enabled,
    createdAt: tenant.createdAt,
    ...(tenant.deletion === undefined ? {} : { deletion: { ...tenant.deletion } }),
    conditions: status.conditions.map((condition) => ({ ...condition })),
    steps: status.steps.map((step) => ({ ...step })),
    progress: tenant.progress.map((step) => ({ ...step })),
    ...(status.administrator === undefined ? {} : { administrator: { ...status.administrator } }),
    ...(status.volume === undefined ? {} : { volume: { ...status.volume } }),
    ...(status.certificate === undefined ? {} : { certificate: { ...status.certificate } }),
    ...(status.backup === undefined ? {} : { backup: { ...status.backup } }),
  };
}

export function viewBackup(backup: Backup, slug: string): Record<string, unknown> {
  const { tenantUid: _uid, ...rest } = backup;
  return { ...rest, slug };
}

export function viewOperation(operation: Operation, slug: string): Record<string, unknown> {
  const { tenantUid: _uid, params: _params, ...rest } = operation;
  return { ...rest, slug };
}
