import { openFault } from "../backup/verification.ts";
import type { Observation, VolumeObservation, WorkloadObservation } from "../engine/engine.ts";
import { unnamedRepository } from "../fixed-settings.ts";
import type { Backup } from "../store/backups.ts";
import {
  type Condition,
  type ConditionType,
  type Phase,
  REASONS,
  type Reason,
  type SchoolRepositories,
  type SchoolVolumes,
  type TenantStatus,
  withEngineFit,
} from "../tenant.ts";
import type { GatewayObservation } from "./dependencies.ts";
import type { Fitness } from "./fitness.ts";
import { appEndpoint } from "./plan.ts";
import { seenVolume, type VolumeFault, volumeFault } from "./volumes.ts";

/** Judges what was gathered: pure checks, each named after the fault it finds. */

export interface Evidence {
  readonly slug: string;
  readonly goal: "run" | "stop" | "purge";
  readonly stopReason: Reason;
  readonly fitness: Fitness;
  readonly observed: Observation;
  /** Whether a volume that no pod uses is closed by the cluster's storage, which does not tell, and not by the engine. */
  readonly storageLocks?: boolean;
  /** Whether the database's readiness ends when its volume is full: where nobody else tells. */
  readonly readinessTellsRoom?: boolean;
  readonly volumes: SchoolVolumes;
  readonly initialised: boolean;
  /** Whether an operator keeps it on its version. */
  readonly pinned?: boolean;
  readonly gateway: GatewayObservation | undefined;
  readonly certificate: Judgement;
  readonly backup: {
    readonly enabled: boolean;
    readonly newest: Backup | undefined;
    /** All complete ones, newest first. */
    readonly complete: readonly Backup[];
    readonly repositories: SchoolRepositories;
    /** Address of what they are in, where nobody can reach it. */
    readonly unnamed?: string | undefined;
    readonly lastFailure: Backup | undefined;
    /** Why backups that are past their time are still there. */
    readonly retentionFailure: string | undefined;
  };
  /** The copy that a move left on another engine. */
  readonly left?:
    | { readonly engine: string; readonly atRest: boolean; readonly failure: string | undefined }
    | undefined;
  readonly clock: { readonly trusted: boolean; readonly message: string };
  readonly failure: { readonly step: string; readonly reason: Reason; readonly message: string } | undefined;
  readonly now: Date;
}

interface Judgement {
  readonly status: Condition["status"];
  readonly reason: Reason;
  readonly message: string;
}

const BACKUP_LATE_MS = 24 * 3_600_000;
const VOLUME_FULL = 0.9;

const good = (message: string): Judgement => ({ status: "True", reason: REASONS.AsDesired, message });

function knownReason(reason: string): Reason {
  return Object.values(REASONS).find((candidate) => candidate === reason) ?? REASONS.StepFailed;
}

function judgeEngine({ fitness }: Evidence): Judgement {
  const { engine, unmet, overridden } = fitness;
  if (unmet.length > 0)
    return {
      status: "False",
      reason: REASONS.PreflightFailed,
      message: `${engine}: ${unmet.map(({ check, message }) => `${check}: ${message}`).join("; ")}. What to do: classmind doctor --engine ${engine}`,
    };
  if (overridden.length > 0)
    return {
      status: "True",
      reason: REASONS.PreflightOverridden,
      message: `${engine}: ${overridden.map(({ check, message, override }) => `${check} failed (${message}), overridden by ${override.operator}: ${override.reason}`).join("; ")}`,
    };
  return good(`${engine} is fit for schools.`);
}

function judgeWorkload(evidence: Evidence, name: string, title: string): Judgement {
  if (evidence.goal !== "run") return { status: "False", reason: evidence.stopReason, message: `${title} is stopped.` };
  const workload: WorkloadObservation | undefined = evidence.observed.workloads.find(
    (candidate) => candidate.ref.name === name,
  );
  if (workload === undefined)
    return { status: "False", reason: REASONS.ContainerMissing, message: `${title} does not exist.` };
  if (workload.state === "Ready") return good(`${title} is ready.`);
  const reason = knownReason(workload.reason);
  const remedy = reason === REASONS.ImageMissing ? ` ${imageRemedy(evidence)}` : "";
  return { status: "False", reason, message: `${workload.message}${remedy}` };
}

