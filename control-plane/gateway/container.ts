import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { setTimeout as wait } from "node:timers/promises";
import type Docker from "dockerode";
import { ClassmindError, messageOf } from "../errors.ts";
import { statusOf } from "../host/docker-errors.ts";
import { limitsFor, renderConfig } from "./config.ts";
import { writeConfig } from "./config-files.ts";
import { mendFiles } from "./files.ts";
import { CONFIG_MOUNT, gatewayPaths, PATHS_INSIDE, RUN_MOUNT } from "./paths.ts";
import type { GatewayPorts } from "./ports.ts";
import { reload, runCommand } from "./runtime.ts";

/** User and group of HAProxy's workers: the only ones on the host that the schools' firewall lets in. */
export const GATEWAY_UID = 10_002;
export const GATEWAY_GID = 10_002;

const SPEC_LABEL = "classmind.de/gateway-spec";
const START_DEADLINE = 15_000;
/** Listeners, sockets of both generations during a reload, and epoll. */
const RESERVED_FILES = 256;

export interface GatewayOptions extends GatewayPorts {
  readonly docker: Docker;
  /** Image reference with HAProxy 3.0 at /usr/sbin/haproxy. */
  readonly image: string;
  /** Name of the container; carries the instance's name. */
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly configDir: string;
  /** On a tmpfs: private keys lie here. */
  readonly runDir: string;
  /** Addresses to listen on. */
  readonly addresses: readonly string[];
  readonly publicHttpsPort?: number;
  /** Open files, within the host's hard limit; two for each connection. */
  readonly openFiles?: number;
  readonly memoryBytes?: number;
}

/**
 * The gateway's container. The master keeps root to read keys and to bind low ports, but no capability beyond those it
 * needs for that, for becoming somebody else in its workers, and for signalling them; only workers meet the network.
 */
export function gatewayContainer(options: GatewayOptions): Docker.ContainerCreateOptions {
  const openFiles = options.openFiles ?? DEFAULT_OPEN_FILES;
  const spec: Docker.ContainerCreateOptions = {
    name: options.name,
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
  const hash = createHash("sha256").update(JSON.stringify(spec)).digest("hex");
  return { ...spec, Labels: { ...options.labels, [SPEC_LABEL]: hash } };
}

const DEFAULT_OPEN_FILES = 4096;

/** haproxy.cfg for these options. */
export function gatewayConfig(options: GatewayOptions): string {
  const maxConnections = Math.floor(((options.openFiles ?? DEFAULT_OPEN_FILES) - RESERVED_FILES) / 2);
  return renderConfig({
    httpPort: options.httpPort,
    httpsPort: options.httpsPort,
    ...(options.publicHttpsPort === undefined ? {} : { publicHttpsPort: options.publicHttpsPort }),
    addresses: options.addresses,
    paths: PATHS_INSIDE,
    user: { uid: GATEWAY_UID, gid: GATEWAY_GID },
    ...limitsFor(maxConnections),
  });
}

/**
 * Brings the gateway up and returns when it answers. Idempotent: a gateway that runs as wanted is left alone, one whose
 * configuration changed is reloaded, one that is dead or made otherwise is replaced. Certificates and routes come from the
 * files of the run directory; what HAProxy could not start with is dropped from them first.
 * @throws ClassmindError `Unavailable` with HAProxy's own words when it does not start.
 */
export async function startGateway(options: GatewayOptions): Promise<void> {
  const paths = gatewayPaths(options);
  await mkdir(options.runDir, { recursive: true, mode: 0o700 });
  const configChanged = await writeConfig(paths, gatewayConfig(options));
  const spec = gatewayContainer(options);
  const present = await inspect(options.docker, options.name);
  const asWanted = present?.State.Running === true && present.Config.Labels[SPEC_LABEL] === spec.Labels?.[SPEC_LABEL];
  if (asWanted && (await answers(paths.adminSocket))) {
    if (configChanged) await reload(paths.masterSocket);
    return;
  }
  if (present !== undefined) await options.docker.getContainer(present.Id).remove({ force: true });
  await mendFiles(paths);
  const container = await options.docker.createContainer(spec);
  await container.start();
  await awaitAnswer(container, paths.adminSocket);
}

/** Stops the gateway and removes its container; files stay. An absent gateway is fine. */
export async function stopGateway(options: { readonly docker: Docker; readonly name: string }): Promise<void> {
  const present = await inspect(options.docker, options.name);
  if (present === undefined) return;
  const container = options.docker.getContainer(present.Id);
  if (present.State.Running) await container.stop({ t: 5 }).catch(() => undefined);
  await container.remove({ force: true });
}

async function inspect(docker: Docker, name: string): Promise<Docker.ContainerInspectInfo | undefined> {
  try {
    return await docker.getContainer(name).inspect();
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw error;
  }
}

async function awaitAnswer(container: Docker.Container, adminSocket: string): Promise<void> {
  const deadline = Date.now() + START_DEADLINE;
  for (;;) {
    if (await answers(adminSocket)) return;
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

async function answers(adminSocket: string): Promise<boolean> {
  return runCommand(adminSocket, "show info").then(
    (answer) => answer.includes("HAProxy"),
    () => false,
  );
}
