import { z } from "zod";
import type { Route } from "./route.ts";
import { errorBody } from "./schemas.ts";

type Json = Record<string, unknown>;

function schemaOf(type: z.ZodType, io: "input" | "output"): Json {
  const { $schema: _dialect, ...schema } = z.toJSONSchema(type, { io, unrepresentable: "any" });
  return schema;
}

function parametersOf(type: z.ZodType | undefined, place: "path" | "query"): Json[] {
  if (type === undefined) return [];
  const schema = schemaOf(type, "input") as { properties?: Record<string, Json>; required?: string[] };
  return Object.entries(schema.properties ?? {}).map(([name, property]) => ({
    name,
    in: place,
    required: place === "path" || (schema.required ?? []).includes(name),
    schema: property,
  }));
}

function operationOf(route: Route): Json {
  const content = (type: z.ZodType, io: "input" | "output"): Json => ({
    "application/json": { schema: schemaOf(type, io) },
  });
  return {
    summary: route.summary,
    parameters: [...parametersOf(route.params, "path"), ...parametersOf(route.query, "query")],
    ...(route.body === undefined ? {} : { requestBody: { required: true, content: content(route.body, "input") } }),
    responses: {
      [String(route.status)]: {
        description: "Done as asked, or recorded to be done",
        content: content(route.response, "output"),
      },
      default: { description: "Refused or failed", content: content(errorBody, "output") },
    },
  };
}

/** The OpenAPI 3.1 document, generated from the routes themselves. Checked in as docs/openapi.json; a test compares. */
export function openApiDocument(routes: readonly Route[]): Json {
  const paths: Record<string, Json> = {};
  for (const route of routes) {
    const path = `/v1${route.path.replace(/:(\w+)/g, "{$1}")}`;
    paths[path] = { ...paths[path], [route.method]: operationOf(route) };
  }
  paths["/v1/events"] = {
    get: {
      summary:
        "Server-sent events: `tenant` (a school changed), `gone` (it was purged), `resync` (read the lists again)",
      parameters: [{ name: "slug", in: "query", required: false, schema: { type: "string" } }],
      responses: { "200": { description: "text/event-stream" } },
    },
  };
  return {
    openapi: "3.1.0",
    info: {
      title: "Classmind control plane",
      version: "1",
      description: "Every call needs an operator's token: `Authorization: Bearer …`.",
    },
    security: [{ operator: [] }],
    components: { securitySchemes: { operator: { type: "http", scheme: "bearer" } } },
    paths,
  };
}