/** An image that a school was given is not there any more: somebody removed it past the platform. */
function imageRemedy({ slug, pinned }: Evidence): string {
  const again = "To have the image again: classmind up, in the checkout that it came from";
  return pinned === true
    ? `The school is kept on that version. ${again}; or give it the others' version: classmind app unpin ${slug}`
    : `${again}.`;
}

/** What is to be done is a person's to say: what is there may be all that is left. */
function faultWords({ slug, volumes }: Evidence, { kind, message }: VolumeFault): string {
  if (volumes.next !== undefined) return `${message} A restore is filling another one, ${volumes.next.claim}.`;
  const restore = `classmind backup restore ${slug}`;
  if (kind === "terminating") return `${message} Back it up now: classmind backup create ${slug}. Then: ${restore}`;
  return `${message} Nothing is made in its place by itself. Restore a backup: ${restore}. If the right volume is there again: classmind tenant accept-volume ${slug}`;
}

function judgeVolume(evidence: Evidence): Judgement {
  const { own } = evidence.volumes;
  const fault = volumeFault(own, evidence.observed, evidence.initialised);
  if (fault !== undefined)
    return { status: "False", reason: REASONS.VolumeMissing, message: faultWords(evidence, fault) };
  const volume = seenVolume(evidence.observed, own.claim);
  if (volume === undefined)
    return { status: "False", reason: REASONS.VolumePending, message: "The encrypted volume is still to be made." };
  if (volume.locked && evidence.goal === "run")
    return { status: "False", reason: REASONS.VolumeLocked, message: "The volume is locked." };
  if (volume.locked) {
    const message = evidence.storageLocks
      ? "No pod uses the volume, and its key is not in the cluster; closing it on the node is the storage's part."
      : "The volume is locked: nobody can read it.";
    return { status: "True", reason: REASONS.VolumeLocked, message };
  }
  return judgeFill(evidence, volume);
}

const percent = (share: number): string => `${Math.floor(share * 100)} %`;

/** How full a volume is, by bytes and by inodes: without either nothing can be written. What nobody tells is not well. */
function judgeFill({ slug, observed, readinessTellsRoom }: Evidence, volume: VolumeObservation): Judgement {
  const { usedBytes, capacityBytes, inodes } = volume;
  if (usedBytes === undefined || capacityBytes <= 0) {
    const database = observed.workloads.find(({ ref }) => ref.name === "db")?.state;
    return readinessTellsRoom === true && database === "Ready"
      ? good("The volume has room: its database would not be ready at 95 %, by bytes or by inodes.")
      : {
          status: "Unknown",
          reason: REASONS.VolumePending,
          message: "How full the volume is, nobody tells at the moment.",
        };
  }
  const bytes = usedBytes / capacityBytes;
  const files = inodes === undefined || inodes.total <= 0 ? undefined : inodes.used / inodes.total;
  const words = `${percent(bytes)} full${files === undefined ? "" : `, ${percent(files)} of its inodes used`}`;
  if (bytes < VOLUME_FULL && (files ?? 0) < VOLUME_FULL) return good(`The volume is ${words}.`);
  return {
    status: "False",
    reason: REASONS.VolumeFull,
    message: `The volume is ${words}. Give it more: classmind tenant update ${slug} --storage SIZE`,
  };
}

function judgeRoute(evidence: Evidence): Judgement {
  const { gateway } = evidence;
  if (gateway === undefined) return good("The cluster's ingress leads to the school.");
  if (gateway.certificateFingerprint === undefined)
    return { status: "False", reason: REASONS.NotRouted, message: "The gateway has no certificate of this school." };
  if (evidence.goal !== "run")
    return { status: "False", reason: evidence.stopReason, message: "The gateway shows that the school is closed." };
  const endpoint = appEndpoint(evidence.observed);
  const { route } = gateway;
  const open =
    route?.state === "open" &&
    endpoint?.state === "open" &&
    route.address === endpoint.address &&
    route.port === endpoint.port;
  return open
    ? good("The gateway leads to the school.")
    : { status: "False", reason: REASONS.NotRouted, message: "The gateway does not lead to the school yet." };
}

