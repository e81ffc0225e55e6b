import { createHash, X509Certificate } from "node:crypto";
import { schoolRepository } from "../backup/repository.ts";
import { pastTheirTime, toForget } from "../backup/retention.ts";
import { nextBackup } from "../backup/schedule.ts";
import { partOf, readBackAt } from "../backup/verification.ts";
import { type Breach, EngineError, type Manifest, type Observation } from "../engine/engine.ts";
import { unnamedRepository } from "../fixed-settings.ts";
import type { SchoolKeys } from "../keys/keyring.ts";
import { hashManifest } from "../render/hash.ts";
import { tenantValues } from "../render/tenant-values.ts";
import type { SecretValues, TenantValues } from "../render/values.ts";
import { type Backup, completeBackups, decidingBackups, halfForgotten, namedRuns, newestOf } from "../store/backups.ts";
import { expiredKeys } from "../store/key-snapshots.ts";
import { listOperations, type Operation, type OperationKind, openOperations } from "../store/operations.ts";
import { findTenantByUid, type StoredTenant } from "../store/tenants.ts";
import { hostOf, namespaceOf, REASONS, type Reason } from "../tenant.ts";
import { type CertificatePair, type CertificateState, certificateState } from "./certificate.ts";
import { askClock, type ClockState } from "./clock-guard.ts";
import type { Dependencies, GatewayObservation } from "./dependencies.ts";
import { type Fitness, fitnessOf } from "./fitness.ts";
import { goalOf, stopReasonOf } from "./goal.ts";
import {
  APP,
  DB,
  type DesiredObject,
  type DueWork,
  isPaused,
  type LastBackup,
  type OpenWork,
  type PlanInput,
} from "./plan.ts";
import { keepVolumes, volumeFault } from "./volumes.ts";

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
  readonly operations: readonly OpenWork[];
  /** What the platform itself wants done now. */
  readonly due: readonly DueWork[];
  /** When something that failed may be tried again. */
  readonly retryAt: Date | undefined;
  readonly newestBackup: Backup | undefined;
  readonly lastFailure: Backup | undefined;
  readonly backups: readonly Backup[];
  readonly nextBackup: Date | undefined;
  /** When the newest backup is to be read back by itself. */
  readonly readBackAt: Date | undefined;
  /** Why backups that are past their time are still there (R61). */
  readonly retentionFailure: string | undefined;
  readonly lastBackup: LastBackup;
  /** Why the restore that was to furnish this school failed; it stays empty then, and nobody gets into it. */
  readonly failedRestore: string | undefined;
  /** Why it could not be given its administrator the last time. */
  readonly failedFurnishing: string | undefined;
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

/**
 * Where a school's backups lie, as its own jobs see it.
 * @param number which of its repositories
 * @throws EngineError where nobody can reach them
 */
