import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { isClockTrusted, readClockRecord } from "../store/clock.ts";
import type { Queryable } from "../store/queryable.ts";
import { listRollouts } from "../store/rollouts.ts";
import { countByPhase } from "../store/tenants.ts";
import { PHASES } from "../tenant.ts";

/** Prometheus metrics of the API. No label ever holds a person's name; schools appear as numbers only. */
export interface ApiMetrics {
  readonly registry: Registry;
  observe(method: string, path: string, status: number, seconds: number): void;
}

export function createApiMetrics(db: Queryable): ApiMetrics {
  const registry = new Registry();
  const requests = new Counter({
    name: "classmind_api_requests_total",
    help: "Requests",
    labelNames: ["method", "path", "status"],
    registers: [registry],
  });
  const duration = new Histogram({
    name: "classmind_api_request_seconds",
    help: "Time to answer",
    labelNames: ["method", "path"],
    buckets: [0.005, 0.02, 0.1, 0.5, 2],
    registers: [registry],
  });
  new Gauge({
    name: "classmind_schools",
    help: "Schools by phase",
    labelNames: ["phase"],
    registers: [registry],
    async collect() {
      const counts = await countByPhase(db);
      for (const phase of PHASES) this.set({ phase }, counts[phase] ?? 0);
    },
  });
  new Gauge({
    name: "classmind_rollout_halted",
    help: "1 while the rollout of a new version on this engine has halted: a school that got it first is not well",
    labelNames: ["engine"],
    registers: [registry],
    async collect() {
      this.reset();
      for (const { engine, state } of await listRollouts(db)) this.set({ engine }, state === "Halted" ? 1 : 0);
    },
  });
  new Gauge({
    name: "classmind_clock_trusted",
    help: "1 while the platform believes its clock; 0 after a jump that nobody has confirmed",
    registers: [registry],
    async collect() {
      this.set((await isClockTrusted(db)) ? 1 : 0);
    },
  });
  new Gauge({
    name: "classmind_clock_last_seen_timestamp_seconds",
    help: "The last time the platform believed",
    registers: [registry],
    async collect() {
      const record = await readClockRecord(db);
      if (record !== undefined) this.set(Date.parse(record.seen) / 1000);
    },
  });
  return {
    registry,
    observe(method, path, status, seconds) {
      requests.inc({ method, path, status: String(status) });
      duration.observe({ method, path }, seconds);
    },
  };
}
