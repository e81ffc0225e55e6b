import { rm } from "node:fs/promises";
import { join } from "node:path";
import { podmanEnvironment, podmanFlags } from "../../control-plane/host/podman.ts";
import { unmountBelow } from "../../control-plane/host/remove.ts";
import type { BenchPlatform } from "./platform.ts";
import { run } from "./programs.ts";

/** What the platform is compared with: containers of the same images in the same Podman, made by hand. */

/** The bare script, to its end and away again. Yields the milliseconds until the login page was there. */
export async function bareSchool(platform: BenchPlatform, encrypted: boolean, signal: AbortSignal): Promise<number> {
  const { instance, images } = platform;
  const name = `${instance.name}-bare`;
  const directory = join(instance.stateDir, "bare");
  const flags = podmanFlags(instance);
  const environment = {
    ...podmanEnvironment(instance),
    PODMAN: ["podman", ...flags].join("\n"),
    LABEL: `classmind.instance=${instance.name}`,
    ENCRYPTED: encrypted ? "yes" : "no",
  };
  try {
    const script = join(import.meta.dirname, "bare-school.sh");
    const args = [script, name, directory, "1", images.postgres, images.app];
    const { milliseconds } = await run("/bin/bash", args, { environment, signal });
    return milliseconds;
  } finally {
    await podman(platform, "rm", "--force", "--ignore", "--time", "0", `${name}-db`, `${name}-app`);
    await podman(platform, "network", "rm", "--force", name);
    await unmountBelow([directory]);
    await rm(directory, { recursive: true, force: true });
  }
}

async function podman(platform: BenchPlatform, ...args: readonly string[]): Promise<void> {
  await run("podman", [...podmanFlags(platform.instance), ...args], {
    environment: podmanEnvironment(platform.instance),
  });
}

const HTTP_SERVER = 'require("node:http").createServer((request, response) => response.end("Guten Tag")).listen(8080)';

/**
 * Containers with nothing but a PostgreSQL as initdb and Debian leave it (128 MB shared_buffers) and a Node that answers HTTP,
 * each `count` times. Without a network: for memory that makes no difference.
 */
export async function startBarePairs(platform: BenchPlatform, count: number): Promise<void> {
  const { instance, images } = platform;
  const common = [
    "run",
    "--detach",
    "--network=none",
    "--user=10001:10001",
    "--ulimit=nofile=4096:4096",
    "--ulimit=nproc=1024:1024",
    `--label=classmind.instance=${instance.name}`,
  ];
  const server = "initdb --pgdata=/tmp/pg --username=postgres >/dev/null && exec postgres -D /tmp/pg -k /tmp";
  for (let number = 1; number <= count; number += 1) {
    const name = `${instance.name}-bare-${number}`;
    await podman(platform, ...common, `--name=${name}-db`, "--entrypoint=/bin/bash", images.postgres, "-euc", server);
    await podman(platform, ...common, `--name=${name}-app`, "--entrypoint=node", images.app, "-e", HTTP_SERVER);
  }
}

export async function removeBarePairs(platform: BenchPlatform): Promise<void> {
  await podman(platform, "rm", "--all", "--force", "--time=0", `--filter=name=${platform.instance.name}-bare-`);
}
