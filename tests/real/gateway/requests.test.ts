import { setTimeout as wait } from "node:timers/promises";
import type { TLSSocket } from "node:tls";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type Echo, hostOf, openStage, type Stage } from "./stage.ts";
import { answersIn, ask1, ask2, converse, openHttp2, openTcp, openTls } from "./wire.ts";

/** What a school gets to see of a request, and what no request may do. */

let stage: Stage;
const A = hostOf("a");
const B = hostOf("b");

beforeAll(async () => {
  // Few connections, so that their limits can be met.
  stage = await openStage({ openFiles: 1024 });
});
afterEach(async () => {
  stage.a.handler = undefined;
  stage.b.handler = undefined;
  await stage.open(stage.a);
});
afterAll(() => stage.close());

function echoOf(body: string): Echo {
  const echo: Echo = JSON.parse(body);
  return echo;
}

describe("headers", () => {
  const forged = {
    "X-Forwarded-For": "198.51.100.1",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Port": "1",
    Forwarded: "for=198.51.100.1;host=evil.example",
    "X-Real-IP": "198.51.100.1",
    "X-Client-IP": "198.51.100.1",
    "True-Client-IP": "198.51.100.1",
    "X-Original-URL": "/admin",
    "X-Rewrite-URL": "/admin",
    "X-HTTP-Method-Override": "DELETE",
    Via: "1.1 evil",
    Proxy: "http://evil.example",
  };

  test("what a client says of its origin is replaced, not added to", async () => {
    const head = Object.entries(forged)
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join("");
    const lower = Object.fromEntries(Object.entries(forged).map(([name, value]) => [name.toLowerCase(), value]));
    const answers = [
      await ask1(stage, { sni: A, head: `${head}${head}` }),
      await ask2(stage, A, { ":authority": A, ...lower }),
    ];
    for (const answer of answers) {
      const { headers } = echoOf(answer.body);
      expect(headers.filter(([name]) => name === "x-forwarded-for").map(([, value]) => value)).toEqual([
        expect.stringMatching(/^127\./),
      ]);
      expect(headers.filter(([name]) => name === "x-forwarded-proto")).toEqual([["x-forwarded-proto", "https"]]);
      expect(JSON.stringify(headers)).not.toMatch(/198\.51\.100\.1|evil|DELETE|admin/);
    }
  });

  test("R1 HSTS is on every answer over HTTPS, and speaks for one school only", async () => {
    stage.a.handler = (_, response) => {
      response.setHeader("Strict-Transport-Security", "max-age=0; includeSubDomains");
      response.end();
    };
    const answers = [
      await ask1(stage, { sni: A }),
      await ask1(stage, { sni: A, host: B }),
      await ask1(stage, { sni: B }),
    ];
    for (const { headers } of answers) expect(headers["strict-transport-security"]).toBe("max-age=31536000");
  });

  test("R2 a school cannot plant cookies on its neighbours, nor show what it runs on", async () => {
    stage.a.handler = (_, response) => {
      response.setHeader("Set-Cookie", [
        "one=1; Domain=schulen.example; Path=/",
        "two=2; path=/; DOMAIN=.schulen.example",
        "three=3; Path=/; Secure",
        "four=4; Domain = schulen.example",
        "five=5; Domain=; Path=/; domain\t=schulen.example;Domain=.schulen.example",
        "six=domain=6; Path=/",
      ]);
      response.setHeader("Server", "x");
      response.setHeader("X-Powered-By", "Express");
      response.end();
    };
    const text = await converse(await openTls(stage, A), `GET / HTTP/1.1\r\nHost: ${A}\r\nConnection: close\r\n\r\n`);
    expect([...text.matchAll(/^set-cookie: (.*)\r$/gim)].map(([, cookie]) => cookie)).toEqual([
      "refused=; Max-Age=0",
      "refused=; Max-Age=0",
      "three=3; Path=/; Secure",
      "refused=; Max-Age=0",
      "refused=; Max-Age=0",
      "six=domain=6; Path=/",
    ]);
    expect(text).not.toMatch(/^(server|x-powered-by|keep-alive):/im);
  });
});

