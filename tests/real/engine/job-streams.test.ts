import { rm } from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import type { Engine } from "../../../control-plane/engine/engine.ts";
import { smallJob, smallSchool } from "../../fixtures/engine-school.ts";
import { testInstance } from "../test-host.ts";
import { openTestEngine } from "./open.ts";

const NAMESPACE = "school-streams";
const socket = path.join(testInstance().runDir, "endless.sock");
let engine: Engine;
let proxy: net.Server;

/** The engine's socket, but a stream of a container's output is never closed. */
async function openEndless(): Promise<net.Server> {
  const server = net.createServer({ allowHalfOpen: true }, (client) => {
    let attached = false;
    const upstream = net.connect({ path: inject("engineSocket"), allowHalfOpen: true });
    client.on("data", (chunk) => {
      attached ||= /^POST \S+\/attach\?/.test(chunk.toString("latin1"));
      upstream.write(chunk);
    });
    upstream.on("data", (chunk) => client.write(chunk));
    upstream.on("end", () => attached || client.end());
    client.on("end", () => upstream.end());
    client.on("close", () => upstream.destroy()).on("error", () => undefined);
    upstream.on("error", () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  return server;
}

beforeAll(async () => {
  await rm(socket, { force: true });
  proxy = await openEndless();
  engine = await openTestEngine({ dockerSocket: socket });
});
afterAll(async () => {
  await engine.remove(NAMESPACE, [{ kind: "Namespace", name: NAMESPACE }]);
  await engine.close();
  proxy.close();
});

describe("a job whose output is never closed", () => {
  it("ends with its container, not with its deadline, and nothing of what it said is lost", async () => {
    await engine.apply(NAMESPACE, smallSchool({ namespace: NAMESPACE, image: inject("images").app }));
    const result = await engine.run(NAMESPACE, {
      manifest: smallJob(NAMESPACE, inject("images").app),
      input: { action: "echo" },
      deadline: 120_000,
    });
    expect(result).toMatchObject({ exitCode: 0, output: { action: "echo" } });
  });
});
