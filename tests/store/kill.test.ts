import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fileWorld, type SimulatedWorld } from "../../control-plane/engine/simulated/world.ts";
import type { AuthorityMaterial } from "../../control-plane/issuer/internal.ts";
import { findTenant, insertTenant, setDeletion } from "../../control-plane/store/tenants.ts";
import { tenantSpec, testAuthority } from "../fixtures/platform.ts";
import { type PlatformDatabase, platformDatabase } from "../fixtures/platform-database.ts";

/** SIGKILL at every moment (before and after each step) of a school's creation and purge, then a restart: the same end. */

let platform: PlatformDatabase;
let directory: string;
let authority: AuthorityMaterial;
const kek = randomBytes(32).toString("base64");

beforeAll(async () => {
  platform = await platformDatabase();
  authority = await testAuthority();
  directory = await mkdtemp(path.join(tmpdir(), "classmind-kill-"));
});
afterAll(async () => {
  await platform.drop();
  await rm(directory, { recursive: true, force: true });
});

interface Child {
  readonly process: ChildProcess;
  readonly moments: string[];
  readonly exited: Promise<NodeJS.Signals | null>;
}

function startReconciler(worldFile: string, killAt: number): Child {
  const child = spawn(process.execPath, [path.join(import.meta.dirname, "reconciler-child.ts")], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  child.stdin.end(
    JSON.stringify({ database: platform.database, keyring: platform.keyring, worldFile, kek, authority, killAt }),
  );
  const moments: string[] = [];
  child.stdout.setEncoding("utf8").on("data", (text: string) => moments.push(...text.trim().split("\n")));
  const exited = new Promise<NodeJS.Signals | null>((resolve) =>
    child.once("exit", (_code, signal) => resolve(signal)),
  );
  return { process: child, moments, exited };
}

async function until(check: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 30_000;
  while (!(await check())) {
    if (Date.now() > end) throw new Error("it did not come to pass within 30 s");
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

const ready = async (slug: string): Promise<boolean> => {
  const tenant = await findTenant(platform.pool, slug);
  return tenant?.status.phase === "Ready" && tenant.status.backup?.newest !== undefined;
};
const gone = async (slug: string): Promise<boolean> => (await findTenant(platform.pool, slug)) === undefined;

/** Runs a reconciler until it kills itself at the given moment (or the goal is reached first), then another to the end. */
async function killAndResume(
  worldFile: string,
  killAt: number,
  reached: () => Promise<boolean>,
): Promise<{ readonly killed: boolean; readonly moments: readonly string[] }> {
  const first = startReconciler(worldFile, killAt);
  const goal = until(reached).then(() => "reached" as const);
  const outcome = killAt === 0 ? await goal : await Promise.race([first.exited, goal]);
  goal.catch(() => undefined);
  if (outcome === "reached") {
    first.process.kill("SIGTERM");
    await first.exited;
    return { killed: false, moments: first.moments };
  }
  // The dead reconciler's lease runs out; the test does not wait for it.
  await platform.pool.query("update tenants set lease_expires = now() where lease_holder is not null");
  const second = startReconciler(worldFile, 0);
  await until(reached);
  second.process.kill("SIGTERM");
  await second.exited;
  return { killed: true, moments: first.moments };
}

/** What must be equal whatever happened: objects, workloads, volumes and data, but for keys and the school's name. */
function substance(world: SimulatedWorld, slug: string): unknown {
  const state = world.namespaces[`school-${slug}`];
  return {
    objects: state?.objects.map((object) => `${object.kind}/${object.name.replace(slug, "")}`).sort(),
    workloads: state?.workloads
      .map((workload) => ({ name: workload.name, restarts: workload.restarts }))
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
    volumes: state?.volumes.map((volume) => ({ name: volume.name, data: volume.data })),
  };
}

async function createAndPurge(
  index: number,
  killCreateAt: number,
  killPurgeAt: number,
): Promise<{
  readonly created: unknown;
  readonly createMoments: readonly string[];
  readonly purgeMoments: readonly string[];
  readonly volumesMade: number;
  readonly left: unknown;
  readonly keys: number;
}> {
  const slug = `school${index}`;
  const worldFile = path.join(directory, `${slug}.json`);
  const tenant = await insertTenant(platform.pool, slug, tenantSpec(), "simulated", undefined);
  const create = await killAndResume(worldFile, killCreateAt, () => ready(slug));
  const world = fileWorld(worldFile).read();
  await setDeletion(platform.pool, slug, { requestedAt: new Date(), purgeAfter: new Date(Date.now() - 1000) });
  const purge = await killAndResume(worldFile, killPurgeAt, () => gone(slug));
  const { rows } = await platform.keyringPool.query<{ count: string }>(
    "select count(*) from keys where tenant_uid = $1",
    [tenant.uid],
  );
  return {
    created: substance(world, slug),
    createMoments: create.moments,
    purgeMoments: purge.moments,
    volumesMade: world.volumesMade,
    left: fileWorld(worldFile).read().namespaces,
    keys: Number(rows[0]?.count),
  };
}

describe("a reconciler that is killed", () => {
  it("at any moment of creating or purging a school leaves nothing undone, nothing twice and nothing over", {
    timeout: 400_000,
  }, async () => {
    const reference = await createAndPurge(0, 0, 0);
    expect(reference.createMoments.length).toBeGreaterThan(12);
    const purgeCount = reference.purgeMoments.length;
    expect(purgeCount).toBeGreaterThan(5);
    expect(reference.left).toEqual({});
    expect(reference.keys).toBe(0);
    const count = reference.createMoments.length;
    for (let killAt = 1; killAt <= count; killAt += 1) {
      const result = await createAndPurge(killAt, killAt, ((killAt - 1) % purgeCount) + 1);
      const moment = `killed at moment ${killAt}: ${result.createMoments.at(-1)}`;
      expect(result.created, moment).toEqual(reference.created);
      expect(result.volumesMade, moment).toBe(reference.volumesMade);
      expect(result.left, moment).toEqual({});
      expect(result.keys, moment).toBe(0);
    }
  });
});
