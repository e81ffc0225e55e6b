import { writeFile } from "node:fs/promises";
import { connect as connectHttp2 } from "node:http2";
import { Agent, request } from "node:https";
import { setTimeout as wait } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type GatewayOptions, startGateway } from "../../../control-plane/gateway/container.ts";
import { runCommand } from "../../../control-plane/gateway/runtime.ts";
import { GATEWAY_ADDRESS, hostOf, openStage, type Stage } from "./stage.ts";
import { ask1 } from "./wire.ts";

/** A gateway in place of another: what those who are connected, and those who just come, notice of it. */

let stage: Stage;
/** As it is started now. */
let options: GatewayOptions;
const A = hostOf("a");

beforeAll(async () => {
  stage = await openStage();
  options = stage.options;
});
afterAll(() => stage.close());

/** The same gateway, made otherwise. */
const otherwise = (): GatewayOptions => ({ ...options, memoryBytes: (options.memoryBytes ?? 1024 ** 3) + 1024 ** 2 });

/** One request with what the agent has; yields the status or what went wrong. */
function ask(agent: Agent): Promise<string> {
  return new Promise((resolve) => {
    const outgoing = request(
      { host: GATEWAY_ADDRESS, port: stage.httpsPort, servername: A, ca: stage.ca, agent, headers: { Host: A } },
      (incoming) => {
        incoming.resume();
        incoming.on("end", () => resolve(String(incoming.statusCode)));
        incoming.on("error", (error) => resolve(String(error)));
      },
    );
    outgoing.on("error", (error) => resolve(String(error)));
    outgoing.end();
  });
}

/** One stream after the other on one connection of HTTP/2, and on the next when the gateway says that it ends. */
async function askOverHttp2(counted: (outcome: string) => void, stopped: () => boolean): Promise<void> {
  const open = () => {
    const session = connectHttp2(`https://${A}:${stage.httpsPort}`, {
      createConnection: () =>
        connectTls({
          host: GATEWAY_ADDRESS,
          port: stage.httpsPort,
          ca: stage.ca,
          servername: A,
          ALPNProtocols: ["h2"],
        }),
    });
    let leaving = false;
    session.on("goaway", () => {
      leaving = true;
    });
    session.on("error", (error) => counted(String(error)));
    return { session, isLeaving: () => leaving || session.closed || session.destroyed };
  };
  let current = open();
  while (!stopped()) {
    if (current.isLeaving()) {
      current.session.close();
      current = open();
    }
    const outcome = await new Promise<string>((resolve) => {
      const stream = current.session.request({ ":path": "/", ":authority": A });
      stream.on("response", (headers) => resolve(String(headers[":status"])));
      stream.on("error", (error) => resolve(String(error)));
      stream.resume();
      stream.end();
    });
    // Not begun, and asked again by every client on its next connection (RFC 9113, 8.7).
    if (outcome.includes("REFUSED_STREAM") && current.isLeaving()) continue;
    counted(outcome);
    await wait(5);
  }
  current.session.destroy();
}

/** Asks without a pause, on new connections, on kept ones and over HTTP/2, while something is done; yields how often each outcome came. */
async function underLoad(work: () => Promise<unknown>): Promise<Record<string, number>> {
  const outcomes: Record<string, number> = {};
  const counted = (outcome: string) => {
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  };
  let stop = false;
  const agents = [new Agent({ keepAlive: false }), new Agent({ keepAlive: true, maxSockets: 1 })];
  const slow = new Agent({ keepAlive: true, maxSockets: 1 });
  const loop = async (agent: Agent, pause: number) => {
    while (!stop) {
      counted(await ask(agent));
      await wait(pause);
    }
  };
  const running = [
    ...agents.map((agent) => loop(agent, 0)),
    // Idle between two requests most of the time.
    loop(slow, 300),
    askOverHttp2(counted, () => stop),
  ];
  await wait(500);
  await work();
  await wait(1500);
  stop = true;
  await Promise.all(running);
  for (const agent of [...agents, slow]) agent.destroy();
  return outcomes;
}

