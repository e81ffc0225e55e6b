import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chown, mkdir, mkdtemp, readdir, readFile, rm, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import Dockerode from "dockerode";
import { afterAll, beforeAll, describe, expect, inject, it, vi } from "vitest";
import { createRecipient } from "../../../cli/sealed.ts";
import { type GatewayOptions, startGateway, stopGateway } from "../../../control-plane/gateway/container.ts";
import { haproxyGateway } from "../../../control-plane/gateway/haproxy.ts";
import { CONTAINER_UID } from "../../../control-plane/images/recipes.ts";
import type { AuthorityMaterial } from "../../../control-plane/issuer/internal.ts";
import { listBackups } from "../../../control-plane/store/backups.ts";
import { registerEngines } from "../../../control-plane/store/engines.ts";
import { listOperations, type OperationKind, requestOperation } from "../../../control-plane/store/operations.ts";
import { findTenant, insertTenant, setDeletion, updateSpec } from "../../../control-plane/store/tenants.ts";
import { registration, tenantSpec, testAuthority } from "../../fixtures/platform.ts";
import { type PlatformDatabase, platformDatabase } from "../../fixtures/platform-database.ts";
import { sql } from "../../fixtures/school-in-use.ts";
import { freeGatewayPort, GATEWAY_ADDRESS } from "../gateway/stage.ts";
import { testInstance } from "../test-host.ts";
import type { ChildInput, Strike } from "./containers-child.ts";

/**
 * SIGKILL of the reconciler in the middle of every kind of step, on real containers: a school lives from creation to purge
 * while its reconciler is killed again and again, and ends at each stage as one whose reconciler was left alone.
 */

const instance = testInstance();
const docker = new Dockerode({ socketPath: inject("engineSocket") });
const kek = randomBytes(32).toString("base64");
const children = new Set<Child>();
let platform: PlatformDatabase;
let authority: AuthorityMaterial;
let directory: string;
let gateway: GatewayOptions;

beforeAll(async () => {
  platform = await platformDatabase();
  await registerEngines(platform.pool, [registration("containers")]);
  authority = await testAuthority();
  directory = await mkdtemp(path.join(tmpdir(), "cmkill-"));
  gateway = {
    docker,
    image: inject("images").gateway,
    name: `${instance.name}-kill-gateway`,
    labels: { "classmind.instance": instance.name },
    configDir: path.join(directory, "config"),
    runDir: path.join(directory, "run"),
    addresses: [GATEWAY_ADDRESS],
    httpPort: await freeGatewayPort(),
    httpsPort: await freeGatewayPort(),
  };
  await startGateway(gateway);
});
afterAll(async () => {
  // Those of a test that failed.
  for (const { process } of children) process.kill("SIGKILL");
  await stopGateway(gateway);
  await platform.drop();
  await rm(directory, { recursive: true, force: true });
});

interface Child {
  readonly process: ChildProcess;
  /** Kinds of steps that ended, with the milliseconds they took. */
  readonly steps: Map<string, number>;
  /** How far its start has come, and what it said it waits for. */
  readonly told: string[];
  /** The kind of step in which it killed itself. */
  struck?: string;
  readonly exited: Promise<NodeJS.Signals | null>;
}

/** @param kill dies in the first step of one of these kinds */
function startReconciler(kill: readonly Strike[] = []): Child {
  const { app, postgres } = inject("images");
  const child = spawn(process.execPath, [path.join(import.meta.dirname, "containers-child.ts")], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const input: ChildInput = {
    database: platform.database,
    keyring: platform.keyring,
    kek,
    authority,
    images: { app, postgres },
    gateway: { configDir: gateway.configDir, runDir: gateway.runDir },
    kill,
  };
  child.stdin.end(JSON.stringify(input));
  const exited = new Promise<NodeJS.Signals | null>((resolve) =>
    // All that it printed has come by then.
    child.once("close", (_code, signal) => resolve(signal)),
  );
  const started: Child = { process: child, steps: new Map(), told: [], exited };
  children.add(started);
  child.once("exit", () => children.delete(started));
  let rest = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const [what, kind = "", milliseconds] = line.split("\t");
      if (what === "struck") started.struck = kind;
      else if (what === "at" || what === "waits") started.told.push(kind);
      else if (!started.steps.has(kind)) started.steps.set(kind, Number(milliseconds));
    }
  });
  return started;
}

/** Nobody acts on the school, and nothing is due: its status says how it is. */
async function isAtRest(slug: string): Promise<boolean> {
  const { rows } = await platform.pool.query<{ resting: boolean }>(
    "select lease_holder is null and wake_at > now() + interval '10 seconds' as resting from tenants where slug = $1",
    [slug],
  );
  return rows[0]?.resting ?? true;
}

