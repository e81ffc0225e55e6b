import http from "node:http";
import https from "node:https";
import type { KubeConfig } from "@kubernetes/client-node";
import type { Clock } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import { createSemaphore } from "../../semaphore.ts";
import { EngineError } from "../engine.ts";
import { ApiFailure, type ApiStatus } from "./failure.ts";

/**
 * Requests to one API server. Credentials, trust and proxies come from the client's KubeConfig (files, exec plugins, the
 * ServiceAccount in a pod); the requests are our own, because the generated client makes a TLS connection for each call,
 * passes objects through its models, and knows neither deadlines nor Retry-After.
 */
export interface Transport {
  /** Sends a request and waits for its JSON answer; tries again what may pass. Rejects with ApiFailure or, when called off, EngineError. */
  request(call: Call): Promise<unknown>;
  /** Sends a request and hands over its body as it comes, until it ends or the signal aborts. Not tried again. */
  stream(call: Call, onChunk: (chunk: string) => void): Promise<void>;
  close(): void;
}

export interface Call {
  readonly method?: "GET" | "POST" | "PATCH" | "DELETE";
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly accept?: string;
  /** The answer is text, not JSON. */
  readonly text?: boolean;
  readonly signal?: AbortSignal | undefined;
}

export interface TransportOptions {
  readonly config: KubeConfig;
  readonly clock: Clock;
  /** Requests under way at once; streams do not count. */
  readonly concurrency?: number;
  /** Milliseconds until an answer has come whole. */
  readonly timeout?: number;
  /** Times a request is sent at most. */
  readonly tries?: number;
  /** Milliseconds of the first pause between tries; each further one may be twice as long. */
  readonly pause?: number;
  readonly random?: () => number;
  /** Told of each try when its answer is there. @param status 0 where none came */
  readonly onRequest?: (verb: string, status: number, seconds: number) => void;
}

const LONGEST_PAUSE = 5_000;
const LONGEST_RETRY_AFTER = 60;
const MOST_BYTES = 64 * 1024 * 1024;
/** What passes by itself: too many requests, a restarting server, a timeout inside the API. */
const PASSING = new Set([0, 429, 500, 502, 503, 504]);

interface Answer {
  readonly status: number;
  readonly retryAfter: number | undefined;
  readonly text: string;
}

function parseStatus(text: string): ApiStatus {
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === "object" && parsed !== null ? parsed : {};
  } catch {
    return {};
  }
}

function failureOf(call: Call, answer: Answer): ApiFailure {
  const status = parseStatus(answer.text);
  const title = `${call.method ?? "GET"} ${call.path}`;
  return new ApiFailure(answer.status, status, `${title}: ${status.message ?? `HTTP status ${answer.status}`}`);
}

/** Milliseconds before the n-th further try: what the server asked for, or exponential with full jitter. Pure but for `random`. */
export function pauseBefore(
  retry: number,
  retryAfter: number | undefined,
  first: number,
  random: () => number,
): number {
  if (retryAfter !== undefined) return Math.min(retryAfter, LONGEST_RETRY_AFTER) * 1000 + random() * first;
  return Math.min(LONGEST_PAUSE, first * 2 ** retry) * (0.5 + random() / 2);
}

/** Whether a failed answer may pass; a delete or apply that was lost may be sent again, since each says what shall be. */
function passes(status: number): boolean {
  return PASSING.has(status);
}

function read(call: Call, text: string): unknown {
  if (call.text === true) return text;
  return text === "" ? undefined : JSON.parse(text);
}

