import { messageOf } from "../../errors.ts";
import { LeaseLostError } from "../../store/held.ts";
import { wakeHeld } from "../../store/leases.ts";
import {
  finishOperation,
  type Operation,
  type OperationEnd,
  type OperationKind,
  requestOnce,
  startOperation,
  TRAITS,
} from "../../store/operations.ts";
import { wakeTenant } from "../../store/tenants.ts";
import { CalledOffError, type HeldSchool } from "../holds.ts";
import type { DueWork } from "../plan.ts";
import { type Attempt, write } from "../steps.ts";
import { acceptBackup } from "./accept-backup.ts";
import { acceptVolume } from "./accept-volume.ts";
import { createAdministrator } from "./administrator.ts";
import { backup } from "./backup.ts";
import type { BegunOperation } from "./begun.ts";
import { reachIn } from "./by-hand.ts";
import { renewCertificate } from "./certificate.ts";
import { changeRepository } from "./change-repository.ts";
import { forgetBackups } from "./forget-backups.ts";
import { verifyIsolation } from "./isolation.ts";
import { CONTINUES, confirmMove, move } from "./move.ts";
import { resetPassword } from "./password.ts";
import { confirmRestore, restore } from "./restore.ts";
import { verifyBackup } from "./verify-backup.ts";

/**
 * Long work on a school: begun by an attempt and going on beside later ones. Each kind is a function that can be cut off anywhere
 * and run again; what it takes charge of meanwhile is recorded (see OperationHolds) before it is touched.
 */

export type Work = (attempt: Attempt, operation: BegunOperation) => Promise<unknown>;

const WORK: Readonly<Record<OperationKind, Work>> = {
  "create-administrator": createAdministrator,
  backup,
  "verify-backup": verifyBackup,
  "forget-backups": forgetBackups,
  "change-repository": changeRepository,
  restore,
  "confirm-restore": confirmRestore,
  "accept-volume": acceptVolume,
  "accept-backup": acceptBackup,
  "verify-isolation": verifyIsolation,
  "renew-certificate": renewCertificate,
  "reset-password": resetPassword,
  "verify-journal": reachIn,
  "rebuild-marks": reachIn,
  "undo-account": reachIn,
  "remove-second-factor": reachIn,
  "disclose-person": reachIn,
  "take-down-file": reachIn,
  move,
  "confirm-move": confirmMove,
};

/** How work ended that threw; undefined when its end is not ours to record: whoever holds the school next resumes it. */
function endOf(attempt: Attempt, error: unknown): OperationEnd | undefined {
  if (attempt.lost.aborted || error instanceof LeaseLostError) return undefined;
  const why: unknown = attempt.signal.aborted ? attempt.signal.reason : undefined;
  return why instanceof CalledOffError ? { cancelled: why.message } : { error: messageOf(error) };
}

/** Does the work and records its end. Its failure is the work's, not the school's. */
async function perform(attempt: Attempt, { id, kind, state }: Operation): Promise<void> {
  const { deps, hold, gathered } = attempt;
  const { slug } = gathered.tenant;
  let end: OperationEnd | undefined;
  try {
    await deps.onStep?.("before", kind);
    const operation = await write(attempt, (db) => startOperation(db, id));
    // Ended since it was read. The attempt that began it takes it for begun: another one is to see that.
    if (operation === undefined) return await write(attempt, (db) => wakeHeld(db, hold));
    const result = await WORK[kind](attempt, { ...operation, resumed: state === "Running" });
    await deps.onStep?.("after", kind);
    if (result === CONTINUES) return;
    end = { result };
  } catch (error) {
    end = endOf(attempt, error);
    if (end === undefined) throw error;
    deps.log.warn({ slug, operation: kind, error: messageOf(error), ...end }, "work did not come to its end");
  }
  await write(attempt, (db) => finishOperation(db, hold, id, end));
}

/**
 * Begins work, unless the platform has no room for more of its kind now: then the school is woken when there is some.
 * @param why it is to undo what it did before it was cut off, and end
 * @returns whether it has begun
 */
export async function startWork(
  attempt: Attempt,
  held: HeldSchool,
  operation: Operation,
  why?: string,
): Promise<boolean> {
  const { deps, gathered } = attempt;
  const { slug } = gathered.tenant;
  const tell = () => {
    wakeTenant(deps.pool, slug).catch(() => undefined);
  };
  const heavy = TRAITS[operation.kind].heavy === true && why === undefined;
  const release = heavy ? deps.backups.tryAcquire({ key: slug, tell }) : () => undefined;
  if (release === undefined) return false;
  held.start(operation, async (signal) => {
    try {
      await perform({ ...attempt, signal, lost: held.signal }, operation);
    } finally {
      release();
    }
  });
  if (why !== undefined) held.works.get(operation.id)?.callOff(why);
  return true;
}

/** Records work that the platform itself wants done, and begins it. */
export async function requestWork(
  attempt: Attempt,
  held: HeldSchool,
  wish: { readonly work: OperationKind; readonly params: DueWork["params"] },
): Promise<boolean> {
  const { uid } = attempt.gathered.tenant;
  const { work: kind, params } = wish;
  const operation = await write(attempt, (db) => requestOnce(db, { tenantUid: uid, kind, params }));
  return operation === undefined || startWork(attempt, held, operation);
}

/** Kinds that leave something behind when they are cut off. */
const UNDONE = new Set<OperationKind>(["restore", "move"]);

/** Ends work before its time. What an earlier holder began is taken up once more, to be undone. */
export async function callOff(attempt: Attempt, held: HeldSchool, operation: Operation, why: string): Promise<void> {
  const active = held.works.get(operation.id);
  if (active !== undefined) return active.callOff(why);
  if (operation.state === "Running" && UNDONE.has(operation.kind)) {
    await startWork(attempt, held, operation, why);
    return;
  }
  await write(attempt, (db) => finishOperation(db, attempt.hold, operation.id, { cancelled: why }));
}
