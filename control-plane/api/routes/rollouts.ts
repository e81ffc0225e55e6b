import { z } from "zod";
import { parseSiteSettings, platformAt, policyOf } from "../../config.ts";
import { ClassmindError } from "../../errors.ts";
import { getEngine } from "../../store/engines.ts";
import type { Queryable } from "../../store/queryable.ts";
import type { Rollout, RolloutState } from "../../store/rollout-rows.ts";
import {
  countSchools,
  currentRollout,
  listRollouts,
  reopenRollout,
  schoolsOnTrial,
  setPin,
  writeRollout,
} from "../../store/rollouts.ts";
import { getTenant, holdTenant } from "../../store/tenants.ts";
import { sameVersion } from "../../tenant.ts";
import { type ApiContext, type Route, type RouteInput, route } from "../route.ts";
import * as schemas from "../schemas.ts";
import { shortVersion } from "../version-condition.ts";
import { viewRollout, viewTenant } from "../views.ts";

async function view(db: Queryable, rollout: Rollout, { platform }: ApiContext): Promise<schemas.RolloutView> {
  const { settings } = await getEngine(db, rollout.engine);
  const policy = policyOf(platformAt(platform, parseSiteSettings(settings)));
  return viewRollout(rollout, await countSchools(db, rollout), await schoolsOnTrial(db, rollout), policy);
}

/** @throws ClassmindError `NotFound` */
async function getRollout(db: Queryable, engine: string, lock: "none" | "write" = "none"): Promise<Rollout> {
  await getEngine(db, engine);
  const rollout = await currentRollout(db, engine, lock);
  if (rollout !== undefined) return rollout;
  throw new ClassmindError("NotFound", `Nothing was rolled out on ${engine} yet.`, {
    field: "name",
    remedy: "Its reconciler has not started: classmind status",
  });
}

const VERBS = {
  pause: { from: ["Running"], summary: "Stop giving a version to more schools; those that have it keep it" },
  resume: {
    from: ["Paused", "Halted", "Undone"],
    summary: "Let a rollout go on that is paused, halted or taken back: what failed is tried again",
  },
  undo: {
    from: ["Running", "Paused", "Halted", "Complete"],
    summary: "Take a version back: schools that have it get the one before, so many at once",
  },
  promote: {
    from: ["Running", "Paused", "Halted"],
    summary: "Take it upon yourself that a version is good: the other schools get it without further proof",
  },
} as const satisfies Record<string, { readonly from: readonly RolloutState[]; readonly summary: string }>;
type Verb = keyof typeof VERBS;

function refuse(rollout: Rollout, verb: Verb): void {
  const from: readonly RolloutState[] = VERBS[verb].from;
  if (!from.includes(rollout.state))
    throw new ClassmindError(
      "Conflict",
      `The rollout of ${shortVersion(rollout.version)} on ${rollout.engine} is ${rollout.state}: there is nothing to ${verb}.`,
      { field: "state", remedy: "Look at it: classmind app rollout status" },
    );
  const { previous } = rollout;
  if (verb === "undo" && (previous === undefined || sameVersion(previous, rollout.version)))
    throw new ClassmindError("PreconditionFailed", `No version before ${shortVersion(rollout.version)} is known.`, {
      field: "previous",
      remedy: "Bring up the version that you want: its checkout, and there classmind up",
    });
}

function steered(rollout: Rollout, verb: Verb, operator: string, reason: string | undefined) {
  const { proven, well } = rollout;
  const words = `by ${operator}${reason === undefined ? "" : `: ${reason}`}`;
  switch (verb) {
    case "pause":
      return { state: "Paused", proven, well, reason: `paused ${words}`, again: false } as const;
    case "resume":
      return { state: "Running", proven, well, reason: undefined, again: true } as const;
    case "promote":
      return { state: "Running", proven: true, well, reason: `said to be good ${words}`, again: true } as const;
    case "undo":
      return { state: "Undoing", proven: false, well: 0, reason: `taken back ${words}`, again: true } as const;
  }
}

