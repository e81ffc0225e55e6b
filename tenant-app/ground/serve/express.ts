import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline, type Readable } from "node:stream";
import express, { type Express, type RequestHandler } from "express";
import type { App } from "../app.ts";
import { DatabaseUnavailable, RefusedByDatabase } from "../database/database.ts";
import { pass } from "../gate/gate.ts";
import { assertGuarded, mount, mountAround, mountLast } from "../gate/mount.ts";
import { forbidden, notFound, Refused, unavailable, unintelligible } from "../gate/refusal.ts";
import type { Reply } from "../gate/reply.ts";
import type { AskToSignIn, Declared } from "../gate/route.ts";
import { visitorOf } from "../gate/visitor.ts";
import { sandboxed, setHeaders } from "../pages/headers.ts";
import { refusalPage } from "../pages/page.ts";
import { partOf } from "./part.ts";

/** Builds the web application from declared routes. Throws when a route lacks a policy or bypasses the gate. */
export function buildExpress(app: App, routes: readonly Declared[], askToSignIn: AskToSignIn): Express {
  const web = express();
  web.disable("x-powered-by");
  web.disable("etag");
  web.set("query parser", false);
  web.set("case sensitive routing", true);
  web.set("strict routing", true);
  const anyHost = new Set(routes.filter((declared) => declared.anyHost).map((declared) => declared.path));
  mountAround(web, entrance(app, anyHost));
  mount(web, routes, app.catalogue.resources, (declared) => runner(app, declared, askToSignIn));
  mountAround(web, (_request, response) => answerError(app, response, notFound()));
  // What Express itself cannot make sense of, such as an address that does not decode: it would answer with a page of its own.
  mountLast(web, (_error, _request, response, _next) => answerError(app, response, unintelligible()));
  assertGuarded(web);
  return web;
}

/** Before every route: headers of the answer, a sane request line, a Host header that is ours. */
function entrance(app: App, anyHost: ReadonlySet<string>): RequestHandler {
  return (request, response, next) => {
    setHeaders(response);
    const target = request.url;
    // An absolute address in the request line would take precedence over the Host header somewhere on the way.
    if (!target.startsWith("/") || target.startsWith("//") || target.includes("\\") || hostHeaders(request) > 1) {
      answerError(app, response, unintelligible());
      return;
    }
    if (!anyHost.has(request.path) && !app.config.hosts.has((request.headers.host ?? "").toLowerCase())) {
      response.setHeader("Connection", "close");
      write(app, response, {
        kind: "text",
        status: 421,
        type: "text/plain; charset=utf-8",
        body: "421 Misdirected Request\n",
      });
      return;
    }
    next();
  };
}

/** Node keeps the first of two Host headers where another on the way may keep the second. */
function hostHeaders(request: IncomingMessage): number {
  return request.rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === "host").length;
}

function runner(app: App, declared: Declared, askToSignIn: AskToSignIn): RequestHandler {
  return async (request, response) => {
    try {
      const reply = await pass(app, declared, request, plainParams(request.params), askToSignIn);
      write(app, response, partOf(request, reply));
    } catch (error) {
      answerError(app, response, error);
    }
  };
}

function plainParams(params: Record<string, string | string[]>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(params).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
}

/** Known refusals get their page, everything else is logged and says nothing about itself. */
function answerError(app: App, response: ServerResponse, error: unknown): void {
  const refused = refusalOf(app, error);
  if (response.headersSent) {
    response.destroy();
    return;
  }
  if (refused.hangUp) {
    response.setHeader("Connection", "close");
  }
  if (refused.retryAfter !== undefined) {
    response.setHeader("Retry-After", String(refused.retryAfter));
  }
  write(app, response, refusalPage(app, refused, visitorOf(error)));
}

function refusalOf(app: App, error: unknown): Refused {
  if (error instanceof Refused) {
    return error;
  }
  if (error instanceof DatabaseUnavailable) {
    return unavailable();
  }
  if (error instanceof RefusedByDatabase) {
    return forbidden();
  }
  app.log.error({ error: describe(error) }, "request failed");
  return new Refused(
    500,
    "Das hat nicht geklappt",
    "Es ist ein Fehler aufgetreten und wurde festgehalten. Bitte versuchen Sie es noch einmal.",
  );
}

