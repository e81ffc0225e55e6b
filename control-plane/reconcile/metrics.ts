import { createServer, type Server } from "node:http";
import { Counter, Gauge, Histogram, Registry } from "prom-client";

/** How an attempt at a school ended. `gone`: it was purged. */
export type AttemptEnd = "done" | "failed" | "gone";

/** Prometheus metrics of a reconciler. No label names a school or a person. */
export interface ReconcilerMetrics {
  readonly registry: Registry;
  /** An attempt begins; what it returns is called once, at its end. @param reason of the failure, see REASONS */
  begin(engine: string): (end: AttemptEnd, reason?: string) => void;
  /** One request to an engine's API. @param status of HTTP; 0 where no answer came */
  request(engine: string, verb: string, status: number, seconds: number): void;
}

/** @param now seconds of a clock that only goes forward */
export function createReconcilerMetrics(now: () => number = () => performance.now() / 1000): ReconcilerMetrics {
  const registry = new Registry();
  const registers = [registry];
  const attempts = new Counter({
    name: "classmind_attempts_total",
    help: "Attempts at schools that ended",
    labelNames: ["engine", "end"],
    registers,
  });
  const running = new Gauge({
    name: "classmind_attempts_running",
    help: "Attempts at schools under way",
    labelNames: ["engine"],
    registers,
  });
  const duration = new Histogram({
    name: "classmind_attempt_seconds",
    help: "Time an attempt took",
    labelNames: ["engine", "end"],
    buckets: [0.05, 0.25, 1, 5, 15, 60, 300, 1800],
    registers,
  });
  const failures = new Counter({
    name: "classmind_attempt_failures_total",
    help: "Attempts that failed, by the reason the school's conditions show",
    labelNames: ["engine", "reason"],
    registers,
  });
  const requests = new Counter({
    name: "classmind_engine_requests_total",
    help: "Requests to the cluster's API, by HTTP status; 0 where no answer came",
    labelNames: ["engine", "verb", "code"],
    registers,
  });
  const requestDuration = new Histogram({
    name: "classmind_engine_request_seconds",
    help: "Time until the cluster's API had answered",
    labelNames: ["engine", "verb"],
    buckets: [0.005, 0.02, 0.1, 0.5, 2, 10, 30],
    registers,
  });
  return {
    registry,
    begin(engine) {
      const began = now();
      running.inc({ engine });
      return (end, reason) => {
        running.dec({ engine });
        attempts.inc({ engine, end });
        duration.observe({ engine, end }, now() - began);
        if (end === "failed") failures.inc({ engine, reason: reason ?? "Unknown" });
      };
    },
    request(engine, verb, status, seconds) {
      requests.inc({ engine, verb, code: String(status) });
      if (verb !== "watch") requestDuration.observe({ engine, verb }, seconds);
    },
  };
}

/**
 * Answers `GET /metrics` and nothing else. What it tells is no secret to whoever may reach it, which the network has to see to.
 * @returns once it listens
 */
export async function serveMetrics(
  metrics: Pick<ReconcilerMetrics, "registry">,
  listen: { readonly host: string; readonly port: number },
): Promise<Server> {
  const { registry } = metrics;
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000 }, (request, response) => {
    if (request.method !== "GET" || request.url !== "/metrics") {
      response.writeHead(404).end();
      return;
    }
    registry.metrics().then(
      (text) => response.writeHead(200, { "content-type": registry.contentType }).end(text),
      () => response.writeHead(500).end(),
    );
  });
  server.maxConnections = 16;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(listen.port, listen.host, () => resolve());
  });
  return server;
}
