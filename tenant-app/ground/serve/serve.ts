import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import type { App } from "../app.ts";
import type { ServeConfig } from "../config.ts";
import { openDatabase } from "../database/database.ts";
import type { Register } from "../feature.ts";
import { relayMailer } from "../mail.ts";
import { loadAssets } from "../pages/assets.ts";
import { loadViews } from "../pages/views.ts";
import { databasePassword, fieldKey, sessionKey } from "../secrets.ts";
import { tidyUpDaily } from "../work/daily.ts";
import { startWorker, type Worker } from "../work/worker.ts";
import { buildExpress } from "./express.ts";
import { routesOf } from "./routes.ts";

export interface Serving {
  readonly port: number;
  readonly app: App;
  /**
   * Is no longer ready, but answers for another `lingerMs` (0 by default); then stops accepting, lets running requests
   * finish and closes the database. Resolves when all is done.
   */
  stop(lingerMs?: number): Promise<void>;
}

export interface ServeOptions {
  /** The time; tests move it. */
  readonly now?: () => Date;
  readonly logLevel?: "info" | "silent";
}

/** Requests that are still running when the process is asked to stop get so long. */
const drainMs = 20_000;

/** Starts the school's web server. Throws ConfigError when a secret is missing (R3), before anything listens. */
export async function serve(config: ServeConfig, register: Register, options: ServeOptions = {}): Promise<Serving> {
  const { secretsDir } = config;
  const [password, fields, sessions, mailer] = await Promise.all([
    databasePassword(secretsDir, "app"),
    fieldKey(secretsDir),
    sessionKey(secretsDir),
    config.mail && relayMailer(config.mail, { secretsDir, senderName: config.schoolName }),
  ]);
  const log = pino({ level: options.logLevel ?? "info", base: { school: config.slug } });
  const database = openDatabase({ ...config, user: "school_app", password });
  let accepting = true;
  let worker: Worker | undefined;
  const app: App = {
    config,
    database,
    fieldKey: fields,
    sessionKey: sessions,
    views: loadViews(),
    assets: loadAssets(config.schoolName),
    log,
    mailer,
    catalogue: register.catalogue,
    identity: register.identity,
    wakeWorker: () => worker?.wake(),
    now: options.now ?? (() => new Date()),
    accepting: () => accepting,
  };
  for (const { beforeOpening } of register.features) {
    await beforeOpening?.(app);
  }
  const server = createServer(
    {
      // The largest file at the slowest pace (gate/upload.ts); whatever else is sent has a deadline of its own.
      requestTimeout: 15 * 60_000,
      headersTimeout: 15_000,
      connectionsCheckingInterval: 5_000,
      keepAliveTimeout: 65_000,
      maxHeaderSize: 16 * 1024,
    },
    buildExpress(app, routesOf(register), register.askToSignIn),
  );
  server.maxConnections = 4_000;
  await listen(server, config.listenPort, config.listenAddress);
  const { port } = server.address() as AddressInfo;
  worker = startWorker(app, register.workKinds);
  const stopTidying = tidyUpDaily(app, register.features);
  log.info({ port, startMs: Math.round(process.uptime() * 1000) }, "ready");
  return {
    port,
    app,
    stop: async (lingerMs = 0) => {
      accepting = false;
      stopTidying();
      const idle = worker?.stop();
      await sleep(lingerMs);
      await drain(server);
      await idle;
      await database.close();
      log.info("stopped");
    },
  };
}

function listen(server: Server, port: number, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, address, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function drain(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), drainMs);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
    server.closeIdleConnections();
  });
}
