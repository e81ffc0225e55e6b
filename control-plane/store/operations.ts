import { randomUUID } from "node:crypto";
import { ClassmindError } from "../errors.ts";
import type { HeldClient, Hold } from "./held.ts";
import type { Queryable } from "./queryable.ts";

/** How far work is, for people and for whoever takes it up again. */
export interface OperationProgress {
  readonly step?: string;
  readonly message?: string;
  /** Since when the school has been closed for it (ISO 8601). */
  readonly closedSince?: string;
}

/** Long work on a school: recorded intent, resumable, visible progress. */
export const OPERATION_KINDS = [
  "create-administrator",
  "backup",
  "verify-backup",
  "forget-backups",
  "change-repository",
  "restore",
  "confirm-restore",
  "accept-volume",
  "accept-backup",
  "verify-isolation",
  "renew-certificate",
  "reset-password",
  "verify-journal",
  "rebuild-marks",
  "undo-account",
  "remove-second-factor",
  "disclose-person",
  "take-down-file",
  "move",
  "confirm-move",
] as const;
export type OperationKind = (typeof OPERATION_KINDS)[number];
/** `Cancelled`: called off by an operator, or because of what became of the school. */
export const OPERATION_STATES = ["Pending", "Running", "Succeeded", "Failed", "Cancelled"] as const;
export type OperationState = (typeof OPERATION_STATES)[number];

/** What long work has taken charge of: attempts leave it as it is. */
export interface OperationHolds {
  /** The app does not run, and its way in is closed. */
  readonly paused?: boolean;
  /** Objects that the work shapes in its own way. */
  readonly objects?: ReadonlyArray<{ readonly kind: string; readonly name: string }>;
}

export interface Operation {
  readonly id: string;
  readonly tenantUid: string;
  readonly kind: OperationKind;
  readonly params: Readonly<Record<string, unknown>>;
  readonly state: OperationState;
  readonly progress: OperationProgress;
  readonly result: unknown;
  readonly error: string | undefined;
  readonly requestedBy: string;
  readonly createdAt: string;
  readonly startedAt: string | undefined;
  readonly finishedAt: string | undefined;
  readonly holds: OperationHolds;
  /** Why it is to end before its time. */
  readonly cancelReason: string | undefined;
  /** When it is given up. */
  readonly deadlineAt: string | undefined;
  /** Whether that is past, by the clock that set it; told of open work alone. */
  readonly overdue: boolean;
}

interface OperationRow {
  readonly id: string;
  readonly tenant_uid: string;
  readonly kind: OperationKind;
  readonly params: Readonly<Record<string, unknown>>;
  readonly state: OperationState;
  readonly progress: OperationProgress;
  readonly result: unknown;
  readonly error: string | null;
  readonly requested_by: string;
  readonly created_at: Date;
  readonly started_at: Date | null;
  readonly finished_at: Date | null;
  readonly holds: OperationHolds;
  readonly cancel_reason: string | null;
  readonly deadline_at: Date | null;
  readonly overdue?: boolean | null;
}

function toOperation(row: OperationRow): Operation {
  return {
    id: row.id,
    tenantUid: row.tenant_uid,
    kind: row.kind,
    params: row.params,
    state: row.state,
    progress: row.progress,
    result: row.result,
    error: row.error ?? undefined,
    requestedBy: row.requested_by,
    createdAt: row.created_at.toISOString(),
    startedAt: row.started_at?.toISOString(),
    finishedAt: row.finished_at?.toISOString(),
    holds: row.holds,
    cancelReason: row.cancel_reason ?? undefined,
    deadlineAt: row.deadline_at?.toISOString(),
    overdue: row.overdue ?? false,
  };
}

const HOUR = 3600;

/** What kinds of work are like. */
interface Traits {
  /** It moves a school's data, or its backups: one piece of such work at a time. All other kinds go beside it, one of each. */
  readonly data?: true;
  /** It talks to the school itself, which has to be open. */
  readonly needsOpen?: true;
  /** It is done of a school that does not run, too. */
  readonly whileStopped?: true;
  /** It moves much data; only so many run at once on a platform. */
  readonly heavy?: true;
  /** From the wish to the moment when it is given up. Beyond what its own jobs are given. */
  readonly deadlineSeconds: number;
}

