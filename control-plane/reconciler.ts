import { chmodSync, existsSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import pg from "pg";
import { systemClock } from "./clock.ts";
import {
  configFile,
  connectionOf,
  type PlatformConfig,
  platformAt,
  type RepositoryFiles,
  readReconcilerConfig,
  type SiteConfig,
  sitesOf,
} from "./config.ts";
import { messageOf } from "./errors.ts";
import type { Gateway } from "./gateway/gateway.ts";
import { haproxyGateway } from "./gateway/haproxy.ts";
import { layoutOf } from "./host/layout.ts";
import { internalIssuer } from "./issuer/internal.ts";
import { ensureAuthority } from "./keys/authority.ts";
import { readKek } from "./keys/kek.ts";
import { openKeyring } from "./keys/keyring.ts";
import { keepListenerCertificate } from "./listener/certificate.ts";
import { createLog } from "./log.ts";
import { describeFinding, openEngine } from "./open-engine.ts";
import { startPulse } from "./pulse.ts";
import type { Fleet, MailAccess, RepositoryAccess, Site } from "./reconcile/dependencies.ts";
import { examineEngine } from "./reconcile/fitness.ts";
import { startLoop } from "./reconcile/loop.ts";
import { createReconcilerMetrics, serveMetrics } from "./reconcile/metrics.ts";
import { loadChart } from "./render/render.ts";
import { createSemaphore } from "./semaphore.ts";
import { awaitDatabase } from "./store/await-database.ts";
import { listEngines, registerEngines } from "./store/engines.ts";
import { haveSchools, keepRepositories } from "./store/fixed-settings.ts";
import { migrate } from "./store/migrate.ts";
import { writeSetting } from "./store/settings.ts";
import { inTransaction, wakeAll, wakeTenant } from "./store/tenants.ts";
import type { ControlSocket } from "./verify/targets.ts";
import { readEnvironment } from "./written/environment.ts";
import { readLines } from "./written/text.ts";

/**
 * Entry of the reconciler, the process with the engine's rights: root on one machine, its ServiceAccount on a cluster. It
 * shares nothing with the API but the store.
 */
const log = createLog("reconciler");
const config = readReconcilerConfig(configFile(process.env));

const metrics = createReconcilerMetrics();

/** Any number that nobody else locks: of two reconcilers that start at once one migrates and makes the authority. */
const START_LOCK = 7303;
/** After a start every school is looked at within this time. */
const RESYNC_SPREAD_SECONDS = 2;

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
function controlSockets({ engine }: SiteConfig): readonly ControlSocket[] {
  if (engine.kind !== "containers") return [];
  const { apiSocket, apiRelaySocket, databaseSocketDir } = layoutOf(engine.instance);
  return [
    { label: "the container engine", path: engine.socket },
    { label: "the control plane's API", path: apiSocket },
    ...(config.listener === undefined ? [] : [{ label: "the API's way in from elsewhere", path: apiRelaySocket }]),
    { label: "the control plane's database", path: path.join(databaseSocketDir, ".s.PGSQL.5432") },
  ];
}

/** Files that people write: understood, or refused by line. Nothing is handed on that a job would take for something else. */
const understood = (file: string | undefined, read: (file: string) => string): string =>
  file === undefined ? "" : read(file);

function accessTo(files: RepositoryFiles): RepositoryAccess {
  return {
    repositoryEnvironment: understood(files.repositoryEnvironmentFile, readEnvironment),
    repositoryAuthority: understood(files.repositoryAuthorityFile, readLines),
    repositoryKey: understood(files.repositoryKeyFile, readLines),
    repositoryKnownHosts: understood(files.repositoryKnownHostsFile, readLines),
  };
}

/** A repository of an engine's own brings its own login; the platform's is never shown to it. */
function repositoryOf(own: SiteConfig): RepositoryAccess & Pick<Site, "former"> {
  const files = own.platform.backup?.repository === undefined ? config : own;
  const { formerRepositoryFiles = {} } = own.platform.backup?.former === undefined ? config : own;
  return { ...accessTo(files), former: accessTo(formerRepositoryFiles) };
}

/** A mail relay of an engine's own brings its own password. Where there is no relay, the files need not be there. */
function mailOf(own: SiteConfig, platform: PlatformConfig): MailAccess {
  if (platform.mail === undefined) return { mailPassword: "", mailAuthority: "" };
  const { mailPasswordFile, mailAuthorityFile } = own.platform.mail === undefined ? config : own;
  return {
    mailPassword: understood(mailPasswordFile, readLines).trim(),
    mailAuthority: understood(mailAuthorityFile, readLines),
  };
}

async function openSite(name: string, own: SiteConfig, gateway: Gateway | undefined): Promise<Site> {
  const platform = platformAt(config.platform, own.platform);
  return {
    name,
    engine: await openEngine(own.engine, platform, own.country ?? config.platform.country, log, (...request) =>
      metrics.request(name, ...request),
    ),
    // A cluster leads to its schools by its own ingress.
    gateway: own.engine.kind === "kubernetes" ? undefined : gateway,
    platform,
    controlSockets: controlSockets(own),
    ...repositoryOf(own),
    ...mailOf(own, platform),
  };
}

async function openSites(): Promise<ReadonlyMap<string, Site>> {
  const gateway = config.gateway === undefined ? undefined : await openGateway(config.gateway);
  const sites = await Promise.all([...sitesOf(config)].map(([name, own]) => openSite(name, own, gateway)));
  return new Map(sites.map((site) => [site.name, site]));
}

/** Tells the store which engines there are, so that the API can place schools on them. */
async function register(pool: pg.Pool): Promise<void> {
  const engines = [...sitesOf(config)].map(([name, own]) => ({
    name,
    kind: own.engine.kind,
    country: own.country ?? config.platform.country,
    labels: own.labels,
    capacity: own.capacity,
    settings: own.platform,
  }));
  await inTransaction(pool, (client) => registerEngines(client, engines));
  for (const { name, schools, copies } of (await listEngines(pool)).filter(({ retired }) => retired))
    log.error({ engine: name, schools, copies }, "an engine with schools is not configured: nobody looks after them");
}

/** @returns the authority's certificate beside the fleet */
async function build(): Promise<{ readonly fleet: Fleet; readonly authority: string }> {
  const kek = readKek(config.kekFile);
  const pool = new pg.Pool({
    ...connectionOf(config.database),
    max: config.workers * 2 + 4,
    idleTimeoutMillis: 30_000,
  });
  const keyringPool = new pg.Pool({ ...connectionOf(config.keyring), max: 3, idleTimeoutMillis: 30_000 });
  for (const each of [pool, keyringPool])
    each.on("error", (error) => log.warn({ error: messageOf(error) }, "a connection to the database ended"));
  for (const each of [pool, keyringPool]) await awaitDatabase(each, systemClock, log);
  const keyring = await openKeyring(keyringPool, kek);
  const lock = await pool.connect();
  try {
    await lock.query("select pg_advisory_lock($1)", [START_LOCK]);
    const applied = await migrate(pool, folder("migrations", "store/migrations"));
    if (applied.length > 0) log.info({ applied }, "the store's schema is up to date");
    const authority = await ensureAuthority(keyring, config.platform.domain, systemClock.now(), () =>
      haveSchools(pool),
    );
    const sites = [...sitesOf(config)].map(
      ([name, own]) => [name, platformAt(config.platform, own.platform).backup] as const,
    );
    await inTransaction(pool, (client) => keepRepositories(client, new Map(sites)));
    await writeSetting(pool, "certificate-authority", { certificate: authority.certificatePem });
    if (config.authorityFile !== undefined) {
      writeFileSync(config.authorityFile, authority.certificatePem);
      chmodSync(config.authorityFile, 0o644);
    }
    await register(pool);
    const fleet: Fleet = {
      pool,
      sites: await openSites(),
      issuer: internalIssuer({ caCertificatePem: authority.certificatePem, caKeyPem: authority.keyPem }),
      keyring,
      chart: loadChart(folder("charts/tenant", "../charts/tenant")),
      clock: systemClock,
      log,
      backups: createSemaphore(config.platform.backup.concurrency),
      metrics,
    };
    return { fleet, authority: authority.certificatePem };
  } finally {
    await lock.query("select pg_advisory_unlock($1)", [START_LOCK]).catch(() => undefined);
    lock.release();
  }
}

/** What an engine lacks is known, and in the log, before the first school meets it. */
async function examineAll(fleet: Fleet, signal: AbortSignal): Promise<void> {
  await Promise.all(
    [...fleet.sites.values()].map((site) =>
      examineEngine(fleet, site, "look", signal).catch((error: unknown) =>
        log.warn({ engine: site.name, error: messageOf(error) }, "preflight failed"),
      ),
    ),
  );
}

/** The first process of a container does not end by a signal that it does not handle; until there is work, at once. */
const endAtOnce = (): void => process.exit(143);

/** Schools whose files in their gateway somebody changed are looked at at once. */
function followGateways({ sites, pool }: Fleet, signal: AbortSignal): void {
  for (const { name, gateway } of sites.values()) {
    const wake = (slug: string) => {
      log.error({ school: slug }, "the gateway's files were changed by someone else; they are put right now");
      void wakeTenant(pool, slug, name).catch(() => undefined);
    };
    gateway
      ?.watch?.(signal, wake)
      .catch((error: unknown) => log.warn({ error: messageOf(error) }, "the gateway's files are not watched"));
  }
}

/** Runs until it is told to stop. */
async function serve(): Promise<void> {
  process.on("SIGTERM", endAtOnce);
  const { fleet, authority } = await build();
  const ending = new AbortController();
  // Not waited for: a cluster that does not answer yet keeps nobody from starting.
  void examineAll(fleet, ending.signal);
  if (config.metrics !== undefined) await serveMetrics(metrics, config.metrics);
  const woken = await wakeAll(fleet.pool, RESYNC_SPREAD_SECONDS);
  followGateways(fleet, ending.signal);
  if (config.listener !== undefined)
    await keepListenerCertificate({ ...fleet, authority }, config.listener, ending.signal);
  const loop = startLoop(fleet, { workers: config.workers, database: config.database });
  log.info({ schools: woken, engines: [...fleet.sites.keys()] }, "running");
  if (config.readyFile !== undefined) writeFileSync(config.readyFile, `${process.pid}\n`);
  const endPulse = startPulse(config.readyFile);

  let stopping = false;
  function stop(): void {
    if (stopping) return;
    stopping = true;
    ending.abort();
    endPulse();
    if (config.readyFile !== undefined) rmSync(config.readyFile, { force: true });
    log.info({}, "ending");
    void loop
      .stop()
      .then(() => log.info({}, "the attempts have ended; the engines end"))
      .then(() => Promise.all([...fleet.sites.values()].map(({ engine }) => engine.close())))
      .then(() => process.exit(0));
  }
  process.on("SIGTERM", stop);
  process.off("SIGTERM", endAtOnce);
  // The supervisor died without ending us: another one will start another reconciler.
  process.on("disconnect", stop);
  process.on("SIGINT", stop);
}

/**
 * Says what the engines lack before a school can live there, and ends; changes nothing:
 *   kubectl --namespace classmind exec deployment/reconciler -- node /app/reconciler.mjs preflight
 * Exit code 7 when anything is missing, as of `classmind doctor`.
 */
async function examine(): Promise<void> {
  const sites = sitesOf(config);
  for (const [name, own] of sites) {
    const engine = await openEngine(
      own.engine,
      platformAt(config.platform, own.platform),
      own.country ?? config.platform.country,
      log,
    );
    const findings = await engine.preflight("look");
    await engine.close();
    const title = sites.size === 1 ? "" : `${name}:\n`;
    process.stdout.write(title + findings.map(describeFinding).join(""));
    if (findings.some((finding) => !finding.ok)) process.exitCode = 7;
  }
}

if (process.argv[2] === "preflight") await examine();
else await serve();
