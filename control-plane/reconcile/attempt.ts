import { isDeepStrictEqual } from "node:util";
import { clusterIssuerOf, policyOf } from "../config.ts";
import { EngineError, type Observation } from "../engine/engine.ts";
import { messageOf } from "../errors.ts";
import { decidingBackups, newestOf } from "../store/backups.ts";
import { whileHeld } from "../store/held.ts";
import { buryTenant, finishAttempt, writeProgress, writeStatus } from "../store/leases.ts";
import type { Trial } from "../store/rollout-rows.ts";
import { recordTrial } from "../store/rollouts.ts";
import type { StoredTenant } from "../store/tenants.ts";
import { type Condition, namespaceOf, REASONS, type TenantStatus } from "../tenant.ts";
import { secondsUntilLook } from "./certificate.ts";
import { type Evidence, judge, phaseOf, unobserved } from "./conditions.ts";
import { type Dependencies, dependenciesAt, type Fleet } from "./dependencies.ts";
import { leftRunning, leftToStop, otherEngines } from "./elsewhere.ts";
import { type Execution, execute } from "./execute.ts";
import { isElsewhere, unfitFailure } from "./fitness.ts";
import {
  certificateOf,
  desiredManifests,
  desiredObjects,
  fingerprintOf,
  type Gathered,
  gather,
  restingOf,
} from "./gather.ts";
import type { HeldSchool } from "./holds.ts";
import { APP, DB, plan, type Step } from "./plan.ts";
import { withOwnVersion } from "./rollouts.ts";
import type { StepFailure } from "./step-failure.ts";
import type { Attempt } from "./steps.ts";
import { trialAfter, trialDueAt } from "./trial.ts";
import { seenVolume } from "./volumes.ts";

/** A school that needs nothing is looked at again after this time even if no event came. */
const RESYNC_SECONDS = 3600;
const MAX_BACKOFF_SECONDS = 600;
/** What work waits for wakes the school; this is for a wake-up that was lost. */
const WAITING_SECONDS = 15;
/** The same for a workload that is not ready yet. */
const STARTING_SECONDS = 5;
const LEFT_COPY: Step["kind"] = "stop-elsewhere";

/** Seconds to wait after the n-th failure in a row: exponential with jitter, at most ten minutes. */
export function backoffSeconds(attempts: number, random: () => number): number {
  return Math.min(MAX_BACKOFF_SECONDS, 2 ** Math.min(attempts, 10)) * (0.5 + random() / 2);
}

async function planOf(deps: Dependencies, gathered: Gathered): Promise<readonly Step[]> {
  const manifests = gathered.goal === "purge" ? [] : desiredManifests(deps, gathered);
  return plan({
    goal: gathered.goal,
    desired: desiredObjects(manifests),
    observed: gathered.observed,
    initialised: gathered.tenant.status.initialisedAt !== undefined,
    volumes: gathered.tenant.volumes,
    elsewhere: otherEngines(gathered),
    runsElsewhere: await leftToStop(deps, gathered),
    restoreFailed: gathered.failedRestore !== undefined,
    certificate: certificateOf(deps, gathered, gathered.certificate).action,
    gateway:
      gathered.gateway === undefined
        ? undefined
        : { ...gathered.gateway, wantedFingerprint: fingerprintOf(gathered.certificate) },
    operations: gathered.operations,
    due: gathered.due,
    lastBackup: gathered.lastBackup,
  });
}

/** Seconds until something is due by the clock: renewal, backup, expiry of a demo, purge, or the resync. */
function secondsUntilNext(deps: Dependencies, gathered: Gathered, status: TenantStatus): number {
  const { tenant } = gathered;
  const now = deps.clock.now();
  const issuedElsewhere = clusterIssuerOf(deps.platform) !== undefined;
  const dates = [
    issuedElsewhere ? undefined : status.certificate?.renewAt,
    tenant.spec.terms.kind === "demo" && gathered.goal === "run" ? tenant.spec.terms.expiresAt : undefined,
    tenant.deletion?.purgeAfter,
  ];
  // While the clock is not believed, what waits for these dates waits for an operator.
  const always = [
    // One that is due already waits for something that wakes the school.
    Date.parse(status.backup?.next ?? "") > now.getTime() ? status.backup?.next : undefined,
    gathered.retryAt?.toISOString(),
    gathered.lastBackup.state === "later" ? gathered.lastBackup.at.toISOString() : undefined,
    gathered.readBackAt !== undefined && gathered.readBackAt > now ? gathered.readBackAt.toISOString() : undefined,
    ...gathered.operations.filter(({ overdue }) => !overdue).map(({ deadlineAt }) => deadlineAt),
  ];
  const times = [...always, ...(gathered.clock.trusted ? dates : [])].filter((time) => time !== undefined);
  const next = Math.min(
    ...times.map((time) => (Date.parse(time) - now.getTime()) / 1000),
    ...(issuedElsewhere ? [secondsUntilLook(status, now)] : []),
    RESYNC_SECONDS * (0.75 + Math.random() / 2),
  );
  return Math.max(1, next);
}