test("one that runs as wanted is left alone, whoever asks", async () => {
  const before = (await stage.container()).id;
  const outcomes = await underLoad(async () => {
    expect((await startGateway(options)).id).toBe(before);
  });
  expect(Object.keys(outcomes)).toEqual(["200"]);
  expect(await stage.containers()).toHaveLength(1);
});

test("one that was made otherwise is replaced three times, and no request of a steady stream fails", async () => {
  const before = (await stage.container()).id;
  const outcomes = await underLoad(async () => {
    for (let time = 0; time < 3; time += 1) {
      options = otherwise();
      await startGateway(options);
    }
  });
  expect(Object.keys(outcomes)).toEqual(["200"]);
  expect(outcomes["200"]).toBeGreaterThan(100);
  expect((await stage.container()).id).not.toBe(before);
  // Those before end once their last connection has ended, at the latest when those that are idle are closed.
  await expect.poll(async () => (await stage.containers()).length, { timeout: 60_000, interval: 500 }).toBe(1);
  // The one that is left takes changes, and serves them.
  const fingerprint = await stage.certify("a");
  expect((await stage.gateway.observe("a")).certificateFingerprint).toBe(fingerprint);
  expect(await stage.gateway.reconcileAll()).toEqual({ routes: 0, certificates: 0, files: 0 });
}, 120_000);

test("a download under way comes to its end from the one before", async () => {
  stage.a.handler = (_, response) => {
    response.setHeader("Content-Length", "40000");
    let sent = 0;
    const timer = setInterval(() => {
      response.write("x".repeat(1000));
      sent += 1000;
      if (sent < 40_000) return;
      clearInterval(timer);
      response.end();
    }, 100);
  };
  const download = ask1(stage, { sni: A });
  await wait(500);
  options = otherwise();
  await startGateway(options);
  expect((await stage.containers()).length).toBe(2);
  expect((await download).body.length).toBe(40_000);
  stage.a.handler = undefined;
  await expect.poll(async () => (await stage.containers()).length, { timeout: 60_000, interval: 500 }).toBe(1);
}, 90_000);

test("a configuration that was written and not loaded, as by someone who died between the two, is loaded", async () => {
  const worker = async () => /^Pid: ([0-9]+)$/m.exec(await runCommand(stage.paths.adminSocket, "show info"))?.[1];
  const before = await worker();
  const changed = { ...options, publicHttpsPort: 443 };
  await startGateway(changed);
  const loaded = await worker();
  expect(loaded).not.toBe(before);
  await startGateway(changed);
  expect(await worker()).toBe(loaded);
  // The file of the one before again, which the process has not read: it is what runs that counts.
  await writeFile(stage.paths.config, "# half of it");
  await startGateway(options);
  expect(await worker()).not.toBe(loaded);
});

test("the next one that does not start leaves the one before serving, and nothing behind", async () => {
  const before = (await stage.container()).id;
  await expect(startGateway({ ...options, image: "localhost/nobody/has/this:1" })).rejects.toThrow();
  // HAProxy finds no room for its connections.
  const failing = startGateway({ ...options, openFiles: 300, addresses: ["192.0.2.1"] });
  await expect(failing).rejects.toMatchObject({ code: "Unavailable" });
  expect((await stage.containers()).map(({ id }) => id)).toEqual([before]);
  expect((await ask1(stage, { sni: A })).status).toBe(200);
  // Whatever the failed one took with it, the next start makes good, and a change is loaded.
  const outcomes = await underLoad(async () => {
    await startGateway(options);
    await startGateway({ ...options, publicHttpsPort: 443 });
    await startGateway(options);
  });
  expect(Object.keys(outcomes)).toEqual(["200"]);
  expect(await stage.gateway.reconcileAll()).toEqual({ routes: 0, certificates: 0, files: 0 });
}, 120_000);