export const TRAITS: Readonly<Record<OperationKind, Traits>> = {
  "create-administrator": { deadlineSeconds: HOUR },
  backup: { data: true, needsOpen: true, heavy: true, deadlineSeconds: 8 * HOUR },
  "verify-backup": { data: true, whileStopped: true, heavy: true, deadlineSeconds: 12 * HOUR },
  "forget-backups": { data: true, whileStopped: true, deadlineSeconds: 4 * HOUR },
  "change-repository": { data: true, needsOpen: true, heavy: true, deadlineSeconds: 12 * HOUR },
  restore: { data: true, heavy: true, deadlineSeconds: 24 * HOUR },
  "confirm-restore": { data: true, whileStopped: true, deadlineSeconds: HOUR },
  "accept-volume": { data: true, whileStopped: true, deadlineSeconds: HOUR },
  "accept-backup": { whileStopped: true, deadlineSeconds: HOUR },
  "verify-isolation": { needsOpen: true, deadlineSeconds: HOUR },
  "renew-certificate": { whileStopped: true, deadlineSeconds: HOUR },
  "reset-password": { needsOpen: true, deadlineSeconds: HOUR / 2 },
  "verify-journal": { needsOpen: true, deadlineSeconds: HOUR / 2 },
  "rebuild-marks": { needsOpen: true, deadlineSeconds: HOUR / 2 },
  "undo-account": { needsOpen: true, deadlineSeconds: HOUR / 2 },
  "remove-second-factor": { needsOpen: true, deadlineSeconds: HOUR / 2 },
  "disclose-person": { needsOpen: true, deadlineSeconds: HOUR / 2 },
  "take-down-file": { needsOpen: true, deadlineSeconds: HOUR / 2 },
  move: { data: true, needsOpen: true, whileStopped: true, heavy: true, deadlineSeconds: 48 * HOUR },
  "confirm-move": { data: true, whileStopped: true, deadlineSeconds: 24 * HOUR },
};

/** Of one lane there is one piece of work at a time. */
export const laneOf = (kind: OperationKind): string => (TRAITS[kind].data ? "data" : kind);

export interface OperationWish {
  readonly tenantUid: string;
  readonly kind: OperationKind;
  readonly params: Readonly<Record<string, unknown>>;
  readonly requestedBy: string;
}

/** Records a wish for long work and wakes the school. */
export async function requestOperation(db: Queryable, wish: OperationWish): Promise<Operation> {
  const { rows } = await db.query<OperationRow>(
    `insert into operations (id, tenant_uid, kind, params, requested_by, deadline_at)
     values ($1, $2, $3, $4, $5, now() + make_interval(secs => $6)) returning *`,
    [
      randomUUID(),
      wish.tenantUid,
      wish.kind,
      JSON.stringify(wish.params),
      wish.requestedBy,
      TRAITS[wish.kind].deadlineSeconds,
    ],
  );
  await db.query("update tenants set wake_at = now() where uid = $1", [wish.tenantUid]);
  const row = rows[0];
  if (row === undefined) throw new Error("insert returned no row");
  return toOperation(row);
}

/** The same wish, of the platform itself: nothing if work of this kind is open already. */
export async function requestOnce(
  db: HeldClient,
  wish: Pick<OperationWish, "kind" | "params"> & { readonly tenantUid: string },
): Promise<Operation | undefined> {
  const { rowCount } = await db.query(
    "select from operations where tenant_uid = $1 and kind = $2 and state in ('Pending', 'Running')",
    [wish.tenantUid, wish.kind],
  );
  return rowCount === 0 ? requestOperation(db, { ...wish, requestedBy: "schedule" }) : undefined;
}

/** @throws ClassmindError `NotFound` */
export async function getOperation(db: Queryable, id: string): Promise<Operation> {
  const { rows } = await db.query<OperationRow>("select * from operations where id = $1", [id]);
  if (rows[0] === undefined) throw new ClassmindError("NotFound", `There is no operation ${id}.`, { field: "id" });
  return toOperation(rows[0]);
}

/** Work still to do on a school, oldest first. One that is `Running` and not this process's was begun by a holder that is gone. */
export async function openOperations(db: Queryable, tenantUid: string): Promise<readonly Operation[]> {
  const { rows } = await db.query<OperationRow>(
    `select *, deadline_at < now() as overdue from operations
      where tenant_uid = $1 and state in ('Pending', 'Running') order by created_at, id`,
    [tenantUid],
  );
  return rows.map(toOperation);
}