/** A school is not destroyed while nobody knows whether its last backup could still be read. */
function purgeHeld({ goal, lastBackup, tenant, newestBackup }: Gathered): StepFailure | undefined {
  if (goal !== "purge" || (lastBackup.state !== "broken" && lastBackup.state !== "later")) return undefined;
  const why = newestBackup?.verifyError ?? "it could not be read back; that is tried again";
  return {
    step: "read the last backup back",
    reason: REASONS.VerificationFailed,
    message: `The last backup is to be read back before the school is destroyed: ${why}. To destroy it all the same: classmind tenant purge ${tenant.slug} --without-verification --reason "…"`,
    retryable: true,
  };
}

/** A school whose restore failed is empty; only a person can say what becomes of it. */
function restoreFailure(gathered: Gathered): StepFailure | undefined {
  if (gathered.goal !== "run" || gathered.failedRestore === undefined) return undefined;
  const { slug } = gathered.tenant;
  return {
    step: "restore",
    reason: REASONS.StepFailed,
    message: `The restore into this school failed: ${gathered.failedRestore} Purge it and try again: classmind tenant purge ${slug} --reason "…"`,
    retryable: false,
  };
}

/** What is tried again by itself, and is in the way of opening meanwhile. */
function furnishingFailure({ goal, failedFurnishing }: Gathered): StepFailure | undefined {
  if (goal !== "run" || failedFurnishing === undefined) return undefined;
  return {
    step: "create-administrator",
    reason: REASONS.StepFailed,
    message: `The school could not be given its first administrator, which is tried again: ${failedFurnishing}`,
    retryable: true,
  };
}

interface Failures {
  readonly failure: StepFailure | undefined;
  readonly leftFailure: string | undefined;
}

/** An open school stays open although a copy on another engine is still there: that is said of the copy. */
function failuresOf(gathered: Gathered, execution: Execution): Failures {
  const failure = execution.failure ?? purgeHeld(gathered) ?? restoreFailure(gathered) ?? furnishingFailure(gathered);
  if (failure?.step === LEFT_COPY) return { failure: undefined, leftFailure: failure.message };
  return { failure, leftFailure: undefined };
}

const SHOWN_STEPS = 40;

/** What was done of late: since the school was last as it should be, for coming there takes several attempts. */
function stepsAfter(tenant: StoredTenant, execution: Execution): TenantStatus["steps"] {
  const { status, generation } = tenant;
  if (execution.steps.length === 0) return status.steps;
  const goesOn = !SETTLED.has(status.phase) && status.observedGeneration === generation;
  return [...(goesOn ? status.steps : []), ...execution.steps].slice(-SHOWN_STEPS);
}

const SETTLED: ReadonlySet<TenantStatus["phase"]> = new Set(["Ready", "Suspended", "Deleted"]);

async function statusAfter(
  deps: Dependencies,
  attempt: Attempt,
  gathered: Gathered,
  execution: Execution,
): Promise<{ readonly status: TenantStatus; readonly observed: Observation }> {
  const { tenant } = gathered;
  const now = deps.clock.now();
  const [observed, gateway, backups, running] = await Promise.all([
    deps.engine.observe(namespaceOf(tenant.slug)),
    deps.gateway?.observe(tenant.slug),
    decidingBackups(deps.pool, tenant.uid),
    leftRunning(deps, tenant),
  ]);
  const certificate = certificateOf(deps, { ...gathered, observed, now }, attempt.certificate);
  const newest = newestOf(backups, "Complete", now);
  const { failure, leftFailure } = failuresOf(gathered, execution);
  const evidence: Evidence = {
    slug: tenant.slug,
    goal: gathered.goal,
    stopReason: gathered.stopReason,
    fitness: gathered.fitness,
    observed,
    storageLocks: deps.engine.name === "kubernetes",
    readinessTellsRoom: deps.engine.name === "kubernetes",
    volumes: tenant.volumes,
    initialised: tenant.status.initialisedAt !== undefined,
    pinned: tenant.pin !== undefined,
    gateway,
    certificate: certificate.judgement,
    backup: {
      enabled: tenant.spec.backup.enabled,
      newest,
      complete: backups.filter(({ state }) => state === "Complete"),
      repositories: tenant.repositories,
      unnamed: deps.unnamedRepository,
      lastFailure: newestOf(backups, "Failed", now),
      retentionFailure: gathered.retentionFailure,
    },
    left:
      tenant.leftEngine === undefined
        ? undefined
        : { engine: tenant.leftEngine, atRest: running === undefined, failure: leftFailure },
    clock: gathered.clock,
    failure,
    now,
  };
  const conditions = judge(evidence, tenant.status.conditions);
  const { initialisedAt } = tenant.status;
  const volume = seenVolume(observed, tenant.volumes.own.claim);
  const used = volume?.usedBytes ?? tenant.status.volume?.usedBytes;
  const status: TenantStatus = {
    observedGeneration: tenant.generation,
    phase: phaseOf(evidence, conditions, initialisedAt !== undefined, tenant.deletion !== undefined),
    conditions,
    steps: stepsAfter(tenant, execution),
    ...(volume === undefined || used === undefined || volume.capacityBytes <= 0
      ? {}
      : { volume: { usedBytes: used, capacityBytes: volume.capacityBytes } }),
    ...(certificate.facts === undefined ? {} : { certificate: certificate.facts }),
    backup: {
      ...(newest === undefined ? {} : { newest: newest.startedAt }),
      ...(newest?.verifiedAt === undefined ? {} : { verifiedAt: newest.verifiedAt }),
      ...(gathered.nextBackup === undefined ? {} : { next: gathered.nextBackup.toISOString() }),
    },
  };
  return { status, observed };
}

