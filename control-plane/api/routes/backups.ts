import { z } from "zod";
import { ClassmindError } from "../../errors.ts";
import { checkSlug } from "../../slug.ts";
import { type Backup, findBackup, holdChoice, listBackups, newestBackupAt } from "../../store/backups.ts";
import { holdEngines } from "../../store/engines.ts";
import type { Queryable } from "../../store/queryable.ts";
import { getTenant, insertTenant, type StoredTenant } from "../../store/tenants.ts";
import { type Action, type ApiContext, type Caller, type Route, route } from "../route.ts";
import * as schemas from "../schemas.ts";
import { viewBackup } from "../views.ts";
import { checkConfirmation, checkRoomToRestore, placeSchool, refuseBeside, refuseUnless } from "./checks.ts";
import { specOf } from "./tenants.ts";
import { recordWork, requestWork } from "./work.ts";

/** The backup that a restore asks for: by run id, by time, or the newest. A snapshot of another school is refused. */
async function chooseBackup(
  db: Queryable,
  tenant: StoredTenant,
  wish: { runId?: string | undefined; at?: string | undefined },
  now: Date,
): Promise<Backup> {
  // What is chosen here is not forgotten before it is asked for.
  await holdChoice(db, tenant.uid);
  const backup =
    wish.runId === undefined
      ? await newestBackupAt(db, tenant.uid, wish.at === undefined ? now : new Date(wish.at))
      : await findBackup(db, wish.runId);
  if (backup === undefined) {
    throw new ClassmindError(
      "NotFound",
      wish.at === undefined
        ? `There is no such backup of ${tenant.slug}.`
        : `There is no backup of ${tenant.slug} from before ${wish.at}.`,
      {
        field: wish.runId === undefined ? "at" : "runId",
        remedy: `List them: classmind backup list ${tenant.slug}`,
      },
    );
  }
  if (backup.tenantUid !== tenant.uid) {
    throw new ClassmindError("Forbidden", `The backup ${backup.runId} is not one of ${tenant.slug}.`, {
      field: "runId",
      remedy: `List its own: classmind backup list ${tenant.slug}`,
    });
  }
  if (backup.state !== "Complete") {
    throw new ClassmindError("PreconditionFailed", `The backup ${backup.runId} is not complete (${backup.state}).`, {
      field: "runId",
      remedy: "Choose one whose state is Complete.",
    });
  }
  return backup;
}

/** A new school for the backups of another one: on its engine, where they can be read. */
async function insertBeside(
  db: Queryable,
  source: StoredTenant,
  into: NonNullable<z.infer<typeof schemas.restoreBackup>["into"]>,
  context: ApiContext,
): Promise<StoredTenant> {
  const { plan, storage, backup, country } = source.spec;
  const overcommit = false;
  const spec = specOf({ ...into, plan, storage, backup, country, engine: source.engine, overcommit }, context);
  return insertTenant(db, into.slug, spec, await placeSchool(db, spec), undefined);
}

/** One of the ways to say what is to be restored. */
function checkOneChoice({ runId, at, into, volume }: z.infer<typeof schemas.restoreBackup>): void {
  const given = Object.entries({ runId, at, volume }).filter(([, value]) => value !== undefined);
  const [, second] = given;
  const field = second?.[0] ?? (into !== undefined && volume !== undefined ? "into" : undefined);
  if (field === undefined) return;
  throw new ClassmindError("Invalid", "Either a run, or a time, or a volume that is kept aside.", {
    field,
    remedy: "Leave all but one of them out; a volume goes into place alone.",
  });
}

const MOST_ASIDE = 2;

/** Each restore keeps what it replaced; a disk is not for collecting them. */
function refuseManyAside({ slug, volumes }: StoredTenant): void {
  if (volumes.aside.length < MOST_ASIDE) return;
  throw new ClassmindError("PreconditionFailed", `${slug} has ${volumes.aside.length} volumes kept aside already.`, {
    field: "slug",
    remedy: `If the school is right as it is, remove them first: classmind backup confirm ${slug}`,
  });
}

/** Back to a volume that a restore replaced. */
async function goBack(
  action: Action,
  caller: Caller,
  slug: string,
  volume: string,
  reason: string,
): Promise<Record<string, unknown>> {
  const tenant = await getTenant(action.db, slug);
  refuseUnless(tenant, true);
  if (!tenant.volumes.aside.some(({ claim }) => claim === volume))
    throw new ClassmindError("NotFound", `No volume ${volume} of ${slug} is kept aside.`, {
      field: "volume",
      remedy: `Look at what is: classmind tenant get ${slug}`,
    });
  return recordWork(action, caller, tenant, {
    kind: "restore",
    params: { volume },
    action: "backup.restore",
    reason,
    detail: { volume },
  });
}

