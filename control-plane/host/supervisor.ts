import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import Dockerode from "dockerode";
import { messageOf } from "../errors.ts";
import { startGateway } from "../gateway/container.ts";
import { everyAddress } from "../gateway/ports.ts";
import type { ImageReferences } from "../images/build.ts";
import { startListener } from "../listener/container.ts";
import { createLog } from "../log.ts";
import { containerEnd } from "./container-end.ts";
import type { Instance } from "./instance.ts";
import { layoutOf } from "./layout.ts";
import { removeContainer, startApi, startDatabase, until } from "./platform-containers.ts";
import { type EngineService, startEngineService } from "./podman.ts";
import type { Settings } from "./settings-schema.ts";
import { logPlace } from "./systemd.ts";

/**
 * Keeps the platform of one machine running: container engine, database, gateway, reconciler and API, in this order; what ends
 * by itself is started again with backoff. Started by `classmind up`, by systemd where that runs. Schools' containers are the
 * reconciler's and go on without it, and so does the gateway, so that a restart closes no school's door: the next start finds
 * it running, and replaces it only where another one is wanted. `classmind down` ends all of them.
 */

const log = createLog("supervisor");
const LEAST_BACKOFF_MS = 500;
const MOST_BACKOFF_MS = 30_000;
/** A part that ran this long is taken to be well again. */
const WELL_MS = 60_000;
/** When the machine starts, everything starts at once. A reconciler that cannot start ends, and is not waited for. */
const SLOW_START_MS = 180_000;
/** What each part gets to end well; together less than `classmind down` and the unit wait. */
const END_MS = { reconciler: 20_000, listener: 10_000, api: 15_000, database: 40_000, engine: 10_000 } as const;

/** Beside this program, as both are copied (program-copy.ts). */
const RECONCILER = path.join(import.meta.dirname, "reconciler.mjs");

interface Part {
  readonly name: string;
  /** Without it the platform starts all the same, and it is tried again. */
  readonly optional?: true;
  /** Starts the part and returns when it is up; `ended` resolves when it has ended, whoever ended it. */
  start(): Promise<{ readonly ended: Promise<unknown> }>;
}

export interface Supervision {
  /** Ends reconciler, API, database and engine service. Schools' containers and the gateway go on. */
  stop(): Promise<void>;
}

function startReconciler(instance: Instance): { readonly child: ChildProcess; readonly ended: Promise<unknown> } {
  const layout = layoutOf(instance);
  rmSync(layout.reconcilerReadyFile, { force: true });
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", RECONCILER], {
    // The channel carries nothing: its end tells the reconciler that we are gone, so that there are never two.
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    env: { PATH: process.env.PATH ?? "", CLASSMIND_CONFIG: layout.reconcilerConfigFile, NODE_ENV: "production" },
  });
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    // It could not even be started: the program is gone, or may not run. Nothing else says so, and it is tried again.
    child.once("error", (error) => {
      log.error({ part: "reconciler", error: messageOf(error) }, "cannot be started");
      resolve();
    });
  });
  return { child, ended };
}

/**
 * Brings everything up and watches it.
 * @throws Error with the words of the part that does not start; nothing that was started is left running then
 */
