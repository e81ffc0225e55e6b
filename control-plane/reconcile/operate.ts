import { z } from "zod";
import { restoreResult, verifyResult } from "../backup/results.ts";
import { clusterIssuerOf } from "../config.ts";
import { EngineError } from "../engine/engine.ts";
import { messageOf } from "../errors.ts";
import * as backups from "../store/backups.ts";
import { renewLease } from "../store/leases.ts";
import { finishOperation, type Operation, progressOperation, startOperation } from "../store/operations.ts";
import { wakeTenant } from "../store/tenants.ts";
import { namespaceOf, REASONS } from "../tenant.ts";
import { isolationTargets } from "../verify/targets.ts";
import { abandonedRuns, makeBackup } from "./backup.ts";
import { CERTIFICATE } from "./certificate.ts";
import { askClock } from "./clock-guard.ts";
import { expiredBackupsOf, repositoryUrl, valuesOf } from "./gather.ts";
import { CONTINUES, confirmMove, move } from "./move.ts";
import { APP } from "./plan.ts";
import { forget } from "./retention.ts";
import { type Attempt, closeRoute, executeStep, restoreJob, runJob, startApp } from "./steps.ts";

/** Long work, one function a kind. Each can be cut off anywhere and run again. */

const HOUR = 3_600_000;
const any = z.unknown();

type Params = Operation["params"];

/** Old backups make room for the new one, unless the clock is not believed. */
async function forgetOld(attempt: Attempt): Promise<void> {
  const { deps, gathered } = attempt;
  if (!(await askClock(deps)).trusted) return;
  await forget(attempt, await expiredBackupsOf(deps, gathered.tenant.uid, deps.clock.now()), "backup");
}

async function backup(attempt: Attempt, operation: Operation): Promise<unknown> {
  const runId = operation.id;
  const trigger = operation.params.trigger === "manual" ? "manual" : "schedule";
  // This one's own earlier beginning included, but not one that only now begins.
  const earlier = abandonedRuns(attempt.gathered.backups).filter((run) => run !== runId);
  const abandoned = operation.state === "Running" ? [...earlier, runId] : earlier;
  const { databaseSnapshot, filesSnapshot, bytesAdded } = await makeBackup(attempt, { runId, trigger, abandoned });
  return { runId, databaseSnapshot, filesSnapshot, bytesAdded, ...(await forgetAfter(attempt)) };
}

/** The backup just made is good whatever becomes of the old ones; the next one's forgetting makes up for this. */
async function forgetAfter(attempt: Attempt): Promise<{ readonly forgetting?: string }> {
  const { deps, gathered, signal } = attempt;
  try {
    await forgetOld(attempt);
    return {};
  } catch (error) {
    if (signal.aborted) throw error;
    deps.log.warn({ slug: gathered.tenant.slug, error: messageOf(error) }, "old backups could not be forgotten");
    return { forgetting: messageOf(error) };
  }
}

async function backupOf(attempt: Attempt, params: Params): Promise<backups.Backup> {
  const found = await backups.findBackup(attempt.deps.pool, String(params.runId));
  if (found === undefined || found.databaseSnapshot === undefined)
    throw new EngineError("BackupFailed", "The backup is gone.", { retryable: false });
  return found;
}

/** What a job says of the backup itself. All else (a server that does not answer, a login refused) says nothing of it. */
const VERDICTS = new Set(["RepositoryDamaged", "ArchiveBroken", "RepositoryMissing", "WrongKey", "ResticFailed"]);

async function verifyBackup(attempt: Attempt, operation: Operation): Promise<unknown> {
  const found = await backupOf(attempt, operation.params);
  const { databaseSnapshot, filesSnapshot } = found;
  try {
    const result = await runJob(attempt, "backup", {
      command: "verify",
      input: { databaseSnapshot, filesSnapshot },
      schema: verifyResult,
      deadline: 4 * HOUR,
    });
    await backups.recordVerification(attempt.deps.pool, found.runId, undefined);
    return result;
  } catch (error) {
    const verdict = error instanceof EngineError && VERDICTS.has(error.reason);
    if (verdict && !attempt.signal.aborted)
      await backups.recordVerification(attempt.deps.pool, found.runId, messageOf(error));
    throw error;
  }
}