/** Whether app and database are made of what is wanted now: a version says nothing about itself before. */
function isApplied(deps: Dependencies, gathered: Gathered, observed: Observation): boolean {
  const wanted = desiredObjects(desiredManifests(deps, gathered)).filter(
    ({ kind }) => kind === APP.kind || kind === DB.kind,
  );
  return wanted.every(({ kind, name, hash }) =>
    observed.objects.some((object) => object.kind === kind && object.name === name && object.hash === hash),
  );
}

const VERSIONED: readonly Condition["type"][] = ["DatabaseReady", "AppReady"];

/** How a school does that was given another version a moment ago; recorded before anything is concluded from it. */
async function judgeTrial(
  deps: Dependencies,
  { gathered, hold }: Attempt,
  { status, observed }: { readonly status: TenantStatus; readonly observed: Observation },
  failure: StepFailure | undefined,
): Promise<Trial | undefined> {
  const { trial, generation } = gathered.tenant;
  if (trial === undefined) return undefined;
  const wrong = status.conditions.find(({ type, status: state }) => VERSIONED.includes(type) && state !== "True");
  const applied = gathered.goal === "run" && isApplied(deps, gathered, observed);
  const now = deps.clock.now();
  const why = failure?.message ?? wrong?.message ?? "the version is not applied yet";
  const next = trialAfter(
    trial,
    {
      goal: gathered.goal,
      resting: restingOf(gathered).length > 0,
      well: wrong === undefined && applied,
      why,
      now,
      clockTrusted: gathered.clock.trusted,
    },
    policyOf(deps.platform),
  );
  if (next !== trial) await whileHeld(deps.pool, hold, (db) => recordTrial(db, hold, generation, next));
  return next;
}

/** Volume use moves all the time; small moves alone are not worth a write. */
function worthWriting(before: TenantStatus, after: TenantStatus): boolean {
  const { volume: usedBefore, ...restBefore } = before;
  const { volume: usedAfter, ...restAfter } = after;
  if (!isDeepStrictEqual(JSON.parse(JSON.stringify(restBefore)), JSON.parse(JSON.stringify(restAfter)))) return true;
  const moved = Math.abs((usedAfter?.usedBytes ?? 0) - (usedBefore?.usedBytes ?? 0));
  return moved > (usedAfter?.capacityBytes ?? 0) / 100;
}

interface Outcome {
  readonly wakeInSeconds: number;
  readonly attempts: number;
  /** Why the attempt failed, if it did. */
  readonly failure?: string;
}

/** Whether something is on its way to what it should be, and will say so when it is there. */
function isOnItsWay({ goal }: Gathered, { phase }: TenantStatus): boolean {
  return goal === "run" ? phase !== "Ready" : !SETTLED.has(phase);
}

