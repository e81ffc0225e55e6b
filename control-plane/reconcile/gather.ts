import { createHash, X509Certificate } from "node:crypto";
import { schoolRepository } from "../backup/repository.ts";
import { pastTheirTime, toForget } from "../backup/retention.ts";
import { nextBackup } from "../backup/schedule.ts";
import type { Breach, Manifest, Observation } from "../engine/engine.ts";
import type { SchoolKeys } from "../keys/keyring.ts";
import { hashManifest } from "../render/hash.ts";
import { tenantValues } from "../render/tenant-values.ts";
import type { SecretValues, TenantValues } from "../render/values.ts";
import { type Backup, completeBackups, decidingBackups, newestOf } from "../store/backups.ts";
import { listOperations, type Operation, openOperations, requestOperation } from "../store/operations.ts";
import type { StoredTenant } from "../store/tenants.ts";
import { hostOf, namespaceOf, type Reason } from "../tenant.ts";
import { type CertificatePair, type CertificateState, certificateState } from "./certificate.ts";
import { askClock, type ClockState } from "./clock-guard.ts";
import type { Dependencies, GatewayObservation } from "./dependencies.ts";
import { type Fitness, fitnessOf } from "./fitness.ts";
import { goalOf, stopReasonOf } from "./goal.ts";
import type { DesiredObject, PlanInput } from "./plan.ts";

/** Everything one attempt knows before it plans. */
export interface Gathered {
  readonly tenant: StoredTenant;
  readonly now: Date;
  readonly clock: ClockState;
  readonly goal: PlanInput["goal"];
  readonly stopReason: Reason;
  readonly hosts: readonly string[];
  readonly keys: SchoolKeys | undefined;
  readonly certificate: CertificatePair | undefined;
  readonly observed: Observation;
  readonly gateway: GatewayObservation | undefined;
  readonly fitness: Fitness;
  readonly operations: readonly Operation[];
  readonly newestBackup: Backup | undefined;
  readonly lastFailure: Backup | undefined;
  readonly backups: readonly Backup[];
  readonly nextBackup: Date | undefined;
  /** To be forgotten without a new backup: of a school that makes them, only what is past its time (R61). */
  readonly expiredBackups: readonly Backup[];
  /** Why the restore that was to furnish this school failed; it stays empty then, and nobody gets into it. */
  readonly failedRestore: string | undefined;
  /** Broken walls, looked for when isolation is to be verified: executing the plan repairs some before the probe runs. */
  readonly breaches: readonly Breach[];
}

export async function readCertificate(deps: Dependencies, uid: string): Promise<CertificatePair | undefined> {
  const material = await deps.keyring.readMaterial(uid, "tls");
  return material === undefined ? undefined : (JSON.parse(material.toString("utf8")) as CertificatePair);
}

function base64(bytes: Buffer): string {
  return bytes.toString("base64");
}

/** Where a school's backups lie, as its own jobs see it. */
export function repositoryUrl(deps: Dependencies, uid: string): string {
  return schoolRepository(deps.platform.backup.repository, uid);
}

export function secretValues(deps: Dependencies, uid: string, keys: SchoolKeys): SecretValues {
  return {
    databaseSuperuser: base64(keys["database-superuser"]),
    databaseOwner: base64(keys["database-owner"]),
    databaseApp: base64(keys["database-app"]),
    databaseBackup: base64(keys["database-backup"]),
    appFieldKey: base64(keys["app-field"]),
    appSessionKey: base64(keys["app-session"]),
    volumeKey: base64(keys.volume),
    volumePassphrase: base64(Buffer.from(keys.volume.toString("hex"))),
    repositoryPassword: base64(keys.repository),
    repositoryUrl: base64(Buffer.from(repositoryUrl(deps, uid))),
    repositoryEnvironment: base64(Buffer.from(deps.repositoryEnvironment)),
    repositoryAuthority: base64(Buffer.from(deps.repositoryAuthority)),
    repositoryKey: base64(Buffer.from(deps.repositoryKey)),
    repositoryKnownHosts: base64(Buffer.from(deps.repositoryKnownHosts)),
  };
}

/** How a school's certificate stands on the engine of these dependencies. */
export function certificateOf(
  { platform }: Pick<Dependencies, "platform">,
  { tenant, hosts, now, clock, observed }: Pick<Gathered, "tenant" | "hosts" | "now" | "clock" | "observed">,
  pair: CertificatePair | undefined,
): CertificateState {
  return certificateState({ platform, pair, observed, hosts, now, seed: tenant.uid, clock });
}

/** The values a school is rendered from in this attempt. */
export function valuesOf(
  deps: Dependencies,
  gathered: Gathered,
  certificate: CertificatePair | undefined = gathered.certificate,
): TenantValues {
  const running = gathered.goal === "run" && gathered.keys !== undefined;
  // A cluster's ingress controller shows the certificate of a closed school too; on one machine the gateway has its own.
  const shown = running || deps.engine.name === "kubernetes";
  const state = shown ? certificateOf(deps, gathered, certificate) : undefined;
  const served = state?.served;
  const pem =
    served === undefined
      ? undefined
      : { chain: base64(Buffer.from(served.chain)), key: base64(Buffer.from(served.key)) };
  return tenantValues({
    tenant: gathered.tenant,
    platform: deps.platform,
    secrets:
      running && gathered.keys !== undefined ? secretValues(deps, gathered.tenant.uid, gathered.keys) : undefined,
    certificate: pem,
    certificateSerial: state?.facts?.serial,
  });
}

export function desiredManifests(
  deps: Dependencies,
  gathered: Gathered,
  certificate?: CertificatePair,
): readonly Manifest[] {
  return deps.chart.renderTenant(valuesOf(deps, gathered, certificate));
}

