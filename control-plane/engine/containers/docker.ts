import { existsSync } from "node:fs";
import { PassThrough } from "node:stream";
import Dockerode from "dockerode";
import type { Clock } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import { containerEnd } from "../../host/container-end.ts";
import { statusOf } from "../../host/docker-errors.ts";
import { ANYBODY } from "../../images/recipes.ts";
import { createSemaphore } from "../../semaphore.ts";
import { within } from "../../within.ts";
import { EngineError } from "../engine.ts";

/** What the engine needs to know of a container. */
export interface ContainerInfo {
  readonly id: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly running: boolean;
  readonly state: string;
}

export interface ContainerExit {
  readonly running: boolean;
  readonly exitCode: number;
  readonly outOfMemory: boolean;
  readonly startedAt: Date;
}

/** Output of a finished or running container. */
export interface Attached {
  readonly stdout: PassThrough;
  readonly stderr: PassThrough;
  /** Resolves when the stream has ended, as it does when the container ends; Podman has been seen to forget that. */
  readonly ended: Promise<void>;
}

export interface NetworkSpec {
  readonly name: string;
  readonly bridge: string;
  readonly subnet: string;
  readonly gateway: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** The Docker Engine API as this engine uses it; Podman's differences are handled here and nowhere else. */
export interface ContainerApi {
  readonly docker: Dockerode;
  version(): Promise<{ readonly podman: boolean; readonly version: string }>;
  /** Whether it answers at all. Not tried again. */
  ping(): Promise<void>;
  list(labels: Readonly<Record<string, string>>): Promise<readonly ContainerInfo[]>;
  create(options: Dockerode.ContainerCreateOptions): Promise<string>;
  attach(id: string): Promise<Attached>;
  start(id: string): Promise<void>;
  exit(id: string): Promise<ContainerExit | undefined>;
  /** Resolves when the container has ended, whatever became of its streams. Not for one that was not started yet. */
  ended(id: string): Promise<void>;
  /** The same for a container whose output has ended: its state follows a moment later. */
  finalExit(id: string): Promise<ContainerExit | undefined>;
  /** The image's own stop signal, then SIGKILL after the grace period; returns when it has ended. */
  stop(id: string, graceSeconds: number): Promise<void>;
  remove(id: string): Promise<void>;
  /** Sets the processor time of a running container, in billionths of a processor. */
  limitProcessors(id: string, nanoCpus: number): Promise<void>;
  tail(id: string, lines: number): Promise<readonly string[]>;
  hasImage(reference: string): Promise<boolean>;
  /** Whether an image says so by its label; not, if it is not there. */
  runsAsAnybody(reference: string): Promise<boolean>;
  createNetwork(spec: NetworkSpec): Promise<void>;
  networks(labels: Readonly<Record<string, string>>): Promise<readonly string[]>;
  removeNetwork(name: string): Promise<void>;
}

function filters(labels: Readonly<Record<string, string>>): string {
  return JSON.stringify({ label: Object.entries(labels).map(([key, value]) => `${key}=${value}`) });
}

/** Errors of an engine that is merely busy (Podman's database, a container's lock). */
const BUSY =
  /database is locked|SQLITE_BUSY|resource temporarily unavailable|container state improper|timed out waiting for file|EAGAIN/i;

/** Of a container that somebody paused: it cannot hear a signal, and waiting does not change that. */
const PAUSED = /\bpaused\b/i;

/** What Podman says when an address is not given back yet, or was forgotten (see forgetGivenAddresses). */
const HELD = /ip address (\S+) is already allocated to container ID ([0-9a-f]{12})/;

/** Of a container whose end was noted by nobody. */
const UNKNOWN_EXIT = -1;

/** Longer than any request takes on a busy host, a stop with its grace period included. */
const ANSWER_MS = 180_000;

/**
 * Opens the API on a Unix socket. `concurrentStarts` bounds creations and starts: Podman is not made for many at once.
 * @param answerWithin milliseconds after which a request without an answer is an error, so that a school is not held for ever
 */
export function openContainerApi(
  socketPath: string,
  clock: Clock,
  concurrentStarts: number,
  answerWithin = ANSWER_MS,
): ContainerApi {
  const docker = new Dockerode({ socketPath });
  const starts = createSemaphore(concurrentStarts);
  /** What images say of themselves; a reference of ours is one image for ever. */
  const labelled = new Map<string, boolean>();
  let known: Promise<{ podman: boolean; version: string }> | undefined;

  const answered = <T>(task: () => Promise<T>): Promise<T> =>
    within(
      clock,
      answerWithin,
      task,
      () =>
        new EngineError(
          "EngineUnavailable",
          `the container engine has not answered within ${Math.round(answerWithin / 1000)} s; see: classmind doctor`,
        ),
    );

  async function busyRetried<T>(task: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await answered(task);
      } catch (error) {
        if (attempt >= 6 || !BUSY.test(messageOf(error)) || PAUSED.test(messageOf(error))) throw error;
        await clock.sleep(40 * 2 ** attempt * (0.5 + Math.random()));
      }
    }
  }

  const absentIsFine = (error: unknown) => {
    // Podman answers 500 for a container that is removed while it looks.
    if (statusOf(error) !== 404 && !/no such container/i.test(messageOf(error))) throw error;
  };

  function tellHeld(error: unknown): never {
    const [, address, holder] = HELD.exec(messageOf(error)) ?? [];
    if (address === undefined) throw error;
    throw new EngineError(
      "AddressHeld",
      `Podman holds ${address} for a container that is gone (${holder}). If that lasts: classmind down, then classmind up`,
      { cause: error },
    );
  }

  /** How a container is by the engine's own records. */
  async function recorded(id: string): Promise<(ContainerExit & { readonly pid: number }) | undefined> {
    try {
      const { State } = await busyRetried(() => docker.getContainer(id).inspect());
      return {
        running: State.Running,
        exitCode: State.ExitCode,
        outOfMemory: State.OOMKilled,
        startedAt: new Date(State.StartedAt),
        pid: State.Pid,
      };
    } catch (error) {
      absentIsFine(error);
      return undefined;
    }
  }

  const api: ContainerApi = {
    docker,
    version() {
      known ??= answered(() => docker.version()).then((answer) => {
        const components: ReadonlyArray<{ Name: string }> = answer.Components ?? [];
        return { podman: components.some((part) => part.Name.startsWith("Podman")), version: answer.Version };
      });
      known.catch(() => {
        known = undefined;
      });
      return known;
    },
    async ping() {
      await docker.ping();
    },
    async list(labels) {
      const found = await busyRetried(() => docker.listContainers({ all: true, filters: filters(labels) }));
      return found.map((container) => ({
        id: container.Id,
        name: (container.Names[0] ?? "").replace(/^\//, ""),
        labels: container.Labels,
        running: container.State === "running",
        state: container.State,
      }));
    },
    async create(options) {
      try {
        const container = await starts.run(() => busyRetried(() => docker.createContainer(options)));
        return container.id;
      } catch (error) {
        if (statusOf(error) === 404 && /image/i.test(messageOf(error))) {
          throw new EngineError("ImageMissing", `image ${options.Image ?? ""} is not on this host`, { cause: error });
        }
        throw error;
      }
    },
    async attach(id) {
      // To be attached to, a container is given its network.
      const stream = await busyRetried(() =>
        docker.getContainer(id).attach({ stream: true, stdout: true, stderr: true, logs: false }),
      ).catch(tellHeld);
      const stdout = new PassThrough();
      const stderr = new PassThrough();
      docker.modem.demuxStream(stream, stdout, stderr);
      const ended = new Promise<void>((resolve) => {
        const end = () => {
          stdout.end();
          stderr.end();
          resolve();
        };
        stream.on("end", end).on("close", end).on("error", end);
      });
      return { stdout, stderr, ended };
    },
    async start(id) {
      await starts.run(() => busyRetried(() => docker.getContainer(id).start())).catch(tellHeld);
    },
    async exit(id) {
      const noted = await recorded(id);
      // Podman learns of an end from the container's monitor; killed together, it never does.
      const unnoticed = noted?.running === true && noted.pid > 0 && !existsSync(`/proc/${noted.pid}`);
      return unnoticed ? { ...noted, running: false, exitCode: UNKNOWN_EXIT } : noted;
    },
    ended: (id) => containerEnd(docker.getContainer(id)).catch(absentIsFine),
    async finalExit(id) {
      for (let waited = 0; ; waited += 20) {
        // As the engine has it: until it has noted the end, nobody knows the exit code.
        const exit = await recorded(id);
        if (!exit?.running || waited > 5_000) return exit;
        await clock.sleep(20);
      }
    },
    async stop(id, graceSeconds) {
      const stop = () => busyRetried(() => docker.getContainer(id).stop({ t: graceSeconds }));
      const wakeAndStop = async (error: unknown) => {
        if (!PAUSED.test(messageOf(error))) throw error;
        await busyRetried(() => docker.getContainer(id).unpause());
        await stop();
      };
      await stop()
        .catch(wakeAndStop)
        .catch(async (error: unknown) => {
          // 304: it had ended already. Podman has other words for that too.
          if (statusOf(error) !== 304 && (await api.exit(id))?.running !== false) absentIsFine(error);
        });
    },
    async remove(id) {
      await busyRetried(() => docker.getContainer(id).remove({ force: true, v: true })).catch(absentIsFine);
    },
    async limitProcessors(id, nanoCpus) {
      const { podman } = await api.version();
      const change = () =>
        podman
          ? post(docker, `/v4.3.0/libpod/containers/${id}/update`, {
              cpu: { quota: nanoCpus / 10_000, period: 100_000 },
            })
          : docker.getContainer(id).update({ NanoCpus: nanoCpus });
      await answered<unknown>(change).catch(absentIsFine);
    },
    async tail(id, lines) {
      const text = await answered(() =>
        docker.getContainer(id).logs({ stdout: true, stderr: true, follow: false, tail: lines }),
      ).catch((error: unknown) => {
        absentIsFine(error);
        return Buffer.alloc(0);
      });
      return demuxed(text)
        .split("\n")
        .filter((line) => line !== "")
        .slice(-lines);
    },
    async hasImage(reference) {
      try {
        await answered(() => docker.getImage(reference).inspect());
        return true;
      } catch (error) {
        absentIsFine(error);
        return false;
      }
    },
    async runsAsAnybody(reference) {
      const present = labelled.get(reference);
      if (present !== undefined) return present;
      try {
        const { Config } = await busyRetried(() => docker.getImage(reference).inspect());
        const says = Config.Labels?.[ANYBODY] !== undefined;
        labelled.set(reference, says);
        return says;
      } catch (error) {
        absentIsFine(error);
        return false;
      }
    },
    async createNetwork(spec) {
      const { podman } = await api.version();
      await busyRetried(() => (podman ? createPodmanNetwork(docker, spec) : createDockerNetwork(docker, spec))).catch(
        (error: unknown) => {
          if (!/already exists|already used by/i.test(messageOf(error))) throw error;
        },
      );
    },
    async networks(labels) {
      const found = await answered(() => docker.listNetworks({ filters: filters(labels) }));
      return found.map((network) => network.Name);
    },
    async removeNetwork(name) {
      await answered(() => docker.getNetwork(name).remove()).catch(absentIsFine);
    },
  };
  return api;
}

