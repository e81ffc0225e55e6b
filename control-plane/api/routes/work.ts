import { type OperationKind, requestOperation } from "../../store/operations.ts";
import { getTenant, type StoredTenant } from "../../store/tenants.ts";
import type { Action, Caller } from "../route.ts";
import { viewOperation } from "../views.ts";

/** Long work that an operator wants done on a school, and what the audit says of it. */
export interface WorkWish {
  readonly kind: OperationKind;
  readonly params: Readonly<Record<string, unknown>>;
  /** The audit's name for it. */
  readonly action: string;
  readonly reason: string | undefined;
  readonly detail?: Record<string, unknown>;
}

/** Records long work and its audit entry in the transaction of the action. Returns the operation as the API shows it. */
export async function recordWork(
  { db, audit }: Action,
  caller: Caller,
  tenant: StoredTenant,
  wish: WorkWish,
): Promise<Record<string, unknown>> {
  const operation = await requestOperation(db, {
    tenantUid: tenant.uid,
    kind: wish.kind,
    params: wish.params,
    requestedBy: caller.operator,
  });
  await audit({
    action: wish.action,
    slug: tenant.slug,
    tenantUid: tenant.uid,
    reason: wish.reason,
    ...(wish.detail === undefined ? {} : { detail: wish.detail }),
  });
  return viewOperation(operation, tenant.slug);
}

interface WorkInput {
  readonly params: { readonly slug: string };
  readonly caller: Caller;
  act<T>(work: (action: Action) => Promise<T>): Promise<T>;
}

/** The whole of a route that asks for work on one school with nothing to check first. */
export function requestWork({ params, caller, act }: WorkInput, wish: WorkWish): Promise<Record<string, unknown>> {
  return act(async (action) => recordWork(action, caller, await getTenant(action.db, params.slug), wish));
}
