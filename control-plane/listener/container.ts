import { existsSync, watch } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import type Docker from "dockerode";
import { ClassmindError, messageOf } from "../errors.ts";
import { reload } from "../gateway/runtime.ts";
import { containerEnd } from "../host/container-end.ts";
import { ownDirectory, removeContainer } from "../host/platform-containers.ts";
import { writeFile } from "../host/write-file.ts";
import { answers } from "./answers.ts";
import { type ListenerConfig, renderListenerConfig } from "./config.ts";
import { CONFIG_NAME, LISTENER_MOUNTS, LISTENER_UID, MASTER_SOCKET, PAIR_NAME, RUN_NAME } from "./places.ts";

const START_MS = 15_000;
/** It ends at once when it is asked to. */
const END_SECONDS = 5;

export interface ListenerOptions extends ListenerConfig {
  readonly docker: Docker;
  /** Image reference with HAProxy at /usr/sbin/haproxy. */
  readonly image: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Holds haproxy.cfg and the certificate's pair; on a tmpfs. */
  readonly directory: string;
  /** Holds the API's socket for requests from elsewhere. */
  readonly relayDir: string;
  readonly log: { error(fields: object, words: string): void };
}

function spec(options: ListenerOptions): Docker.ContainerCreateOptions {
  return {
    name: options.name,
    Image: options.image,
    Entrypoint: ["/usr/sbin/haproxy"],
    Cmd: [
      "-W",
      "-db",
      "-S",
      `${LISTENER_MOUNTS.run}/${MASTER_SOCKET},mode,600`,
      "-f",
      `${LISTENER_MOUNTS.config}/${CONFIG_NAME}`,
    ],
    User: `${LISTENER_UID}:${LISTENER_UID}`,
    WorkingDir: "/",
    StopSignal: "SIGTERM",
    Labels: { ...options.labels },
    HostConfig: {
      // It listens at an address of the host, at a port that needs no right.
      NetworkMode: "host",
      ReadonlyRootfs: true,
      CapDrop: ["ALL"],
      SecurityOpt: ["no-new-privileges"],
      Binds: [
        `${options.directory}:${LISTENER_MOUNTS.config}:ro`,
        `${join(options.directory, RUN_NAME)}:${LISTENER_MOUNTS.run}`,
        `${options.relayDir}:${LISTENER_MOUNTS.api}`,
      ],
      Memory: 256 * 1024 ** 2,
      PidsLimit: 64,
      Ulimits: [
        { Name: "nofile", Soft: 1024, Hard: 1024 },
        { Name: "nproc", Soft: 256, Hard: 256 },
      ],
    },
  };
}

/** Has it read its certificate again whenever that is another one, one after the other: each time with the result. */
function followCertificate({ directory, log }: ListenerOptions): { close(): void } {
  let turn: Promise<void> = Promise.resolve();
  return watch(directory, (_event, file) => {
    if (file !== PAIR_NAME) return;
    turn = turn
      .then(() => reload(join(directory, RUN_NAME, MASTER_SOCKET)))
      // It goes on with the one that it has.
      .catch((error: unknown) =>
        log.error({ error: messageOf(error) }, "the API's listener did not take its certificate"),
      );
  });
}

/** Waits until it listens. @throws ClassmindError `Unavailable` with HAProxy's own words when it does not */
async function untilListening(container: Docker.Container, options: ListenerConfig): Promise<void> {
  for (const end = Date.now() + START_MS; ; await wait(50)) {
    const { State } = await container.inspect();
    if (State.Running && (await answers(options))) return;
    if (State.Running && Date.now() < end) continue;
    const output = await container.logs({ stdout: true, stderr: true, tail: 10 }).catch((error) => messageOf(error));
    const words = output.toString().replace(/[^\x20-\x7e\n]+.?/g, "");
    throw new ClassmindError("Unavailable", `The API's listener did not start: ${words.trim()}`);
  }
}

/**
 * Starts the listener anew and returns when it listens. A certificate that the reconciler puts in its place later is taken up without a
 * connection refused.
 * @throws ClassmindError `Unavailable` while there is no certificate, or with HAProxy's own words when it does not start
 */
export async function startListener(options: ListenerOptions): Promise<{ readonly ended: Promise<unknown> }> {
  const { docker, directory, name } = options;
  // Nobody else reads the key in it.
  for (const own of [directory, join(directory, RUN_NAME)]) ownDirectory(own, 0o700, LISTENER_UID);
  await removeContainer(docker, name, END_SECONDS);
  if (!existsSync(join(directory, PAIR_NAME)))
    throw new ClassmindError("Unavailable", "The API's listener has no certificate yet.");
  writeFile(join(directory, CONFIG_NAME), renderListenerConfig(options), 0o644);
  const container = await docker.createContainer(spec(options));
  await container.start();
  try {
    await untilListening(container, options);
  } catch (error) {
    await removeContainer(docker, name, END_SECONDS);
    throw error;
  }
  const ended = containerEnd(container);
  const files = followCertificate(options);
  void ended.finally(() => files.close()).catch(() => undefined);
  return { ended };
}
