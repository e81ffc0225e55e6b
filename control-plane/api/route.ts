import type { Request, Response, Router } from "express";
import type { Pool, PoolClient } from "pg";
import { z } from "zod";
import type { Clock } from "../clock.ts";
import type { PlatformConfig } from "../config.ts";
import { ClassmindError } from "../errors.ts";
import type { Chart } from "../render/render.ts";
import { appendAudit } from "../store/audit.ts";

/** What handlers get. Built once in main.ts. */
export interface ApiContext {
  readonly pool: Pool;
  readonly platform: PlatformConfig;
  readonly chart: Chart;
  readonly clock: Clock;
}

export interface Caller {
  readonly operator: string;
  readonly tokenId: string;
  /** Where the request came from: an address or `unix`. */
  readonly source: string;
}

/** A transaction with the means to record what is done in it. */
export interface Action {
  readonly db: PoolClient;
  audit(entry: {
    readonly action: string;
    readonly slug?: string;
    readonly tenantUid?: string;
    readonly reason?: string | undefined;
    readonly detail?: Record<string, unknown>;
  }): Promise<void>;
}

export interface RouteInput<P, Q, B> {
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  readonly caller: Caller;
  readonly context: ApiContext;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Runs in a transaction; commits when it returns. Every change goes through here, with its audit entry. */
  act<T>(work: (action: Action) => Promise<T>): Promise<T>;
}

export interface RouteDefinition<P, Q, B> {
  readonly method: "get" | "post" | "patch" | "delete";
  /** Express path with `:name` parameters, below /v1. */
  readonly path: string;
  readonly summary: string;
  readonly params?: z.ZodType<P>;
  readonly query?: z.ZodType<Q>;
  readonly body?: z.ZodType<B>;
  readonly status: 200 | 201 | 202;
  readonly response: z.ZodType;
  handle(input: RouteInput<P, Q, B>): Promise<unknown>;
}

/** A route whose input types are settled, as the server and the OpenAPI generator see it. */
export interface Route {
  readonly method: "get" | "post" | "patch" | "delete";
  readonly path: string;
  readonly summary: string;
  readonly params: z.ZodType | undefined;
  readonly query: z.ZodType | undefined;
  readonly body: z.ZodType | undefined;
  readonly status: number;
  readonly response: z.ZodType;
  register(router: Router, context: ApiContext): void;
}

/** Parses one part of a request; the error names the field by its dotted path. */
function parsePart<T>(schema: z.ZodType<T> | undefined, value: unknown): T {
  const result = (schema ?? z.undefined().or(z.any())).safeParse(value);
  if (result.success) return result.data as T;
  const issue = result.error.issues[0];
  const unknownKeys = issue?.code === "unrecognized_keys" ? issue.keys.join(", ") : undefined;
  throw new ClassmindError("Invalid", issue?.message ?? "The request is malformed.", {
    field: unknownKeys ?? issue?.path.join(".") ?? "",
    remedy: unknownKeys === undefined ? "Correct this field; docs/openapi.json describes it." : "Remove this field.",
  });
}

function callerOf(response: Response): Caller {
  const caller: unknown = response.locals.caller;
  if (typeof caller === "object" && caller !== null && "operator" in caller) return caller as Caller;
  throw new ClassmindError("Unauthorized", "No operator is known for this request.");
}

async function runAction<T>(context: ApiContext, caller: Caller, work: (action: Action) => Promise<T>): Promise<T> {
  const db = await context.pool.connect();
  let broken: Error | undefined;
  try {
    await db.query("begin");
    const result = await work({
      db,
      audit: async (entry) => {
        await appendAudit(
          db,
          {
            operator: caller.operator,
            token: caller.tokenId,
            source: caller.source,
            action: entry.action,
            slug: entry.slug,
            tenantUid: entry.tenantUid,
            reason: entry.reason,
            detail: entry.detail ?? {},
          },
          context.clock.now(),
        );
      },
    });
    await db.query("commit");
    return result;
  } catch (error) {
    await db.query("rollback").catch((failure: unknown) => {
      broken = failure instanceof Error ? failure : new Error(String(failure));
    });
    throw error;
  } finally {
    db.release(broken);
  }
}

/** Declares a route: everything that comes in is parsed before the handler sees it. */
export function route<P = undefined, Q = undefined, B = undefined>(definition: RouteDefinition<P, Q, B>): Route {
  return {
    method: definition.method,
    path: definition.path,
    summary: definition.summary,
    params: definition.params,
    query: definition.query,
    body: definition.body,
    status: definition.status,
    response: definition.response,
    register(router, context) {
      router[definition.method](definition.path, async (request: Request, response: Response) => {
        const caller = callerOf(response);
        const result = await definition.handle({
          params: parsePart(definition.params, request.params),
          query: parsePart(definition.query, request.query),
          body: parsePart(definition.body, request.body ?? {}),
          caller,
          context,
          headers: request.headers,
          act: (work) => runAction(context, caller, work),
        });
        response.status(definition.status).json(result);
      });
    },
  };
}
