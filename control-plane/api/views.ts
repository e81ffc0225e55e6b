import {
  type PlatformConfig,
  parseSiteSettings,
  platformAt,
  type RolloutSettings,
  urlOf,
  withRepositoryAt,
} from "../config.ts";
import type { Backup } from "../store/backups.ts";
import { type RegisteredEngine, unmetOf } from "../store/engines.ts";
import type { Operation } from "../store/operations.ts";
import type { Rollout, TrialRow } from "../store/rollout-rows.ts";
import type { RolloutCounts } from "../store/rollouts.ts";
import type { StoredTenant } from "../store/tenants.ts";
import { hostOf, storageOf, withEngineFit } from "../tenant.ts";
import type { EngineView, RolloutView, TenantView } from "./schemas.ts";
import { versionCondition } from "./version-condition.ts";

/** The platform's configuration as it holds where a school lives. Pure. */
export function platformOf(tenant: StoredTenant, platform: PlatformConfig): PlatformConfig {
  const site = platformAt(platform, parseSiteSettings(tenant.engineSettings));
  const here = withRepositoryAt(site, tenant.repositories.at);
  if (tenant.version === undefined) return here;
  const { app, postgres } = tenant.version;
  return { ...here, images: { app, postgres } };
}

/** What was last seen of a school stands; that its engine does not answer is said beside it. */
function conditionsOf(tenant: StoredTenant): TenantView["conditions"] {
  const { status, engineSilence } = tenant;
  const version = versionCondition(tenant);
  const conditions = [...status.conditions, ...(version === undefined ? [] : [version])].map((condition) => ({
    ...condition,
  }));
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
    ...(tenant.version === undefined
      ? {}
      : { version: { app: tenant.version.app, postgres: tenant.version.postgres } }),
    ...(tenant.pin === undefined ? {} : { pin: { ...tenant.pin } }),
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

/** A rollout with the schools that it concerns, as the API shows it. Pure. */
export function viewRollout(
  rollout: Rollout,
  schools: RolloutCounts,
  trials: readonly TrialRow[],
  policy: RolloutSettings,
): RolloutView {
  const { number: _number, round: _round, well, previous, reason, version, ...rest } = rollout;
  return {
    ...rest,
    version: { ...version },
    ...(previous === undefined ? {} : { previous: { ...previous } }),
    ...(reason === undefined ? {} : { reason }),
    policy: { ...policy },
    provenBy: well,
    schools: { ...schools },
    trials: trials.map(({ slug, trial }) => ({
      slug,
      state: trial.state,
      since: trial.wellSince ?? trial.since,
      ...(trial.message === undefined ? {} : { message: trial.message }),
    })),
  };
}

export function viewBackup(backup: Backup, slug: string): Record<string, unknown> {
  const { tenantUid: _uid, ...rest } = backup;
  return { ...rest, slug };
}

/** The same without what is sealed to one reader and as large as all that is stored about somebody: lists show many. */
export function withoutSealed(view: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { result } = view;
  if (typeof result !== "object" || result === null || !("sealedReport" in result)) return { ...view };
  const { sealedReport: _sealed, ...rest } = result;
  return { ...view, result: rest };
}

/** @param waitsFor why it has not begun, if it has not */
export function viewOperation(operation: Operation, slug: string, waitsFor?: string): Record<string, unknown> {
  const { tenantUid: _uid, params: _params, holds: _holds, ...rest } = operation;
  return { ...rest, slug, ...(waitsFor === undefined ? {} : { waitsFor }) };
}
