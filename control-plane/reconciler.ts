import { existsSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import path from "node:path";
import pg from "pg";
import { systemClock } from "./clock.ts";
import { configFile, connectionOf, readReconcilerConfig } from "./config.ts";
import type { Engine } from "./engine/engine.ts";
import { messageOf } from "./errors.ts";
import type { Gateway } from "./gateway/gateway.ts";
import { haproxyGateway } from "./gateway/haproxy.ts";
import { layoutOf } from "./host/layout.ts";
import { internalIssuer } from "./issuer/internal.ts";
import { ensureAuthority } from "./keys/authority.ts";
import { readKek } from "./keys/kek.ts";
import { openKeyring } from "./keys/keyring.ts";
import { createLog } from "./log.ts";
import { describeFinding, openEngine } from "./open-engine.ts";
import type { Dependencies } from "./reconcile/dependencies.ts";
import { startLoop } from "./reconcile/loop.ts";
import { loadChart } from "./render/render.ts";
import { createSemaphore } from "./semaphore.ts";
import { migrate } from "./store/migrate.ts";
import { writeSetting } from "./store/settings.ts";
import { wakeAll } from "./store/tenants.ts";
import type { ControlSocket } from "./verify/targets.ts";

/**
 * Entry of the reconciler, the process with the engine's rights: root on one machine, its ServiceAccount on a cluster. It
 * shares nothing with the API but the store.
 */
const log = createLog("reconciler");
const config = readReconcilerConfig(configFile(process.env));

/** Any number that nobody else locks: of two reconcilers that start at once one migrates and makes the authority. */
const START_LOCK = 7303;
/** After a start every school is looked at within this time. */
const RESYNC_SPREAD_SECONDS = 2;
/** The ready file is touched this often: whoever watches over us sees by its age that we are alive. */
const PULSE_MS = 15_000;

/** What comes along lies beside the program where that is one file (in an image), else where the repository has it. */
function folder(bundled: string, here: string): string {
  const beside = path.join(import.meta.dirname, bundled);
  return existsSync(beside) ? beside : path.join(import.meta.dirname, here);
}

/** HAProxy and its files may disagree if an earlier reconciler died between the two. */
async function openGateway(directories: { readonly configDir: string; readonly runDir: string }): Promise<Gateway> {
  const gateway = haproxyGateway(directories);
  await gateway
    .reconcileAll()
    .catch((error: unknown) => log.warn({ error: messageOf(error) }, "the gateway does not answer yet"));
  return gateway;
}

/** Engine, API and the platform's database of one machine; on a cluster they have ports, which its policies close. */
function controlSockets(): readonly ControlSocket[] {
  if (config.engine.kind !== "containers") return [];
  const { instance, socket } = config.engine;
  const { apiSocket, databaseSocketDir } = layoutOf(instance);
  return [
    { label: "the container engine", path: socket },
    { label: "the control plane's API", path: apiSocket },
    { label: "the control plane's database", path: path.join(databaseSocketDir, ".s.PGSQL.5432") },
  ];
}

async function build(): Promise<Dependencies> {
  const kek = readKek(config.kekFile);
  const pool = new pg.Pool({
    ...connectionOf(config.database),
    max: config.workers * 2 + 4,
    idleTimeoutMillis: 30_000,
  });
  const keyringPool = new pg.Pool({ ...connectionOf(config.keyring), max: 3, idleTimeoutMillis: 30_000 });
  for (const each of [pool, keyringPool])
    each.on("error", (error) => log.warn({ error: messageOf(error) }, "a connection to the database ended"));
  const keyring = await openKeyring(keyringPool, kek);
  const lock = await pool.connect();
  try {
    await lock.query("select pg_advisory_lock($1)", [START_LOCK]);
    const applied = await migrate(pool, folder("migrations", "store/migrations"));
    if (applied.length > 0) log.info({ applied }, "the store's schema is up to date");
    const authority = await ensureAuthority(keyring, config.platform.domain, systemClock.now());
    await writeSetting(pool, "certificate-authority", { certificate: authority.certificatePem });
    if (config.authorityFile !== undefined)
      writeFileSync(config.authorityFile, authority.certificatePem, { mode: 0o644 });
    const textOf = (file: string | undefined) => (file === undefined ? "" : readFileSync(file, "utf8"));
    return {
      pool,
      engine: await openEngine(config, log),
      gateway: config.gateway === undefined ? undefined : await openGateway(config.gateway),
      issuer: internalIssuer({ caCertificatePem: authority.certificatePem, caKeyPem: authority.keyPem }),
      keyring,
      chart: loadChart(folder("charts/tenant", "../charts/tenant")),
      platform: config.platform,
      clock: systemClock,
      log,
      backups: createSemaphore(config.platform.backup.concurrency),
      repositoryEnvironment: textOf(config.repositoryEnvironmentFile),
      repositoryAuthority: textOf(config.repositoryAuthorityFile),
      repositoryKey: textOf(config.repositoryKeyFile),
      repositoryKnownHosts: textOf(config.repositoryKnownHostsFile),
      controlSockets: controlSockets(),
    };
  } finally {
    await lock.query("select pg_advisory_unlock($1)", [START_LOCK]).catch(() => undefined);
    lock.release();
  }
}

function touch(file: string | undefined): void {
  const now = new Date();
  if (file !== undefined && existsSync(file)) utimesSync(file, now, now);
}

/** What a cluster lacks is said at the start already; each school that meets it says so again. */
async function warnOfMissing(engine: Engine): Promise<void> {
  if (engine.name !== "kubernetes") return;
  const findings = await engine.preflight();
  for (const { check, message, remedy } of findings.filter((finding) => !finding.ok))
    log.warn({ check, remedy }, `preflight: ${message}`);
}

/** Runs until it is told to stop. */
async function serve(): Promise<void> {
  const deps = await build();
  // Not waited for: a cluster that does not answer yet keeps nobody from starting.
  void warnOfMissing(deps.engine).catch((error: unknown) => log.warn({ error: messageOf(error) }, "preflight failed"));
  const woken = await wakeAll(deps.pool, RESYNC_SPREAD_SECONDS);
  const loop = startLoop(deps, { workers: config.workers, database: config.database });
  log.info({ schools: woken, engine: deps.engine.name }, "running");
  if (config.readyFile !== undefined) writeFileSync(config.readyFile, `${process.pid}\n`);
  const pulse = setInterval(() => touch(config.readyFile), PULSE_MS);

  let stopping = false;
  function stop(): void {
    if (stopping) return;
    stopping = true;
    clearInterval(pulse);
    if (config.readyFile !== undefined) rmSync(config.readyFile, { force: true });
    void loop
      .stop()
      .then(() => deps.engine.close())
      .then(() => process.exit(0));
  }
  process.on("SIGTERM", stop);
  // The supervisor died without ending us: another one will start another reconciler.
  process.on("disconnect", stop);
  process.on("SIGINT", stop);
}

/**
 * Says what the engine lacks before a school can live there, and ends:
 *   kubectl --namespace classmind exec deployment/reconciler -- node /app/reconciler.mjs preflight
 * Exit code 7 when anything is missing, as of `classmind doctor`.
 */
async function examine(): Promise<void> {
  const engine = await openEngine(config, log);
  const findings = await engine.preflight();
  await engine.close();
  process.stdout.write(findings.map(describeFinding).join(""));
  if (findings.some((finding) => !finding.ok)) process.exitCode = 7;
}

if (process.argv[2] === "preflight") await examine();
else await serve();
