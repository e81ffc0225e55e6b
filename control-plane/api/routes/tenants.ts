import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { ClassmindError } from "../../errors.ts";
import { quantityToBytes } from "../../render/values.ts";
import { checkSlug } from "../../slug.ts";
import { isClockTrusted } from "../../store/clock.ts";
import { listOperators } from "../../store/operators.ts";
import type { Queryable } from "../../store/queryable.ts";
import {
  type Deletion,
  findCreated,
  getTenant,
  holdTenant,
  insertTenant,
  listTenants,
  requestPurge,
  type StoredTenant,
  setDeletion,
  updateSpec,
} from "../../store/tenants.ts";
import {
  hostOf,
  PLAN_LIMITS,
  type PlanName,
  purgeIsDue,
  storageOf,
  type TenantSpec,
  type Terms,
} from "../../tenant.ts";
import { redactedValues } from "../redacted-values.ts";
import { type ApiContext, type Route, type RouteInput, route } from "../route.ts";
import * as schemas from "../schemas.ts";
import { viewTenant } from "../views.ts";
import { checkConfirmation, checkRoom, placeSchool } from "./checks.ts";

const DAY = 86_400_000;

function termsOf(terms: z.infer<typeof schemas.terms>, context: ApiContext): Terms {
  if (terms.kind === "contract") return terms;
  return {
    kind: "demo",
    expiresAt: new Date(context.clock.now().getTime() + context.platform.demoDays * DAY).toISOString(),
    ...(terms.invented ? { invented: true } : {}),
  };
}

/** The spec of a new school: what was asked for, completed with the platform's defaults. */
export function specOf(body: z.infer<typeof schemas.createTenant>, context: ApiContext): TenantSpec {
  checkStorage(body.plan, body.storage, undefined);
  const administrator = body.administrator ?? {
    firstName: "Administration",
    lastName: "Schule",
    email: `administration@${hostOf(body.slug, context.platform.domain)}`,
  };
  const { recipient, ...person } = administrator as z.infer<typeof schemas.administrator>;
  return {
    displayName: body.displayName,
    terms: termsOf(body.terms, context),
    ...(body.agreement === undefined ? {} : { agreement: body.agreement }),
    plan: body.plan,
    ...(body.storage === undefined ? {} : { storage: body.storage }),
    suspended: false,
    administrator: { ...person, ...(recipient === undefined ? {} : { recipient }) },
    backup: body.backup,
    country: body.country ?? context.platform.country,
    ...placementOf(body),
  };
}

function placementOf({ engine, labels }: z.infer<typeof schemas.createTenant>): Pick<TenantSpec, "placement"> {
  if (engine === undefined && labels === undefined) return {};
  return { placement: { ...(engine === undefined ? {} : { engine }), ...(labels === undefined ? {} : { labels }) } };
}

/** A volume grows only: shrinking one could cut data off. What a plan brings along is not taken in silence. */
function checkStorage(plan: PlanName, storage: string | undefined, current: string | undefined): void {
  const wanted = storage ?? PLAN_LIMITS[plan].storage;
  if (quantityToBytes(wanted) < 256 * 1024 * 1024) {
    throw new ClassmindError("Invalid", `A volume of ${wanted} is too small for a school.`, {
      field: "storage",
      remedy: "256Mi is the least.",
    });
  }
  if (current !== undefined && quantityToBytes(wanted) < quantityToBytes(current)) {
    throw new ClassmindError("Invalid", `The volume has ${current}; it can grow but not shrink to ${wanted}.`, {
      field: "storage",
      remedy: `Give at least ${current}, or restore a backup into a new school with a smaller plan.`,
    });
  }
}

function refuseDeleted(tenant: StoredTenant): void {
  if (tenant.deletion === undefined) return;
  throw new ClassmindError("PreconditionFailed", `The school ${tenant.slug} is deleted.`, {
    field: "slug",
    remedy: `Take the deletion back first: classmind tenant undelete ${tenant.slug}`,
  });
}

/** A date counted from a clock that is wrong would come at the wrong time. */
function needClock(trusted: boolean, what: string): void {
  if (trusted) return;
  throw new ClassmindError("PreconditionFailed", `${what} cannot be set: the platform's clock jumped.`, {
    field: "",
    remedy: "Look at it: classmind clock show. If it is right: classmind clock confirm",
  });
}

type SlugInput = RouteInput<z.infer<typeof schemas.slugParams>, undefined, z.infer<typeof schemas.withReason>>;