export async function supervise(instance: Instance, settings: Settings, images: ImageReferences): Promise<Supervision> {
  const layout = layoutOf(instance);
  for (const directory of [layout.gatewayConfigDir, layout.gatewayRunDir])
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  let stopping = false;
  let service: EngineService | undefined;
  let reconciler: ChildProcess | undefined;

  const docker = (): Dockerode => new Dockerode({ socketPath: service?.socket ?? "" });
  const addresses = await everyAddress();
  const { apiListener: listener } = settings;
  const listenerContainer = `${instance.name}-platform-listener`;
  const parts: readonly Part[] = [
    {
      name: "engine",
      async start() {
        service = await startEngineService(instance, { onLine: (line) => log.warn({ line }, "engine") });
        return { ended: service.ended };
      },
    },
    { name: "database", start: async () => ({ ended: containerEnd(await startDatabase(docker(), instance, images)) }) },
    {
      name: "gateway",
      async start() {
        const gateway = await startGateway({
          docker: docker(),
          image: images.gateway,
          name: `${instance.name}-platform-gateway`,
          labels: { "classmind.instance": instance.name, "classmind.part": "platform" },
          configDir: layout.gatewayConfigDir,
          runDir: layout.gatewayRunDir,
          addresses,
          httpPort: settings.httpPort,
          httpsPort: settings.httpsPort,
        });
        return { ended: containerEnd(gateway) };
      },
    },
    {
      name: "reconciler",
      async start() {
        const { child, ended } = startReconciler(instance);
        reconciler = child;
        let over = false;
        void ended.then(() => {
          over = true;
        });
        await until(
          "the reconciler",
          async () => existsSync(layout.reconcilerReadyFile) || over,
          SLOW_START_MS,
          async () => `see ${logPlace(instance)}`,
        );
        if (over) throw new Error(`the reconciler ended at once; see ${logPlace(instance)}`);
        return { ended };
      },
    },
    {
      name: "api",
      start: async () => ({ ended: containerEnd(await startApi(docker(), instance, images, listener !== undefined)) }),
    },
    ...(listener === undefined ? [] : [listenerPart(listener)]),
  ];

  /** What others on its port, or a certificate that cannot be served, keep from starting keeps nothing else. */
  function listenerPart(wanted: NonNullable<Settings["apiListener"]>): Part {
    return {
      name: "listener",
      optional: true,
      start: () =>
        startListener({
          ...wanted,
          docker: docker(),
          image: images.gateway,
          name: listenerContainer,
          labels: { "classmind.instance": instance.name, "classmind.part": "platform" },
          directory: layout.listenerDir,
          relayDir: layout.apiRelayDir,
          log,
        }),
    };
  }

  /** Starts a part again whenever it has ended, with growing pauses while it does not stay up. */
  async function keep(part: Part, first: Promise<unknown>): Promise<void> {
    let ended = first;
    let backoff = LEAST_BACKOFF_MS;
    let started = Date.now();
    for (;;) {
      await ended.catch(() => undefined);
      if (stopping) return;
      backoff = Date.now() - started > WELL_MS ? LEAST_BACKOFF_MS : Math.min(backoff * 2, MOST_BACKOFF_MS);
      log.warn({ part: part.name, backoff }, "ended by itself and is started again");
      await new Promise((resolve) => setTimeout(resolve, backoff));
      if (stopping) return;
      started = Date.now();
      try {
        ({ ended } = await part.start());
      } catch (error) {
        log.error({ part: part.name, error: messageOf(error) }, "does not start");
        ended = Promise.resolve();
      }
    }
  }

  /** Ends a part. What does not end in its time is left behind: the next start removes what is left of it. */
  async function end(name: keyof typeof END_MS, work: () => Promise<unknown>): Promise<void> {
    const started = performance.now();
    const late = new AbortController();
    const limit = sleep(END_MS[name], "late" as const, { signal: late.signal }).catch(() => undefined);
    const outcome = await Promise.race([work().catch((error: unknown) => messageOf(error)), limit]);
    late.abort();
    const milliseconds = Math.round(performance.now() - started);
    if (outcome === "late") log.error({ part: name, milliseconds }, "does not end and is left behind");
    else if (typeof outcome === "string") log.error({ part: name, milliseconds, error: outcome }, "does not end well");
    else log.info({ part: name, milliseconds }, "ended");
  }

  async function endReconciler(): Promise<void> {
    const child = reconciler;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    // It can be killed at any moment without harm; waiting for ever would keep the schools from nothing.
    const forced = setTimeout(() => {
      log.error({ part: "reconciler" }, "does not end and is killed");
      child.kill("SIGKILL");
    }, END_MS.reconciler - 2_000);
    child.kill("SIGTERM");
    await ended;
    clearTimeout(forced);
  }

  async function stop(): Promise<void> {
    stopping = true;
    rmSync(layout.supervisorReadyFile, { force: true });
    await end("reconciler", endReconciler);
    if (service !== undefined) {
      await end("listener", () => removeContainer(docker(), listenerContainer, 5));
      await end("api", () => removeContainer(docker(), `${instance.name}-platform-api`, 10));
      await end("database", () => removeContainer(docker(), `${instance.name}-platform-database`, 30));
    }
    await end("engine", async () => service?.stop());
    rmSync(layout.supervisorPidFile, { force: true });
  }

  for (const part of parts) {
    const started = performance.now();
    const { ended } = await part.start().catch(async (error: unknown): Promise<{ ended: Promise<unknown> }> => {
      if (part.optional) {
        log.error({ part: part.name, error: messageOf(error) }, "does not start; it is tried again");
        return { ended: Promise.resolve() };
      }
      log.error({ part: part.name, error: messageOf(error) }, "does not start; what was started is ended");
      await stop();
      throw new Error(`the ${part.name} does not start: ${messageOf(error)}`, { cause: error });
    });
    log.info({ part: part.name, milliseconds: Math.round(performance.now() - started) }, "up");
    void keep(part, ended);
  }
  writeFileSync(layout.supervisorReadyFile, "", { mode: 0o600 });
  return { stop };
}
