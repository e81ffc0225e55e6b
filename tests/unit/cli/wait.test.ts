import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type RequestListener, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createClient } from "../../../cli/client.ts";
import { CliError } from "../../../cli/errors.ts";
import type { Terminal } from "../../../cli/output.ts";
import type { Operation } from "../../../cli/types.ts";
import { stepPrinter, waitForOperation, waitForTenant } from "../../../cli/wait.ts";

/** A command that waits while the platform starts again: its socket goes, its connections are cut, and both come back. */

let directory: string;
let socket: string;
let server: Server | undefined;
let said: string;
const terminal: Terminal = {
  out: () => undefined,
  err: (text) => {
    said += text;
  },
  interactive: false,
  color: false,
  width: 120,
  ask: async () => undefined,
};
const PATIENCE = { pause: 10, most: 20_000 };
const STARTED = { id: "1", slug: "goethe", kind: "Backup", state: "Running", progress: {} } as unknown as Operation;
const client = () => createClient({ server: `unix://${socket}`, token: "t" });

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "classmind-line-"));
  socket = join(directory, "api.sock");
  said = "";
});
afterEach(async () => {
  await stop();
  rmSync(directory, { recursive: true, force: true });
});

async function start(answer: RequestListener): Promise<void> {
  server = createServer(answer);
  await new Promise<void>((resolve) => server?.listen(socket, resolve));
}

/** As the API ends: no more listening, connections cut in the middle of what they said. */
async function stop(): Promise<void> {
  const running = server;
  server = undefined;
  if (running === undefined) return;
  running.closeAllConnections();
  await new Promise((resolve) => running.close(resolve));
  rmSync(socket, { force: true });
}

const isStream = (url = "") => url.startsWith("/v1/events");
const stream = (response: ServerResponse) => {
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.write("event: resync\ndata: {}\n\n");
};
const whileAway = async () => {
  await stop();
  // Longer than a few tries.
  await new Promise((resolve) => setTimeout(resolve, 100));
};

describe("a command that waits while the platform starts again", () => {
  it("connects again, says so, and ends as the work does", async () => {
    let asked = 0;
    await start((request, response) => {
      if (isStream(request.url)) return stream(response);
      asked += 1;
      response.end(JSON.stringify(STARTED));
    });
    const waiting = waitForOperation(client(), terminal, STARTED, 60_000, PATIENCE);
    await expect.poll(() => asked).toBe(1);
    await whileAway();
    await start((request, response) => {
      if (isStream(request.url)) return stream(response);
      response.end(JSON.stringify({ ...STARTED, state: "Succeeded" }));
    });
    expect(await waiting).toMatchObject({ state: "Succeeded" });
    expect(said).toMatch(/wait The control plane at .* It is tried again for 20 s; the work goes on without us\./);
    expect(said).toMatch(/ok {3}The control plane answers again/);
    expect(said.match(/wait/g)).toHaveLength(1);
  });

  it("bears an answer that breaks off in the middle, and one that the database's absence makes a 503", async () => {
    let asked = 0;
    await start((request, response) => {
      if (isStream(request.url)) return stream(response);
      asked += 1;
      if (asked === 1) {
        response.writeHead(200, { "content-length": "1000" });
        response.write('{"id": "1", "slu');
        setTimeout(() => response.destroy(), 20);
      } else if (asked === 2) {
        response.writeHead(503).end(JSON.stringify({ error: { code: "Unavailable", message: "No database." } }));
      } else response.end(JSON.stringify({ ...STARTED, state: "Succeeded" }));
    });
    expect(await waitForOperation(client(), terminal, STARTED, 60_000, PATIENCE)).toMatchObject({ state: "Succeeded" });
    expect(asked).toBe(3);
    expect(said).toContain("broke off its answer");
  });

  it("waits for a school in the same way", async () => {
    await start((request, response) => {
      if (isStream(request.url)) return stream(response);
      response.destroy();
    });
    const waiting = waitForTenant(
      client(),
      terminal,
      "goethe",
      (tenant) => tenant?.phase === "Ready",
      60_000,
      PATIENCE,
    );
    await whileAway();
    const ready = { slug: "goethe", phase: "Ready", conditions: [], progress: [] };
    await start((request, response) =>
      isStream(request.url) ? stream(response) : void response.end(JSON.stringify(ready)),
    );
    expect(await waiting).toMatchObject({ phase: "Ready" });
  });

  it("gives up when the platform stays away for too long, and says what to look at", async () => {
    const failed = waitForOperation(client(), terminal, STARTED, 60_000, { pause: 10, most: 200 });
    await expect(failed).rejects.toMatchObject({ exitCode: 6, remedy: expect.stringContaining("classmind status") });
  });

  it("is ended at once by what a platform that is there refuses", async () => {
    await start((request, response) => {
      if (isStream(request.url)) return stream(response);
      response.writeHead(404).end(JSON.stringify({ error: { code: "NotFound", message: "No such operation." } }));
    });
    const failed = waitForOperation(client(), terminal, STARTED, 60_000, PATIENCE);
    await expect(failed).rejects.toMatchObject({ exitCode: 4, message: "No such operation." });
    expect(said).toBe("");
  });

  it("is no fault of the program when the answer to a single question breaks off", async () => {
    await start((_request, response) => {
      response.writeHead(200, { "content-length": "1000" });
      response.write("{");
      setTimeout(() => response.destroy(), 20);
    });
    const failed = client().get("/v1/platform");
    await expect(failed).rejects.toBeInstanceOf(CliError);
    await expect(failed).rejects.toMatchObject({ exitCode: 6 });
  });
});

describe("the steps of an attempt", () => {
  it("are printed once each when they end, and what holds one up as soon as it is known", () => {
    const lines: string[] = [];
    const print = stepPrinter({ ...terminal, err: (text) => void lines.push(text) });
    const step = { name: "remove-namespace", startedAt: "2026-11-27T03:00:00.000Z" } as const;
    const held = { ...step, state: "Running", message: "the namespace is not gone yet: example.org/hold" } as const;
    print([{ ...step, state: "Running" }]);
    expect(lines).toEqual([]);
    print([held]);
    print([held]);
    print([{ ...step, state: "Done", milliseconds: 1_200 }]);
    print([{ ...step, state: "Done", milliseconds: 1_200 }]);
    expect(lines.map((line) => line.trim().replace(/ +/g, " "))).toEqual([
      "wait remove-namespace: the namespace is not gone yet: example.org/hold",
      "ok remove-namespace 1.2 s",
    ]);
  });
});