/** Changes the spec in one transaction with its audit entry. */
async function change(
  input: SlugInput,
  action: string,
  edit: (tenant: StoredTenant) => TenantSpec,
  check: (db: Queryable, before: StoredTenant, after: TenantSpec) => Promise<void> = async () => undefined,
): Promise<unknown> {
  const { params, body, context } = input;
  return input.act(async ({ db, audit }) => {
    const before = await holdTenant(db, params.slug);
    refuseDeleted(before);
    const tenant = await updateSpec(db, params.slug, edit);
    // Whatever this refuses is undone with the transaction.
    await check(db, before, tenant.spec);
    const detail = changesOf(before.spec, tenant.spec);
    await audit({ action, slug: tenant.slug, tenantUid: tenant.uid, reason: body.reason, detail });
    return viewTenant(tenant, context.platform);
  });
}

/** What of a school's spec has changed, old and new. Nothing in it is secret; who its first administrator is belongs to the school. */
export function changesOf(before: TenantSpec, after: TenantSpec): Record<string, unknown> {
  const { administrator: _was, ...old } = before;
  const { administrator: _is, ...now } = after;
  const names = [...new Set([...Object.keys(old), ...Object.keys(now)])] as (keyof typeof old)[];
  return Object.fromEntries(
    names
      .filter((name) => !isDeepStrictEqual(old[name], now[name]))
      .map((name) => [name, { old: old[name] ?? null, new: now[name] ?? null }]),
  );
}

function refuseProtected(tenant: StoredTenant): void {
  if (tenant.spec.protected !== true) return;
  throw new ClassmindError("PreconditionFailed", `The school ${tenant.slug} is protected from deletion.`, {
    field: "slug",
    remedy: `If it is really meant, take the protection back first: classmind tenant unprotect ${tenant.slug} --reason "…"`,
  });
}

/** Whether a purge before the end of the grace period may begin with this caller's word. */
async function mayPurgeEarly(
  db: Queryable,
  tenant: StoredTenant,
  caller: string,
  context: ApiContext,
): Promise<"now" | "ask-another"> {
  const grace = `Without that, ${tenant.slug} is purged after ${tenant.deletion?.purgeAfter ?? "the grace period"}.`;
  const { earlyPurge } = context.platform;
  if (earlyPurge === "never")
    throw new ClassmindError("PreconditionFailed", "No school is purged before its grace period ends (earlyPurge).", {
      field: "slug",
      remedy: grace,
    });
  if (earlyPurge === "reason") return "now";
  const first = tenant.purgeRequest;
  if (first !== undefined && first.operator !== caller) return "now";
  const others = (await listOperators(db)).filter(({ name, disabled }) => !disabled && name !== caller);
  if (others.length === 0)
    throw new ClassmindError(
      "PreconditionFailed",
      "An earlier purge needs a second operator's word, and there is none.",
      {
        field: "slug",
        remedy: grace,
      },
    );
  return "ask-another";
}

/** Sets or takes back a deletion, with its audit entry. `keep` leaves it as it is. */
function changeDeletion(
  input: Pick<SlugInput, "params" | "body" | "context" | "act">,
  action: string,
  decide: (tenant: StoredTenant, now: Date, clockTrusted: boolean) => Deletion | undefined | "keep",
): Promise<unknown> {
  const { params, body, context, act } = input;
  return act(async ({ db, audit }) => {
    const tenant = await holdTenant(db, params.slug);
    const deletion = decide(tenant, context.clock.now(), await isClockTrusted(db));
    if (deletion !== "keep") await setDeletion(db, params.slug, deletion);
    const after = await getTenant(db, params.slug);
    const detail = { deletion: { old: tenant.deletion ?? null, new: after.deletion ?? null } };
    await audit({ action, slug: tenant.slug, tenantUid: tenant.uid, reason: body.reason, detail });
    return viewTenant(after, context.platform);
  });
}

