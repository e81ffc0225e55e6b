import { chmodSync, chownSync, mkdirSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import type Docker from "dockerode";
import type { ImageReferences } from "../images/build.ts";
import { CONTAINER_UID } from "../images/recipes.ts";
import { LISTENER_UID } from "../listener/places.ts";
import { statusOf } from "./docker-errors.ts";
import type { Instance } from "./instance.ts";
import { layoutOf } from "./layout.ts";
import { openToOperators } from "./operator-group.ts";
import { processLimits } from "./process-limits.ts";
import { API_MOUNTS, DATABASE_ROLES } from "./settings.ts";

/** The platform's own containers on one machine: its database and the API. Neither has a network; they meet through sockets. */

const PULSE_MS = 50;

const LIMITS = processLimits();

const HARDENED = {
  NetworkMode: "none",
  ReadonlyRootfs: true,
  CapDrop: ["ALL"],
  SecurityOpt: ["no-new-privileges"],
  PidsLimit: 256,
  // Podman's defaults need CAP_SYS_RESOURCE, which not every host has.
  Ulimits: [
    { Name: "nofile", Soft: 4096, Hard: 4096 },
    // The kernel counts processes per user over all containers, the schools' included: as high as theirs.
    { Name: "nproc", Soft: LIMITS.processes, Hard: LIMITS.processes },
  ],
} as const;

/** A directory that a container's user has, whatever the umask. */
export function ownDirectory(directory: string, mode: number, uid = CONTAINER_UID, gid = uid): void {
  mkdirSync(directory, { recursive: true, mode });
  chmodSync(directory, mode);
  chownSync(directory, uid, gid);
}

function databaseSpec(instance: Instance, images: ImageReferences): Docker.ContainerCreateOptions {
  const layout = layoutOf(instance);
  return {
    name: `${instance.name}-platform-database`,
    Image: images.postgres,
    User: `${CONTAINER_UID}:${CONTAINER_UID}`,
    Cmd: ["/usr/local/lib/classmind/postgres-start", "-c", "max_connections=200"],
    Env: ["PGDATA=/var/lib/classmind/db/pgdata", "CLASSMIND_ROLE=platform", "CLASSMIND_SHARED_BUFFERS=64MB"],
    Labels: { "classmind.instance": instance.name, "classmind.part": "platform" },
    HostConfig: {
      ...HARDENED,
      CapDrop: [...HARDENED.CapDrop],
      SecurityOpt: [...HARDENED.SecurityOpt],
      Ulimits: [...HARDENED.Ulimits],
      Binds: [
        `${layout.databaseDir}:/var/lib/classmind/db`,
        `${layout.databaseSocketDir}:/run/postgresql`,
        ...DATABASE_ROLES.map((role) => `${join(layout.secretsDir, role)}:/run/secrets/platform/${role}:ro`),
      ],
      Tmpfs: { "/tmp": "size=64m,mode=1777" },
      Memory: 1024 ** 3,
      ShmSize: 128 * 1024 ** 2,
    },
  };
}

function apiSpec(instance: Instance, images: ImageReferences, relayed: boolean): Docker.ContainerCreateOptions {
  const layout = layoutOf(instance);
  return {
    name: `${instance.name}-platform-api`,
    Image: images.controlPlane,
    User: `${CONTAINER_UID}:${CONTAINER_UID}`,
    Cmd: ["node", "/app/main.mjs"],
    Env: [`CLASSMIND_CONFIG=${API_MOUNTS.config}`, "NODE_ENV=production"],
    Labels: { "classmind.instance": instance.name, "classmind.part": "platform" },
    HostConfig: {
      ...HARDENED,
      CapDrop: [...HARDENED.CapDrop],
      SecurityOpt: [...HARDENED.SecurityOpt],
      Ulimits: [...HARDENED.Ulimits],
      Binds: [
        `${layout.apiConfigFile}:${API_MOUNTS.config}:ro`,
        `${join(layout.secretsDir, "controlplane_api")}:${API_MOUNTS.password}:ro`,
        `${layout.databaseSocketDir}:${API_MOUNTS.database}`,
        `${layout.apiSocketDir}:${API_MOUNTS.sockets}`,
        ...(relayed ? [`${layout.apiRelayDir}:${API_MOUNTS.relay}`] : []),
      ],
      Tmpfs: { "/tmp": "size=16m,mode=1777" },
      Memory: 512 * 1024 ** 2,
    },
  };
}

/** Removes a container of this name, if there is one, and makes it anew; returns when it has started. */
async function restart(docker: Docker, spec: Docker.ContainerCreateOptions): Promise<Docker.Container> {
  if (spec.name === undefined) throw new Error("a platform container needs a name");
  await removeContainer(docker, spec.name, 30);
  const container = await docker.createContainer(spec);
  await container.start();
  return container;
}

/**
 * Stops and removes a container; an absent one is fine.
 * @param graceSeconds what it gets to end well
 */
export async function removeContainer(docker: Docker, name: string, graceSeconds: number): Promise<void> {
  const container = docker.getContainer(name);
  try {
    const state = await container.inspect();
    if (state.State.Running) await container.stop({ t: graceSeconds });
    await container.remove({ force: true });
  } catch (error) {
    if (statusOf(error) !== 404) throw error;
  }
}

/** Whether something accepts connections on a Unix socket. */
export function accepts(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/**
 * Waits until a condition holds.
 * @param deadline milliseconds
 * @throws Error naming what was waited for, with the words of `explain`
 */
export async function until(
  what: string,
  check: () => Promise<boolean>,
  deadline: number,
  explain: () => Promise<string>,
): Promise<void> {
  const end = Date.now() + deadline;
  while (!(await check())) {
    if (Date.now() > end) throw new Error(`${what} did not come up within ${deadline / 1000} s: ${await explain()}`);
    await new Promise((resolve) => setTimeout(resolve, PULSE_MS));
  }
}

async function lastWords(container: Docker.Container): Promise<string> {
  const words = await container.logs({ stdout: true, stderr: true, tail: 15 }).catch(() => Buffer.from(""));
  return words.toString("utf8").replace(/[^\x20-\x7e\n]/g, "");
}

/** Starts the platform's database and waits until it accepts connections. */
export async function startDatabase(
  docker: Docker,
  instance: Instance,
  images: ImageReferences,
): Promise<Docker.Container> {
  const layout = layoutOf(instance);
  ownDirectory(layout.databaseDir, 0o700);
  ownDirectory(layout.databaseSocketDir, 0o700);
  const container = await restart(docker, databaseSpec(instance, images));
  await until(
    "the platform's database",
    () => accepts(join(layout.databaseSocketDir, ".s.PGSQL.5432")),
    60_000,
    () => lastWords(container),
  );
  return container;
}

/**
 * Starts the API and waits until it accepts connections.
 * @param relayed whether it answers, on a socket of their own, requests that a listener hands on
 */
export async function startApi(
  docker: Docker,
  instance: Instance,
  images: ImageReferences,
  relayed: boolean,
): Promise<Docker.Container> {
  const layout = layoutOf(instance);
  await openToOperators(instance);
  if (relayed) {
    // The listener's group passes, and nobody else: who opens that socket is believed about where requests come from.
    ownDirectory(layout.apiRelayDir, 0o710, CONTAINER_UID, LISTENER_UID);
  }
  const container = await restart(docker, apiSpec(instance, images, relayed));
  await until(
    "the API",
    () => accepts(layout.apiSocket),
    30_000,
    () => lastWords(container),
  );
  return container;
}
