import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import Dockerode from "dockerode";
import { beforeAll, describe, expect, it } from "vitest";
import { bridgeName, engineSocket, firewallTable } from "../../../control-plane/host/instance.ts";
import { openPlatform, type RealPlatform } from "../../fixtures/real-platform.ts";
import { createSchool } from "../../fixtures/school-in-use.ts";

/** `classmind verify isolation` on real containers, and holes that a test makes for it to find. */

const execute = promisify(execFile);
let platform: RealPlatform;

interface Verified {
  readonly tried: number;
  readonly byKind: Readonly<Record<string, number>>;
  readonly holes: ReadonlyArray<{ readonly kind: string; readonly label: string; readonly host: string }>;
}

beforeAll(async () => {
  platform = await openPlatform();
  await createSchool(platform, "mauer");
  await createSchool(platform, "nebenan");
}, 600_000);

const nft = async (...words: readonly string[]): Promise<string> => (await execute("nft", [...words])).stdout;

async function verify(): Promise<{ readonly code: number; readonly result: Verified; readonly stderr: string }> {
  const { code, stdout, stderr } = await platform.classmind("verify", "isolation", "mauer", "-o", "json");
  return { code, result: JSON.parse(stdout) as Verified, stderr };
}

/** The container of a school's app. */
async function appOf(slug: string): Promise<Dockerode.Container> {
  const docker = new Dockerode({ socketPath: engineSocket(platform.instance) });
  const label = [`classmind.namespace=school-${slug}`, "classmind.workload=Deployment/app"];
  const [found] = await docker.listContainers({ filters: JSON.stringify({ label }) });
  if (found === undefined) throw new Error(`${slug} has no app`);
  return docker.getContainer(found.Id);
}

/** The first rule of the instance's firewall: what comes from the school's bridge may reach the host. */
async function openHost(): Promise<void> {
  const { instance } = platform;
  const bridge = bridgeName(instance, "school-mauer");
  await nft("insert", "rule", "inet", firewallTable(instance), "input", "iifname", bridge, "accept");
}

/** Holds up what tells the engine of changes to the firewall: it would close a hole before anything could go through. */
async function deafen(): Promise<() => void> {
  const { stdout } = await execute("pgrep", ["--full", "^nft monitor$"]);
  const ours: number[] = [];
  for (const pid of stdout.trim().split("\n").map(Number)) {
    const parent = /^PPid:\t(\d+)$/m.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1];
    const command = await readFile(`/proc/${parent}/cmdline`, "utf8");
    if (command.includes(`/${platform.instance.name}/`)) ours.push(pid);
  }
  expect(ours.length).toBeGreaterThan(0);
  for (const pid of ours) process.kill(pid, "SIGSTOP");
  return () => {
    for (const pid of ours) process.kill(pid, "SIGCONT");
  };
}

describe("verify isolation", () => {
  it("tries neighbours, the host's ports, the metadata address, the Internet, outside names and the kernel's dangerous calls, and finds all refused", async () => {
    const { code, result } = await verify();
    expect(result.holes).toEqual([]);
    expect(code).toBe(0);
    for (const kind of ["neighbour", "host-port", "control-plane", "metadata", "internet", "outside-name", "kernel"])
      expect(result.byKind[kind], kind).toBeGreaterThan(0);
    const said = await platform.classmind("verify", "isolation", "mauer");
    expect(said.stdout).toContain("mauer reached none of them.");
  });

  it("names a rule that someone put into the firewall, ends with code 7, and has put it right", async () => {
    await openHost();
    const { code, result, stderr } = await verify();
    expect(code).toBe(7);
    expect(result.holes).toContainEqual(expect.objectContaining({ kind: "firewall" }));
    expect(stderr).toContain("mauer is not isolated");
    expect((await verify()).code).toBe(0);
  });

  it("names each port of the host that the school reaches while someone keeps the firewall open", async () => {
    const { instance } = platform;
    const bridge = bridgeName(instance, "school-mauer");
    const hearing = await deafen();
    let stop = false;
    const keepOpen = (async () => {
      while (!stop) {
        const rules = await nft("list", "chain", "inet", firewallTable(instance), "input");
        if (!rules.includes(`"${bridge}" accept`)) await openHost();
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })();
    try {
      const { code, result } = await verify();
      expect(code).toBe(7);
      const ports = result.holes.filter((hole) => hole.kind === "host-port");
      expect(ports.length).toBeGreaterThan(0);
      expect(ports[0]?.label).toMatch(/^port \d+ of this host$/);
      const said = await platform.classmind("verify", "isolation", "mauer");
      expect(said.code).toBe(7);
      expect(said.stdout).toMatch(
        /HOLE {2}port \d+ of this host \(10\.\d+\.\d+\.\d+:\d+, (reached|refused-by-target)\)/,
      );
    } finally {
      stop = true;
      await keepOpen;
      hearing();
    }
    // The first to look after that puts the rules right and says that it had to.
    await verify();
    expect((await verify()).code).toBe(0);
  });

  it("names a container of the school that is connected to a neighbour's network", async () => {
    const { instance } = platform;
    const docker = new Dockerode({ socketPath: engineSocket(instance) });
    const app = await appOf("mauer");
    const network = docker.getNetwork(`${instance.name}-school-nebenan`);
    await network.connect({ Container: app.id });
    try {
      const { code, result } = await verify();
      expect(code).toBe(7);
      expect(result.holes).toContainEqual(
        expect.objectContaining({ kind: "network", label: expect.stringContaining(`${instance.name}-school-nebenan`) }),
      );
    } finally {
      await network.disconnect({ Container: app.id, Force: true });
    }
    expect((await verify()).code).toBe(0);
  });

  it("names an interface that someone put into a container behind the engine's back", async () => {
    const { State } = await (await appOf("mauer")).inspect();
    const veth = "cmhole0";
    await execute("ip", ["link", "add", veth, "type", "veth", "peer", "name", "eth9", "netns", String(State.Pid)]);
    try {
      const { code, result } = await verify();
      expect(code).toBe(7);
      expect(result.holes).toContainEqual(
        expect.objectContaining({ kind: "network", label: expect.stringContaining("2 network interfaces") }),
      );
    } finally {
      await execute("ip", ["link", "delete", veth]);
    }
    expect((await verify()).code).toBe(0);
  });
});
