import { chmodSync, existsSync, rmSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import path from "node:path";
import pg from "pg";
import { createEventHub } from "./api/events.ts";
import { createApiMetrics } from "./api/metrics.ts";
import { createApi } from "./api/server.ts";
import { markRelayed } from "./api/source.ts";
import { systemClock } from "./clock.ts";
import { configFile, connectionOf, readApiConfig } from "./config.ts";
import { messageOf } from "./errors.ts";
import { createLog } from "./log.ts";
import { loadChart } from "./render/render.ts";

/**
 * Entry of the API, the unprivileged one of the two processes: it has the database's smaller role, no engine and no keys.
 * The only place that builds and connects its parts. The reconciler's is reconciler.ts.
 */
const log = createLog("api");
const config = readApiConfig(configFile(process.env));
const pool = new pg.Pool({ ...connectionOf(config.database), max: 10, idleTimeoutMillis: 30_000 });
pool.on("error", (error) => log.warn({ error: messageOf(error) }, "a connection to the database ended"));

const chartDir = [
  path.join(import.meta.dirname, "charts/tenant"),
  path.join(import.meta.dirname, "../charts/tenant"),
].find(existsSync);
if (chartDir === undefined) throw new Error("charts/tenant is missing beside the program");
const context = { pool, platform: config.platform, chart: loadChart(chartDir), clock: systemClock };
const hub = createEventHub({ database: config.database, db: pool, platform: config.platform, clock: systemClock });
const api = createApi(context, hub, createApiMetrics(pool), log);

/** @param handle answers requests */
function open(handle: RequestListener): Server {
  const opened = createServer(handle);
  opened.requestTimeout = 30_000;
  opened.headersTimeout = 10_000;
  return opened;
}
const server = open(api);
/** For what comes from elsewhere: only the listener can open its socket. */
const relay = open((request, response) => {
  markRelayed(request);
  api(request, response);
});

function listening(): void {
  // Whoever can open the socket still needs a token; the directory's group decides who can open it (host/operator-group.ts).
  if ("socket" in config.listen) chmodSync(config.listen.socket, 0o666);
  log.info({ ...config.listen }, "listening");
}

if ("socket" in config.listen) {
  const { socket, relaySocket } = config.listen;
  for (const file of [socket, relaySocket]) if (file !== undefined) rmSync(file, { force: true });
  server.listen(socket, listening);
  // The directory says who can open it (host/platform-containers.ts).
  if (relaySocket !== undefined) relay.listen(relaySocket, () => chmodSync(relaySocket, 0o666));
} else {
  server.listen(config.listen.port, config.listen.host, listening);
}

let stopping = false;
function stop(): void {
  if (stopping) return;
  stopping = true;
  for (const each of [server, relay]) {
    each.close();
    each.closeAllConnections();
  }
  void hub
    .close()
    .then(() => pool.end())
    .then(() => process.exit(0));
}
process.on("SIGTERM", stop);
process.on("SIGINT", stop);
