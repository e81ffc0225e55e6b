import { execFile } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import path from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { tryTcp } from "../../../control-plane/verify/attempts.ts";

/** Nothing of this process is done meanwhile, as on a machine that has too much to do. */
function busy(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

const target = { kind: "control-plane", label: "something", host: "127.0.0.1", port: 0 } as const;

describe("an attempt to reach something, on a machine that was busy longer than the attempt may take", () => {
  it("tells what was reached, though the time was over when it was looked at", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    try {
      const attempt = tryTcp({ ...target, port: address.port, protocol: "tcp" });
      busy(1_700);
      expect(await attempt).toBe("reached");
    } finally {
      server.close();
    }
  });

  it("does not take a socket that is not there for one that does not answer, from its program's first moment on", async () => {
    const attempts = path.join(import.meta.dirname, "../../../control-plane/verify/attempts.ts");
    const program = `
      import { tryUnix } from ${JSON.stringify(attempts)};
      const attempt = tryUnix(${JSON.stringify({ ...target, host: "/nowhere/api.sock", protocol: "unix" })});
      (${busy.toString()})(1_700);
      process.stdout.write(await attempt);`;
    const words = ["--disable-warning=ExperimentalWarning", "--input-type=module", "--eval", program];
    expect((await promisify(execFile)(process.execPath, words)).stdout).toBe("blocked");
  });
});