function merged(tenant: StoredTenant, body: z.infer<typeof schemas.updateTenant>): TenantSpec {
  const plan = body.plan ?? tenant.spec.plan;
  const current = storageOf(tenant.spec);
  const comes = PLAN_LIMITS[plan].storage;
  if (plan !== tenant.spec.plan && body.storage === undefined && comes !== current) {
    const grows = quantityToBytes(comes) > quantityToBytes(current);
    throw new ClassmindError(
      "PreconditionFailed",
      grows
        ? `The plan ${plan} comes with ${comes}: the volume would grow from ${current}, for good.`
        : `The plan ${plan} comes with ${comes}, but the volume has ${current} and cannot shrink.`,
      {
        field: "storage",
        remedy: grows
          ? `Say so (storage: "${comes}"), or keep what it has (storage: "${current}").`
          : `Keep what it has (storage: "${current}").`,
      },
    );
  }
  const storage = body.storage ?? tenant.spec.storage;
  checkStorage(plan, storage, current);
  return {
    ...tenant.spec,
    displayName: body.displayName ?? tenant.spec.displayName,
    plan,
    ...(storage === undefined ? {} : { storage }),
    terms: body.terms ?? tenant.spec.terms,
    ...(body.agreement === undefined ? {} : { agreement: body.agreement }),
    backup: body.backup ?? tenant.spec.backup,
  };
}