/** The input that opens another school's repository to a restore: its address and password. */
async function foreignSource(
  attempt: Attempt,
  sourceUid: string,
  sourceSlug: string,
): Promise<{ readonly source?: unknown; readonly repositoryOf?: string }> {
  const { deps, gathered } = attempt;
  if (sourceUid === gathered.tenant.uid) return {};
  const keys = await deps.keyring.readSchoolKeys(sourceUid);
  if (keys === undefined)
    throw new EngineError(
      "KeysDestroyed",
      "The source school's keys are destroyed; its backups cannot be read any more.",
      { retryable: false },
    );
  const source = { url: repositoryUrl(deps, sourceUid), password: keys.repository.toString("utf8") };
  if (deps.platform.backup.repository !== "local") return { source };
  return { source, repositoryOf: namespaceOf(sourceSlug) };
}

const SETTLING = "settle";

/**
 * Drops what a restore has replaced. From here on the school is open again with the restored data: recorded first, so that a
 * restore that is resumed after this never restores over what people have entered since.
 */
async function settleRestore(attempt: Attempt, operation: Operation, message: string | undefined): Promise<unknown> {
  const { deps, gathered, signal } = attempt;
  await progressOperation(deps.pool, operation.id, { step: SETTLING, ...(message === undefined ? {} : { message }) });
  attempt.initialisedAt = gathered.tenant.status.initialisedAt ?? deps.clock.now().toISOString();
  const result = { runId: operation.params.runId, ...(message === undefined ? {} : { message }) };
  try {
    await runJob(attempt, "backup", restoreJob("settle", { runId: operation.id }, any));
    return result;
  } catch (error) {
    if (signal.aborted) throw error;
    deps.log.warn({ slug: gathered.tenant.slug, error: messageOf(error) }, "what a restore replaced is still there");
    return { ...result, left: "What was replaced is still on the volume and takes room there." };
  }
}

async function restore(attempt: Attempt, operation: Operation): Promise<unknown> {
  const { deps, gathered } = attempt;
  if (operation.progress.step === SETTLING) return settleRestore(attempt, operation, operation.progress.message);
  const namespace = namespaceOf(gathered.tenant.slug);
  const found = await backupOf(attempt, operation.params);
  const { source, ...foreign } = await foreignSource(
    attempt,
    String(operation.params.sourceUid),
    String(operation.params.sourceSlug),
  );
  const input = {
    runId: operation.id,
    databaseSnapshot: found.databaseSnapshot,
    filesSnapshot: found.filesSnapshot,
    fingerprint: found.fingerprint,
    ...(source === undefined ? {} : { source }),
  };
  await closeRoute(attempt);
  const manifests = deps.chart.renderTenant({ ...valuesOf(deps, gathered, attempt.certificate), replicas: 0 });
  const stopped = manifests.filter((manifest) => manifest.kind === APP.kind);
  await deps.engine.apply(namespace, stopped, { signal: attempt.signal });
  let restored: z.infer<typeof restoreResult>;
  try {
    restored = await runJob(attempt, "backup", { ...restoreJob("restore", input, restoreResult), ...foreign });
    await startApp(attempt);
  } catch (error) {
    if (attempt.signal.aborted) throw error;
    // Back to what was there: the swap is undone if it had happened, and the school opens again.
    await runJob(attempt, "backup", restoreJob("rollback", { runId: operation.id }, any));
    await startApp(attempt).catch((failure: unknown) =>
      deps.log.error(
        { slug: gathered.tenant.slug, error: messageOf(failure) },
        "the school does not start after the restore was rolled back",
      ),
    );
    throw error;
  }
  const tables = Object.keys(z.record(z.string(), z.json()).catch({}).parse(restored.fingerprint)).length;
  return settleRestore(attempt, operation, `${restored.rows} rows in ${tables} tables`);
}

const probeResult = z.object({
  tried: z.number(),
  holes: z.array(
    z.looseObject({ kind: z.string(), label: z.string(), host: z.string(), port: z.number(), outcome: z.string() }),
  ),
});

async function verifyIsolation(attempt: Attempt): Promise<unknown> {
  const { deps, gathered } = attempt;
  const targets = await isolationTargets(deps.engine, namespaceOf(gathered.tenant.slug), 20, deps.controlSockets ?? []);
  const result = await runJob(attempt, "probe", { command: "isolation", input: { targets }, schema: probeResult });
  const byKind = Object.fromEntries(
    [...new Set(targets.map((target) => target.kind))].map((kind) => [
      kind,
      targets.filter((target) => target.kind === kind).length,
    ]),
  );
  const seen = gathered.breaches.map(({ kind, label, where }) => ({
    kind,
    label,
    host: where,
    port: 0,
    outcome: "seen",
  }));
  return { tried: result.tried, byKind, holes: [...seen, ...result.holes] };
}

/** Recorded before cert-manager is asked, so that after a crash nothing is ordered twice. */
const RENEWING = /^instead of number (\d+)$/;
const RENEWAL_MS = 4 * 60_000;