export function repositoryUrl(deps: Dependencies, uid: string, number = 1): string {
  if (deps.unnamedRepository !== undefined)
    throw new EngineError(REASONS.RepositoryUnnamed, unnamedRepository(deps.unnamedRepository), { retryable: false });
  return schoolRepository(deps.platform.backup.repository, uid, number);
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
    repositoryUrl: base64(Buffer.from(schoolRepository(deps.platform.backup.repository, uid))),
    repositoryEnvironment: base64(Buffer.from(deps.repositoryEnvironment)),
    repositoryAuthority: base64(Buffer.from(deps.repositoryAuthority)),
    repositoryKey: base64(Buffer.from(deps.repositoryKey)),
    repositoryKnownHosts: base64(Buffer.from(deps.repositoryKnownHosts)),
    mailPassword: base64(Buffer.from(deps.mailPassword)),
    mailAuthority: base64(Buffer.from(deps.mailAuthority)),
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

/**
 * Kinds that stand still although the school is to run: the app while work wants it so; the database too while a volume changes
 * places, has to be restored, or is still to be filled by the restore that furnishes the school. Pure.
 */
export function restingOf({
  tenant,
  observed,
  operations,
  failedRestore,
}: Pick<Gathered, "tenant" | "observed" | "operations" | "failedRestore">): readonly string[] {
  const { volumes, status } = tenant;
  const initialised = status.initialisedAt !== undefined;
  const furnished = initialised || !(failedRestore !== undefined || operations.some(({ kind }) => kind === "restore"));
  const replaced =
    volumes.next !== undefined && (volumes.next.ready || volumeFault(volumes.own, observed, initialised) !== undefined);
  if (!furnished || replaced) return [DB.kind, APP.kind, "Ingress"];
  return isPaused(operations) ? [APP.kind, "Ingress"] : [];
}

export function desiredManifests(
  deps: Dependencies,
  gathered: Gathered,
  certificate?: CertificatePair,
): readonly Manifest[] {
  const values = valuesOf(deps, gathered, certificate);
  const manifests = keepVolumes(deps.chart.renderTenant(values), gathered.observed);
  const resting = restingOf(gathered);
  if (values.replicas === 0 || resting.length === 0) return manifests;
  const atRest = deps.chart.renderTenant({ ...values, replicas: 0 });
  const stands = ({ kind }: Manifest): boolean => resting.includes(kind);
  return manifests.map((manifest) =>
    stands(manifest) ? (atRest.find(({ kind }) => kind === manifest.kind) ?? manifest) : manifest,
  );
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
    ({ kind, params }) => kind === "restore" && typeof params.sourceUid === "string" && params.sourceUid !== tenant.uid,
  );
  // Without the source's keys there is nothing to take over; the restore itself says so.
  if (foreign === undefined || (await deps.keyring.readSchoolKeys(String(foreign.params.sourceUid))) === undefined)
    return keys;
  await deps.keyring.adoptKey(String(foreign.params.sourceUid), tenant.uid, "app-field");
  return deps.keyring.ensureSchoolKeys(tenant.uid);
}

async function newestFailed(deps: Dependencies, uid: string, kind: OperationKind): Promise<string | undefined> {
  const [newest] = await listOperations(deps.pool, uid, 1, kind);
  const failed = newest?.state === "Failed" || newest?.state === "Cancelled";
  return failed ? (newest.error ?? "no reason is known") : undefined;
}

const MOST_PAUSE_SECONDS = 600;
/** Reading back takes long, and what keeps it from beginning often does too. */
const READING_PAUSE_SECONDS = 300;
const MOST_READING_PAUSE_SECONDS = 6 * 3600;
const COUNTED = 12;

/**
 * When the platform may begin work of its own of a kind again: each failure in a row makes the pause longer. Work that an operator
 * asked for is not held up.
 */
async function mayBeginAt(deps: Dependencies, uid: string, kind: OperationKind): Promise<Date> {
  const newest = await listOperations(deps.pool, uid, COUNTED, kind);
  const ended = newest.findIndex(({ state }) => state !== "Failed");
  const failures = ended < 0 ? newest.length : ended;
  const last = Date.parse(newest[0]?.finishedAt ?? "");
  if (failures === 0 || Number.isNaN(last)) return new Date(0);
  const pause =
    kind === "verify-backup"
      ? Math.min(MOST_READING_PAUSE_SECONDS, READING_PAUSE_SECONDS * 2 ** failures)
      : Math.min(MOST_PAUSE_SECONDS, 2 ** failures);
  return new Date(last + pause * 1000);
}

const isHalf = ({ state }: Backup): boolean => state === "Forgetting";

/** Complete backups of a school that are to be forgotten now. The caller has made sure of the clock. */
export async function expiredBackupsOf(deps: Dependencies, uid: string, now: Date): Promise<readonly Backup[]> {
  const [complete, half, named] = await Promise.all([
    completeBackups(deps.pool, uid),
    halfForgotten(deps.pool, uid),
    namedRuns(deps.pool, uid),
  ]);
  const doomed = new Set(toForget(complete, now, named));
  return [...half, ...complete.filter((backup) => doomed.has(backup.runId))];
}

/** Those of them that are not left to the next backup, which forgets old ones itself: it may fail for a long time. */
export async function expiredWithoutBackup(
  deps: Dependencies,
  uid: string,
  now: Date,
  makesBackups: boolean,
): Promise<readonly Backup[]> {
  const expired = await expiredBackupsOf(deps, uid, now);
  return makesBackups ? expired.filter((backup) => isHalf(backup) || pastTheirTime([backup], now).length > 0) : expired;
}

