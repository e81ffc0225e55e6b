import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { GATEWAY_GID, GATEWAY_UID, startGateway, stopGateway } from "../../../control-plane/gateway/container.ts";
import { choosePorts, USUAL_PORTS } from "../../../control-plane/gateway/ports.ts";
import { runCommand } from "../../../control-plane/gateway/runtime.ts";
import { GATEWAY_ADDRESS, hostOf, openStage, type Stage } from "./stage.ts";
import { ask1, ask2 } from "./wire.ts";

/** The gateway as a process on this host. */

let stage: Stage;
const A = hostOf("a");

beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

const workerPid = async () => /^Pid: ([0-9]+)$/m.exec(await runCommand(stage.paths.adminSocket, "show info"))?.[1];

async function containerPids(): Promise<number[]> {
  const { State } = await (await stage.container()).inspect();
  const children = await readFile(`/proc/${State.Pid}/task/${State.Pid}/children`, "utf8");
  return [State.Pid, ...children.trim().split(" ").map(Number)];
}

test("R40 only workers meet the network: not root, without capabilities, unable to gain any", async () => {
  const [master, ...workers] = await containerPids();
  expect(workers).toHaveLength(1);
  for (const pid of workers) {
    const status = await readFile(`/proc/${pid}/status`, "utf8");
    expect(status).toMatch(new RegExp(`^Uid:\t${GATEWAY_UID}\t${GATEWAY_UID}\t${GATEWAY_UID}\t${GATEWAY_UID}$`, "m"));
    expect(status).toMatch(new RegExp(`^Gid:\t${GATEWAY_GID}\t${GATEWAY_GID}\t${GATEWAY_GID}\t${GATEWAY_GID}$`, "m"));
    expect(status).toMatch(/^CapEff:\t0+$/m);
    expect(status).toMatch(/^NoNewPrivs:\t1$/m);
    expect(status).toMatch(/^Seccomp:\t2$/m);
  }
  // NET_BIND_SERVICE, KILL, SETGID, SETUID: bits 10, 5, 6, 7.
  expect(await readFile(`/proc/${master}/status`, "utf8")).toMatch(/^CapBnd:\t0*4e0$/m);
});

test("R40 its root file system cannot be written", async () => {
  const [, worker] = await containerPids();
  const mounts = await readFile(`/proc/${worker}/mounts`, "utf8");
  expect(mounts).toMatch(/^\S+ \/ \S+ ro[, ]/m);
  expect(mounts).toMatch(/ \/etc\/classmind-gateway \S+ ro[, ]/);
});

test("it listens on its two ports of the addresses it was given, and on sockets of root only", async () => {
  const pids = await containerPids();

  const lines = execFileSync("ss", ["-Hlntp"], { encoding: "utf8" })
    .split("\n")
    .filter((line) => pids.some((pid) => line.includes(`pid=${pid},`)))
    .map((line) => line.split(/\s+/)[3]);
  expect([...new Set(lines)].sort()).toEqual(
    [`${GATEWAY_ADDRESS}:${stage.httpPort}`, `${GATEWAY_ADDRESS}:${stage.httpsPort}`].sort(),
  );
});

test("R54 R56 after requests of every kind, no line of any log holds an address, a path or a name", async () => {
  await ask1(stage, { sni: A, path: "/geheim-1" });
  await ask2(stage, A, { ":authority": A, ":path": "/geheim-2" });
  await ask1(stage, { sni: A, host: "fremd.example", path: "/geheim-3" });
  await ask1(stage, { sni: A, host: "\0", path: "/geheim-4" });
  const output = await (await stage.container()).logs({ stdout: true, stderr: true });
  expect(output.toString()).not.toMatch(/geheim|fremd|schulen\.example|127\.0\.0\.1|GET/);
});

test("health and metrics are sums, on a socket only", async () => {
  const get = (path: string) =>
    new Promise<{ status: number; body: string }>((resolve, reject) => {
      const request = httpRequest({ socketPath: stage.paths.healthSocket, path }, (response) => {
        let body = "";
        response.on("data", (chunk: Buffer) => {
          body += chunk.toString();
        });
        response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
      });
      request.on("error", reject);
      request.end();
    });
  expect((await get("/healthz")).status).toBe(200);
  const metrics = await get("/metrics");
  expect(metrics.body).toContain('haproxy_frontend_http_requests_total{proxy="https"}');
  expect(metrics.body).not.toMatch(/schulen\.example|127\.0\./);
  expect((await ask1(stage, { sni: A, path: "/metrics" })).body).toContain('"school":"a"');
});

test("starting what runs changes nothing; a changed configuration is loaded without a new container", async () => {
  const before = await containerPids();
  const worker = await workerPid();
  await startGateway(stage.options);
  expect(await containerPids()).toEqual(before);
  expect(await workerPid()).toBe(worker);
  await startGateway({ ...stage.options, publicHttpsPort: 443 });
  expect((await containerPids())[0]).toBe(before[0]);
  expect(await workerPid()).not.toBe(worker);
  expect((await ask1(stage, { sni: A })).status).toBe(200);
  await startGateway(stage.options);
});

test("a dead gateway is started anew, a stopped one leaves no container", async () => {
  await (await stage.container()).kill();
  await startGateway(stage.options);
  expect((await ask1(stage, { sni: A })).status).toBe(200);
  await stopGateway(stage.options);
  await stopGateway(stage.options);
  expect(await stage.containers()).toEqual([]);
  await startGateway(stage.options);
});

test("a port that is taken is said in HAProxy's words", async () => {
  const directory = await mkdtemp(join(tmpdir(), "cmgw-"));
  const options = {
    ...stage.options,
    name: `${stage.options.name}-2`,
    configDir: join(directory, "config"),
    runDir: join(directory, "run"),
  };
  await expect(startGateway(options)).rejects.toMatchObject({
    code: "Unavailable",
    message: expect.stringMatching(/cannot bind|Address already in use/i),
  });
  await stopGateway(options);
  await rm(directory, { recursive: true, force: true });
});

test("of its ports the first that is free on every address, and a refusal when none is", async () => {
  expect(USUAL_PORTS).toMatchObject({ https: [443, 8443, 9443], http: [80, 8080, 9080] });
  const addresses = ["127.0.77.2", "127.0.77.3"];
  const preferences = { https: [24443, 24444], http: [24080, 24081] };
  const servers: Server[] = [];
  const take = async (port: number, address: string) => {
    const server = createServer();
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(port, address, resolve));
  };
  expect(await choosePorts(addresses, preferences)).toEqual({ httpPort: 24080, httpsPort: 24443 });
  await take(24443, "127.0.77.3");
  expect(await choosePorts(addresses, preferences)).toEqual({ httpPort: 24080, httpsPort: 24444 });
  await take(24444, "127.0.77.2");
  await expect(choosePorts(addresses, preferences)).rejects.toMatchObject({ code: "Unavailable" });
  for (const server of servers) server.close();
});
