import { createServer, type Server, type Socket } from "node:net";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { systemClock } from "../../../control-plane/clock.ts";
import { pingPostgres, readAnswer } from "../../../control-plane/engine/containers/postgres-ping.ts";
import { createProber } from "../../../control-plane/engine/containers/probes.ts";

function error(fields: Readonly<Record<string, string>>): Buffer {
  const body = Buffer.from(
    `${Object.entries(fields)
      .map(([letter, text]) => `${letter}${text}\0`)
      .join("")}\0`,
  );
  const head = Buffer.alloc(5);
  head.write("E");
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}
const SASL = Buffer.from("R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0", "latin1");
const STARTING = error({ S: "FATAL", V: "FATAL", C: "57P03", M: "the database system is starting up" });
const FULL = error({ S: "FATAL", C: "53300", M: "sorry, too many clients already" });
const NO_FORK = Buffer.from(
  "Ecould not fork new process for connection: Resource temporarily unavailable\n\0",
  "latin1",
);

describe("what a PostgreSQL answers to somebody who would log in", () => {
  it.each([
    ["a question for the password: it takes logins", SASL, false, "accepts", /logins/],
    ["that it starts: it lives and takes none", STARTING, false, "refuses", /^the database system is starting up$/],
    ["any other refusal: it is up, and judges", FULL, false, "accepts", /too many clients/],
    [
      "a line without a code: it cannot even start a process",
      NO_FORK,
      true,
      "silent",
      /^could not fork .* unavailable$/,
    ],
    ["half an error", STARTING.subarray(0, 12), true, "silent", /broke off/],
    ["the end of the connection", Buffer.alloc(0), true, "silent", /without an answer/],
    ["another protocol", Buffer.from("HTTP/1.1 400 Bad Request"), false, "silent", /does not speak/],
  ] as const)("%s", (_, received, ended, kind, words) => {
    expect(readAnswer(received, ended)).toEqual({ kind, words: expect.stringMatching(words) });
  });

  it("is waited for until it is whole, however it is cut", () => {
    for (const [whole, kind] of [
      [SASL, "accepts"],
      [STARTING, "refuses"],
    ] as const) {
      for (let length = 0; length < 5; length += 1)
        expect(readAnswer(whole.subarray(0, length), false)).toBeUndefined();
      expect(readAnswer(whole, false)?.kind).toBe(kind);
    }
    expect(readAnswer(STARTING.subarray(0, STARTING.length - 1), false)).toBeUndefined();
  });

  it("never throws, whatever it is, and its end always means something", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        readAnswer(Buffer.from(bytes), false);
        expect(readAnswer(Buffer.from(bytes), true)?.kind).toMatch(/accepts|refuses|silent/);
      }),
    );
  });
});

describe("asking it", () => {
  let server: Server | undefined;
  const open = new Set<Socket>();
  afterEach(() => {
    for (const socket of open) socket.destroy();
    server?.close();
  });
  async function listen(onConnection: (socket: Socket) => void): Promise<number> {
    server = createServer((socket) => {
      open.add(socket);
      socket.on("error", () => undefined);
      onConnection(socket);
    });
    server.listen(0, "127.0.0.1");
    await new Promise((resolve) => server?.once("listening", resolve));
    const address = server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  it("begins with a startup message of protocol 3.0, and gives up after its time", async () => {
    const received: Buffer[] = [];
    const port = await listen((socket) => socket.on("data", (chunk: Buffer) => received.push(chunk)));
    expect(await pingPostgres("127.0.0.1", port, 200)).toEqual({ kind: "silent", words: "no answer within 0.2 s" });
    const message = Buffer.concat(received);
    expect([message.readInt32BE(0), message.readInt32BE(4)]).toEqual([message.length, 196_608]);
    expect(message.toString("latin1", 8)).toMatch(/^user\0.+\0database\0.+\0\0$/);
  });

  it("where nothing listens", async () => {
    const port = await listen(() => undefined);
    server?.close();
    expect(await pingPostgres("127.0.0.1", port, 1_000)).toEqual({
      kind: "silent",
      words: "no connection (ECONNREFUSED)",
    });
  });

  it("a database that starts is alive and not ready, and the probe repeats its words", async () => {
    const port = await listen((socket) => socket.end(STARTING));
    const stop = new AbortController();
    const probe = (question: "ready" | "alive", failureThreshold: number) => ({
      check: { kind: "postgres", question, port } as const,
      ...{ initialDelay: 0, period: 20, timeout: 1_000, failureThreshold, graceSeconds: 7 },
    });
    const told: unknown[] = [];
    await new Promise<void>((resolve) => {
      void createProber(systemClock).watch(
        {
          address: "127.0.0.1",
          container: { startup: probe("alive", 1), liveness: probe("alive", 1), readiness: probe("ready", 1) },
        },
        {
          started: () => told.push("started"),
          ready: (ready, why) => {
            told.push([ready, why]);
            if (told.length > 4) resolve();
          },
          dead: (why) => told.push(why),
        },
        stop.signal,
      );
    });
    stop.abort();
    expect(told[0]).toBe("started");
    expect(new Set(told.slice(1).map(String))).toEqual(new Set(["false,the database system is starting up"]));
  });
});
