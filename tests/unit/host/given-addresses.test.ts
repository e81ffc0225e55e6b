import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { forgetGivenAddresses } from "../../../control-plane/host/podman.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), "cmipam-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** Whether the file is kept on a host with these processes. */
async function kept(...processes: readonly string[]): Promise<boolean> {
  const file = path.join(directory, "ipam.db");
  writeFileSync(file, "");
  processes.forEach((name, index) => {
    mkdirSync(path.join(directory, "proc", String(index + 2)), { recursive: true });
    writeFileSync(path.join(directory, "proc", String(index + 2), "comm"), `${name}\n`);
  });
  mkdirSync(path.join(directory, "proc", "net"), { recursive: true });
  await forgetGivenAddresses(file, path.join(directory, "proc"));
  return existsSync(file);
}

describe("addresses that Podman gave away", () => {
  it("are forgotten while no container runs on the host, so that none is held for one that is gone", async () => {
    expect(await kept("node", "podman")).toBe(false);
  });

  it("are kept while one runs, whoever's it is", async () => {
    expect(await kept("node", "conmon")).toBe(true);
  });

  it("may be none", async () => {
    await kept("node");
    await expect(forgetGivenAddresses(path.join(directory, "nothing"), path.join(directory, "proc"))).resolves.toBe(
      undefined,
    );
  });
});