export const tenantRoutes: readonly Route[] = [
  route({
    method: "get",
    path: "/tenants",
    summary: "Schools in the order of their names, a page at a time",
    query: schemas.tenantQuery,
    status: 200,
    response: z.object({ items: z.array(schemas.tenant), next: z.string().optional() }),
    async handle({ query, context }) {
      const page = await listTenants(context.pool, query);
      return { items: page.items.map((tenant) => viewTenant(tenant, context.platform)), next: page.next };
    },
  }),
  route({
    method: "post",
    path: "/tenants",
    summary: "Create a school. Repeating a call with the same Idempotency-Key returns the same school",
    body: schemas.createTenant,
    status: 201,
    response: schemas.tenant,
    async handle({ body, context, headers, act }) {
      checkSlug(body.slug);
      const spec = specOf(body, context);
      const key = headers["idempotency-key"];
      const createKey = typeof key === "string" ? key.slice(0, 200) : undefined;
      return act(async ({ db, audit }) => {
        if (spec.terms.kind === "demo") needClock(await isClockTrusted(db), "The day on which a demo ends");
        const earlier = createKey === undefined ? undefined : await findCreated(db, body.slug, createKey);
        if (earlier !== undefined) return viewTenant(earlier, context.platform);
        const engine = await placeSchool(db, spec);
        await checkRoom(db, engine, quantityToBytes(storageOf(spec)), body.overcommit);
        const tenant = await insertTenant(db, body.slug, spec, engine, createKey);
        const reference = spec.terms.kind === "contract" ? spec.terms.reference : "demo";
        await audit({
          action: "tenant.create",
          slug: tenant.slug,
          tenantUid: tenant.uid,
          detail: {
            plan: spec.plan,
            storage: storageOf(spec),
            terms: reference,
            engine: tenant.engine,
            ...(body.overcommit ? { overcommit: true } : {}),
          },
        });
        return viewTenant(tenant, context.platform);
      });
    },
  }),
  route({
    method: "get",
    path: "/tenants/:slug",
    summary: "One school",
    params: schemas.slugParams,
    status: 200,
    response: schemas.tenant,
    handle: async ({ params, context }) => viewTenant(await getTenant(context.pool, params.slug), context.platform),
  }),
  route({
    method: "patch",
    path: "/tenants/:slug",
    summary: "Change a school's name, plan, storage, contract or backup setting",
    params: schemas.slugParams,
    body: schemas.updateTenant,
    status: 200,
    response: schemas.tenant,
    async handle(input) {
      const { body } = input;
      const asked = { ...input, body: { reason: body.reason } };
      return change(
        asked,
        "tenant.update",
        (tenant) => merged(tenant, body),
        (db, before, after) => {
          const grows = quantityToBytes(storageOf(after)) - quantityToBytes(storageOf(before.spec));
          return checkRoom(db, before.engine, grows, body.overcommit);
        },
      );
    },
  }),
  route({
    method: "post",
    path: "/tenants/:slug/suspend",
    summary: "Stop a school and lock its volume",
    params: schemas.slugParams,
    body: schemas.withReason,
    status: 202,
    response: schemas.tenant,
    handle: (input) => change(input, "tenant.suspend", (tenant) => ({ ...tenant.spec, suspended: true })),
  }),
  route({
    method: "post",
    path: "/tenants/:slug/resume",
    summary: "Unlock a suspended school's volume and start it",
    params: schemas.slugParams,
    body: schemas.withReason,
    status: 202,
    response: schemas.tenant,
    handle: (input) => change(input, "tenant.resume", (tenant) => ({ ...tenant.spec, suspended: false })),
  }),
  route({
    method: "post",
    path: "/tenants/:slug/delete",
    summary: "Delete a school softly: it stops, and is purged when the grace period ends",
    params: schemas.slugParams,
    body: schemas.withConfirmation,
    status: 202,
    response: schemas.tenant,
    async handle(input) {
      checkConfirmation(input.params.slug, input.body.confirm);
      return changeDeletion(input, "tenant.delete", (tenant, now, clockTrusted) => {
        refuseProtected(tenant);
        // Asked for again, the first grace period stands.
        if (tenant.deletion !== undefined) return "keep";
        needClock(clockTrusted, "The end of the grace period");
        return {
          requestedAt: now,
          purgeAfter: new Date(now.getTime() + input.context.platform.deletionGraceDays * DAY),
        };
      });
    },
  }),
  route({
    method: "post",
    path: "/tenants/:slug/undelete",
    summary: "Take a soft deletion back, as long as the purge has not begun",
    params: schemas.slugParams,
    body: schemas.withReason,
    status: 202,
    response: schemas.tenant,
    handle: (input) =>
      changeDeletion(input, "tenant.undelete", (tenant, now, clockTrusted) => {
        if (!purgeIsDue(tenant, now, clockTrusted)) return undefined;
        throw new ClassmindError(
          "PreconditionFailed",
          `The purge of ${tenant.slug} has begun; it cannot be taken back.`,
          {
            field: "slug",
          },
        );
      }),
  }),
  route({
    method: "post",
    path: "/tenants/:slug/purge",
    summary:
      "Destroy a deleted school for good, before its grace period ends: data, backups and keys. Takes a second operator's word",
    params: schemas.slugParams,
    body: schemas.purgeTenant,
    status: 202,
    response: schemas.tenant,
    async handle({ params, body, context, caller, act }) {
      checkConfirmation(params.slug, body.confirm);
      return act(async ({ db, audit }) => {
        const tenant = await holdTenant(db, params.slug);
        refuseProtected(tenant);
        // Nothing was ever in it: there is nobody to protect from haste.
        const empty = tenant.status.initialisedAt === undefined;
        if (tenant.deletion === undefined && !empty)
          throw new ClassmindError("PreconditionFailed", `The school ${tenant.slug} is not deleted.`, {
            field: "slug",
            remedy: `Only what was deleted is purged: classmind tenant delete ${tenant.slug}`,
          });
        const { reason, withoutVerification } = body;
        const entry = { slug: tenant.slug, tenantUid: tenant.uid, reason, detail: { withoutVerification } };
        const now = context.clock.now();
        if (!empty && (await mayPurgeEarly(db, tenant, caller.operator, context)) === "ask-another") {
          await requestPurge(db, tenant.slug, { operator: caller.operator, at: now.toISOString(), reason });
          await audit({ action: "tenant.purge-request", ...entry });
        } else {
          const requestedAt = tenant.deletion === undefined ? now : new Date(tenant.deletion.requestedAt);
          await setDeletion(db, tenant.slug, { requestedAt, purgeAfter: requestedAt, unverified: withoutVerification });
          const first = tenant.purgeRequest;
          const detail = { ...entry.detail, ...(first === undefined ? {} : { requestedBy: first.operator }) };
          await audit({ action: "tenant.purge", ...entry, detail });
        }
        return viewTenant(await getTenant(db, tenant.slug), context.platform);
      });
    },
  }),
  ...(["protect", "unprotect"] as const).map((verb) =>
    route({
      method: "post",
      path: `/tenants/:slug/${verb}`,
      summary:
        verb === "protect"
          ? "Protect a school: it is neither deleted nor purged until that is taken back"
          : "Let a school be deleted again",
      params: schemas.slugParams,
      body: verb === "protect" ? schemas.withReason : schemas.withNeededReason,
      status: 200,
      response: schemas.tenant,
      handle: (input) =>
        change(input, `tenant.${verb}`, (tenant) => ({ ...tenant.spec, protected: verb === "protect" })),
    }),
  ),
  route({
    method: "get",
    path: "/tenants/:slug/manifests",
    summary: "The Kubernetes objects a school consists of; secrets are shown as REDACTED",
    params: schemas.slugParams,
    status: 200,
    response: z.object({ items: z.array(z.json()) }),
    async handle({ params, context }) {
      const tenant = await getTenant(context.pool, params.slug);
      return { items: context.chart.renderTenant(redactedValues(tenant, context.platform)) };
    },
  }),
];
