import { z } from "zod";
import { ClassmindError } from "../../errors.ts";
import {
  dropOverride,
  getEngine,
  listEngines,
  putOverride,
  type RegisteredEngine,
  requestCheck,
  setCordon,
  wakeStranded,
} from "../../store/engines.ts";
import { type Action, type Route, route } from "../route.ts";
import * as schemas from "../schemas.ts";
import { viewEngine } from "../views.ts";

type Change = (action: Action, engine: RegisteredEngine) => Promise<void>;

interface ChangeInput {
  readonly params: { readonly name: string };
  readonly body: { readonly reason?: string | undefined };
  act<T>(work: (action: Action) => Promise<T>): Promise<T>;
}

/** Changes an engine in one transaction with its audit entry, and shows it as it is then. */
function change(
  { params, body, act }: ChangeInput,
  action: string,
  detail: Record<string, unknown>,
  edit: Change,
): Promise<schemas.EngineView> {
  return act(async (transaction) => {
    const { db, audit } = transaction;
    await edit(transaction, await getEngine(db, params.name));
    await audit({ action, reason: body.reason, detail: { engine: params.name, ...detail } });
    return viewEngine(await getEngine(db, params.name));
  });
}

/** Only what was found and keeps schools out can be taken upon oneself. */
function needRequired(engine: RegisteredEngine, check: string): void {
  const required = engine.findings.filter((finding) => finding.required === true).map((finding) => finding.check);
  if (required.includes(check)) return;
  throw new ClassmindError("Invalid", `${engine.name} has no required check named ${check}.`, {
    field: "check",
    remedy:
      required.length === 0
        ? `Let it be examined first: classmind doctor --engine ${engine.name}`
        : `Its required checks: ${required.join(", ")}`,
  });
}

export const engineRoutes: readonly Route[] = [
  route({
    method: "get",
    path: "/engines",
    summary: "The engines that schools live on, with what their examination found",
    status: 200,
    response: z.object({ items: z.array(schemas.engine) }),
    handle: async ({ context }) => ({ items: (await listEngines(context.pool)).map(viewEngine) }),
  }),
  route({
    method: "get",
    path: "/engines/:name",
    summary: "One engine",
    params: schemas.nameParams,
    status: 200,
    response: schemas.engine,
    handle: async ({ params, context }) => viewEngine(await getEngine(context.pool, params.name)),
  }),
  route({
    method: "post",
    path: "/engines/:name/check",
    summary:
      "Examine an engine now, with pods of its own where looking is not enough. Its `triedAt` changes when that is done",
    params: schemas.nameParams,
    body: schemas.withReason,
    status: 202,
    response: schemas.engine,
    handle: (input) =>
      change(input, "engine.check", {}, async ({ db }, engine) => {
        if (engine.retired)
          throw new ClassmindError("PreconditionFailed", `${engine.name} is not configured any more.`, {
            field: "name",
            remedy: "Configure it again; until then nobody can reach it.",
          });
        await requestCheck(db, engine.name);
      }),
  }),
  route({
    method: "post",
    path: "/engines/:name/cordon",
    summary: "Close an engine for new schools; those that are there go on",
    params: schemas.nameParams,
    body: schemas.withReason,
    status: 200,
    response: schemas.engine,
    handle: (input) => change(input, "engine.cordon", {}, ({ db }, { name }) => setCordon(db, name, true)),
  }),
  route({
    method: "post",
    path: "/engines/:name/uncordon",
    summary: "Open an engine for new schools again",
    params: schemas.nameParams,
    body: schemas.withReason,
    status: 200,
    response: schemas.engine,
    handle: (input) => change(input, "engine.uncordon", {}, ({ db }, { name }) => setCordon(db, name, false)),
  }),
  route({
    method: "post",
    path: "/engines/:name/overrides",
    summary: "Take a failed required check upon yourself, by its name: schools are made there all the same",
    params: schemas.nameParams,
    body: schemas.overrideCheck,
    status: 201,
    response: schemas.engine,
    handle(input) {
      const { check, reason } = input.body;
      return change(input, "engine.override", { check }, async ({ db }, engine) => {
        needRequired(engine, check);
        await putOverride(db, engine.name, { check, operator: input.caller.operator, reason });
        await wakeStranded(db, engine.name);
      });
    },
  }),
  route({
    method: "delete",
    path: "/engines/:name/overrides/:check",
    summary: "Take an override back: while the check fails, no more schools are made there",
    params: schemas.engineCheckParams,
    body: schemas.withReason,
    status: 200,
    response: schemas.engine,
    handle(input) {
      const { check } = input.params;
      return change(input, "engine.override-revoke", { check }, async ({ db }, engine) => {
        if (await dropOverride(db, engine.name, check)) return;
        throw new ClassmindError("NotFound", `${engine.name} has no override of ${check}.`, { field: "check" });
      });
    },
  }),
];
