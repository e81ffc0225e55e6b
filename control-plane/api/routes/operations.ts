import { z } from "zod";
import { ClassmindError } from "../../errors.ts";
import {
  cancelOperation,
  countHeavy,
  getOperation,
  laneOf,
  listOperations,
  type Operation,
  openOperations,
  TRAITS,
} from "../../store/operations.ts";
import type { Queryable } from "../../store/queryable.ts";
import { findTenantByUid, getTenant, type StoredTenant } from "../../store/tenants.ts";
import { type Route, route } from "../route.ts";
import * as schemas from "../schemas.ts";
import { viewOperation, withoutSealed } from "../views.ts";

/**
 * What a piece of work that has not begun waits for, in plain words. Pure.
 * @param open all open work of the school, oldest first
 * @param heavy how much heavy work is under way on the whole platform
 */
export function waitsFor(
  operation: Operation,
  tenant: Pick<StoredTenant, "spec" | "status">,
  open: readonly Operation[],
  heavy: number,
): string | undefined {
  if (operation.state !== "Pending") return undefined;
  const lane = laneOf(operation.kind);
  const before = open.find(
    ({ id, kind, state }) => id !== operation.id && laneOf(kind) === lane && state === "Running",
  );
  if (before !== undefined) return `for ${before.kind} of this school, under way since ${before.startedAt ?? "now"}`;
  const traits = TRAITS[operation.kind];
  if (tenant.spec.suspended && !traits.whileStopped) return "for the school, which is suspended";
  const ready = tenant.status.conditions.find(({ type }) => type === "Ready");
  if (traits.needsOpen && ready?.status !== "True")
    return `until the school is open: ${ready?.message ?? "it is still being made"}`;
  const elder = open.find(({ id, kind }) => laneOf(kind) === lane && id !== operation.id);
  if (elder !== undefined && elder.createdAt < operation.createdAt) return `for ${elder.kind} of this school`;
  return traits.heavy && heavy > 0
    ? `for room: ${heavy} backups, restores or moves are under way on this platform`
    : "to be taken up";
}

/** Work as people see it, with what it waits for. */
export async function viewWork(
  db: Queryable,
  tenant: StoredTenant,
  operations: readonly Operation[],
): Promise<readonly Record<string, unknown>[]> {
  const pending = operations.some(({ state }) => state === "Pending");
  const [open, heavy] = pending ? await Promise.all([openOperations(db, tenant.uid), countHeavy(db)]) : [[], 0];
  return operations.map((operation) => viewOperation(operation, tenant.slug, waitsFor(operation, tenant, open, heavy)));
}

async function viewOne(db: Queryable, operation: Operation): Promise<Record<string, unknown>> {
  const tenant = await findTenantByUid(db, operation.tenantUid);
  const [view] = tenant === undefined ? [] : await viewWork(db, tenant, [operation]);
  return view ?? viewOperation(operation, "");
}

export const operationRoutes: readonly Route[] = [
  route({
    method: "get",
    path: "/tenants/:slug/operations",
    summary: "Long work on a school, newest first",
    params: schemas.slugParams,
    query: schemas.operationQuery,
    status: 200,
    response: z.object({ items: z.array(schemas.operation) }),
    async handle({ params, query, context }) {
      const tenant = await getTenant(context.pool, params.slug);
      const operations = await listOperations(context.pool, tenant.uid, query.limit);
      const wanted = operations.filter(({ state }) => query.state === undefined || state === query.state);
      return { items: (await viewWork(context.pool, tenant, wanted)).map(withoutSealed) };
    },
  }),
  route({
    method: "get",
    path: "/operations/:id",
    summary: "Progress and result of long work",
    params: schemas.idParams,
    status: 200,
    response: schemas.operation,
    handle: async ({ params, context }) => viewOne(context.pool, await getOperation(context.pool, params.id)),
  }),
  route({
    method: "post",
    path: "/operations/:id/cancel",
    summary: "Ask long work to end before its time. What it had begun is undone; what it had finished stays",
    params: schemas.idParams,
    body: schemas.withNeededReason,
    status: 202,
    response: schemas.operation,
    async handle({ params, body, act }) {
      return act(async ({ db, audit }) => {
        const operation = await getOperation(db, params.id);
        const tenant = await findTenantByUid(db, operation.tenantUid);
        if (tenant === undefined || !(await cancelOperation(db, operation, body.reason)))
          throw new ClassmindError("PreconditionFailed", `The operation has ended already (${operation.state}).`, {
            field: "id",
            remedy: "There is nothing to call off.",
          });
        const { id, kind } = operation;
        const detail = { operation: id, kind };
        await audit({
          action: "operation.cancel",
          slug: tenant.slug,
          tenantUid: tenant.uid,
          reason: body.reason,
          detail,
        });
        return viewOne(db, await getOperation(db, id));
      });
    },
  }),
];