function judgeBackupAge(evidence: Evidence): Judgement {
  const { backup, now } = evidence;
  if (!evidence.clock.trusted)
    return { status: "Unknown", reason: REASONS.ClockJumped, message: evidence.clock.message };
  if (!backup.enabled)
    return { status: "False", reason: REASONS.BackupDisabled, message: "Backups are switched off for this school." };
  if (evidence.goal !== "run")
    return { status: "True", reason: evidence.stopReason, message: "Nothing changes while the school is stopped." };
  const { newest, lastFailure, unnamed } = backup;
  if (unnamed !== undefined)
    return { status: "False", reason: REASONS.RepositoryUnnamed, message: unnamedRepository(unnamed) };
  if (newest === undefined) {
    if (lastFailure === undefined)
      return { status: "Unknown", reason: REASONS.NoBackupYet, message: "The first backup has not been made yet." };
    return { status: "False", reason: REASONS.BackupFailed, message: lastFailure.error ?? "The backup failed." };
  }
  if (now.getTime() - Date.parse(newest.startedAt) > BACKUP_LATE_MS) {
    const cause =
      lastFailure !== undefined && lastFailure.startedAt > newest.startedAt
        ? ` Last failure: ${lastFailure.error ?? "unknown"}`
        : "";
    return {
      status: "False",
      reason: REASONS.BackupTooOld,
      message: `The newest backup is older than a day: it is of ${newest.startedAt}.${cause}`,
    };
  }
  if (newest.shrunk !== undefined) {
    return {
      status: "False",
      reason: REASONS.BackupShrunk,
      message: `The newest backup holds ${newest.shrunk}. No backup is forgotten until somebody says that this is right: classmind backup accept ${evidence.slug}`,
    };
  }
  if (backup.retentionFailure !== undefined) {
    return {
      status: "False",
      reason: REASONS.RetentionFailed,
      message: `Backups older than 365 days could not be forgotten: ${backup.retentionFailure}`,
    };
  }
  const { at } = backup.repositories;
  const place = at === undefined ? "" : ` All are still in ${at}; they are being copied to where backups lie now.`;
  // No age: words that change by themselves would be written for every school, every hour.
  return good(`The newest backup is of ${newest.startedAt}.${place}`);
}

function judgeBackupCheck(evidence: Evidence): Judgement {
  const { newest, complete, repositories } = evidence.backup;
  const fault = openFault(complete);
  const damaged = repositories.damaged.map(({ number, since }) => `${number} (found at ${since})`).join(", ");
  const kept =
    damaged === ""
      ? ""
      : ` Damaged and kept: repository ${damaged}; what lies there may not open. New backups go to number ${repositories.number}.`;
  if (fault?.verifyError !== undefined)
    return {
      status: "False",
      reason: REASONS.VerificationFailed,
      message: `${fault.verifyError} (backup of ${fault.startedAt})${kept}`,
    };
  if (newest?.verifiedAt === undefined)
    return {
      status: "Unknown",
      reason: REASONS.NotVerifiedYet,
      message: `The newest backup has not been read back yet.${kept}`,
    };
  return good(`The newest backup was read back at ${newest.verifiedAt} (${newest.verifiedExtent ?? "whole"}).${kept}`);
}

/** Only of a school that has left a copy somewhere. */
function judgeLeft({ left }: Evidence): ReadonlyArray<readonly [ConditionType, Judgement]> {
  if (left === undefined) return [];
  const { engine, atRest, failure } = left;
  if (atRest)
    return [["LeftCopyStopped", good(`The copy on ${engine} is stopped and locked until the move is confirmed.`)]];
  const message = `The copy on ${engine} is not stopped yet, and it is tried again${failure === undefined ? "." : `: ${failure}`}`;
  return [["LeftCopyStopped", { status: "False", reason: REASONS.LeftCopyRunning, message }]];
}

/** Conditions whose failure means that pupils cannot work. */
const VITAL: readonly ConditionType[] = ["VolumeReady", "DatabaseReady", "AppReady", "CertificateReady", "RouteReady"];

