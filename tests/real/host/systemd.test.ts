import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createInstance } from "../../../control-plane/host/instance.ts";
import { unitName, unitText } from "../../../control-plane/host/systemd.ts";

const run = promisify(execFile);
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "classmind-unit-"));
});
afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

async function verify(text: string): Promise<string> {
  const file = path.join(directory, unitName(createInstance()));
  await writeFile(file, text);
  const { stdout, stderr } = await run("systemd-analyze", ["verify", "--man=no", file]).catch((error: unknown) => {
    if (error instanceof Error && "stderr" in error) return { stdout: "", stderr: String(error.stderr) };
    throw error;
  });
  // Other units of the host are read too and may have faults of their own.
  return `${stdout}${stderr}`
    .split("\n")
    .filter((line) => line.includes("classmind"))
    .join("\n");
}

describe("the platform's unit", () => {
  it("has no fault that systemd's own check finds, in whatever directory the project lies", async () => {
    const program = {
      node: process.execPath,
      supervisor: path.join(import.meta.dirname, "../../../control-plane/host/supervisor-main.ts"),
      path: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    };
    expect(await verify(unitText(createInstance(), program))).toBe("");
    const odd = { ...program, supervisor: '/opt/a "b" 100% $HOME/supervisor-main.ts' };
    expect(await verify(unitText(createInstance("cmunit"), odd))).toBe("");
  });

  it("would be told on if it had one: the check sees faults", async () => {
    const text = unitText(createInstance(), { node: "/nowhere/node", supervisor: "/x", path: "/bin" });
    expect(await verify(text)).toContain("/nowhere/node");
    expect(await verify(text.replace("KillMode=process", "KillMode=nonsense"))).toMatch(/kill mode/i);
  });
});