/** cert-manager renews what it made; we ask, and wait. */
async function renewIssued(attempt: Attempt, operation: Operation): Promise<unknown> {
  const { deps, gathered, signal } = attempt;
  const namespace = namespaceOf(gathered.tenant.slug);
  const remedy = `Do it with cert-manager's own command: cmctl renew ${CERTIFICATE.name} --namespace ${namespace}`;
  if (deps.engine.renewCertificate === undefined)
    throw new EngineError(REASONS.IssuerFailing, `This engine cannot ask cert-manager. ${remedy}`);
  const observed = gathered.observed.certificates?.find(({ name }) => name === CERTIFICATE.name);
  const recorded = RENEWING.exec(operation.progress.message ?? "")?.[1];
  const revision = recorded === undefined ? observed?.revision : Number(recorded);
  if (revision === undefined)
    throw new EngineError(REASONS.CertificateMissing, "There is no certificate yet that could be renewed.");
  await progressOperation(deps.pool, operation.id, {
    step: "cert-manager makes a new certificate",
    message: `instead of number ${revision}`,
  });
  await deps.engine.renewCertificate(namespace, CERTIFICATE.name, { revision, deadline: RENEWAL_MS, signal });
  return { renewed: true };
}

async function renewCertificate(attempt: Attempt, operation: Operation): Promise<unknown> {
  if (clusterIssuerOf(attempt.deps.platform) !== undefined) return renewIssued(attempt, operation);
  await executeStep(attempt, { id: "issue-certificate", kind: "issue-certificate", after: [] });
  if (attempt.gathered.goal === "run")
    await executeStep(attempt, {
      id: "apply-tls",
      kind: "apply",
      objects: [{ kind: "Secret", name: "tls" }],
      after: [],
    });
  await executeStep(attempt, { id: "publish-certificate", kind: "publish-certificate", after: [] });
  return { renewed: true };
}

const resetResult = z.looseObject({ username: z.string(), sealedPassword: z.string() });

async function resetPassword(attempt: Attempt, operation: Operation): Promise<unknown> {
  return runJob(attempt, "admin", { command: "reset-password", input: operation.params, schema: resetResult });
}

const WORK: Readonly<Record<Operation["kind"], (attempt: Attempt, operation: Operation) => Promise<unknown>>> = {
  backup,
  "verify-backup": verifyBackup,
  restore,
  "verify-isolation": verifyIsolation,
  "renew-certificate": renewCertificate,
  "reset-password": resetPassword,
  move,
  "confirm-move": confirmMove,
};

/** Kinds that move much data; only so many run at once on this platform. */
const HEAVY = new Set<Operation["kind"]>(["backup", "verify-backup", "restore", "move"]);

/** `waiting`: the platform has no room for heavy work now. `moved`: the school lives on another engine; nothing more is done here. */
type Outcome = "done" | "failed" | "waiting" | "moved";

/**
 * Does one operation. Its failure is the operation's, not the attempt's: it is recorded, and the school goes on.
 */
export async function operate(attempt: Attempt, operation: Operation): Promise<Outcome> {
  const { deps, gathered, signal } = attempt;
  const { slug } = gathered.tenant;
  // When there is room again, the school that has waited longest is looked at at once; the timer is for lost wake-ups.
  const tell = () => {
    wakeTenant(deps.pool, slug).catch(() => undefined);
  };
  const release = HEAVY.has(operation.kind) ? deps.backups.tryAcquire({ key: slug, tell }) : () => undefined;
  if (release === undefined) return "waiting";
  try {
    await startOperation(deps.pool, operation.id);
    // What an earlier holder recorded says where to go on.
    if (operation.state !== "Running") await progressOperation(deps.pool, operation.id, { step: operation.kind });
    const result = await WORK[operation.kind](attempt, operation);
    if (result === CONTINUES) return "moved";
    await finishOperation(deps.pool, operation.id, { result });
    return "done";
  } catch (error) {
    // An abort means the lease is lost or the process ends: the next holder resumes what is still recorded as running.
    if (signal.aborted) throw error;
    // So does a lease that is lost without our knowing: its end is not ours to record.
    if (!(await renewLease(deps.pool, gathered.tenant.uid, attempt.holder))) throw error;
    deps.log.warn(
      { slug: gathered.tenant.slug, operation: operation.kind, error: messageOf(error) },
      "operation failed",
    );
    await finishOperation(deps.pool, operation.id, { error: messageOf(error) });
    return "failed";
  } finally {
    release();
  }
}