/** Names of the schools that are being made from a school's backups. */
export async function openRestoresFrom(db: Queryable, sourceUid: string): Promise<readonly string[]> {
  const { rows } = await db.query<{ slug: string }>(
    `select t.slug from operations o join tenants t on t.uid = o.tenant_uid
      where o.kind = 'restore' and o.state in ('Pending', 'Running') and o.params ->> 'sourceUid' = $1::text and t.uid::text <> $1
      order by t.slug`,
    [sourceUid],
  );
  return rows.map(({ slug }) => slug);
}

/** How much heavy work is under way, on all schools. */
export async function countHeavy(db: Queryable): Promise<number> {
  const heavy = OPERATION_KINDS.filter((kind) => TRAITS[kind].heavy);
  const { rows } = await db.query<{ count: string }>(
    "select count(*) from operations where state = 'Running' and kind = any($1)",
    [heavy],
  );
  return Number(rows[0]?.count ?? 0);
}

/** The newest operations of a school. */
export async function listOperations(
  db: Queryable,
  tenantUid: string,
  limit: number,
  kind?: OperationKind,
): Promise<readonly Operation[]> {
  const { rows } = await db.query<OperationRow>(
    "select * from operations where tenant_uid = $1 and ($3::text is null or kind = $3) order by created_at desc, id limit $2",
    [tenantUid, limit, kind ?? null],
  );
  return rows.map(toOperation);
}

/**
 * @returns the operation as it is from now on: what an earlier holder recorded says where to go on. Undefined when it has ended since
 *   it was read: it must not be done again
 */
export async function startOperation(db: HeldClient, id: string): Promise<Operation | undefined> {
  const { rows } = await db.query<OperationRow>(
    `update operations set state = 'Running', started_at = coalesce(started_at, now()),
       progress = case when state = 'Running' then progress else jsonb_build_object('step', kind) end
     where id = $1 and state in ('Pending', 'Running') returning *`,
    [id],
  );
  return rows[0] === undefined ? undefined : toOperation(rows[0]);
}

export async function progressOperation(db: HeldClient, id: string, progress: Operation["progress"]): Promise<void> {
  await db.query("update operations set progress = $2 where id = $1", [id, JSON.stringify(progress)]);
}

/** Takes charge of something, before it is touched, or (with an empty one) lets everything go; attempts are told. */
export async function holdFor(db: HeldClient, { uid }: Hold, id: string, holds: OperationHolds): Promise<void> {
  await db.query("update operations set holds = $2 where id = $1 and state in ('Pending', 'Running')", [
    id,
    JSON.stringify(holds),
  ]);
  await db.query("update tenants set wake_at = now() where uid = $1", [uid]);
}

export type OperationEnd = { readonly result: unknown } | { readonly error: string } | { readonly cancelled: string };

/** Records how work ended, lets go of all that it held, and asks for an attempt. */
export async function finishOperation(db: HeldClient, { uid }: Hold, id: string, end: OperationEnd): Promise<void> {
  const state = "error" in end ? "Failed" : "cancelled" in end ? "Cancelled" : "Succeeded";
  const error = "error" in end ? end.error : "cancelled" in end ? end.cancelled : null;
  await db.query(
    "update operations set state = $2, result = $3, error = $4, holds = '{}', finished_at = now() where id = $1 and state in ('Pending', 'Running')",
    [id, state, "result" in end ? JSON.stringify(end.result ?? null) : null, error],
  );
  await db.query("update tenants set wake_at = now() where uid = $1", [uid]);
}

/**
 * Asks for work to end before its time; what it has done so far it undoes or leaves as its kind says.
 * @returns false if it had ended already
 */
export async function cancelOperation(db: Queryable, operation: Operation, reason: string): Promise<boolean> {
  const { rowCount } = await db.query(
    "update operations set cancel_reason = coalesce(cancel_reason, $2) where id = $1 and state in ('Pending', 'Running')",
    [operation.id, reason],
  );
  await db.query("update tenants set wake_at = now() where uid = $1", [operation.tenantUid]);
  return rowCount === 1;
}
