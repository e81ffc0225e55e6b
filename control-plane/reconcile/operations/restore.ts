import { z } from "zod";
import { bringKeysResult, restoreResult } from "../../backup/results.ts";
import { KEEP } from "../../backup/retention.ts";
import { EngineError, type Observation } from "../../engine/engine.ts";
import { messageOf } from "../../errors.ts";
import { type Backup, keepNewest } from "../../store/backups.ts";
import { type KeySnapshot, keySnapshots } from "../../store/key-snapshots.ts";
import { recordInitialised } from "../../store/leases.ts";
import { type Operation, progressOperation } from "../../store/operations.ts";
import { findTenantByUid } from "../../store/tenants.ts";
import { dropAside, dropNext, offerNext, prepareNext } from "../../store/volumes.ts";
import { namespaceOf, REASONS, type SchoolVolumes, type VolumeRecord } from "../../tenant.ts";
import { repositoryUrl } from "../gather.ts";
import { type Attempt, runJob, write } from "../steps.ts";
import type { BegunOperation } from "./begun.ts";
import { saveKeys } from "./make-backup.ts";
import { isAppOpen, untilSeen } from "./pause.ts";
import { namedBackup } from "./verify-backup.ts";

/**
 * A restore fills a volume of its own, beside the school, which is open meanwhile; what was filled is compared with what was backed
 * up; and only then does it take the place of the school's volume, in the seconds that stopping and starting take. What it replaces
 * is kept aside until an operator confirms. A failure anywhere before that leaves the school as it was; a school that does not open
 * on the restored volume goes back to the one that it had.
 */

/** The input that opens another school's repository to a restore: its address and password. */
async function foreignSource(
  attempt: Attempt,
  sourceUid: string,
  sourceSlug: string,
  repository: number,
): Promise<{ readonly source?: unknown; readonly repositoryOf?: string }> {
  const { deps, gathered } = attempt;
  if (sourceUid === gathered.tenant.uid) return {};
  const owner = await findTenantByUid(deps.pool, sourceUid);
  if (owner?.repositories.at !== gathered.tenant.repositories.at)
    throw new EngineError(
      REASONS.StepFailed,
      `The backups of ${sourceSlug} are still being copied to where the platform keeps backups now: afterwards they can be restored.`,
    );
  const keys = await deps.keyring.readSchoolKeys(sourceUid);
  if (keys === undefined)
    throw new EngineError(
      "KeysDestroyed",
      "The source school's keys are destroyed; its backups cannot be read any more.",
      { retryable: false },
    );
  const source = { url: repositoryUrl(deps, sourceUid, repository), password: keys.repository.toString("utf8") };
  if (deps.platform.backup.repository !== "local") return { source };
  return { source, repositoryOf: namespaceOf(sourceSlug) };
}

const FILLING_MS = 8 * 3_600_000;
/** While a school is closed, a look more often costs less than a second more of it. */
const CLOSED_PAUSE_MS = 200;
const FILL = "fill a volume";
const SWAP = "change volumes";
const OPEN = "open the school";

/** What a volume is filled from. */
export type Filling = Pick<Backup, "databaseSnapshot" | "filesSnapshot" | "fingerprint" | "size" | "repository"> & {
  /** The newest of the keys of the school's people. */
  readonly keys: Pick<KeySnapshot, "snapshot" | "repository"> | undefined;
};

/** A backup with the newest keys of the school that it is of: who has been erased since stays erased. */
async function withNewestKeys({ deps }: Attempt, backup: Backup): Promise<Filling> {
  const [keys] = await keySnapshots(deps.pool, backup.tenantUid);
  return { ...backup, keys };
}

/** Where the keys lie, if that is not where the backup does. */
function keysInput({ deps }: Attempt, uid: string, { keys, repository }: Pick<Filling, "keys" | "repository">): object {
  if (keys === undefined) return {};
  const { snapshot } = keys;
  const elsewhere = keys.repository === repository ? {} : { repository: repositoryUrl(deps, uid, keys.repository) };
  return { keys: { snapshot, ...elsewhere } };
}

/**
 * Fills a volume from a backup and compares. Repeatable: one that is whole already says so.
 * @param sourceUid the school whose backup it is
 */
export async function fillVolume(
  attempt: Attempt,
  id: string,
  claim: string,
  backup: Filling,
  sourceUid: string = attempt.hold.uid,
  foreign: Awaited<ReturnType<typeof foreignSource>> = {},
): Promise<string> {
  const { source, repositoryOf } = foreign;
  const { databaseSnapshot, filesSnapshot, fingerprint, size } = backup;
  const own =
    source === undefined ? { repository: repositoryUrl(attempt.deps, attempt.hold.uid, backup.repository) } : {};
  const restored = await runJob(attempt, "restore", {
    command: "restore",
    input: {
      runId: id,
      databaseSnapshot,
      filesSnapshot,
      fingerprint,
      databaseBytes: size?.databaseBytes,
      source,
      ...keysInput(attempt, sourceUid, backup),
      ...own,
    },
    schema: restoreResult,
    deadline: FILLING_MS,
    claim,
    ...(repositoryOf === undefined ? {} : { repositoryOf }),
  });
  const tables = Object.keys(z.record(z.string(), z.json()).catch({}).parse(restored.fingerprint)).length;
  return `${restored.rows} rows in ${tables} tables`;
}

