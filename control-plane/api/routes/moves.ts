import { copyObstacle } from "../../backup/repository.ts";
import { type PlatformConfig, parseSiteSettings, platformAt } from "../../config.ts";
import { ClassmindError } from "../../errors.ts";
import { place } from "../../placement.ts";
import { holdEngines, type RegisteredEngine } from "../../store/engines.ts";
import { openRestoresFrom } from "../../store/operations.ts";
import { getTenant, type StoredTenant } from "../../store/tenants.ts";
import { type Route, route } from "../route.ts";
import * as schemas from "../schemas.ts";
import { platformOf } from "../views.ts";
import { candidateOf, checkConfirmation, refuseBeside, refuseUnless } from "./checks.ts";
import { recordWork } from "./work.ts";

function refuse(message: string, field: string, remedy: string): never {
  throw new ClassmindError("PreconditionFailed", message, { field, remedy });
}

/** What has to be true of the school. Whatever fails here fails before any effect. */
function checkSchool(tenant: StoredTenant, to: string): void {
  const { slug } = tenant;
  refuseUnless(tenant, true);
  if (tenant.engine === to) refuse(`${slug} lives on ${to} already.`, "to", "List the engines: classmind engine list");
  if (tenant.status.initialisedAt === undefined)
    refuse(
      `${slug} has never been open; there is nothing to move.`,
      "slug",
      `Look at it: classmind tenant get ${slug}`,
    );
  if (tenant.pin !== undefined)
    refuse(
      `${tenant.pin.operator} keeps ${slug} on its version, which ${to} may not have.`,
      "slug",
      `Let it go with the others first: classmind app unpin ${slug}`,
    );
  if (tenant.leftEngine !== undefined && tenant.leftEngine !== to)
    refuse(
      `${tenant.leftEngine} still keeps a copy of ${slug}.`,
      "slug",
      `Let it go first: classmind tenant move ${slug} --confirm`,
    );
}

/** What has to be true of the engine it is to go to: as for a new school, and the backups must get there. */
function checkEngine(
  tenant: StoredTenant,
  to: string,
  engines: readonly RegisteredEngine[],
  platform: PlatformConfig,
): void {
  place({ ...tenant.spec.placement, country: tenant.spec.country, engine: to }, engines.map(candidateOf));
  const target = engines.find(({ name }) => name === to);
  const there = platformAt(platform, parseSiteSettings(target?.settings ?? {})).backup.repository;
  const obstacle = copyObstacle(platformOf(tenant, platform).backup.repository, there);
  if (obstacle === undefined) return;
  refuse(
    `The backups of ${tenant.slug} cannot move from ${tenant.engine} to ${to}: ${obstacle}.`,
    "to",
    "Let one of the two engines keep backups on a repository elsewhere that both reach (docs/move.md).",
  );
}

export const moveRoutes: readonly Route[] = [
  route({
    method: "post",
    path: "/tenants/:slug/move",
    summary:
      "Move a school to another engine with data, keys, certificate and backups. The old copy is kept until confirmed",
    params: schemas.slugParams,
    body: schemas.moveTenant,
    status: 202,
    response: schemas.operation,
    async handle({ params, body, act, caller, context }) {
      checkConfirmation(params.slug, body.confirm);
      return act(async (action) => {
        const engines = await holdEngines(action.db);
        const tenant = await getTenant(action.db, params.slug);
        checkSchool(tenant, body.to);
        checkEngine(tenant, body.to, engines, context.platform);
        await refuseBeside(action.db, tenant, ["move", "restore", "confirm-move"]);
        const [made] = await openRestoresFrom(action.db, tenant.uid);
        if (made !== undefined)
          throw new ClassmindError("Conflict", `${made} is being made from the backups of ${tenant.slug}.`, {
            field: "slug",
            remedy: `Wait until it is there: classmind tenant get ${made}`,
          });
        return recordWork(action, caller, tenant, {
          kind: "move",
          params: { to: body.to },
          action: "tenant.move",
          reason: body.reason,
          detail: { from: tenant.engine, to: body.to },
        });
      });
    },
  }),
  route({
    method: "post",
    path: "/tenants/:slug/move/confirm",
    summary: "Remove the copy that a moved school left behind. From then on only another move leads back",
    params: schemas.slugParams,
    body: schemas.confirmMove,
    status: 202,
    response: schemas.operation,
    async handle({ params, body, act, caller }) {
      checkConfirmation(params.slug, body.confirm);
      return act(async (action) => {
        // Held, so that no move is asked for beside it.
        await holdEngines(action.db);
        const tenant = await getTenant(action.db, params.slug);
        if (tenant.leftEngine === undefined)
          refuse(
            `${tenant.slug} has left no copy anywhere.`,
            "slug",
            `Look at it: classmind tenant get ${tenant.slug}`,
          );
        await refuseBeside(action.db, tenant, ["move", "confirm-move"]);
        return recordWork(action, caller, tenant, {
          kind: "confirm-move",
          // The copy that the operator was shown, and no other.
          params: { from: tenant.leftEngine, ...(body.abandon ? { abandon: true } : {}) },
          action: "tenant.move-confirm",
          reason: body.reason,
          detail: { from: tenant.leftEngine, to: tenant.engine, ...(body.abandon ? { abandon: true } : {}) },
        });
      });
    },
  }),
];