/**
 * What is open, told apart by whether this process is at it, and since when the school is furnished. Whatever has ended since it was read
 * here is found ended when it is to begin (startOperation). What work brings about is read after this: work that ended in between would
 * be neither open nor done, and be begun a second time.
 * @throws EngineError when the school has come to live on another engine meanwhile: what this attempt knows is of the old one
 */
async function openWork(
  deps: Dependencies,
  tenant: StoredTenant,
  isActive: (id: string) => boolean,
  clockTrusted: boolean,
): Promise<{ readonly open: readonly OpenWork[]; readonly initialisedAt: string | undefined }> {
  const open = await openOperations(deps.pool, tenant.uid);
  // Read after it: what a move lets go when it switches is let go in one transaction with the switch.
  const now = await findTenantByUid(deps.pool, tenant.uid);
  if (now !== undefined && now.engine !== tenant.engine)
    throw new EngineError(REASONS.Updating, `${tenant.slug} lives on ${now.engine} now`);
  // While the clock is not believed, no date alone ends anything.
  return {
    open: open.map((operation) => ({
      ...operation,
      active: isActive(operation.id),
      overdue: clockTrusted && operation.overdue,
    })),
    initialisedAt: now?.status.initialisedAt ?? tenant.status.initialisedAt,
  };
}

/** What the platform itself wants done, and when it may begin what failed before. */
async function dueWork(
  deps: Dependencies,
  uid: string,
  wishes: readonly DueWork[],
  now: Date,
): Promise<{ readonly due: readonly DueWork[]; readonly retryAt: Date | undefined }> {
  const due: DueWork[] = [];
  const later: number[] = [];
  for (const wish of wishes) {
    const at = await mayBeginAt(deps, uid, wish.kind);
    if (at <= now) due.push(wish);
    else later.push(at.getTime());
  }
  return { due, retryAt: later.length === 0 ? undefined : new Date(Math.min(...later)) };
}

/** Why the newest forgetting failed; undefined if it did not, or nothing is to be forgotten. */
async function retentionFailureOf(
  deps: Dependencies,
  uid: string,
  expired: readonly Backup[],
): Promise<string | undefined> {
  if (expired.length === 0) return undefined;
  // What is still under way has disproved nothing yet.
  const newest = (await listOperations(deps.pool, uid, COUNTED, "forget-backups")).find(
    ({ finishedAt }) => finishedAt !== undefined,
  );
  return newest?.state === "Failed" ? (newest.error ?? "no reason is known") : undefined;
}

/** What is known of the last backup of a school that is to be destroyed. What is destroyed already has none. */
async function lastBackupOf(
  deps: Dependencies,
  tenant: StoredTenant,
  exists: boolean,
  newest: Backup | undefined,
  now: Date,
): Promise<LastBackup> {
  if (!exists || newest === undefined || tenant.purgeUnverified === true) return { state: "none" };
  if (newest.verifyError !== undefined) return { state: "broken" };
  if (newest.verifiedAt !== undefined) return { state: "read" };
  const at = await mayBeginAt(deps, tenant.uid, "verify-backup");
  return at <= now ? { state: "unread", runId: newest.runId } : { state: "later", at };
}

/** When the next backup of a school that runs is due; undefined if it makes none. */
function nextBackupOf(
  { platform }: Dependencies,
  tenant: StoredTenant,
  known: Pick<Gathered, "newestBackup" | "lastFailure" | "now">,
): Date | undefined {
  if (!tenant.spec.backup.enabled || tenant.status.initialisedAt === undefined) return undefined;
  const { newestBackup, lastFailure, now } = known;
  return nextBackup(
    tenant.uid,
    { startHour: platform.backup.windowStartHour, hours: platform.backup.windowHours },
    newestBackup === undefined ? undefined : new Date(newestBackup.startedAt),
    lastFailure === undefined ? undefined : new Date(lastFailure.startedAt),
    // A school that a clock ahead made is not older than now.
    new Date(Math.min(Date.parse(tenant.createdAt), now.getTime())),
  );
}

