import { createServer, type Server } from "node:net";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import type { Engine, Manifest } from "../../../control-plane/engine/engine.ts";
import { smallJob, smallSchool } from "../../fixtures/engine-school.ts";
import { openTestEngine } from "./open.ts";

/** Where a job of a school may go outside of this machine's schools: to a repository of backups, say. */

const SPACE = "school-out";
const OUTSIDE = "127.0.0.1";
const NAME = "repository.example";

let engine: Engine;
let server: Server;
let port: number;

function wayOut(): Manifest {
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { name: "repository", namespace: SPACE, labels: { "app.kubernetes.io/name": "classmind" } },
    spec: {
      podSelector: { matchLabels: { "app.kubernetes.io/component": "job" } },
      policyTypes: ["Egress"],
      egress: [{ to: [{ ipBlock: { cidr: `${OUTSIDE}/32` } }], ports: [{ protocol: "TCP", port }] }],
    },
  };
}

/** A job that knows the outside by a name. */
function job(): Manifest {
  const manifest = structuredClone(smallJob(SPACE, inject("images").app)) as Manifest & {
    spec: { template: { spec: Record<string, unknown> } };
  };
  manifest.spec.template.spec.hostAliases = [{ ip: OUTSIDE, hostnames: [NAME] }];
  return manifest;
}

beforeEach(async () => {
  server = createServer((socket) => socket.on("error", () => undefined).end("here"));
  await new Promise<void>((listening) => server.listen(0, OUTSIDE, listening));
  const address = server.address();
  port = typeof address === "object" && address !== null ? address.port : 0;
  engine = await openTestEngine();
  await engine.remove(SPACE, [{ kind: "Namespace", name: SPACE }]);
});
afterEach(async () => {
  await engine.remove(SPACE, [{ kind: "Namespace", name: SPACE }]);
  await engine.close();
  server.close();
});

describe("a job's way out", () => {
  it.each([
    ["while the school runs", 1],
    ["where nothing of the school runs, as of one that is to be restored or that is moved here", 0],
  ] as const)("is open %s", async (_when, replicas) => {
    await engine.apply(SPACE, [...smallSchool({ namespace: SPACE, image: inject("images").app, replicas }), wayOut()]);
    const input = { action: "connect", targets: [{ host: NAME, port }] };
    const { exitCode, output, logTail } = await engine.run(SPACE, { manifest: job(), input, deadline: 60_000 });
    expect({ exitCode, output }, logTail.join("\n")).toEqual({ exitCode: 0, output: ["open"] });
  });
});
