import { Agent, request } from "node:https";
import type { Socket } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { startSchool, type TestSchool } from "../../fixtures/school.ts";
import { GATEWAY_ADDRESS, hostOf, openStage, type Stage } from "./stage.ts";
import { answersIn, openHttp2, openTcp, openTls } from "./wire.ts";

/** Bodies that come slowly, in part or not at all, and bodies that nobody reads: what they cost, and what their senders are told. */

let stage: Stage;
let school: TestSchool;
const A = hostOf("a");
const B = hostOf("b");

beforeAll(async () => {
  stage = await openStage();
  school = await startSchool({ environment: { CLASSMIND_URL: `https://${B}` } });
});
afterEach(() => {
  stage.a.handler = undefined;
});
afterAll(() => stage.close());

/** Leads the second host to a real school. */
const leadToSchool = (): Promise<void> =>
  stage.gateway.setRoute("b", [B], { state: "open", address: "127.0.0.1", port: school.port });

interface Outcome {
  readonly status: number | undefined;
  /** Milliseconds until the first byte of an answer, and until the connection was closed; Infinity if that did not happen. */
  readonly answered: number;
  readonly closed: number;
}

/** Sends a head and then a byte twice a second for as long as the other side lets it, at most so many milliseconds. */
function dribble(socket: Socket, head: string, first = "", patience = 30_000): Promise<Outcome> {
  const started = Date.now();
  let text = "";
  let answered = Number.POSITIVE_INFINITY;
  return new Promise((resolve) => {
    const drip = setInterval(() => socket.write("x"), 500);
    const end = (closed: number) => {
      clearInterval(drip);
      clearTimeout(timer);
      socket.destroy();
      resolve({ status: answersIn(text)[0]?.status, answered, closed });
    };
    const timer = setTimeout(() => end(Number.POSITIVE_INFINITY), patience);
    socket.on("data", (chunk: Buffer) => {
      if (text === "") answered = Date.now() - started;
      text += chunk.toString("latin1");
    });
    socket.on("close", () => end(Date.now() - started));
    socket.write(head + first);
  });
}

const head = (host: string, path: string, length: number, type = "application/x-www-form-urlencoded") =>
  `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nOrigin: https://${host}\r\nContent-Type: ${type}\r\nContent-Length: ${length}\r\n\r\n`;

describe("a body that is refused at the door", () => {
  test.each([1000, 100_000])("of %i bytes is not awaited: the connection ends at once", async (length) => {
    const outcomes = await Promise.all([
      dribble(await openTcp(stage.httpPort), head("nobody.example", "/", length)),
      dribble(await openTcp(stage.httpPort), head(A, "/", length)),
      dribble(await openTls(stage, A), head("nobody.example", "/", length)),
      dribble(await openTls(stage, A), head(A, "/", length).replace("POST", "PROPFIND")),
    ]);
    for (const { closed } of outcomes) expect(closed).toBeLessThan(5000);
  });

  test("is answered where it came with its head, and over HTTP/2 whatever came", async () => {
    const unknown = await dribble(
      await openTcp(stage.httpPort),
      head("nobody.example", "/", 1000),
      "x".repeat(1000),
      2000,
    );
    const misdirected = await dribble(await openTls(stage, A), head(B, "/", 1000), "x".repeat(1000), 2000);
    expect([unknown.status, misdirected.status]).toEqual([404, 421]);
    const session = openHttp2(stage, A);
    const stream = session.request({ ":path": "/", ":method": "POST", ":authority": B, "content-length": "1000000" });
    stream.on("error", () => undefined);
    stream.write("x");
    const status = await new Promise((resolve) => stream.on("response", (headers) => resolve(headers[":status"])));
    expect(status).toBe(421);
    session.destroy();
  });
});

describe("a body that its school refuses or waits for in vain", () => {
  test("on a path that does not exist, it gets its 404 at once and lives for seconds", async () => {
    await leadToSchool();
    for (const [length, first] of [
      [1000, ""],
      [1_000_000, "x".repeat(40_000)],
    ] as const) {
      const outcome = await dribble(await openTls(stage, B), head(B, "/gibt-es-nicht", length), first);
      expect(outcome).toMatchObject({ status: 404 });
      expect(outcome.answered).toBeLessThan(2000);
      expect(outcome.closed).toBeLessThan(8000);
    }
  });

  test("a form that does not come to its end is a 408, not a 502, and its connection ends", async () => {
    await leadToSchool();
    const outcomes = await Promise.all([
      dribble(await openTls(stage, B), head(B, "/anmelden", 1000)),
      dribble(await openTls(stage, B), head(B, "/anmelden", 200_000), "x".repeat(40_000)),
    ]);
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ status: 408 });
      expect(outcome.answered).toBeGreaterThan(5000);
      expect(outcome.closed).toBeLessThan(25_000);
    }
  }, 60_000);

  test("a form that is larger than announced forms may be is a 413, chunked too", async () => {
    await leadToSchool();
    const announced = await dribble(await openTls(stage, B), head(B, "/anmelden", 600_000), "x".repeat(40_000));
    expect(announced).toMatchObject({ status: 413 });
    const chunked = head(B, "/anmelden", 0).replace("Content-Length: 0", "Transfer-Encoding: chunked");
    const chunk = `${(10_000).toString(16)}\r\n${"x".repeat(10_000)}\r\n`;
    const socket = await openTls(stage, B);
    const outcome = await dribble(socket, chunked, chunk.repeat(40));
    expect(outcome).toMatchObject({ status: 413 });
    expect(outcome.closed).toBeLessThan(8000);
  });
});

describe("a client that keeps its connection", () => {
  /** Posts a body; yields the status, or what went wrong. */
  function post(agent: Agent, size: number): Promise<string> {
    return new Promise((resolve) => {
      const outgoing = request({
        host: GATEWAY_ADDRESS,
        port: stage.httpsPort,
        servername: A,
        ca: stage.ca,
        agent,
        method: "POST",
        headers: { Host: A, "Content-Length": size },
      });
      const timer = setTimeout(() => {
        resolve("no answer");
        outgoing.destroy();
      }, 20_000);
      const end = (outcome: string) => {
        clearTimeout(timer);
        resolve(outcome);
      };
      outgoing.on("response", (incoming) => {
        incoming.resume();
        incoming.on("end", () => end(String(incoming.statusCode)));
      });
      outgoing.on("error", (error) => end(String(error)));
      outgoing.end(Buffer.alloc(size, "x"));
    });
  }

  test("is answered every time by a school that says 429 before it has read the body", async () => {
    stage.a.handler = (_, response) => {
      response.statusCode = 429;
      response.setHeader("Content-Length", 4);
      response.end("Halt");
    };
    const agent = new Agent({ keepAlive: true, maxSockets: 4 });
    const outcomes = new Map<string, number>();
    let left = 200;
    const one = async () => {
      while (left > 0 && !outcomes.has("no answer")) {
        left -= 1;
        // More than the sockets between hold: the rest is on its way when the answer comes.
        const outcome = await post(agent, 5_000_000);
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      }
    };
    await Promise.all([one(), one(), one(), one()]);
    agent.destroy();
    expect(Object.fromEntries(outcomes)).toEqual({ 429: 200 });
  }, 120_000);
});
