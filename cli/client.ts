import http from "node:http";
import https from "node:https";
import { OPERATOR_GROUP } from "../control-plane/operator-group-name.ts";
import type { Context } from "./context.ts";
import { CliError, EXIT, exitCodeOf } from "./errors.ts";

/** Speaks HTTP with a control plane; the CLI knows nothing else of it. */
export interface Client {
  get<T>(path: string): Promise<T>;
  post<T>(path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<T>;
  patch<T>(path: string, body: unknown): Promise<T>;
  delete<T>(path: string): Promise<T>;
  /** Server-sent events until the signal aborts or the line breaks. */
  events(path: string, signal: AbortSignal): AsyncIterable<ServerEvent>;
}

export interface ServerEvent {
  readonly event: string;
  readonly data: unknown;
}

interface ErrorBody {
  readonly error?: {
    readonly code?: string;
    readonly message?: string;
    readonly field?: string;
    readonly remedy?: string;
  };
}

function requestOptions(context: Context, path: string): { readonly url: URL; readonly options: https.RequestOptions } {
  const headers = { authorization: `Bearer ${context.token}`, accept: "application/json" };
  const socket = /^unix:\/\/(\/.+)$/.exec(context.server)?.[1];
  if (socket !== undefined)
    return { url: new URL(`http://localhost${path}`), options: { socketPath: socket, headers } };
  const ca = context.certificateAuthority === undefined ? {} : { ca: context.certificateAuthority };
  return { url: new URL(path, context.server), options: { headers, ...ca } };
}

function unreachable(context: Context, error: NodeJS.ErrnoException): CliError {
  const local = context.server.startsWith("unix:");
  if (local && error.code === "EACCES")
    return new CliError(EXIT.refused, `You may not open the control plane's socket (${context.server}).`, {
      remedy: `Members of the group ${OPERATOR_GROUP} may: sudo usermod -aG ${OPERATOR_GROUP} "$USER" — then log in to this machine again.`,
    });
  const reason = "It does not answer.";
  return new CliError(EXIT.unavailable, `The control plane at ${context.server} cannot be reached. ${reason}`, {
    remedy: local ? "See what runs: classmind status — start it: classmind up" : "Check the address and the network.",
  });
}

function open(
  context: Context,
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  body: string | undefined,
  signal?: AbortSignal,
): Promise<http.IncomingMessage> {
  const { url, options } = requestOptions(context, path);
  const module = url.protocol === "https:" ? https : http;
  return new Promise((resolve, reject) => {
    const request = module.request(
      url,
      { ...options, method, headers: { ...options.headers, ...headers }, ...(signal === undefined ? {} : { signal }) },
      resolve,
    );
    request.once("error", (error) => reject(signal?.aborted ? error : unreachable(context, error)));
    request.end(body);
  });
}

/** A control plane that ends in the middle of an answer is one that cannot be reached: no fault of this program. */
function brokenOff(context: Context): CliError {
  return new CliError(EXIT.unavailable, `The control plane at ${context.server} broke off its answer.`, {
    remedy:
      "It may be starting again. See what runs: classmind status — and look at what became of it before you repeat it.",
  });
}

/** The body of an answer as it comes. */
async function* bodyOf(context: Context, response: http.IncomingMessage, signal?: AbortSignal): AsyncGenerator<string> {
  response.setEncoding("utf8");
  try {
    for await (const chunk of response) yield String(chunk);
  } catch (error) {
    throw signal?.aborted ? error : brokenOff(context);
  }
}

async function textOf(context: Context, response: http.IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of bodyOf(context, response)) text += chunk;
  return text;
}

function failureOf(status: number, text: string): CliError {
  let body: ErrorBody = {};
  try {
    body = JSON.parse(text) as ErrorBody;
  } catch {
    // Not from our API: a proxy's page, perhaps. The status says what there is to say.
  }
  const { code, message, field, remedy } = body.error ?? {};
  if (code === undefined || message === undefined)
    return new CliError(EXIT.unavailable, `The control plane answered with status ${status}.`, {});
  return new CliError(exitCodeOf(code), message, { field: field === "" ? undefined : field, remedy });
}

function parseAnswer<T>(context: Context, text: string): T {
  try {
    return JSON.parse(text) as T;
  } catch {
    // Not from our API, or not all of it.
    throw brokenOff(context);
  }
}

/** Splits a stream of text into server-sent events (WHATWG HTML, section 9.2). */
export async function* parseEvents(chunks: AsyncIterable<string>): AsyncGenerator<ServerEvent> {
  let buffer = "";
  for await (const chunk of chunks) {
    buffer += chunk;
    let end = buffer.indexOf("\n\n");
    while (end >= 0) {
      const lines = buffer.slice(0, end).split("\n");
      buffer = buffer.slice(end + 2);
      const event = lines.find((line) => line.startsWith("event: "))?.slice(7);
      const data = lines.filter((line) => line.startsWith("data: ")).map((line) => line.slice(6));
      if (event !== undefined && data.length > 0) yield { event, data: JSON.parse(data.join("\n")) };
      end = buffer.indexOf("\n\n");
    }
  }
}

/** A client for one control plane. Its errors are CliErrors with the server's words. */
export function createClient(context: Context): Client {
  async function call<T>(
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<T> {
    const json = body === undefined ? undefined : JSON.stringify(body);
    const type =
      json === undefined
        ? {}
        : { "content-type": "application/json", "content-length": String(Buffer.byteLength(json)) };
    const response = await open(context, method, path, { ...type, ...headers }, json);
    const text = await textOf(context, response);
    const status = response.statusCode ?? 0;
    if (status >= 400) throw failureOf(status, text);
    return parseAnswer<T>(context, text);
  }
  return {
    get: (path) => call("GET", path),
    post: (path, body = {}, headers) => call("POST", path, body, headers),
    patch: (path, body) => call("PATCH", path, body),
    delete: (path) => call("DELETE", path),
    async *events(path, signal) {
      const response = await open(context, "GET", path, { accept: "text/event-stream" }, undefined, signal);
      const status = response.statusCode ?? 0;
      if (status >= 400) throw failureOf(status, await textOf(context, response));
      yield* parseEvents(bodyOf(context, response, signal));
    },
  };
}
