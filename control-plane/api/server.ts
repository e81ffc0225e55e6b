import express, { type NextFunction, type Request, type Response } from "express";
import { ClassmindError, type ErrorCode } from "../errors.ts";
import { authenticate, type TokenScope } from "../store/operators.ts";
import type { EventHub } from "./events.ts";
import type { ApiMetrics } from "./metrics.ts";
import { openApiDocument } from "./openapi.ts";
import type { ApiContext, Caller, Route } from "./route.ts";
import { backupRoutes } from "./routes/backups.ts";
import { clockRoutes } from "./routes/clock.ts";
import { engineRoutes } from "./routes/engines.ts";
import { journalRoutes } from "./routes/journal.ts";
import { moveRoutes } from "./routes/moves.ts";
import { operationRoutes } from "./routes/operations.ts";
import { otherRoutes } from "./routes/platform.ts";
import { requestRoutes } from "./routes/requests.ts";
import { rolloutRoutes } from "./routes/rollouts.ts";
import { tenantRoutes } from "./routes/tenants.ts";
import { sourceOf } from "./source.ts";

const STATUS: Readonly<Record<ErrorCode, number>> = {
  Invalid: 422,
  Unauthorized: 401,
  Forbidden: 403,
  NotFound: 404,
  Conflict: 409,
  PreconditionFailed: 412,
  TooManyRequests: 429,
  Unavailable: 503,
  Internal: 500,
};

/** Every route of the API below /v1, in the order of the OpenAPI document. */
export const ROUTES: readonly Route[] = [
  ...tenantRoutes,
  ...backupRoutes,
  ...journalRoutes,
  ...requestRoutes,
  ...otherRoutes,
  ...clockRoutes,
  ...engineRoutes,
  ...moveRoutes,
  ...operationRoutes,
  ...rolloutRoutes,
];

export interface Log {
  info(fields: Record<string, unknown>, message: string): void;
  error(fields: Record<string, unknown>, message: string): void;
}

function bearerOf(request: Request): string | undefined {
  return /^Bearer ([A-Za-z0-9_-]{1,200})$/.exec(request.headers.authorization ?? "")?.[1];
}

/** @param opens what is asked for: a token for the metrics opens nothing else */
async function requireToken(
  context: ApiContext,
  request: Request,
  response: Response,
  opens: TokenScope,
): Promise<void> {
  const token = bearerOf(request);
  const known = token === undefined ? undefined : await authenticate(context.pool, token);
  if (known === undefined) {
    throw new ClassmindError("Unauthorized", "This needs an operator's token.", {
      remedy: "Give one as `Authorization: Bearer …`; `classmind operator token NAME` makes one.",
    });
  }
  const { operator, tokenId, scope } = known;
  if (scope === "metrics" && opens !== "metrics") {
    throw new ClassmindError("Forbidden", "This token reads the metrics and does nothing else.", {
      remedy: "Use an operator's token: `classmind operator token NAME` makes one.",
    });
  }
  const caller: Caller = { operator, tokenId, source: sourceOf(request) };
  response.locals.caller = caller;
}

/** Errors of the database's connection, which pass; anything else is a fault of ours. */
function isConnectionError(error: unknown): boolean {
  if (typeof error !== "object" || error === null) return false;
  const code = "code" in error ? String(error.code) : "";
  const message = error instanceof Error ? error.message : "";
  return (
    /^(ECONN|ENOENT|EPIPE|ETIMEDOUT|57P|08|53)/.test(code) || /timeout exceeded|Connection terminated/.test(message)
  );
}

function toClassmindError(error: unknown): ClassmindError {
  if (error instanceof ClassmindError) return error;
  if (isConnectionError(error)) {
    return new ClassmindError("Unavailable", "The platform's database cannot be reached. Nothing was changed.", {
      remedy: "Try again shortly; look at: classmind status",
      cause: error,
    });
  }
  const type = typeof error === "object" && error !== null && "type" in error ? String(error.type) : "";
  if (type === "entity.parse.failed") return new ClassmindError("Invalid", "The body is not JSON.", { field: "" });
  if (type === "entity.too.large") return new ClassmindError("Invalid", "The body is too large.", { field: "" });
  return new ClassmindError("Internal", "Something went wrong inside the platform. It was logged.", { cause: error });
}

function rejectForeignOrigins(request: Request, _response: Response, next: NextFunction): void {
  // The API is for programs. A browser that sends an Origin was led here by some page.
  if (request.headers.origin !== undefined) throw new ClassmindError("Forbidden", "The API does not answer web pages.");
  next();
}

/** Builds the Express application of the API. Listening is the caller's. */
export function createApi(context: ApiContext, hub: EventHub, metrics: ApiMetrics, log: Log): express.Express {
  const app = express();
  app.disable("x-powered-by");
  app.set("etag", false);
  app.set("query parser", "simple");
  app.use((request, response, next) => {
    const started = process.hrtime.bigint();
    response.set({ "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff" });
    response.on("finish", () => {
      const seconds = Number(process.hrtime.bigint() - started) / 1e9;
      const path = typeof request.route?.path === "string" ? request.route.path : "other";
      metrics.observe(request.method, path, response.statusCode, seconds);
      if (response.locals.failure !== undefined)
        log.error({ method: request.method, path, error: response.locals.failure }, "request failed");
    });
    next();
  });
  app.get("/livez", (_request, response) => void response.json({ status: "ok" }));
  app.get("/readyz", async (_request, response) => {
    await context.pool.query("select 1");
    response.json({ status: "ok" });
  });
  app.get("/openapi.json", (_request, response) => void response.json(openApiDocument(ROUTES)));
  app.use(rejectForeignOrigins);
  app.get("/metrics", async (request, response) => {
    await requireToken(context, request, response, "metrics");
    response.type(metrics.registry.contentType).send(await metrics.registry.metrics());
  });

  const router = express.Router();
  router.use(async (request, response, next) => {
    await requireToken(context, request, response, "operator");
    next();
  });
  router.use(express.json({ limit: "64kb", strict: true }));
  router.get("/events", (request, response) => hub.subscribe(request, response));
  for (const definition of ROUTES) definition.register(router, context);
  app.use("/v1", router);

  app.use((_request, _response) => {
    throw new ClassmindError("NotFound", "There is nothing at this address.", { remedy: "See /openapi.json." });
  });
  app.use((error: unknown, _request: Request, response: Response, _next: NextFunction) => {
    const failure = toClassmindError(error);
    if (failure.code === "Internal" || failure.code === "Unavailable") {
      response.locals.failure =
        failure.cause instanceof Error ? (failure.cause.stack ?? failure.cause.message) : String(failure.cause);
    }
    if (response.headersSent) {
      response.destroy();
      return;
    }
    if (failure.code === "Unavailable") response.set("Retry-After", "5");
    response.status(STATUS[failure.code]).json({
      error: { code: failure.code, message: failure.message, field: failure.field, remedy: failure.remedy },
    });
  });
  return app;
}
