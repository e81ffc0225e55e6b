import { randomUUID } from "node:crypto";
import { ClassmindError } from "../errors.ts";
import type { Queryable } from "./tenants.ts";

/** Long work on a school: recorded intent, resumable, visible progress. */
export const OPERATION_KINDS = [
  "backup",
  "verify-backup",
  "restore",
  "verify-isolation",
  "renew-certificate",
  "reset-password",
  "move",
  "confirm-move",
] as const;
export type OperationKind = (typeof OPERATION_KINDS)[number];
export type OperationState = "Pending" | "Running" | "Succeeded" | "Failed";

export interface Operation {
  readonly id: string;
  readonly tenantUid: string;
  readonly kind: OperationKind;
  readonly params: Readonly<Record<string, unknown>>;
  readonly state: OperationState;
  readonly progress: { readonly step?: string; readonly message?: string };
  readonly result: unknown;
  readonly error: string | undefined;
  readonly requestedBy: string;
  readonly createdAt: string;
  readonly startedAt: string | undefined;
  readonly finishedAt: string | undefined;
}

interface OperationRow {
  readonly id: string;
  readonly tenant_uid: string;
  readonly kind: OperationKind;
  readonly params: Readonly<Record<string, unknown>>;
  readonly state: OperationState;
  readonly progress: { readonly step?: string; readonly message?: string };
  readonly result: unknown;
  readonly error: string | null;
  readonly requested_by: string;
  readonly created_at: Date;
  readonly started_at: Date | null;
  readonly finished_at: Date | null;
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
  };
}

/** Records a wish for long work and wakes the school. */
export async function requestOperation(
  db: Queryable,
  wish: {
    readonly tenantUid: string;
    readonly kind: OperationKind;
    readonly params: Readonly<Record<string, unknown>>;
    readonly requestedBy: string;
  },
): Promise<Operation> {
  const { rows } = await db.query<OperationRow>(
    "insert into operations (id, tenant_uid, kind, params, requested_by) values ($1, $2, $3, $4, $5) returning *",
    [randomUUID(), wish.tenantUid, wish.kind, JSON.stringify(wish.params), wish.requestedBy],
  );
  await db.query("update tenants set wake_at = now() where uid = $1", [wish.tenantUid]);
  const row = rows[0];
  if (row === undefined) throw new Error("insert returned no row");
  return toOperation(row);
}

/** @throws ClassmindError `NotFound` */
export async function getOperation(db: Queryable, id: string): Promise<Operation> {
  const { rows } = await db.query<OperationRow>("select * from operations where id = $1", [id]);
  if (rows[0] === undefined) throw new ClassmindError("NotFound", `There is no operation ${id}.`, { field: "id" });
  return toOperation(rows[0]);
}

/** Work still to do on a school, oldest first. One that is `Running` here was begun by a holder that is gone. */
export async function openOperations(db: Queryable, tenantUid: string): Promise<readonly Operation[]> {
  const { rows } = await db.query<OperationRow>(
    "select * from operations where tenant_uid = $1 and state in ('Pending', 'Running') order by created_at",
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

/** The newest operations of a school. */
export async function listOperations(db: Queryable, tenantUid: string, limit: number): Promise<readonly Operation[]> {
  const { rows } = await db.query<OperationRow>(
    "select * from operations where tenant_uid = $1 order by created_at desc limit $2",
    [tenantUid, limit],
  );
  return rows.map(toOperation);
}

export async function startOperation(db: Queryable, id: string): Promise<void> {
  await db.query("update operations set state = 'Running', started_at = coalesce(started_at, now()) where id = $1", [
    id,
  ]);
}

export async function progressOperation(db: Queryable, id: string, progress: Operation["progress"]): Promise<void> {
  await db.query("update operations set progress = $2 where id = $1", [id, JSON.stringify(progress)]);
}

export async function finishOperation(
  db: Queryable,
  id: string,
  end: { readonly result: unknown } | { readonly error: string },
): Promise<void> {
  const failed = "error" in end;
  await db.query("update operations set state = $2, result = $3, error = $4, finished_at = now() where id = $1", [
    id,
    failed ? "Failed" : "Succeeded",
    failed ? null : JSON.stringify(end.result ?? null),
    failed ? end.error : null,
  ]);
}