export function desiredObjects(manifests: readonly Manifest[]): readonly DesiredObject[] {
  return manifests.map((manifest) => ({
    kind: manifest.kind,
    name: manifest.metadata.name,
    hash: hashManifest(manifest),
  }));
}

/** SHA-256 over the leaf's DER, lower-case hexadecimal. */
export function fingerprintOf(certificate: CertificatePair | undefined): string | undefined {
  return certificate === undefined
    ? undefined
    : createHash("sha256").update(new X509Certificate(certificate.chain).raw).digest("hex");
}

/** A school restored from another one's backup reads that one's fields: it takes over that key before it first starts. */
async function keysOf(deps: Dependencies, tenant: StoredTenant, operations: readonly Operation[]): Promise<SchoolKeys> {
  const keys = await deps.keyring.ensureSchoolKeys(tenant.uid);
  const foreign = operations.find(
    (operation) => operation.kind === "restore" && operation.params.sourceUid !== tenant.uid,
  );
  // Without the source's keys there is nothing to take over; the restore itself says so.
  if (foreign === undefined || (await deps.keyring.readSchoolKeys(String(foreign.params.sourceUid))) === undefined)
    return keys;
  await deps.keyring.adoptKey(String(foreign.params.sourceUid), tenant.uid, "app-field");
  return deps.keyring.ensureSchoolKeys(tenant.uid);
}

async function failedRestoreOf(deps: Dependencies, uid: string): Promise<string | undefined> {
  const [newest] = (await listOperations(deps.pool, uid, 20)).filter((operation) => operation.kind === "restore");
  return newest?.state === "Failed" ? (newest.error ?? "no reason is known") : undefined;
}

/** Makes a due scheduled backup an operation, so that it is resumed like any other. */
async function scheduleBackup(
  deps: Dependencies,
  tenant: StoredTenant,
  operations: readonly Operation[],
): Promise<readonly Operation[]> {
  if (operations.some((operation) => ["backup", "restore", "move"].includes(operation.kind))) return operations;
  const operation = await requestOperation(deps.pool, {
    tenantUid: tenant.uid,
    kind: "backup",
    params: { trigger: "schedule" },
    requestedBy: "schedule",
  });
  return [...operations, operation];
}

/** Complete backups of a school that are to be forgotten now. The caller has made sure of the clock. */
export async function expiredBackupsOf(deps: Dependencies, uid: string, now: Date): Promise<readonly Backup[]> {
  const complete = await completeBackups(deps.pool, uid);
  const doomed = new Set(toForget(complete, now));
  return complete.filter((backup) => doomed.has(backup.runId));
}

/** Those of them that are not left to the next backup, which forgets old ones itself: it may fail for a long time. */
export async function expiredWithoutBackup(
  deps: Dependencies,
  uid: string,
  now: Date,
  makesBackups: boolean,
): Promise<readonly Backup[]> {
  const expired = await expiredBackupsOf(deps, uid, now);
  return makesBackups ? pastTheirTime(expired, now) : expired;
}

/** Reads everything an attempt needs. The only effects: keys of a new school are made, a due backup is recorded as wanted. */
export async function gather(deps: Dependencies, tenant: StoredTenant, signal: AbortSignal): Promise<Gathered> {
  const now = deps.clock.now();
  const clock = await askClock(deps);
  const goal = goalOf(tenant, now, clock.trusted);
  const hosts = [hostOf(tenant.slug, deps.platform.domain)];
  const [observed, gateway, backups, open, failedRestore] = await Promise.all([
    deps.engine.observe(namespaceOf(tenant.slug)),
    deps.gateway?.observe(tenant.slug),
    decidingBackups(deps.pool, tenant.uid),
    openOperations(deps.pool, tenant.uid),
    tenant.status.initialisedAt === undefined ? failedRestoreOf(deps, tenant.uid) : undefined,
  ]);
  const fitness = await fitnessOf(deps, goal !== "purge" && !observed.exists, signal, !observed.exists);
  const newestBackup = newestOf(backups, "Complete", now);
  const lastFailure = newestOf(backups, "Failed", now);
  const due =
    goal === "run" && tenant.spec.backup.enabled && tenant.status.initialisedAt !== undefined
      ? nextBackup(
          tenant.uid,
          { startHour: deps.platform.backup.windowStartHour, hours: deps.platform.backup.windowHours },
          newestBackup === undefined ? undefined : new Date(newestBackup.startedAt),
          lastFailure === undefined ? undefined : new Date(lastFailure.startedAt),
          // A school that a clock ahead made is not older than now.
          new Date(Math.min(Date.parse(tenant.createdAt), now.getTime())),
        )
      : undefined;
  const makesBackups = goal === "run" && tenant.spec.backup.enabled;
  const expired =
    goal === "purge" || !clock.trusted ? [] : await expiredWithoutBackup(deps, tenant.uid, now, makesBackups);
  const verifying = goal === "run" && open.some((operation) => operation.kind === "verify-isolation");
  const breaches = verifying ? ((await deps.engine.examineIsolation?.(namespaceOf(tenant.slug))) ?? []) : [];
  const operations = due !== undefined && due <= now ? await scheduleBackup(deps, tenant, open) : open;
  const keys = goal === "purge" ? undefined : await keysOf(deps, tenant, operations);
  const certificate = goal === "purge" ? undefined : await readCertificate(deps, tenant.uid);
  return {
    tenant,
    now,
    clock,
    goal,
    stopReason: stopReasonOf(tenant),
    hosts,
    keys,
    certificate,
    observed,
    gateway,
    fitness,
    operations,
    newestBackup,
    lastFailure,
    backups,
    nextBackup: due,
    expiredBackups: expired,
    failedRestore,
    breaches,
  };
}
