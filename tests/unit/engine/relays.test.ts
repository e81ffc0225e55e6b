import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createRelays, type Relays } from "../../../control-plane/engine/containers/relays.ts";
import { listensEverywhere } from "../../../control-plane/host/listening.ts";

/** Loopback addresses stand for a bridge's host side, for a job and for a machine elsewhere. */
const GATEWAY = "127.0.78.1";
const JOB = "127.0.78.2";
const OTHER_JOB = "127.0.78.3";
const ELSEWHERE = "127.0.78.9";

let relays: Relays;
let server: Server;
let port: number;
let warnings: unknown[];
const sockets: Socket[] = [];

const listening = (made: Server, address: string, at = 0) =>
  new Promise<number>((resolve, reject) => {
    made.once("error", reject).listen(at, address, () => resolve((made.address() as AddressInfo).port));
  });

beforeEach(async () => {
  warnings = [];
  relays = createRelays({ warn: (fields) => warnings.push(fields) });
  server = createServer((socket) => socket.on("error", () => undefined).pipe(socket));
  port = await listening(server, ELSEWHERE);
});
afterEach(() => {
  relays.close();
  for (const socket of sockets.splice(0)) socket.destroy();
  server.close();
});

const target = () => ({ address: ELSEWHERE, port });

/** A connection of a job to its relay. */
function dial(from = JOB): Socket {
  const socket = connect({ host: GATEWAY, port, localAddress: from });
  sockets.push(socket);
  return socket.on("error", () => undefined);
}

/** What comes back of a word: the word, or "closed". */
function echoed(socket: Socket): Promise<string> {
  socket.write("hello");
  return new Promise((resolve) => {
    socket.once("data", (data) => resolve(data.toString()));
    socket.once("close", () => resolve("closed"));
  });
}

describe("a relay", () => {
  it("leads the job it was opened for to its target, and nobody else, until it is closed", async () => {
    const close = await relays.open(GATEWAY, JOB, [target()]);
    const held = dial();
    expect(await echoed(held)).toBe("hello");
    expect(await echoed(dial(OTHER_JOB))).toBe("closed");
    const ended = new Promise((resolve) => held.once("close", resolve));
    close();
    await ended;
    expect(await echoed(dial())).toBe("closed");
  });

  it("is shared by those who want it while it is not listening yet, and lives as long as one of them", async () => {
    const [one, other] = await Promise.all([
      relays.open(GATEWAY, JOB, [target()]),
      relays.open(GATEWAY, OTHER_JOB, [target()]),
    ]);
    one();
    expect(await echoed(dial())).toBe("closed");
    expect(await echoed(dial(OTHER_JOB))).toBe("hello");
    one();
    expect(await echoed(dial(OTHER_JOB))).toBe("hello");
    other();
    expect(await echoed(dial(OTHER_JOB))).toBe("closed");
  });

  it("passes no more connections at once than are of use to a backup", async () => {
    await relays.open(GATEWAY, JOB, [target()]);
    const answers = await Promise.all(Array.from({ length: 40 }, () => echoed(dial())));
    expect(answers.filter((answer) => answer === "hello")).toHaveLength(32);
    expect(answers.filter((answer) => answer === "closed")).toHaveLength(8);
  });

  it("cannot be had for another target at the same port while the first is in use", async () => {
    const close = await relays.open(GATEWAY, JOB, [target()]);
    const another = { address: "127.0.78.10", port };
    const taken = { reason: "RelayTaken", message: expect.stringContaining(`leads to ${ELSEWHERE} already`) };
    await expect(relays.open(GATEWAY, OTHER_JOB, [another])).rejects.toMatchObject(taken);
    close();
    await relays.open(GATEWAY, OTHER_JOB, [another]);
  });

  it("says in the log why its target cannot be reached", async () => {
    await relays.open(GATEWAY, JOB, [target()]);
    server.close();
    expect(await echoed(dial())).toBe("closed");
    expect(warnings).toEqual([{ target: `${ELSEWHERE}:${port}`, error: expect.stringContaining("ECONNREFUSED") }]);
  });

  it("that is closed before it listens never listens", async () => {
    const opening = relays.open(GATEWAY, JOB, [target()]);
    relays.close();
    await expect(opening).rejects.toMatchObject({ reason: "RelayFailed" });
    expect(await echoed(dial())).toBe("closed");
  });
});

describe("a relay that cannot take its port", () => {
  it("tells all who waited for it that a program of the host listens there on every address, and what to do", async () => {
    const everywhere = createServer();
    const taken = { address: ELSEWHERE, port: await listening(everywhere, "0.0.0.0") };
    const failed = {
      reason: "RelayFailed",
      message: expect.stringMatching(
        new RegExp(`${ELSEWHERE}:${taken.port}.*at port ${taken.port} on every address.*ListenAddress.*another port`),
      ),
      cause: expect.objectContaining({ code: "EADDRINUSE" }),
    };
    const both = await Promise.allSettled([
      relays.open(GATEWAY, JOB, [taken]),
      relays.open(GATEWAY, OTHER_JOB, [taken]),
    ]);
    for (const result of both) expect(result).toMatchObject({ status: "rejected", reason: failed });
    await new Promise((resolve) => everywhere.close(resolve));
    // Nothing of the failure is kept.
    await relays.open(GATEWAY, JOB, [taken]);
  });

  it("tells a program at that one address from one on every address", async () => {
    const single = createServer();
    const taken = { address: ELSEWHERE, port: await listening(single, GATEWAY) };
    await expect(relays.open(GATEWAY, JOB, [taken])).rejects.toThrow(`another program listens at ${GATEWAY}:`);
    single.close();
  });

  it("gives back what it had opened before", async () => {
    const single = createServer();
    const taken = { address: ELSEWHERE, port: await listening(single, GATEWAY) };
    await expect(relays.open(GATEWAY, JOB, [target(), taken])).rejects.toMatchObject({ reason: "RelayFailed" });
    expect(await echoed(dial())).toBe("closed");
    single.close();
  });

  it("says that the address is gone when the school's network is", async () => {
    await expect(relays.open("203.0.113.77", JOB, [target()])).rejects.toThrow("has lost its address 203.0.113.77");
  });
});

describe("the kernel's table of listeners", () => {
  it("is read for both families; a listener at one address, or a mere connection, is none on every address", () => {
    const directory = mkdtempSync(join(tmpdir(), "cm-net-"));
    const head = "  sl  local_address rem_address   st\n";
    const everywhere6 = `${"0".repeat(32)}:0016 ${"0".repeat(32)}:0000 0A\n`;
    writeFileSync(
      join(directory, "tcp"),
      `${head}   0: 0100007F:0017 00000000:0000 0A\n   1: 00000000:0018 00000000:0000 01\n`,
    );
    writeFileSync(join(directory, "tcp6"), `${head}   0: ${everywhere6}`);
    expect([22, 23, 24].map((each) => listensEverywhere(each, directory))).toEqual([true, false, false]);
    rmSync(directory, { recursive: true });
    expect(listensEverywhere(22, directory)).toBe(false);
  });
});