function judgeReady(evidence: Evidence, others: ReadonlyMap<ConditionType, Judgement>): Judgement {
  if (evidence.goal === "purge" && evidence.failure === undefined)
    return { status: "False", reason: REASONS.Purging, message: "The school is being destroyed for good." };
  if (evidence.failure !== undefined) {
    return {
      status: "False",
      reason: evidence.failure.reason,
      message: `${evidence.failure.step}: ${evidence.failure.message}`,
    };
  }
  if (evidence.goal === "stop") {
    const message = isAtRest(evidence)
      ? "The school is stopped and its volume locked."
      : "The school is being stopped; until that is done, its volume is open.";
    return { status: "False", reason: isAtRest(evidence) ? evidence.stopReason : REASONS.ContainerStopping, message };
  }
  const vital = VITAL.flatMap((type) => others.get(type) ?? []);
  // What is known to be wrong says more than what is not known.
  const worst = vital.find(({ status }) => status === "False") ?? vital.find(({ status }) => status === "Unknown");
  return worst ?? good("The school is open.");
}

/** All conditions of a school, with the time each last changed its status carried over. */
export function judge(evidence: Evidence, previous: readonly Condition[]): readonly Condition[] {
  const { certificate } = evidence;
  const judgements = new Map<ConditionType, Judgement>([
    ["EngineFit", judgeEngine(evidence)],
    ["VolumeReady", judgeVolume(evidence)],
    ["DatabaseReady", judgeWorkload(evidence, "db", "The database")],
    ["AppReady", judgeWorkload(evidence, "app", "The platform")],
    ["CertificateReady", certificate],
    ["RouteReady", judgeRoute(evidence)],
    ["BackupRecent", judgeBackupAge(evidence)],
    ["BackupVerified", judgeBackupCheck(evidence)],
    ...judgeLeft(evidence),
  ]);
  const all = new Map<ConditionType, Judgement>([["Ready", judgeReady(evidence, judgements)], ...judgements]);
  return [...all].map(([type, judgement]) => {
    const before = previous.find((condition) => condition.type === type);
    const unchanged = before !== undefined && before.status === judgement.status;
    return {
      type,
      ...judgement,
      lastTransitionTime: unchanged ? before.lastTransitionTime : evidence.now.toISOString(),
    };
  });
}

/**
 * A school's status when its engine could not be asked: only what is known of the engine changes. The same object when that
 * was known already. Pure.
 */
export function unobserved(
  status: TenantStatus,
  error: { readonly reason: string; readonly message: string },
  now: Date,
): TenantStatus {
  const reason = knownReason(error.reason);
  const before = status.conditions.find(({ type }) => type === "EngineFit");
  if (before?.status === "Unknown" && before.reason === reason && before.message === error.message) return status;
  const condition: Condition = {
    type: "EngineFit",
    status: "Unknown",
    reason,
    message: error.message,
    lastTransitionTime: before?.status === "Unknown" ? before.lastTransitionTime : now.toISOString(),
  };
  return { ...status, conditions: withEngineFit(status.conditions, condition) };
}

/** Whether nothing of a school runs, and its volume is closed. */
function isAtRest({ observed, volumes }: Evidence): boolean {
  const open = seenVolume(observed, volumes.own.claim)?.locked === false;
  return !open && observed.workloads.every(({ state }) => state === "Stopped");
}

/** The phase that sums the conditions up. */
export function phaseOf(
  evidence: Evidence,
  conditions: readonly Condition[],
  initialised: boolean,
  deleted: boolean,
): Phase {
  if (evidence.goal === "purge") return "Purging";
  if (evidence.goal === "stop" && evidence.failure === undefined && isAtRest(evidence))
    return deleted ? "Deleted" : "Suspended";
  const ready = conditions.find((condition) => condition.type === "Ready")?.status === "True";
  if (ready && initialised) return "Ready";
  if (initialised) return "Degraded";
  const failing =
    evidence.failure !== undefined || evidence.observed.workloads.some(({ state }) => state === "Failing");
  return failing ? "Failed" : "Provisioning";
}
