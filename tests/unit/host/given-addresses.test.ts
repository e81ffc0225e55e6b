import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { forgetGivenAddresses } from "../../../control-plane/host/podman.ts";

let directory: string;
let processes: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), "cmipam-"));
  processes = path.join(directory, "proc");
  mkdirSync(path.join(processes, "net"), { recursive: true });
  running(1, "init", { network: "net:[1]" });
  symlinkSync(path.join(processes, "1"), path.join(processes, "self"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

interface Seen {
  readonly network?: string;
  readonly devices?: readonly string[];
  readonly children?: readonly number[];
}

/** A process as the kernel shows it. */
function running(pid: number, name: string, { network = "net:[1]", devices = ["lo"], children = [] }: Seen = {}): void {
  const at = path.join(processes, String(pid));
  for (const each of ["ns", "net", `task/${pid}`]) mkdirSync(path.join(at, each), { recursive: true });
  writeFileSync(path.join(at, "comm"), `${name}\n`);
  symlinkSync(network, path.join(at, "ns", "net"));
  writeFileSync(path.join(at, "net", "dev"), `Inter-|\n face |\n${devices.map((each) => `  ${each}: 0 0\n`).join("")}`);
  writeFileSync(path.join(at, "task", String(pid), "children"), children.map((each) => `${each} `).join(""));
}

async function kept(): Promise<boolean> {
  const file = path.join(directory, "ipam.db");
  writeFileSync(file, "");
  await forgetGivenAddresses(file, processes);
  return existsSync(file);
}

describe("addresses that Podman gave away", () => {
  it("are forgotten while no container runs on the host, so that none is held for one that is gone", async () => {
    running(2, "node");
    running(3, "podman");
    expect(await kept()).toBe(false);
  });

  it("are kept while a container has one, whoever's it is", async () => {
    running(2, "conmon", { children: [3] });
    running(3, "postgres", { network: "net:[2]", devices: ["lo", "eth0"] });
    expect(await kept()).toBe(true);
  });

  it("are forgotten although containers run that have none: without a network, or with the host's", async () => {
    running(2, "conmon", { children: [3] });
    running(3, "postgres", { network: "net:[2]" });
    running(4, "conmon", { children: [5] });
    running(5, "haproxy", { devices: ["lo", "eth0"] });
    expect(await kept()).toBe(false);
  });

  it("are kept while one is about to start", async () => {
    running(2, "conmon");
    expect(await kept()).toBe(true);
  });

  it("may be none", async () => {
    await expect(forgetGivenAddresses(path.join(directory, "nothing"), processes)).resolves.toBe(undefined);
  });
});
