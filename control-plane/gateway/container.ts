import { createHash, randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { createConnection } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import type Docker from "dockerode";
import { ClassmindError, messageOf } from "../errors.ts";
import { containerEnd } from "../host/container-end.ts";
import { statusOf } from "../host/docker-errors.ts";
import { processLimits } from "../host/process-limits.ts";
import { connectionsOutOf, GENERATION_VARIABLE, limitsFor, renderConfig, revisionOf } from "./config.ts";
import { writeConfig } from "./config-files.ts";
import { mendFiles } from "./files.ts";
import { CONFIG_MOUNT, gatewayPaths, PATHS_INSIDE, RUN_MOUNT } from "./paths.ts";
import type { GatewayPorts } from "./ports.ts";
import { reload, runningProcess } from "./runtime.ts";

/** User and group of HAProxy's workers: the only ones on the host that the schools' firewall lets in. */
export const GATEWAY_UID = 10_002;
export const GATEWAY_GID = 10_002;

const SPEC_LABEL = "classmind.de/gateway-spec";
/** Name of the gateway that a container is a generation of. */
const GATEWAY_LABEL = "classmind.de/gateway";
const START_DEADLINE = 15_000;
/** Listeners, sockets of both generations during a reload, and epoll. */
const RESERVED_FILES = 256;

export interface GatewayOptions extends GatewayPorts {
  readonly docker: Docker;
  /** Image reference with HAProxy 3.0 at /usr/sbin/haproxy. */
  readonly image: string;
  /** What its containers are called, each with a word of its own behind; carries the instance's name. */
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly configDir: string;
  /** On a tmpfs: private keys lie here. */
  readonly runDir: string;
  /** Addresses to listen on. */
  readonly addresses: readonly string[];
  readonly publicHttpsPort?: number;
  /** Open files, within the host's hard limit; two for each connection. As many as serve the purpose if absent. */
  readonly openFiles?: number;
  readonly memoryBytes?: number;
}

/**
 * The gateway's container, whichever generation it is. The master keeps root to read keys and to bind low ports, but no
 * capability beyond those it needs for that, for becoming somebody else in its workers, and for signalling them; only workers
 * meet the network.
 */
export function gatewayContainer(options: GatewayOptions): Docker.ContainerCreateOptions {
  const openFiles = options.openFiles ?? defaultOpenFiles();
  const spec: Docker.ContainerCreateOptions = {
    Image: options.image,
    Entrypoint: ["/usr/sbin/haproxy"],
    Cmd: ["-W", "-db", "-S", `${PATHS_INSIDE.masterSocket},mode,600`, "-f", PATHS_INSIDE.config],
    User: "0:0",
    WorkingDir: "/",
    StopSignal: "SIGTERM",
    HostConfig: {
      NetworkMode: "host",
      ReadonlyRootfs: true,
      CapDrop: ["ALL"],
      CapAdd: ["NET_BIND_SERVICE", "SETUID", "SETGID", "KILL"],
      SecurityOpt: ["no-new-privileges"],
      Binds: [`${options.configDir}:${CONFIG_MOUNT}:ro`, `${options.runDir}:${RUN_MOUNT}:rw`],
      Memory: options.memoryBytes ?? 1024 ** 3,
      PidsLimit: 512,
      // Podman's defaults need CAP_SYS_RESOURCE, which not every host has.
      Ulimits: [
        { Name: "nofile", Soft: openFiles, Hard: openFiles },
        { Name: "nproc", Soft: 1024, Hard: 1024 },
      ],
      RestartPolicy: { Name: "no" },
    },
  };
  // Ports are part of it: those that the next generation has no use for are not handed on, and it must not answer too early.
  const made = { spec, ports: [options.addresses, options.httpPort, options.httpsPort] };
  const hash = createHash("sha256").update(JSON.stringify(made)).digest("hex");
  return { ...spec, Labels: { ...options.labels, [SPEC_LABEL]: hash, [GATEWAY_LABEL]: options.name } };
}

/** One generation of it: another process than the one before, even where nothing differs. */
interface Generation {
  readonly name: string;
  readonly spec: Docker.ContainerCreateOptions;
}

/** @param takesOver whether a gateway runs whose listening sockets it takes, so that no connection is refused meanwhile */
function nextGeneration(options: GatewayOptions, takesOver: boolean): Generation {
  const base = gatewayContainer(options);
  const name = `${options.name}-${randomBytes(4).toString("hex")}`;
  const taken = takesOver ? ["-x", PATHS_INSIDE.adminSocket] : [];
  return {
    name,
    spec: { ...base, name, Cmd: [...(base.Cmd ?? []), ...taken], Env: [`${GENERATION_VARIABLE}=${name}`] },
  };
}

/** A school of 1,200 behind one address needs some 2,000 connections, a quarter of what 20,000 files give. */
const defaultOpenFiles = (): number => processLimits(undefined, 20_000).openFiles;

/** haproxy.cfg for these options. */
export function gatewayConfig(options: GatewayOptions): string {
  const connections = Math.floor(((options.openFiles ?? defaultOpenFiles()) - RESERVED_FILES) / 2);
  return renderConfig({
    httpPort: options.httpPort,
    httpsPort: options.httpsPort,
    ...(options.publicHttpsPort === undefined ? {} : { publicHttpsPort: options.publicHttpsPort }),
    addresses: options.addresses,
    paths: PATHS_INSIDE,
    user: { uid: GATEWAY_UID, gid: GATEWAY_GID },
    limits: limitsFor(connectionsOutOf(connections)),
  });
}

/**
 * Brings the gateway up and returns its container when it answers. Idempotent: a gateway that runs as wanted is left alone,
 * whoever started it; one whose configuration differs from what it has loaded is reloaded; one that is dead is started anew.
 * One that was made otherwise (another image, other ports) is replaced without a connection refused or broken: the next one
 * takes its listening sockets, and only when that serves is it told to end, which it does with its last connection.
 * Certificates and routes come from the files of the run directory; what HAProxy could not start with is dropped from them first.
 * @throws ClassmindError `Unavailable` with HAProxy's own words when it does not start; what served before serves on
 */
export async function startGateway(options: GatewayOptions): Promise<Docker.Container> {
  const { docker } = options;
  const paths = gatewayPaths(options);
  await mkdir(options.runDir, { recursive: true, mode: 0o700 });
  const config = gatewayConfig(options);
  await writeConfig(paths, config);
  const containers = await generationsOf(options);
  const running = await runningProcess(paths.adminSocket);
  const live = running && containers.find((each) => each.Names.some((name) => name === `/${running.generation}`));
  if (live !== undefined && live.Labels[SPEC_LABEL] === gatewayContainer(options).Labels?.[SPEC_LABEL]) {
    const current = running?.revision === revisionOf(config);
    if (current ? await listens(paths.masterSocket) : await reloads(paths.masterSocket)) {
      await endOthers(docker, containers, live.Id);
      return docker.getContainer(live.Id);
    }
  }
  // One that does not answer hands nothing over and may hold the ports.
  if (running === undefined) for (const { Id } of containers) await remove(docker, Id);
  await mendFiles(paths);
  const next = nextGeneration(options, running !== undefined);
  const container = await docker.createContainer(next.spec);
  try {
    await container.start();
    await awaitAnswer(container, paths.adminSocket, next.name);
  } catch (error) {
    await remove(docker, container.id);
    throw error;
  }
  await endOthers(docker, containers, container.id);
  return container;
}

/** Whether the master can be told to reload: one whose successor failed at its start has lost its socket to that. */
function listens(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(socketPath, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

const reloads = (masterSocket: string): Promise<boolean> =>
  reload(masterSocket).then(
    () => true,
    () => false,
  );

/** Stops the gateway at once and removes its containers; files stay. An absent gateway is fine. */
export async function stopGateway(options: Pick<GatewayOptions, "docker" | "name">): Promise<void> {
  for (const { Id, State } of await generationsOf(options)) {
    if (State === "running") {
      await options.docker
        .getContainer(Id)
        .stop({ t: 5 })
        .catch(() => undefined);
    }
    await remove(options.docker, Id);
  }
}

/** Its containers: the one that serves, those that end, those that are dead; one of before there were generations has its bare name. */
async function generationsOf({
  docker,
  name,
}: Pick<GatewayOptions, "docker" | "name">): Promise<readonly Docker.ContainerInfo[]> {
  const all = await docker.listContainers({ all: true });
  return all.filter(({ Labels, Names }) => Labels[GATEWAY_LABEL] === name || Names.includes(`/${name}`));
}

/**
 * Ends the generations before: those that run softly, those that are dead at once. A soft end may take as long as the longest
 * request; whoever is cut off while waiting for it finds what is left the next time.
 */
async function endOthers(docker: Docker, containers: readonly Docker.ContainerInfo[], live: string): Promise<void> {
  for (const { Id, State } of containers) {
    if (Id === live) continue;
    if (State !== "running") {
      await remove(docker, Id);
      continue;
    }
    const container = docker.getContainer(Id);
    // Once more does no harm: it ends already.
    await container.kill({ signal: "SIGUSR1" }).catch(() => undefined);
    void containerEnd(container)
      .then(() => remove(docker, Id))
      .catch(() => undefined);
  }
}

async function remove(docker: Docker, id: string): Promise<void> {
  try {
    await docker.getContainer(id).remove({ force: true });
  } catch (error) {
    if (statusOf(error) !== 404) throw error;
  }
}

async function awaitAnswer(container: Docker.Container, adminSocket: string, generation: string): Promise<void> {
  const deadline = Date.now() + START_DEADLINE;
  for (;;) {
    // Until the next one serves, the one before answers here.
    if ((await runningProcess(adminSocket))?.generation === generation) return;
    const { State } = await container.inspect();
    if (!State.Running || Date.now() > deadline) {
      const output = await container.logs({ stdout: true, stderr: true, tail: 20 }).catch((error) => messageOf(error));
      // Podman multiplexes: eight bytes of header before each line.
      const words = output.toString().replace(/[^\x20-\x7e\n]+.?/g, "");
      throw new ClassmindError("Unavailable", `The gateway did not start: ${words.trim()}`);
    }
    await wait(25);
  }
}