async function volumesOf({ deps, hold }: Attempt): Promise<SchoolVolumes> {
  const tenant = await findTenantByUid(deps.pool, hold.uid);
  if (tenant === undefined) throw new EngineError(REASONS.StepFailed, "the school is gone", { retryable: false });
  return tenant.volumes;
}

async function tell(attempt: Attempt, { id }: Operation, step: string, message?: string): Promise<void> {
  await write(attempt, (db) => progressOperation(db, id, { step, ...(message === undefined ? {} : { message }) }));
}

/** A volume is there and on record: attempts make it. */
async function untilMade(attempt: Attempt, claim: string): Promise<void> {
  await untilSeen(attempt, `making the volume ${claim}`, async () => {
    const { own, next } = await volumesOf(attempt);
    return [own, next].some((record) => record?.claim === claim && record.identity !== undefined);
  });
}

/** The school runs from a volume, and is open. */
async function untilOpenOn(attempt: Attempt, claim: string): Promise<void> {
  const isOpen = async (observed: Observation) => {
    const { own } = await volumesOf(attempt);
    return own.claim === claim && (await isAppOpen(attempt, observed));
  };
  await untilSeen(attempt, "opening the school", isOpen, CLOSED_PAUSE_MS);
}

/** Same attempt, for what goes on although the work was called off: there is no way back any more, or this is the way back. */
const unstoppable = (attempt: Attempt): Attempt => ({ ...attempt, signal: attempt.lost });

/**
 * Has a volume take the own one's place and returns when the school is open on it. One that does not open there goes back.
 * @returns seconds for which the school was closed
 */
async function change(attempt: Attempt, operation: Operation, volume: VolumeRecord, message?: string): Promise<number> {
  const { deps, hold } = attempt;
  const swapping = { step: SWAP, ...(message === undefined ? {} : { message }) };
  const before = (await volumesOf(attempt)).own;
  // Recorded with what closes the school: whoever takes this up again says how long it was, not how long they took.
  const { closedSince = deps.clock.now().toISOString(), ...progress } = operation.progress;
  const began = Date.parse(closedSince);
  if (before.claim !== volume.claim)
    await write(attempt, async (db) => {
      await progressOperation(db, operation.id, { ...progress, ...swapping, closedSince });
      await offerNext(db, hold, operation.id, volume);
    });
  try {
    await untilOpenOn(attempt, volume.claim);
    return (deps.clock.now().getTime() - began) / 1000;
  } catch (error) {
    if (attempt.lost.aborted) throw error;
    await goBack(unstoppable(attempt), operation, volume, before);
    throw error;
  }
}

/** The school goes back to the volume that it had; if it was lost, to the fault that it had. */
async function goBack(
  attempt: Attempt,
  operation: Operation,
  volume: VolumeRecord,
  before: VolumeRecord,
): Promise<void> {
  const { deps, gathered, hold } = attempt;
  const { own, next, aside } = await volumesOf(attempt);
  if (own.claim !== volume.claim) {
    if (next?.operation === operation.id) await write(attempt, (db) => dropNext(db, hold, operation.id));
    return;
  }
  const kept = aside.find(({ claim }) => claim === before.claim);
  if (kept === undefined) return;
  await write(attempt, (db) => offerNext(db, hold, operation.id, kept));
  await untilOpenOn(attempt, kept.claim).catch((error: unknown) =>
    deps.log.error(
      { slug: gathered.tenant.slug, error: messageOf(error) },
      "the school does not open on the volume that it had before the restore",
    ),
  );
}

/** Fills the only volume of a school that was never furnished; then it opens for the first time. */
async function furnish(attempt: Attempt, operation: BegunOperation, backup: Backup): Promise<unknown> {
  const { deps, gathered, hold } = attempt;
  const { own } = gathered.tenant.volumes;
  const { runId, sourceUid, sourceSlug } = operation.params;
  await untilMade(attempt, own.claim);
  await tell(attempt, operation, FILL);
  const foreign = await foreignSource(attempt, String(sourceUid), String(sourceSlug), backup.repository);
  const filling = await withNewestKeys(attempt, backup);
  const message = await fillVolume(attempt, operation.id, own.claim, filling, String(sourceUid), foreign);
  // One with the other: what is taken up after this fills nothing any more.
  await write(attempt, async (db) => {
    await progressOperation(db, operation.id, { step: OPEN, message });
    await recordInitialised(db, hold, deps.clock.now());
  });
  await untilOpenOn(attempt, own.claim);
  return { runId, message };
}