describe("request targets", () => {
  test("R11 absolute-form must name the school of the handshake, and reaches it as a path", async () => {
    const good = await converse(
      await openTls(stage, A),
      `GET https://${A}/x?y HTTP/1.1\r\nHost: ${A}\r\nConnection: close\r\n\r\n`,
    );
    expect(echoOf(answersIn(good)[0]?.body ?? "{}").url).toBe("/x?y");
    const before = stage.b.requests.length;
    for (const [target, host] of [
      [`https://${B}/`, A],
      [`http://${B}/`, A],
      [`https://${B}/`, B],
      [`https://${A}/`, B],
      [`https://${A}@${B}/`, A],
      [`//${B}/`, A],
    ]) {
      const text = await converse(
        await openTls(stage, A),
        `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
      );
      expect(text).not.toContain('"school":"b"');
      if (target?.startsWith("//") !== true) expect([400, 421]).toContain(answersIn(text)[0]?.status);
    }
    expect(stage.b.requests.length).toBe(before);
  });

  test.each(["CONNECT", "TRACE", "PROPFIND", "FOO"])("%s is refused", async (method) => {
    const target = method === "CONNECT" ? `${A}:443` : "/";
    const text = await converse(
      await openTls(stage, A),
      `${method} ${target} HTTP/1.1\r\nHost: ${A}\r\nConnection: close\r\n\r\n`,
    );
    expect([400, 405, 421]).toContain(answersIn(text)[0]?.status);
  });

  test("headers beyond 16 kB are refused, bodies of any size pass", async () => {
    const large = await ask1(stage, { sni: A, head: `X-Large: ${"x".repeat(20_000)}\r\n` });
    expect(large.status).toBe(400);
    const many = Array.from({ length: 200 }, (_, index) => `X-${index}: 1\r\n`).join("");
    expect((await ask1(stage, { sni: A, head: many })).status).toBe(400);
    const body = "x".repeat(300_000);
    const text = await converse(
      await openTls(stage, A),
      `POST / HTTP/1.1\r\nHost: ${A}\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    expect(echoOf(answersIn(text)[0]?.body ?? "{}").body.length).toBe(300_000);
  });
});

describe("request smuggling", () => {
  const inner = `GET /smuggled HTTP/1.1\r\nHost: ${B}\r\n\r\n`;
  const hidden = `0\r\n\r\n${inner}`;
  const cases: ReadonlyArray<readonly [string, string]> = [
    [
      "Content-Length beside chunked",
      `Content-Length: ${hidden.length}\r\nTransfer-Encoding: chunked\r\n\r\n${hidden}`,
    ],
    [
      "chunked beside Content-Length",
      `Transfer-Encoding: chunked\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}`,
    ],
    ["two Content-Lengths", `Content-Length: 0\r\nContent-Length: ${inner.length}\r\n\r\n${inner}`],
    ["a list of Content-Lengths", `Content-Length: 0, ${inner.length}\r\n\r\n${inner}`],
    ["a signed Content-Length", `Content-Length: +0\r\n\r\n${inner}`],
    ["a hexadecimal Content-Length", `Content-Length: 0x10\r\n\r\n${inner}`],
    ["chunked twice", `Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n${hidden}`],
    ["chunked and identity", `Transfer-Encoding: chunked, identity\r\n\r\n${hidden}`],
    [
      "a disguised Transfer-Encoding",
      `Content-Length: ${hidden.length}\r\nTransfer-Encoding: xchunked\r\n\r\n${hidden}`,
    ],
    ["a space before the colon", `Content-Length: ${hidden.length}\r\nTransfer-Encoding : chunked\r\n\r\n${hidden}`],
    ["a folded line", `Content-Length: ${hidden.length}\r\nX: y\r\n Transfer-Encoding: chunked\r\n\r\n${hidden}`],
    [
      "a folded Transfer-Encoding",
      `Content-Length: ${hidden.length}\r\nTransfer-Encoding:\r\n chunked\r\n\r\n${hidden}`,
    ],
    ["a bare line feed", `Content-Length: ${hidden.length}\nTransfer-Encoding: chunked\n\n${hidden}`],
    ["a bare carriage return", `X: y\rTransfer-Encoding: chunked\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}`],
    ["a null in a name", `Content-Length: ${hidden.length}\r\nTransfer-Encoding\0: chunked\r\n\r\n${hidden}`],
    ["an overlong chunk size", `Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF0\r\n${inner}`],
    ["chunk extensions", `Transfer-Encoding: chunked\r\n\r\n0;x="\r\n\r\n${inner}`],
    [
      "an upgrade to h2c",
      `Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n`,
    ],
    [
      "a WebSocket that is none",
      `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 1\r\n\r\n${inner}`,
    ],
  ];

  test.each(cases)("R11 %s brings no bytes of another school", async (_, rest) => {
    const before = { a: stage.a.requests.length, b: stage.b.requests.length };
    const text = await converse(await openTls(stage, A), `POST /outer HTTP/1.1\r\nHost: ${A}\r\n${rest}`, 1200);
    expect(text).not.toContain('"school":"b"');
    expect(stage.b.requests.length).toBe(before.b);
    // The school saw at most the outer request, alone on its connection; what it hid was judged by itself or refused.
    for (const echo of stage.a.requests.slice(before.a)) {
      expect(echo.url).toBe("/outer");
      expect(echo.requestOnConnection).toBe(1);
    }
  });

  test("R2 every request has a connection of its own to the school", async () => {
    const before = stage.a.requests.length;
    const request = `GET /n HTTP/1.1\r\nHost: ${A}\r\n\r\n`;
    await converse(await openTls(stage, A), request.repeat(5), 1000);
    const seen = stage.a.requests.slice(before);
    expect(seen).toHaveLength(5);
    expect(new Set(seen.map(({ connection }) => connection)).size).toBe(5);
  });
});

describe("schools that do not answer", () => {
  test("a school that is not reachable is a German 503 without a name, and comes back by itself", async () => {
    await stage.gateway.setRoute("a", [A], { state: "open", address: "127.0.77.99", port: 1 });
    for (const answer of [await ask1(stage, { sni: A }), await ask2(stage, A, { ":authority": A })]) {
      expect(answer.status).toBe(503);
      expect(answer.body).toContain("Die Schule ist gerade nicht erreichbar");
      expect(answer.body).not.toMatch(/schulen\.example|127\./);
      expect(answer.headers["retry-after"]).toBe("10");
      expect(answer.headers["strict-transport-security"]).toBeDefined();
    }
    await stage.open(stage.a);
    expect((await ask1(stage, { sni: A })).status).toBe(200);
  }, 60_000);

  test("a suspended school is closed with a page that says so, its neighbour is open", async () => {
    const before = stage.a.requests.length;
    await stage.gateway.setRoute("a", [A], { state: "closed" });
    for (const answer of [await ask1(stage, { sni: A }), await ask2(stage, A, { ":authority": A })]) {
      expect(answer.status).toBe(503);
      expect(answer.body).toContain("vorübergehend geschlossen");
    }
    expect(stage.a.requests.length).toBe(before);
    expect((await ask1(stage, { sni: B })).status).toBe(200);
  });

  test("a school that breaks off in the middle is a 502 with the same words", async () => {
    stage.a.handler = (request) => request.socket.destroy();
    const answer = await ask1(stage, { sni: A });
    expect([502, 503]).toContain(answer.status);
    expect(answer.body).toContain("Die Schule ist gerade nicht erreichbar");
  });
});

describe("limits", () => {
  test("slow headers are cut off after ten seconds, on both ports", async () => {
    const started = Date.now();
    const answers = await Promise.all([
      dribble(await openTls(stage, A)),
      dribble(await openTcp(stage.httpPort)),
      converse(await openTcp(stage.httpsPort), "\x16", 20_000),
    ]);
    expect(Date.now() - started).toBeGreaterThan(8000);
    expect(Date.now() - started).toBeLessThan(15_000);
    expect(answersIn(answers[0])[0]?.status).toBe(408);
    expect(answersIn(answers[1])[0]?.status).toBe(408);
  }, 40_000);

  // 1,024 files make 256 connections at the door: 128 for one school, 64 for one source, 16 for one when it is crowded.

  /** Opens so many connections from an address, each with a request under way; yields those that were let in. */
  async function rush(host: string, count: number, localAddress: string): Promise<TLSSocket[]> {
    const attempts = await Promise.all(
      Array.from({ length: count }, () => openTls(stage, host, { localAddress }).catch(() => undefined)),
    );
    const open = attempts.filter((socket) => socket !== undefined);
    for (const socket of open) socket.write(`GET /wait HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    await wait(500);
    return open.filter((socket) => !socket.destroyed);
  }

  async function statusFrom(host: string, localAddress: string): Promise<number | undefined> {
    const socket = await openTls(stage, host, { localAddress });
    const text = await converse(socket, `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    return answersIn(text)[0]?.status;
  }

  test("a source has less than a school has, and a school less than all: nobody closes either alone", async () => {
    stage.a.handler = () => undefined;
    const held: TLSSocket[] = [];
    const from = async (localAddress: string, count: number): Promise<number> => {
      const open = await rush(A, count, localAddress);
      held.push(...open);
      return open.length;
    };
    expect(await from("127.0.78.1", 90)).toBe(64);
    // Three quarters of the school are taken by then: who holds many opens no more.
    expect(await from("127.0.78.2", 90)).toBeLessThanOrEqual(33);
    expect(await from("127.0.78.3", 90)).toBeLessThanOrEqual(17);
    // Who comes with one connection gets in, to this school and to its neighbour.
    expect(await from("127.0.78.4", 1)).toBe(1);
    expect(await statusFrom(B, "127.0.78.1").catch(() => "refused")).toBe("refused");
    expect(await statusFrom(B, "127.0.78.5")).toBe(200);
    for (const socket of held) socket.destroy();
    stage.a.handler = undefined;
    await expect.poll(async () => (await ask1(stage, { sni: A })).status, { timeout: 5000 }).toBe(200);
  });

  test("four sources with all that they get leave room at every door", async () => {
    for (const school of [stage.a, stage.b]) school.handler = () => undefined;
    const held: TLSSocket[] = [];
    for (const [number, host] of [A, B, A, B].entries())
      held.push(...(await rush(host, 90, `127.0.78.${20 + number}`)));
    expect(held.length).toBeGreaterThan(120);
    expect(held.length).toBeLessThan(230);
    for (const school of [stage.a, stage.b]) school.handler = undefined;
    for (const host of [A, B]) expect(await statusFrom(host, "127.0.78.30")).toBe(200);
    for (const socket of held) socket.destroy();
    await expect.poll(async () => (await ask1(stage, { sni: A })).status, { timeout: 5000 }).toBe(200);
  });

  test("requests in flight: a source is told 429 before its school is full, the rest of a rush 503", async () => {
    stage.a.handler = () => undefined;
    const statuses: number[] = [];
    const sessions = [1, 2, 3].map((number) => openHttp2(stage, A, `127.0.79.${number}`));
    for (const session of sessions) {
      for (let stream = 0; stream < 100; stream += 1) {
        const request = session.request({ ":path": "/wait", ":authority": A });
        request.on("error", () => undefined);
        request.on("response", (headers) => statuses.push(Number(headers[":status"])));
        request.resume();
        request.end();
      }
      await wait(500);
    }
    // Twice 64 are under way, and nothing of the third source.
    await expect.poll(() => statuses.length, { timeout: 5000 }).toBe(300 - 128);
    expect(new Set(statuses)).toEqual(new Set([429, 503]));
    expect(statuses.filter((status) => status === 429).length).toBeGreaterThanOrEqual(72);
    const neighbour = await ask2(stage, B, { ":authority": B });
    expect(neighbour.status).toBe(200);
    for (const session of sessions) session.destroy();
    stage.a.handler = undefined;
    await expect.poll(async () => (await ask1(stage, { sni: A })).status, { timeout: 5000 }).toBe(200);
  });

  test("a flood of requests on one connection is answered with 429 and a time to come back", async () => {
    const socket = await openTcp(stage.httpPort, "127.0.80.1");
    const text = await converse(socket, `GET / HTTP/1.1\r\nHost: ${A}\r\n\r\n`.repeat(6000), 2000);
    const answers = answersIn(text);
    const counted = (status: number) => answers.filter((answer) => answer.status === status).length;
    expect(counted(308)).toBeGreaterThanOrEqual(4900);
    expect(counted(308)).toBeLessThan(5800);
    expect(counted(308) + counted(429)).toBe(6000);
    expect(answers.at(-1)?.headers["retry-after"]).toBe("10");
    expect((await ask1(stage, { sni: A })).status).toBe(200);
  });
});

/** One header byte a second until the other side has had enough. */
async function dribble(socket: Parameters<typeof converse>[0]): Promise<string> {
  const timer = setInterval(() => socket.write("x"), 1000);
  const text = await converse(socket, `GET / HTTP/1.1\r\nHost: ${A}\r\nX-Slow: `, 20_000);
  clearInterval(timer);
  return text;
}