/** Docker's log format: frames of an eight-byte header (stream, three zeros, big-endian length) and the payload. */
function demuxed(buffer: Buffer): string {
  const parts: Buffer[] = [];
  let offset = 0;
  while (offset + 8 <= buffer.length) {
    const length = buffer.readUInt32BE(offset + 4);
    parts.push(buffer.subarray(offset + 8, offset + 8 + length));
    offset += 8 + length;
  }
  return Buffer.concat(parts).toString("utf8");
}

/** A request that dockerode has no method for. */
function post(docker: Dockerode, path: string, body: object): Promise<void> {
  return new Promise((resolve, reject) => {
    docker.modem.dial(
      { path, method: "POST", options: body, statusCodes: { 200: true, 201: true } },
      (error: unknown) => (error ? reject(error) : resolve()),
    );
  });
}

/** Podman's own endpoint, because only it can leave out the resolver: a school has no DNS at all. */
async function createPodmanNetwork(docker: Dockerode, spec: NetworkSpec): Promise<void> {
  await post(docker, "/v4.0.0/libpod/networks/create", {
    name: spec.name,
    driver: "bridge",
    internal: true,
    dns_enabled: false,
    ipv6_enabled: false,
    network_interface: spec.bridge,
    subnets: [{ subnet: spec.subnet, gateway: spec.gateway }],
    labels: spec.labels,
  });
}

async function createDockerNetwork(docker: Dockerode, spec: NetworkSpec): Promise<void> {
  await docker.createNetwork({
    Name: spec.name,
    // Names need not be unique in Docker; without this, a network that is there already looks like one of somebody else's.
    CheckDuplicate: true,
    Driver: "bridge",
    Internal: true,
    EnableIPv6: false,
    IPAM: { Driver: "default", Config: [{ Subnet: spec.subnet, Gateway: spec.gateway }] },
    Options: { "com.docker.network.bridge.name": spec.bridge },
    Labels: { ...spec.labels },
  });
}
