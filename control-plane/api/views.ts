import { type PlatformConfig, parseSiteSettings, platformAt, urlOf } from "../config.ts";
import type { Backup } from "../store/backups.ts";
import { type RegisteredEngine, unmetOf } from "../store/engines.ts";
import type { Operation } from "../store/operations.ts";
import type { StoredTenant } from "../store/tenants.ts";
import { hostOf, storageOf, withEngineFit } from "../tenant.ts";
import type { EngineView, TenantView } from "./schemas.ts";

/** The platform's configuration as it holds where a school lives. Pure. */
export function platformOf(tenant: StoredTenant, platform: PlatformConfig): PlatformConfig {
  return platformAt(platform, parseSiteSettings(tenant.engineSettings));
}

/** What was last seen of a school stands; that its engine does not answer is said beside it. */
function conditionsOf({ status, engineSilence }: StoredTenant): TenantView["conditions"] {
  const conditions = status.conditions.map((condition) => ({ ...condition }));
  if (engineSilence === undefined) return conditions;
  const { since: lastTransitionTime, reason, message } = engineSilence;
  const silent = { type: "EngineFit" as const, status: "Unknown" as const, reason, message, lastTransitionTime };
  return withEngineFit<TenantView["conditions"][number]>(conditions, silent);
}

/** A stored school as the API shows it. Pure. */
export function viewTenant(tenant: StoredTenant, platform: PlatformConfig): TenantView {
  const { spec, status } = tenant;
  return {
    slug: tenant.slug,
    uid: tenant.uid,
    url: urlOf(hostOf(tenant.slug, platform.domain), platformOf(tenant, platform)),
    displayName: spec.displayName,
    phase: status.phase,
    generation: tenant.generation,
    observedGeneration: status.observedGeneration,
    plan: spec.plan,
    storage: storageOf(spec),
    terms: { ...spec.terms },
    ...(spec.agreement === undefined
      ? {}
      : { agreement: { version: spec.agreement.version, clauses: [...spec.agreement.clauses] } }),
    country: spec.country,
    engine: tenant.engine,
    ...(tenant.leftEngine === undefined ? {} : { leftEngine: tenant.leftEngine }),
    suspended: spec.suspended,
    protected: spec.protected === true,
    backupEnabled: spec.backup.enabled,
    createdAt: tenant.createdAt,
    ...(tenant.deletion === undefined ? {} : { deletion: { ...tenant.deletion } }),
    ...(tenant.purgeRequest === undefined ? {} : { purgeRequest: { ...tenant.purgeRequest } }),
    ...(tenant.observedAt === undefined ? {} : { observedAt: tenant.observedAt }),
    volumes: {
      own: tenant.volumes.own.claim,
      aside: tenant.volumes.aside.map(({ claim, since, why }) => ({ claim, since, why })),
    },
    conditions: conditionsOf(tenant),
    steps: status.steps.map((step) => ({ ...step })),
    progress: tenant.progress.map((step) => ({ ...step })),
    ...(status.administrator === undefined ? {} : { administrator: { ...status.administrator } }),
    ...(status.volume === undefined ? {} : { volume: { ...status.volume } }),
    ...(status.certificate === undefined ? {} : { certificate: { ...status.certificate } }),
    ...(status.backup === undefined ? {} : { backup: { ...status.backup } }),
  };
}

/** An engine as the API shows it. Pure. */
export function viewEngine(engine: RegisteredEngine): EngineView {
  const { settings: _settings, capacity, lookedAt, triedAt, ...rest } = engine;
  return {
    ...rest,
    labels: { ...rest.labels },
    findings: rest.findings.map((finding) => ({ ...finding })),
    overrides: rest.overrides.map((override) => ({ ...override })),
    fit: unmetOf(engine).length === 0,
    ...(capacity === undefined ? {} : { capacity }),
    ...(lookedAt === undefined ? {} : { lookedAt }),
    ...(triedAt === undefined ? {} : { triedAt }),
  };
}

export function viewBackup(backup: Backup, slug: string): Record<string, unknown> {
  const { tenantUid: _uid, ...rest } = backup;
  return { ...rest, slug };
}

/** @param waitsFor why it has not begun, if it has not */
export function viewOperation(operation: Operation, slug: string, waitsFor?: string): Record<string, unknown> {
  const { tenantUid: _uid, params: _params, holds: _holds, ...rest } = operation;
  return { ...rest, slug, ...(waitsFor === undefined ? {} : { waitsFor }) };
}