/** What the platform itself wants done of a school, in the order in which it is to be done. Pure. */
function wishesOf(
  { afterwards, unnamedRepository: unnamed }: Pick<Dependencies, "afterwards" | "unnamedRepository">,
  now: Date,
  school: {
    readonly furnishing: boolean;
    readonly running: boolean;
    readonly backupAt: Date | undefined;
    readonly expired: boolean;
    readonly readBack: { readonly at: Date; readonly runId: string | undefined } | undefined;
  },
): readonly DueWork[] {
  const { furnishing, running, backupAt, expired, readBack } = school;
  const wishes: DueWork[] = [];
  if (furnishing) wishes.push({ kind: "create-administrator", params: {} });
  if (unnamed !== undefined) return wishes;
  // Before a backup that is due as well: that one goes to the new place then.
  if (afterwards !== undefined && running && !furnishing)
    wishes.push({ kind: "change-repository", params: { to: afterwards.backup.repository } });
  if (backupAt !== undefined && backupAt <= now) wishes.push({ kind: "backup", params: { trigger: "schedule" } });
  if (expired) wishes.push({ kind: "forget-backups", params: {} });
  if (readBack !== undefined && readBack.at <= now)
    wishes.push({ kind: "verify-backup", params: { runId: readBack.runId, part: partOf(now) } });
  return wishes;
}

/** Reads everything an attempt needs. The only effect: keys of a new school are made. */
export async function gather(
  deps: Dependencies,
  taken: StoredTenant,
  signal: AbortSignal,
  isActive: (id: string) => boolean,
): Promise<Gathered> {
  const now = deps.clock.now();
  const clock = await askClock(deps);
  const goal = goalOf(taken, now, clock.trusted);
  const hosts = [hostOf(taken.slug, deps.platform.domain)];
  const { open, initialisedAt } = await openWork(deps, taken, isActive, clock.trusted);
  const tenant = initialisedAt === undefined ? taken : { ...taken, status: { ...taken.status, initialisedAt } };
  const unfurnished = initialisedAt === undefined;
  const [observed, gateway, backups, failedRestore, failedFurnishing] = await Promise.all([
    deps.engine.observe(namespaceOf(tenant.slug)),
    deps.gateway?.observe(tenant.slug),
    decidingBackups(deps.pool, tenant.uid),
    unfurnished ? newestFailed(deps, tenant.uid, "restore") : undefined,
    unfurnished ? newestFailed(deps, tenant.uid, "create-administrator") : undefined,
  ]);
  const fitness = await fitnessOf(deps, goal !== "purge" && !observed.exists, signal, !observed.exists);
  const newestBackup = newestOf(backups, "Complete", now);
  const lastFailure = newestOf(backups, "Failed", now);
  const due = goal === "run" ? nextBackupOf(deps, tenant, { newestBackup, lastFailure, now }) : undefined;
  const makesBackups = goal === "run" && tenant.spec.backup.enabled;
  const expired =
    goal === "purge" || !clock.trusted ? [] : await expiredWithoutBackup(deps, tenant.uid, now, makesBackups);
  // Beside backups they go with the old ones.
  const keysExpired =
    goal !== "purge" && !makesBackups && clock.trusted && (await expiredKeys(deps.pool, tenant.uid, now)).length > 0;
  const verifying = goal === "run" && open.some((operation) => operation.kind === "verify-isolation");
  const breaches = verifying ? ((await deps.engine.examineIsolation?.(namespaceOf(tenant.slug))) ?? []) : [];
  const furnishing = goal === "run" && unfurnished;
  const readBack = makesBackups ? readBackAt(newestBackup) : undefined;
  const wishes = wishesOf(deps, now, {
    furnishing,
    running: goal === "run",
    backupAt: due,
    expired: expired.length > 0 || keysExpired,
    readBack: readBack === undefined ? undefined : { at: readBack, runId: newestBackup?.runId },
  });
  const work = await dueWork(deps, tenant.uid, wishes, now);
  const keys = goal === "purge" ? undefined : await keysOf(deps, tenant, open);
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
    operations: open,
    due: work.due,
    retryAt: work.retryAt,
    newestBackup,
    lastFailure,
    backups,
    nextBackup: due,
    readBackAt: readBack,
    retentionFailure: await retentionFailureOf(deps, tenant.uid, expired),
    lastBackup:
      goal === "purge" ? await lastBackupOf(deps, tenant, observed.exists, newestBackup, now) : { state: "none" },
    failedRestore,
    failedFurnishing,
    breaches,
  };
}