/** An error for the log, without values: messages of the database may quote what somebody typed. */
function describe(error: unknown): object {
  if (!(error instanceof Error)) {
    return { name: typeof error };
  }
  const code = "code" in error && typeof error.code === "string" ? error.code : undefined;
  const frames = error.stack
    ?.split("\n")
    .filter((line) => line.startsWith("    at "))
    .slice(0, 6)
    .map((line) => line.trim());
  return { name: error.name, code, frames };
}

function write(app: App, response: ServerResponse<IncomingMessage>, reply: Reply): void {
  response.statusCode = reply.status;
  if (reply.cookies?.length) {
    response.setHeader("Set-Cookie", [...reply.cookies]);
  }
  for (const [name, value] of Object.entries(reply.headers ?? {})) {
    response.setHeader(name, value);
  }
  switch (reply.kind) {
    case "page": {
      response.setHeader("Content-Type", "text/html; charset=utf-8");
      answer(response, app.views(reply.view, reply.data));
      return;
    }
    case "redirect":
      response.setHeader("Location", reply.location);
      answer(response, "");
      return;
    case "text":
      response.setHeader("Content-Type", reply.type);
      answer(response, reply.body);
      return;
    case "stream":
      handOut(app, response, reply.name, reply.type, reply.open);
      return;
    case "download":
      response.setHeader("Accept-Ranges", "bytes");
      response.setHeader("ETag", reply.etag);
      response.setHeader("Content-Length", reply.part ? reply.part.end - reply.part.start + 1 : reply.length);
      handOut(app, response, reply.name, "application/octet-stream", () => reply.open(reply.part));
  }
}

/** Sends a file to save, never to show. */
function handOut(app: App, response: ServerResponse, name: string, type: string, open: () => Readable): void {
  for (const [header, value] of Object.entries(sandboxed)) {
    response.setHeader(header, value);
  }
  response.setHeader("Content-Type", type);
  response.setHeader("Content-Disposition", contentDisposition(name));
  // A blob that turns out to be changed breaks the connection: the browser reports a failed download.
  pipeline(open(), response, (error) => {
    if (error) {
      app.log.warn({ error: describe(error) }, "download ended early");
    }
  });
}

/** Whoever was answered before the end of the request gets so many milliseconds to come to it, and to read the answer. */
const lingerMs = 2_000;

/**
 * Sends an answer. While the request still comes, nobody will read it: the answer then ends with its connection, and that
 * ends soon. Closed at once, the sender would be told of the break and not of the answer; told how long the answer is, the
 * gateway would go on reading, however slowly the rest comes.
 */
function answer(response: ServerResponse<IncomingMessage>, body: string | Buffer): void {
  const { req: request } = response;
  if (!isComing(request)) {
    response.setHeader("Content-Length", Buffer.byteLength(body));
    response.end(body);
    return;
  }
  response.setHeader("Connection", "close");
  response.removeHeader("Content-Length");
  response.removeHeader("Transfer-Encoding");
  response.write(body);
  response.flushHeaders();
  const end = () => {
    clearTimeout(timer);
    response.end();
  };
  const timer = setTimeout(end, lingerMs);
  request.once("end", end).once("close", end).resume();
}

/** Whether a body was announced that has not come to its end. */
function isComing(request: IncomingMessage): boolean {
  const { "content-length": length = "0", "transfer-encoding": encoding } = request.headers;
  return !request.complete && !request.destroyed && (Number(length) > 0 || encoding !== undefined);
}

/** RFC 6266: a plain name for old clients, the real one encoded after RFC 8187. */
export function contentDisposition(name: string): string {
  const plain = name.replace(/[^A-Za-z0-9._ -]/g, "_");
  const encoded = encodeURIComponent(name).replace(
    /['()*]/g,
    (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `attachment; filename="${plain}"; filename*=UTF-8''${encoded}`;
}
