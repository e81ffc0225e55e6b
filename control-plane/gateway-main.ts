import { writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { systemClock } from "./clock.ts";
import { configFile, readConfig } from "./config.ts";
import { openClient } from "./engine/kubernetes/client.ts";
import { WATCH_TIMES } from "./engine/kubernetes/keep-watching.ts";
import { loadKubeConfig } from "./engine/kubernetes/kubeconfig.ts";
import { openTransport } from "./engine/kubernetes/transport.ts";
import { limitsFor, renderConfig, revisionOf } from "./gateway/config.ts";
import { writeConfig } from "./gateway/config-files.ts";
import { haproxyGateway } from "./gateway/haproxy.ts";
import { CONFIG_MOUNT, PATHS_INSIDE, RUN_MOUNT } from "./gateway/paths.ts";
import { reload, runningProcess } from "./gateway/runtime.ts";
import { gatewayControllerConfig } from "./ingress/config.ts";
import { startIngressController } from "./ingress/controller.ts";
import { createLog } from "./log.ts";
import { startPulse } from "./pulse.ts";

/**
 * Entry of the controller that runs beside HAProxy in a pod of `k8s/gateway`: it lays HAProxy's files, lets it start once every
 * school is in them, and from then on tells it of each change. Both run as the same user, who owns these files.
 */
const log = createLog("gateway");
const config = readConfig(gatewayControllerConfig, configFile(process.env));

/** A watch that died without a word must not hide for long that an address has changed hands. */
const WATCH_TIMES_HERE = { ...WATCH_TIMES, relist: 300_000 };

const directories = { configDir: CONFIG_MOUNT, runDir: RUN_MOUNT };

/** HAProxy reads them when it starts; one that runs already, as after a restart of ours alone, is told if they differ. */
async function layFiles(): Promise<void> {
  await mkdir(RUN_MOUNT, { recursive: true, mode: 0o700 });
  const { httpPort, httpsPort, publicHttpsPort, metricsPort, maxConnections, threads } = config;
  const text = renderConfig({
    httpPort,
    httpsPort,
    publicHttpsPort,
    metricsPort,
    threads,
    addresses: ["0.0.0.0"],
    paths: PATHS_INSIDE,
    limits: limitsFor(maxConnections),
  });
  await writeConfig(PATHS_INSIDE, text);
  const running = await runningProcess(PATHS_INSIDE.adminSocket);
  if (running !== undefined && running.revision !== revisionOf(text)) await reload(PATHS_INSIDE.masterSocket);
}

/** Runs until it is told to stop. */
async function serve(): Promise<void> {
  const ending = new AbortController();
  const stop = (): void => ending.abort();
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  await layFiles();
  const transport = openTransport({ config: loadKubeConfig(config), clock: systemClock });
  const controller = startIngressController({
    client: openClient(transport),
    clock: systemClock,
    log,
    gateway: haproxyGateway(directories),
    paths: PATHS_INSIDE,
    ingressClass: config.ingressClass,
    signal: ending.signal,
    times: WATCH_TIMES_HERE,
  });
  // After a restart of ours alone the file is there: while the API does not answer, nobody shall take us for dead.
  const endPulse = startPulse(config.readyFile);
  await controller.ready;
  if (config.readyFile !== undefined && !ending.signal.aborted) writeFileSync(config.readyFile, `${process.pid}\n`);
  await controller.ended;
  // The file stays: HAProxy serves on, and the pod shall not count as unready until we are back.
  endPulse();
  transport.close();
}

await serve();
