import type { ErrorRequestHandler, Express, RequestHandler } from "express";
import { assertPolicy } from "./policy.ts";
import type { Resource } from "./rights.ts";
import type { Declared } from "./route.ts";

/** Runs one declared route for one request; given by the server. */
export type Runner = (declared: Declared) => RequestHandler;

const guarded = new WeakSet<object>();
const allowed = new WeakSet<object>();

/** Mounts the routes behind the gate. Throws for a route without a usable policy, or declared twice. */
export function mount(
  express: Express,
  routes: readonly Declared[],
  resources: ReadonlyMap<string, Resource>,
  runner: Runner,
): void {
  const seen = new Set<string>();
  for (const declared of routes) {
    const name = `${declared.method} ${declared.path}`;
    assertPolicy(declared.policy, name, resources);
    if (seen.has(name)) {
      throw new Error(`Route ${name} is declared twice`);
    }
    seen.add(name);
    if (declared.object && !/^[a-z_]+$/.test(declared.object.relation)) {
      throw new Error(`Route ${name}: the relation of its object is no name of a view`);
    }
    const handler = runner(declared);
    guarded.add(handler);
    if (declared.method === "GET") {
      // Express would answer HEAD by the same handler, which may note that somebody has read something.
      express.head(declared.path, withoutBody(declared, handler));
      express.get(declared.path, handler);
    } else {
      express.post(declared.path, handler);
    }
  }
}

/** HEAD: for public pages as GET; others are for reading, and whoever asks without reading gets nothing. */
function withoutBody(declared: Declared, handler: RequestHandler): RequestHandler {
  const answer: RequestHandler =
    "public" in declared.policy
      ? handler
      : (_request, response) => void response.writeHead(405, { Allow: "GET" }).end();
  guarded.add(answer);
  return answer;
}

/** Mounts something that answers no route of its own: headers, host check, the page for unknown paths. */
export function mountAround(express: Express, handler: RequestHandler): void {
  allowed.add(handler);
  express.use(handler);
}

/** Mounts what answers when Express itself has failed. */
export function mountLast(express: Express, handler: ErrorRequestHandler): void {
  allowed.add(handler);
  express.use(handler);
}

/** Throws when anything was registered past the gate (R38). Called last before the app listens. */
export function assertGuarded(express: Express): void {
  for (const layer of express.router.stack) {
    const { route } = layer;
    if (route) {
      for (const inner of route.stack) {
        if (!guarded.has(inner.handle)) {
          throw new Error(`Route ${route.path} was registered past the gate: declare it with route()`);
        }
      }
    } else if (!allowed.has(layer.handle)) {
      throw new Error(`Middleware ${layer.name} was registered past the gate`);
    }
  }
}
