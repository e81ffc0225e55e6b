import { createServer, type Server } from "node:net";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import type { Engine, Manifest } from "../../../control-plane/engine/engine.ts";
import { smallJob, smallSchool } from "../../fixtures/engine-school.ts";
import { until } from "../../fixtures/until.ts";
import { openTestEngine } from "./open.ts";

/** Where a school may go outside of this machine's schools: its jobs to a repository of backups, its app to a mail relay. */

const SPACE = "school-out";
const OUTSIDE = "127.0.0.1";
const NAME = "repository.example";

let engine: Engine;
let server: Server;
let port: number;

function wayOut(component: string): Manifest {
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { name: "repository", namespace: SPACE, labels: { "app.kubernetes.io/name": "classmind" } },
    spec: {
      podSelector: { matchLabels: { "app.kubernetes.io/component": component } },
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
    await engine.apply(SPACE, [
      ...smallSchool({ namespace: SPACE, image: inject("images").app, replicas }),
      wayOut("job"),
    ]);
    const input = { action: "connect", targets: [{ host: NAME, port }] };
    const { exitCode, output, logTail } = await engine.run(SPACE, { manifest: job(), input, deadline: 60_000 });
    expect({ exitCode, output }, logTail.join("\n")).toEqual({ exitCode: 0, output: ["open"] });
  });
});

/** An app that says what it meets where a request's path tells it to go. */
const DIALLING = `
const net = require("net");
require("http").createServer((q, r) => {
  const [host, port] = q.url.slice(1).split("/");
  if (port === undefined) return r.end("I am here");
  const s = net.connect({ host, port: Number(port), timeout: 2000 });
  s.on("data", (d) => { r.end(String(d)); s.destroy(); }).on("timeout", () => { r.end("timeout"); s.destroy(); }).on("error", (e) => r.end(e.code));
}).listen(8080, "0.0.0.0", () => console.log("listening"));
process.on("SIGTERM", () => process.exit(0));
`;

function dialling(options: { readonly replicas?: 0 | 1; readonly version?: string } = {}): readonly Manifest[] {
  const school = { namespace: SPACE, image: inject("images").app, appProgram: DIALLING, ...options };
  const manifests = structuredClone(smallSchool(school)) as Manifest[];
  const app = manifests.find(({ kind }) => kind === "Deployment") as Manifest & {
    spec: { template: { spec: Record<string, unknown> } };
  };
  app.spec.template.spec.hostAliases = [{ ip: OUTSIDE, hostnames: [NAME] }];
  return manifests;
}

describe("an app's way out", () => {
  /** What the app meets at the name that it knows; undefined while it does not answer. */
  async function met(): Promise<string | undefined> {
    const found = (await engine.observe(SPACE)).endpoints.find(({ service }) => service === "app");
    if (found === undefined) return undefined;
    const url = `http://${found.address}:${found.port}/${NAME}/${port}`;
    return fetch(url, { signal: AbortSignal.timeout(5_000) }).then(
      (answer) => answer.text(),
      () => undefined,
    );
  }
  const reaches = () =>
    until("the app reaches outside", async () => ((await met()) === "here" ? true : undefined), met);

  it("is open for as long as a policy says so: through a new pod, another reconciler, and no longer", async () => {
    await engine.apply(SPACE, [...dialling(), wayOut("app")]);
    await reaches();
    await engine.apply(SPACE, [...dialling({ version: "two" }), wayOut("app")]);
    await engine.awaitReady(SPACE, { kind: "Deployment", name: "app" }, 60_000);
    await reaches();
    await engine.close();
    engine = await openTestEngine();
    await reaches();
    await engine.remove(SPACE, [{ kind: "NetworkPolicy", name: "repository" }]);
    await until("nobody lets it out", async () => ((await met()) === "here" ? undefined : true));
  });

  it("is nobody else's: the database and jobs of the school stay in", async () => {
    await engine.apply(SPACE, [...dialling(), wayOut("app")]);
    await reaches();
    const input = { action: "connect", targets: [{ host: "db", port: 5432 }] };
    const manifest = smallJob(SPACE, inject("images").app);
    const { output } = await engine.run(SPACE, { manifest, input, deadline: 60_000 });
    expect(output).toEqual(["open"]);
    const [bridge = ""] = (await engine.observe(SPACE)).endpoints.map(({ address }) => address.replace(/\d+$/, "1"));
    const gateway = { action: "connect", targets: [{ host: bridge, port }] };
    const turned = await engine.run(SPACE, { manifest, input: gateway, deadline: 60_000 });
    expect(turned.output).not.toEqual(["open"]);
  });
});