const BRINGING_MS = 1_800_000;

/** The keys as they are now; nothing, told in the log, where they cannot be had: a volume has those of the last backup then. */
async function keysOfNow(attempt: Attempt): Promise<KeySnapshot | undefined> {
  const { deps, gathered, signal } = attempt;
  try {
    return await saveKeys(attempt);
  } catch (error) {
    if (signal.aborted || !(error instanceof EngineError)) throw error;
    const { slug } = gathered.tenant;
    deps.log.warn({ slug, error: messageOf(error) }, "the keys of its people stay as the volume has them");
    return undefined;
  }
}

/**
 * Puts the keys of the school's people, as they are now, into a volume that is about to take the school's place: beside those that are there,
 * but for whoever was erased in either.
 * @throws EngineError when they could not be put there: the volume may be without any then, and does not take the place
 */
async function bringKeys(attempt: Attempt, claim: string): Promise<void> {
  const { deps, gathered, hold } = attempt;
  const keys = await keysOfNow(attempt);
  if (keys === undefined) return;
  const { number } = gathered.tenant.repositories;
  await runJob(attempt, "restore", {
    command: "bring-keys",
    input: {
      runId: keys.runId,
      ...keysInput(attempt, hold.uid, { keys, repository: number }),
      repository: repositoryUrl(deps, hold.uid, number),
    },
    schema: bringKeysResult,
    deadline: BRINGING_MS,
    claim,
  });
}

/** Fills another volume and lets it take the place of the school's own. */
async function replace(attempt: Attempt, operation: BegunOperation, backup: Backup): Promise<unknown> {
  const { hold } = attempt;
  const { runId } = operation.params;
  let claim: string | undefined;
  try {
    if (operation.progress.step === SWAP) return await finish(operation.progress.message ?? "");
    ({ claim } = await write(attempt, async (db) => {
      await keepNewest(db, hold.uid, KEEP.manualDays);
      return prepareNext(db, hold, operation.id);
    }));
    await untilMade(attempt, claim);
    await tell(attempt, operation, FILL);
    const message = await fillVolume(attempt, operation.id, claim, await withNewestKeys(attempt, backup));
    await bringKeys(attempt, claim);
    attempt.signal.throwIfAborted();
    // From here on what people enter goes on the old volume, until it is replaced; resumed, it is only replaced.
    await tell(attempt, operation, SWAP, message);
    return await finish(message);
  } catch (error) {
    if (attempt.lost.aborted) throw error;
    await write(attempt, async (db) => {
      await dropNext(db, hold, operation.id);
      if (claim !== undefined) await dropAside(db, hold, claim);
    });
    throw error;
  }

  async function finish(message: string): Promise<unknown> {
    const { own, next } = await volumesOf(attempt);
    const filled = next?.operation === operation.id ? next : own;
    claim = filled.claim;
    const seconds = await change(attempt, operation, filled, message);
    return {
      runId,
      message: `${message}; closed for ${seconds.toFixed(1)} s`,
      closedSeconds: seconds,
      volume: filled.claim,
    };
  }
}

/** Puts a volume that was kept aside back in its place. */
async function revert(attempt: Attempt, operation: BegunOperation, claim: string): Promise<unknown> {
  const { own, next, aside } = await volumesOf(attempt);
  const volume = [...aside, ...(next === undefined ? [] : [next]), own].find((record) => record.claim === claim);
  if (volume === undefined)
    throw new EngineError(REASONS.VolumeMissing, `No volume ${claim} is kept aside.`, { retryable: false });
  if (own.claim !== claim) await bringKeys(attempt, claim);
  await tell(attempt, operation, SWAP);
  const seconds = await change(attempt, operation, volume);
  return { volume: claim, message: `closed for ${seconds.toFixed(1)} s`, closedSeconds: seconds };
}

/** Restores a backup into place or into a new school, or goes back to the volume that a restore replaced. */
export async function restore(attempt: Attempt, operation: BegunOperation): Promise<unknown> {
  const { volume } = operation.params;
  if (typeof volume === "string") return revert(attempt, operation, volume);
  if (operation.progress.step === OPEN) {
    await untilOpenOn(attempt, attempt.gathered.tenant.volumes.own.claim);
    return { runId: operation.params.runId, message: operation.progress.message };
  }
  const backup = await namedBackup(attempt, operation.params);
  const furnished = attempt.gathered.tenant.status.initialisedAt !== undefined;
  return furnished ? replace(attempt, operation, backup) : furnish(attempt, operation, backup);
}

/** Removes what restores have replaced: from here on there is no way back to it but a backup. */
export async function confirmRestore(attempt: Attempt, operation: Operation): Promise<unknown> {
  const named = operation.params.volumes;
  const claims = Array.isArray(named) ? named.map(String) : [];
  // Only what the operator was shown: another restore may have replaced another one since.
  for (const claim of claims) await write(attempt, (db) => dropAside(db, attempt.hold, claim));
  return { removed: claims };
}
