import type { AddressInfo } from "node:net";
import { expect, it } from "vitest";
import { createReconcilerMetrics, serveMetrics } from "../../../control-plane/reconcile/metrics.ts";

it("attempts, their time, why they failed, and requests to the cluster are told; schools are not", async () => {
  let time = 0;
  const metrics = createReconcilerMetrics(() => time);
  const ends = [metrics.begin("kubernetes"), metrics.begin("kubernetes"), metrics.begin("kubernetes")];
  time = 3;
  ends[0]?.("done");
  ends[1]?.("failed", "ImageMissing");
  metrics.request("kubernetes", "patch", 201, 0.01);
  metrics.request("kubernetes", "patch", 0, 30);
  metrics.request("kubernetes", "watch", 200, 0);
  const text = await metrics.registry.metrics();
  expect(text).toContain('classmind_attempts_total{engine="kubernetes",end="done"} 1');
  expect(text).toContain('classmind_attempts_running{engine="kubernetes"} 1');
  expect(text).toContain('classmind_attempt_seconds_sum{engine="kubernetes",end="failed"} 3');
  expect(text).toContain('classmind_attempt_failures_total{engine="kubernetes",reason="ImageMissing"} 1');
  expect(text).toContain('classmind_engine_requests_total{engine="kubernetes",verb="patch",code="0"} 1');
  expect(text).toContain('classmind_engine_request_seconds_count{engine="kubernetes",verb="patch"} 2');
  expect(text).not.toContain('classmind_engine_request_seconds_count{engine="kubernetes",verb="watch"}');
});

it("is served at /metrics and nowhere else", async () => {
  const server = await serveMetrics(createReconcilerMetrics(), { host: "127.0.0.1", port: 0 });
  const at = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const answer = await fetch(`${at}/metrics`);
  expect([answer.status, answer.headers.get("content-type")]).toEqual([200, expect.stringContaining("text/plain")]);
  expect((await fetch(`${at}/`)).status).toBe(404);
  expect((await fetch(`${at}/metrics`, { method: "POST" })).status).toBe(404);
  await new Promise((resolve) => server.close(resolve));
});
