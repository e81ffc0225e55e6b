import { mkdtemp, rm } from "node:fs/promises";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../../control-plane/clock.ts";
import { type ContainerApi, openContainerApi } from "../../../control-plane/engine/containers/docker.ts";

let directory: string;
let server: http.Server;
let api: ContainerApi;
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "classmind-"));
  const socket = path.join(directory, "silent.sock");
  server = http.createServer(() => undefined);
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  api = openContainerApi(socket, systemClock, 1, 100);
});
afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await rm(directory, { recursive: true });
});

describe("a container engine that takes requests and never answers", () => {
  it("holds no school for ever: each request ends with a reason and where to look", async () => {
    const asked = [
      api.list({}),
      api.exit("x"),
      api.start("x"),
      api.create({ Image: "x" }),
      api.stop("x", 1),
      api.remove("x"),
      api.attach("x"),
      api.tail("x", 1),
      api.hasImage("x"),
      api.networks({}),
      api.removeNetwork("x"),
      api.limitProcessors("x", 1e9),
    ];
    for (const answer of await Promise.allSettled(asked)) {
      expect(answer).toMatchObject({ status: "rejected", reason: { reason: "EngineUnavailable" } });
      expect(String((answer as PromiseRejectedResult).reason)).toContain("classmind doctor");
    }
  });
});