async function settle(deps: Dependencies, attempt: Attempt, execution: Execution): Promise<Outcome> {
  const { gathered, hold } = attempt;
  const { tenant } = gathered;
  const seen = await statusAfter(deps, attempt, gathered, execution);
  const { status } = seen;
  if (worthWriting(tenant.status, status)) await writeStatus(deps.pool, tenant, hold.holder, status);
  const trial = await judgeTrial(deps, attempt, seen, execution.failure);
  const trialDue = trialDueAt(trial, policyOf(deps.platform));
  const trialSeconds = trialDue === undefined ? 0 : (trialDue.getTime() - deps.clock.now().getTime()) / 1000;
  const untilTrial = trialSeconds > 0 ? [Math.max(1, trialSeconds)] : [];
  if (tenant.progress.length > 0 || execution.steps.length > 0 || execution.failure !== undefined)
    await writeProgress(deps.pool, hold, []);
  if (execution.failure !== undefined) {
    const attempts = tenant.attempts + 1;
    const wakeInSeconds = Math.min(backoffSeconds(attempts, Math.random), ...untilTrial);
    return { attempts, wakeInSeconds, failure: execution.failure.reason };
  }
  // Something was done: look once more soon, so that what a step brought about (a due first backup) is seen.
  const soon = [
    ...(execution.steps.length > 0 ? [1] : []),
    ...(execution.waiting ? [WAITING_SECONDS] : []),
    ...(isOnItsWay(gathered, status) ? [STARTING_SECONDS] : []),
    ...untilTrial,
  ];
  return { attempts: 0, wakeInSeconds: Math.min(...soon, secondsUntilNext(deps, gathered, status)) };
}

async function attemptHeld(at: Dependencies, claimed: StoredTenant, held: HeldSchool): Promise<Outcome | "gone"> {
  const { signal, hold } = held;
  const [deps, tenant] = await withOwnVersion(at, claimed, hold);
  const gathered = await gather(deps, tenant, signal, (id) => held.works.has(id));
  const attempt: Attempt = {
    deps,
    gathered,
    signal,
    lost: signal,
    hold,
    certificate: gathered.certificate,
    keysDestroyed: undefined,
  };
  const { unmet } = gathered.fitness;
  // What is not found on another cluster is not gone either.
  const refused = gathered.goal === "purge" ? isElsewhere(unmet) : unmet.length > 0;
  const unfit = refused && !gathered.observed.exists;
  const execution: Execution = unfit
    ? { steps: [], failure: unfitFailure(gathered.fitness), waiting: false }
    : await execute(attempt, await planOf(deps, gathered), held);
  if (signal.aborted) return { attempts: tenant.attempts, wakeInSeconds: 0 };
  const purged = gathered.goal === "purge" && execution.failure === undefined && attempt.keysDestroyed !== undefined;
  if (purged && (await buryTenant(deps.pool, tenant, hold.holder, attempt.keysDestroyed ?? 0))) return "gone";
  return settle(deps, attempt, execution);
}

/** An engine that does not answer shows in the school's conditions; what was last seen of the school stands. */
async function tellTrouble(fleet: Fleet, tenant: StoredTenant, holder: string, error: unknown): Promise<void> {
  if (!(error instanceof EngineError)) return;
  const status = unobserved(tenant.status, error, fleet.clock.now());
  if (status !== tenant.status) await writeStatus(fleet.pool, tenant, holder, status);
}

/**
 * One attempt at one school that the caller holds: gather, plan, execute, judge, write. It waits for nothing but what it does
 * itself; work that it begins goes on when it has ended. Never throws: a failure is this school's alone.
 */
export async function attemptTenant(fleet: Fleet, tenant: StoredTenant, held: HeldSchool): Promise<void> {
  const deps = dependenciesAt(fleet, tenant.engine, tenant.repositories.at);
  const end = fleet.metrics?.begin(tenant.engine);
  const { holder } = held.hold;
  const letGo = (outcome: Outcome): Promise<boolean> =>
    finishAttempt(fleet.pool, tenant, holder, {
      ...outcome,
      ...(held.brokenOff ? { wakeInSeconds: 0 } : {}),
      working: held.works.size > 0,
    });
  try {
    if (deps === undefined)
      throw new EngineError(
        REASONS.EngineUnknown,
        `This school lives on the engine ${tenant.engine}, which is not in the reconciler's configuration.`,
      );
    const outcome = await attemptHeld(deps, tenant, held);
    if (outcome !== "gone") await letGo(outcome);
    if (outcome === "gone") end?.("gone");
    else end?.(outcome.failure === undefined ? "done" : "failed", outcome.failure);
  } catch (error) {
    end?.("failed", error instanceof EngineError ? error.reason : "Unknown");
    const attempts = tenant.attempts + 1;
    const failure = { slug: tenant.slug, engine: tenant.engine, error: messageOf(error), attempts };
    fleet.log.error(failure, "attempt failed");
    const outcome = { attempts, wakeInSeconds: backoffSeconds(attempts, Math.random) };
    // If the store is gone too, the lease runs out by itself and the school is due again.
    await tellTrouble(fleet, tenant, holder, error).catch(() => undefined);
    await letGo(outcome).catch(() => undefined);
  }
}