/** Who acts on the school, for the message of a test that failed. */
async function leaseOf(slug: string): Promise<unknown> {
  const { rows } = await platform.pool.query(
    "select now(), lease_holder, lease_expires, working, wake_at, due_at, observed_at from tenants where slug = $1",
    [slug],
  );
  return rows[0];
}

/** What the reconciler asks of the database or waits for, for the same. */
async function sessionsOfDatabase(): Promise<unknown> {
  const { rows } = await platform.pool.query(
    `select usename, state, state_change, wait_event_type, wait_event, left(query, 120) as query
     from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
  );
  return rows;
}

/** Where the reconcilers that run are, and what they wait for. */
async function askedReconcilers(): Promise<unknown> {
  for (const { process } of children) process.kill("SIGUSR2");
  await new Promise((resolve) => setTimeout(resolve, 2000));
  return [...children].map(({ told, steps }) => ({ told, steps: [...steps.keys()] }));
}

/**
 * Only a failing test waits as long. More than the three minutes that an engine waits for an answer of Podman's, which a request of the
 * killed reconciler may keep busy.
 */
const PATIENCE_MS = 240_000;

async function until(stage: Stage, slug: string, signal?: AbortSignal): Promise<void> {
  const end = Date.now() + PATIENCE_MS;
  while (!signal?.aborted && !((await stage.reached(slug)) && (await isAtRest(slug)))) {
    if (Date.now() > end) {
      const tenant = await tenantOf(slug);
      const operations = await listOperations(platform.pool, tenant?.uid ?? "", 10);
      const [lease, sessions, reconcilers] = await Promise.all([
        leaseOf(slug),
        sessionsOfDatabase(),
        askedReconcilers(),
      ]);
      const seen = JSON.stringify({ tenant, operations, lease, sessions, reconcilers });
      throw new Error(`${stage.name} did not come to pass in time: ${seen}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** One stage of a school's life: what is wished for, and how to see that it has come. */
interface Stage {
  readonly name: string;
  wish(slug: string): Promise<void>;
  reached(slug: string): Promise<boolean>;
}

const tenantOf = (slug: string) => findTenant(platform.pool, slug);
const phaseIs = (phase: string) => async (slug: string) => {
  const tenant = await tenantOf(slug);
  return tenant?.status.phase === phase && tenant.status.observedGeneration === tenant.generation;
};
async function suspend(slug: string, suspended: boolean): Promise<void> {
  const client = await platform.pool.connect();
  await updateSpec(client, slug, ({ spec }) => ({ ...spec, suspended })).finally(() => client.release());
}
async function request(slug: string, kind: OperationKind, params: Record<string, unknown>): Promise<void> {
  const tenant = await tenantOf(slug);
  if (tenant === undefined) throw new Error(`no school ${slug}`);
  await requestOperation(platform.pool, { tenantUid: tenant.uid, kind, params, requestedBy: "anna" });
}
async function allDone(slug: string): Promise<boolean> {
  const tenant = await tenantOf(slug);
  const operations = await listOperations(platform.pool, tenant?.uid ?? "", 100);
  const failed = operations.find((operation) => operation.state === "Failed");
  if (failed !== undefined) throw new Error(`${failed.kind} failed: ${failed.error}`);
  return operations.every((operation) => operation.state === "Succeeded") && tenant?.status.phase === "Ready";
}
async function newestRun(slug: string): Promise<string> {
  const tenant = await tenantOf(slug);
  const backups = await listBackups(platform.pool, tenant?.uid ?? "", 10);
  return backups.find((backup) => backup.state === "Complete")?.runId ?? "";
}

const filesOf = (slug: string, claim: string) =>
  path.join(instance.stateDir, "mnt", `school-${slug}`, claim, "data", "files");

/** Fills a school's volume to well over a half, by bytes and by inodes: a restore into place has no room beside what is there. */
async function fill(slug: string): Promise<void> {
  const directory = path.join(filesOf(slug, "data"), "archiv");
  await mkdir(directory, { mode: 0o700 });
  const own = async (name: string, content: Buffer) => {
    await writeFile(path.join(directory, name), content, { mode: 0o600 });
    await chown(path.join(directory, name), CONTAINER_UID, CONTAINER_UID);
  };
  const { files } = await statfs(directory);
  const many = Math.ceil(files * 0.6);
  for (let index = 0; index < many; index += 1) await own(`${index}`, Buffer.from(String(index)));
  const { blocks, bsize, bavail } = await statfs(directory);
  await own("gross", randomBytes(Math.max(0, Math.ceil(blocks * bsize * 0.62 - (blocks - bavail) * bsize))));
  await chown(directory, CONTAINER_UID, CONTAINER_UID);
  const full = await statfs(directory);
  expect(1 - full.bavail / full.blocks).toBeGreaterThan(0.6);
  expect(1 - full.ffree / full.files).toBeGreaterThan(0.6);
}

/** How many files a school's volumes hold, but for names that hold the school's. */
async function filed(slug: string): Promise<unknown> {
  const claims = await readdir(path.join(instance.stateDir, "mnt", `school-${slug}`)).catch(() => []);
  const counts = claims.map(async (claim) => {
    const names = await readdir(filesOf(slug, claim), { recursive: true }).catch(() => undefined);
    return [claim, names?.length, names?.filter((name) => /incoming/.test(name))] as const;
  });
  return (await Promise.all(counts)).sort();
}

/** For how long the last restore kept the school closed, in seconds; undefined where there was none. */
async function closedSeconds(slug: string): Promise<unknown> {
  const operations = await listOperations(platform.pool, (await tenantOf(slug))?.uid ?? "", 100);
  const restored = operations.find(({ kind, state }) => kind === "restore" && state === "Succeeded");
  return (restored?.result as { readonly closedSeconds?: number } | undefined)?.closedSeconds;
}

const STAGES: readonly Stage[] = [
  {
    name: "creation",
    wish: async (slug) => {
      await insertTenant(
        platform.pool,
        slug,
        tenantSpec({ storage: "512Mi", backup: { enabled: false } }),
        "containers",
        undefined,
      );
    },
    reached: phaseIs("Ready"),
  },
  {
    name: "backup",
    async wish(slug) {
      await fill(slug);
      await request(slug, "backup", { trigger: "manual" });
    },
    reached: allDone,
  },
  {
    name: "long work",
    async wish(slug) {
      const tenant = await tenantOf(slug);
      const runId = await newestRun(slug);
      await request(slug, "verify-backup", { runId });
      await request(slug, "verify-isolation", {});
      await request(slug, "renew-certificate", {});
      const { publicKey: recipient } = await createRecipient();
      await request(slug, "reset-password", { username: tenant?.status.administrator?.username, recipient });
      await request(slug, "restore", { runId, sourceUid: tenant?.uid, sourceSlug: slug });
    },
    reached: allDone,
  },
  { name: "suspension", wish: (slug) => suspend(slug, true), reached: phaseIs("Suspended") },
  { name: "resumption", wish: (slug) => suspend(slug, false), reached: phaseIs("Ready") },
  {
    name: "purge",
    wish: async (slug) => {
      await setDeletion(platform.pool, slug, { requestedAt: new Date(), purgeAfter: new Date(Date.now() - 1000) });
    },
    reached: async (slug) => (await tenantOf(slug)) === undefined,
  },
];

/** What there is of a school on this host and in the stores, but for its name and its random keys. */
async function substance(slug: string, uid: string): Promise<unknown> {
  const namespace = `school-${slug}`;
  const label = { filters: JSON.stringify({ label: [`classmind.namespace=${namespace}`] }) };
  const containers = await docker.listContainers({ all: true, ...label });
  const below = async (...parts: readonly string[]) =>
    (await readdir(path.join(...parts, namespace), { recursive: true }).catch(() => []))
      .map((entry) => entry.replace(slug, ""))
      .sort();
  const { rows } = await platform.keyringPool.query<{ purpose: string }>(
    "select purpose from keys where tenant_uid = $1 order by purpose",
    [uid],
  );
  const tenant = await tenantOf(slug);
  const backups = await listBackups(platform.pool, uid, 100);
  const served = await haproxyGateway(gateway).observe(slug);
  const mounts = (await readFile("/proc/self/mounts", "utf8")).split("\n").filter((line) => line.includes(namespace));
  return {
    containers: containers.map((container) => `${container.Labels["classmind.workload"]} ${container.State}`).sort(),
    networks: (await docker.listNetworks(label)).length,
    objects: await below(instance.stateDir, "engine"),
    volumes: await below(instance.stateDir, "volumes"),
    secrets: await below(instance.runDir, "secrets"),
    filed: await filed(slug),
    mounts: mounts.map((line) => line.split(" ")[1]?.replace(slug, "")).sort(),
    keys: rows.map((row) => row.purpose),
    phase: tenant?.status.phase,
    conditions: tenant?.status.conditions.map(({ type, status, reason }) => `${type} ${status} ${reason}`),
    backups: backups.map((backup) => backup.state),
    route: served.route?.state,
    certificate: served.certificateFingerprint !== undefined,
    accounts:
      tenant?.status.phase === "Ready" ? await sql({ instance }, slug, "select count(*) from konto") : undefined,
  };
}

/** At rest a school has at most one volume open. What the host still held when it was to be locked is locked some seconds later. */
async function locked(slug: string): Promise<void> {
  const claims = () => readdir(path.join(instance.stateDir, "mnt", `school-${slug}`)).catch(() => []);
  await vi.waitFor(async () => expect((await claims()).length).toBeLessThanOrEqual(1), { timeout: 20_000 });
}

async function stop(child: Child): Promise<void> {
  child.process.kill("SIGTERM");
  await child.exited;
}

interface Lived {
  readonly stage: Stage;
  readonly steps: Child["steps"];
  readonly end: unknown;
}

/** The middle of each kind of step. */
function targetsOf({ steps }: Lived): readonly Strike[] {
  return [...steps].map(([kind, milliseconds]) => ({ kind, after: Math.floor(milliseconds / 2) }));
}

/** Lives through all stages undisturbed. */
async function undisturbed(slug: string): Promise<Lived[]> {
  const lived: Lived[] = [];
  let uid = "";
  for (const stage of STAGES) {
    await stage.wish(slug);
    uid = (await tenantOf(slug))?.uid ?? uid;
    const child = startReconciler();
    await until(stage, slug);
    await locked(slug);
    await stop(child);
    if (stage.name === "long work")
      process.stderr.write(`a restore on a volume that is 60 % full: closed for ${await closedSeconds(slug)} s\n`);
    lived.push({ stage, steps: child.steps, end: await substance(slug, uid) });
  }
  return lived;
}

/**
 * Runs reconcilers one after the other towards a stage, each killed in a step of a kind that none was killed in before. Which comes
 * first is theirs: what waited for room in the undisturbed life may not have to in this one.
 */
async function killed(stage: Stage, slug: string, targets: readonly Strike[]): Promise<readonly string[]> {
  const struck: string[] = [];
  for (;;) {
    const child = startReconciler(targets.filter(({ kind }) => !struck.includes(kind)));
    const over = new AbortController();
    const outcome = await Promise.race([child.exited, until(stage, slug, over.signal).then(() => "reached" as const)]);
    over.abort();
    if (outcome === "reached") {
      await locked(slug);
      await stop(child);
      return struck;
    }
    expect([outcome, child.struck], `${stage.name}: ended by itself`).toEqual(["SIGKILL", expect.any(String)]);
    struck.push(child.struck ?? "");
    // The dead reconciler's lease runs out; the test does not wait for it.
    await platform.pool.query("update tenants set lease_expires = now() where lease_holder is not null");
  }
}

describe("a reconciler on real containers that is killed", () => {
  it("in the middle of each kind of step leaves the school at every stage as if it had not been", {
    timeout: 1_500_000,
  }, async () => {
    const [creation, ...rest] = await undisturbed("ruhe");
    const purge = rest.pop();
    if (creation === undefined || purge === undefined) throw new Error("a life has a beginning and an end");
    const everyKind = new Set([creation, ...rest, purge].flatMap(({ steps }) => [...steps.keys()]));
    const wasKilled = new Set<string>();
    const live = async (slug: string, { stage, end }: Lived, targets: readonly Strike[]) => {
      await stage.wish(slug);
      const { uid } = (await tenantOf(slug)) ?? { uid: "" };
      for (const kind of await killed(stage, slug, targets)) wasKilled.add(kind);
      expect(await substance(slug, uid), `${stage.name}, killed in ${targets.map(({ kind }) => kind)}`).toEqual(end);
    };
    // Steps of a creation run side by side: each is struck in a school of its own.
    const schools = targetsOf(creation).map((target, index) => ({ slug: `unruhe-${index}`, target }));
    for (const { slug, target } of schools) await live(slug, creation, [target]);
    // One of them lives on, its reconciler killed in one kind of step after the other.
    for (const lived of rest) await live("unruhe-0", lived, targetsOf(lived));
    const ends = targetsOf(purge);
    for (const [index, { slug }] of schools.entries()) {
      await live(slug, purge, ends.slice(index % ends.length, (index % ends.length) + 1));
    }
    expect([...everyKind].filter((kind) => !wasKilled.has(kind))).toEqual([]);
    expect(everyKind.size).toBeGreaterThanOrEqual(16);
  });
});