export function openTransport(options: TransportOptions): Transport {
  const { config, clock } = options;
  const random = options.random ?? Math.random;
  const timeout = options.timeout ?? 30_000;
  const tries = options.tries ?? 6;
  const firstPause = options.pause ?? 100;
  const places = createSemaphore(options.concurrency ?? 16);
  const agents = [new http.Agent({ keepAlive: true }), new https.Agent({ keepAlive: true })] as const;
  const closing = new AbortController();
  /** Until then nobody sends: the server asked everybody to slow down, not one request. */
  let quietUntil = 0;

  async function send(call: Call, signal: AbortSignal, onResponse: (response: http.IncomingMessage) => void) {
    const cluster = config.getCurrentCluster();
    if (cluster === null)
      throw new EngineError("EngineUnavailable", "the kubeconfig names no cluster", { retryable: false });
    const url = new URL(cluster.server.replace(/\/$/, "") + call.path);
    for (const [name, value] of Object.entries(call.query ?? {})) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    const settings: https.RequestOptions = { method: call.method ?? "GET", signal };
    await config.applyToHTTPSOptions(settings);
    // The client's agent opens a connection for each request; through a proxy only it knows the way.
    if (cluster.proxyUrl === undefined) settings.agent = url.protocol === "http:" ? agents[0] : agents[1];
    const body = call.body === undefined ? undefined : JSON.stringify(call.body);
    settings.headers = {
      ...settings.headers,
      accept: call.accept ?? "application/json",
      "user-agent": "classmind",
      ...(body === undefined
        ? {}
        : { "content-type": call.contentType ?? "application/json", "content-length": Buffer.byteLength(body) }),
    };
    await new Promise<void>((resolve, reject) => {
      const request = (url.protocol === "http:" ? http : https).request(url, settings, (response) => {
        onResponse(response);
        response.on("close", resolve);
        response.on("error", reject);
      });
      request.on("error", reject);
      request.end(body);
    });
  }

  async function once(call: Call, signal: AbortSignal): Promise<Answer> {
    const parts: string[] = [];
    let size = 0;
    let status = 0;
    let retryAfter: number | undefined;
    let whole = false;
    await send(call, signal, (response) => {
      status = response.statusCode ?? 0;
      const asked = Number(response.headers["retry-after"]);
      retryAfter = Number.isFinite(asked) && asked >= 0 ? asked : undefined;
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        size += chunk.length;
        if (size > MOST_BYTES) response.destroy(new Error(`the answer is longer than ${MOST_BYTES} bytes`));
        else parts.push(chunk);
      });
      response.on("end", () => {
        whole = response.complete;
      });
    });
    if (!whole) throw new Error("the answer was cut off");
    return { status, retryAfter, text: parts.join("") };
  }

  /** One try. No answer is an answer with status 0. */
  async function attempt(call: Call): Promise<Answer> {
    const began = performance.now();
    const answer = await timed(call);
    options.onRequest?.((call.method ?? "GET").toLowerCase(), answer.status, (performance.now() - began) / 1000);
    return answer;
  }

  /** With its deadline. */
  async function timed(call: Call): Promise<Answer> {
    let late: AbortSignal | undefined;
    try {
      return await places.run(() => {
        late = AbortSignal.timeout(timeout);
        return once(call, AbortSignal.any([late, closing.signal, ...(call.signal === undefined ? [] : [call.signal])]));
      });
    } catch (error) {
      if (error instanceof EngineError) throw error;
      refuseAborted(call);
      const message = late?.aborted === true ? `no answer within ${timeout} ms` : messageOf(error);
      return { status: 0, retryAfter: undefined, text: JSON.stringify({ message }) };
    }
  }

  function refuseAborted(call: Call): void {
    if (call.signal?.aborted === true || closing.signal.aborted)
      throw new EngineError("EngineUnavailable", `${call.method ?? "GET"} ${call.path} was called off`);
  }

  async function waitForQuiet(call: Call): Promise<void> {
    for (let left = quietUntil - clock.now().getTime(); left > 0; left = quietUntil - clock.now().getTime()) {
      await clock.sleep(left, call.signal);
      refuseAborted(call);
    }
  }

  async function request(call: Call): Promise<unknown> {
    for (let retry = 0; ; retry += 1) {
      refuseAborted(call);
      await waitForQuiet(call);
      const answer = await attempt(call);
      if (answer.status >= 200 && answer.status < 300) return read(call, answer.text);
      if (!passes(answer.status) || retry + 1 >= tries) throw failureOf(call, answer);
      const pause = pauseBefore(retry, answer.retryAfter, firstPause, random);
      if (answer.status === 429) quietUntil = Math.max(quietUntil, clock.now().getTime() + pause);
      await clock.sleep(pause, call.signal);
    }
  }

  async function stream(call: Call, onChunk: (chunk: string) => void): Promise<void> {
    const signal = AbortSignal.any([closing.signal, ...(call.signal === undefined ? [] : [call.signal])]);
    let failed: Promise<ApiFailure> | undefined;
    try {
      await send(call, signal, (response) => {
        response.setEncoding("utf8");
        const status = response.statusCode ?? 0;
        options.onRequest?.("watch", status, 0);
        if (status >= 200 && status < 300) response.on("data", onChunk);
        else {
          failed = new Promise((resolve) => {
            let text = "";
            response.on("data", (chunk: string) => {
              text += chunk;
            });
            response.on("close", () => resolve(failureOf(call, { status, retryAfter: undefined, text })));
          });
        }
      });
    } catch (error) {
      if (signal.aborted) return;
      throw new ApiFailure(0, {}, `${call.path}: ${messageOf(error)}`, { cause: error });
    }
    if (failed !== undefined) throw await failed;
  }

  return {
    request,
    stream,
    close() {
      closing.abort();
      for (const agent of agents) agent.destroy();
    },
  };
}