const verbRoute = (verb: Verb): Route =>
  route({
    method: "post",
    path: `/rollouts/:name/${verb}`,
    summary: VERBS[verb].summary,
    params: schemas.nameParams,
    body: verb === "promote" ? schemas.withNeededReason : schemas.withReason,
    status: 202,
    response: schemas.rollout,
    handle: ({ params, body, caller, context, act }) =>
      act(async ({ db, audit }) => {
        const rollout = await getRollout(db, params.name, "write");
        refuse(rollout, verb);
        await writeRollout(db, rollout.number, steered(rollout, verb, caller.operator, body.reason));
        const after = await getRollout(db, params.name);
        const detail = {
          engine: rollout.engine,
          version: rollout.version,
          state: { old: rollout.state, new: after.state },
        };
        await audit({ action: `rollout.${verb}`, reason: body.reason, detail });
        return view(db, after, context);
      }),
  });

type PinInput = RouteInput<{ readonly slug: string }, undefined, { readonly reason?: string | undefined }>;

function changePin({ params, body, caller, context, act }: PinInput, pinned: boolean): Promise<unknown> {
  return act(async ({ db, audit }) => {
    // A rollout's row before a school's, like everybody.
    const { engine } = await getTenant(db, params.slug);
    const rollout = await currentRollout(db, engine, "write");
    const tenant = await holdTenant(db, params.slug);
    if (tenant.version === undefined || tenant.version.engine !== tenant.engine)
      throw new ClassmindError("PreconditionFailed", `${tenant.slug} has no version yet.`, {
        field: "slug",
        remedy: `Wait until it is being made: classmind tenant get ${tenant.slug}`,
      });
    const { reason } = body;
    const at = context.clock.now().toISOString();
    const pin = { operator: caller.operator, at, ...(reason === undefined ? {} : { reason }) };
    await setPin(db, tenant.slug, pinned ? pin : undefined);
    if (!pinned && rollout !== undefined) await reopenRollout(db, rollout.number);
    const { app, postgres } = tenant.version;
    await audit({
      action: pinned ? "app.pin" : "app.unpin",
      slug: tenant.slug,
      tenantUid: tenant.uid,
      reason,
      detail: { version: { app, postgres }, pin: { old: tenant.pin ?? null, new: pinned ? pin : null } },
    });
    return viewTenant(await getTenant(db, tenant.slug), context.platform);
  });
}

export const rolloutRoutes: readonly Route[] = [
  route({
    method: "get",
    path: "/rollouts",
    summary: "Which version each engine's schools get, and how far that is",
    status: 200,
    response: z.object({ items: z.array(schemas.rollout) }),
    handle: async ({ context }) => ({
      items: await Promise.all(
        (await listRollouts(context.pool)).map((rollout) => view(context.pool, rollout, context)),
      ),
    }),
  }),
  route({
    method: "get",
    path: "/rollouts/:name",
    summary: "The rollout on one engine",
    params: schemas.nameParams,
    status: 200,
    response: schemas.rollout,
    handle: async ({ params, context }) => view(context.pool, await getRollout(context.pool, params.name), context),
  }),
  verbRoute("pause"),
  verbRoute("resume"),
  verbRoute("undo"),
  verbRoute("promote"),
  route({
    method: "post",
    path: "/tenants/:slug/pin",
    summary: "Keep a school on the version that it has",
    params: schemas.slugParams,
    body: schemas.withReason,
    status: 200,
    response: schemas.tenant,
    handle: (input) => changePin(input, true),
  }),
  route({
    method: "post",
    path: "/tenants/:slug/unpin",
    summary: "Let a school have the version that the others have",
    params: schemas.slugParams,
    body: schemas.withReason,
    status: 200,
    response: schemas.tenant,
    handle: (input) => changePin(input, false),
  }),
];