export const backupRoutes: readonly Route[] = [
  route({
    method: "get",
    path: "/tenants/:slug/backups",
    summary: "Backups of a school, newest first",
    params: schemas.slugParams,
    query: z.object({ limit: z.coerce.number().int().min(1).max(500).default(100) }),
    status: 200,
    response: z.object({ items: z.array(schemas.backup) }),
    async handle({ params, query, context }) {
      const tenant = await getTenant(context.pool, params.slug);
      const backups = await listBackups(context.pool, tenant.uid, query.limit);
      return { items: backups.map((backup) => viewBackup(backup, tenant.slug)) };
    },
  }),
  route({
    method: "get",
    path: "/tenants/:slug/backups/:runId",
    summary: "One backup",
    params: schemas.runParams,
    status: 200,
    response: schemas.backup,
    async handle({ params, context }) {
      const tenant = await getTenant(context.pool, params.slug);
      const backup = await findBackup(context.pool, params.runId);
      if (backup === undefined || backup.tenantUid !== tenant.uid) {
        throw new ClassmindError("NotFound", `There is no such backup of ${tenant.slug}.`, {
          field: "runId",
          remedy: `List them: classmind backup list ${tenant.slug}`,
        });
      }
      return viewBackup(backup, tenant.slug);
    },
  }),
  route({
    method: "post",
    path: "/tenants/:slug/backups",
    summary: "Back a school up now",
    params: schemas.slugParams,
    body: schemas.withReason,
    status: 202,
    response: schemas.operation,
    async handle({ params, body, act, caller }) {
      return act(async (action) => {
        const tenant = await getTenant(action.db, params.slug);
        refuseUnless(tenant, true);
        const { reason } = body;
        return recordWork(action, caller, tenant, {
          kind: "backup",
          params: { trigger: "manual" },
          action: "backup.create",
          reason,
        });
      });
    },
  }),
  route({
    method: "post",
    path: "/tenants/:slug/backups/:runId/verify",
    summary: "Read a backup's data back and check it",
    params: schemas.runParams,
    body: schemas.withReason,
    status: 202,
    response: schemas.operation,
    async handle({ params, body, act, caller, context }) {
      return act(async (action) => {
        const tenant = await getTenant(action.db, params.slug);
        refuseUnless(tenant, true);
        const { runId } = await chooseBackup(action.db, tenant, { runId: params.runId }, context.clock.now());
        const { reason } = body;
        return recordWork(action, caller, tenant, {
          kind: "verify-backup",
          params: { runId },
          action: "backup.verify",
          reason,
          detail: { runId },
        });
      });
    },
  }),
  route({
    method: "post",
    path: "/tenants/:slug/restore",
    summary: "Restore a backup into place, or into a school to be created",
    params: schemas.slugParams,
    body: schemas.restoreBackup,
    status: 202,
    response: schemas.operation,
    async handle({ params, body, act, caller, context }) {
      checkConfirmation(params.slug, body.confirm);
      const into = body.into;
      if (into !== undefined) checkSlug(into.slug);
      checkOneChoice(body);
      return act(async (action) => {
        if (body.volume !== undefined) return goBack(action, caller, params.slug, body.volume, body.reason);
        // Held, so that the source does not move away beside it.
        if (into !== undefined) await holdEngines(action.db);
        const source = await getTenant(action.db, params.slug);
        if (into !== undefined) await refuseBeside(action.db, source, ["move"]);
        const { runId, size } = await chooseBackup(action.db, source, body, context.clock.now());
        await checkRoomToRestore(action.db, source.engine, size);
        if (into === undefined) {
          refuseUnless(source, true);
          refuseManyAside(source);
        }
        const target = into === undefined ? source : await insertBeside(action.db, source, into, context);
        return recordWork(action, caller, target, {
          kind: "restore",
          params: { runId, sourceUid: source.uid, sourceSlug: source.slug },
          action: "backup.restore",
          reason: body.reason,
          detail: { runId, source: source.slug },
        });
      });
    },
  }),
  route({
    method: "post",
    path: "/tenants/:slug/restore/confirm",
    summary: "Remove the volumes that restores have replaced: from then on there is no way back to them",
    params: schemas.slugParams,
    body: schemas.confirmRestore,
    status: 202,
    response: schemas.operation,
    async handle({ params, body, act, caller }) {
      checkConfirmation(params.slug, body.confirm);
      return act(async (action) => {
        const tenant = await getTenant(action.db, params.slug);
        const { volumes, reason } = body;
        for (const volume of volumes)
          if (!tenant.volumes.aside.some(({ claim }) => claim === volume))
            throw new ClassmindError("NotFound", `No volume ${volume} of ${tenant.slug} is kept aside.`, {
              field: "volumes",
              remedy: `Look at what is: classmind tenant get ${tenant.slug}`,
            });
        return recordWork(action, caller, tenant, {
          kind: "confirm-restore",
          params: { volumes },
          action: "backup.confirm-restore",
          reason,
          detail: { volumes },
        });
      });
    },
  }),
  route({
    method: "post",
    path: "/tenants/:slug/volume/accept",
    summary:
      "Say that the volume which is there now is the school's: one that was brought back by hand has another identity",
    params: schemas.slugParams,
    body: schemas.acceptVolume,
    status: 202,
    response: schemas.operation,
    async handle({ params, body, act, caller }) {
      checkConfirmation(params.slug, body.confirm);
      return act(async (action) => {
        const tenant = await getTenant(action.db, params.slug);
        const { identity, reason } = body;
        const detail = { claim: tenant.volumes.own.claim, ...(identity === undefined ? {} : { identity }) };
        return recordWork(action, caller, tenant, {
          kind: "accept-volume",
          params: detail,
          action: "tenant.accept-volume",
          reason,
          detail,
        });
      });
    },
  }),
  route({
    method: "post",
    path: "/tenants/:slug/backups/accept",
    summary:
      "Say that a school is as small as its newest backup says: old backups are forgotten again as their time comes",
    params: schemas.slugParams,
    body: schemas.withNeededReason,
    status: 202,
    response: schemas.operation,
    handle: (input) =>
      requestWork(input, {
        kind: "accept-backup",
        params: {},
        action: "backup.accept",
        reason: input.body.reason,
      }),
  }),
];
