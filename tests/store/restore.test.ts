import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { memoryWorld, type WorldStore } from "../../control-plane/engine/simulated/world.ts";
import { type Loop, startLoop } from "../../control-plane/reconcile/loop.ts";
import { listBackups } from "../../control-plane/store/backups.ts";
import {
  getOperation,
  listOperations,
  type Operation,
  requestOperation,
} from "../../control-plane/store/operations.ts";
import { findTenant, getTenant, insertTenant, wakeAll } from "../../control-plane/store/tenants.ts";
import { namespaceOf } from "../../control-plane/tenant.ts";
import { type CutOff, createCutOff } from "../fixtures/cut-off.ts";
import { simulatedPlatform, tenantSpec, testAuthority } from "../fixtures/platform.ts";
import { type PlatformDatabase, platformDatabase } from "../fixtures/platform-database.ts";
import { until } from "../fixtures/until.ts";

/** Restores that are cut off: the reconcile loop on a real PostgreSQL and the simulated engine. */

/** A platform of its own: what is cut off here is not elsewhere. Most of a restore is waiting, so several run beside each other. */
interface Lane {
  readonly databases: PlatformDatabase;
  readonly world: WorldStore;
  readonly disturbance: CutOff;
  readonly deps: Awaited<ReturnType<typeof simulatedPlatform>>;
  loop: Loop;
}
const LANES = 3;
let lanes: readonly Lane[] = [];

const start = ({ databases, deps }: Pick<Lane, "databases" | "deps">) =>
  startLoop(deps, { workers: 2, database: databases.database });

async function openLane(): Promise<Lane> {
  const databases = await platformDatabase();
  const world = memoryWorld();
  const disturbance = createCutOff();
  const { database, keyring } = databases;
  const { faults } = disturbance;
  const deps = await simulatedPlatform({ database, keyring, authority: await authority, world, startupMs: 0, faults });
  return { databases, world, disturbance, deps, loop: start({ databases, deps }) };
}

const authority = testAuthority();
beforeAll(async () => {
  lanes = await Promise.all(Array.from({ length: LANES }, openLane));
});
afterAll(async () => {
  for (const { loop, deps, databases } of lanes) {
    await loop.stop();
    await deps.close();
    await databases.drop();
  }
});

const settled = ({ deps, world }: Lane, slug: string) =>
  until(
    `${slug} is ready`,
    async () => {
      const tenant = await findTenant(deps.pool, slug);
      const well = tenant?.status.phase === "Ready" && tenant.status.observedGeneration === tenant.generation;
      const { next, dropped } = tenant?.volumes ?? {};
      return well && next === undefined && dropped?.length === 0 ? tenant : undefined;
    },
    async () => ({ tenant: await findTenant(deps.pool, slug), calls: world.read().calls.slice(-20) }),
  );
const ended = ({ deps }: Lane, { id }: Operation) =>
  until("the operation has ended", async () => {
    const operation = await getOperation(deps.pool, id);
    return operation.state === "Pending" || operation.state === "Running" ? undefined : operation;
  });

/** What there is of a school, but for its name and what differs by nature. */
async function substance({ deps, world }: Lane, slug: string): Promise<object> {
  const space = world.read().namespaces[namespaceOf(slug)];
  const { volumes } = await getTenant(deps.pool, slug);
  return {
    objects: space?.objects.map(({ kind, name }) => `${kind}/${name}`.replaceAll(slug, "")).sort(),
    running: space?.workloads.map(({ name }) => name).sort(),
    data: space?.volumes
      .filter(({ name }) => name.startsWith("data"))
      .map(({ name, data }) => ({ name, restored: data.restoredFrom !== undefined })),
    own: volumes.own.claim,
    aside: volumes.aside.map(({ claim }) => claim),
  };
}

async function school(lane: Lane, slug: string): Promise<void> {
  const { deps } = lane;
  await insertTenant(deps.pool, slug, tenantSpec(), "simulated", undefined);
  const { uid } = await getTenant(deps.pool, slug);
  await until(`${slug} has a backup`, async () =>
    (await listBackups(deps.pool, uid, 10)).find(({ state }) => state === "Complete"),
  );
  await settled(lane, slug);
}

async function askForRestore({ deps }: Lane, slug: string): Promise<Operation> {
  const { uid } = await getTenant(deps.pool, slug);
  const backups = await listBackups(deps.pool, uid, 10);
  const newest = backups.find(({ state }) => state === "Complete");
  if (newest === undefined) throw new Error(`${slug} has no backup any more: ${JSON.stringify(backups)}`);
  const params = { runId: newest.runId, sourceUid: uid, sourceSlug: slug };
  return requestOperation(deps.pool, { tenantUid: uid, kind: "restore", params, requestedBy: "anna" });
}

/** Both as people meet them: the school is open, or nothing is left of its volume. */
const CASES: ReadonlyArray<readonly [string, string, (lane: Lane, slug: string) => void]> = [
  ["an open school", "offen", () => undefined],
  [
    "a school whose volume is lost",
    "verloren",
    ({ world }, slug) =>
      world.change(({ namespaces }) => {
        const space = namespaces[namespaceOf(slug)];
        if (space === undefined) throw new Error(`${slug} is not there`);
        space.objects = space.objects.filter(({ kind, name }) => kind !== "PersistentVolumeClaim" || name !== "data");
        space.volumes = space.volumes.filter(({ name }) => name !== "data");
        space.workloads = [];
      }),
  ],
];

interface Lived {
  /** How many calls of the engine there were from the request to the end. */
  readonly moments: number;
  readonly end: object;
}

/**
 * A school is made, has something done to it, and is restored.
 * @param moment at which call of the engine the reconciler is killed; 0: at none
 */
async function live(
  lane: Lane,
  slug: string,
  moment: number,
  hurt: (lane: Lane, slug: string) => void,
): Promise<Lived> {
  const { deps, disturbance } = lane;
  await school(lane, slug);
  disturbance.begin(moment, () => lane.loop.stop());
  hurt(lane, slug);
  const operation = await askForRestore(lane, slug);
  await wakeAll(deps.pool, 0);
  // Towards the end there may be fewer calls than there were: then nothing is cut off, and must not be later.
  const whole = ended(lane, operation).then(() => settled(lane, slug));
  await (moment > 0 ? Promise.race([disturbance.cut, whole]) : whole);
  const moments = disturbance.end();
  if (moment > 0) {
    await lane.loop.stop();
    lane.loop = start(lane);
  }
  const { state, error } = await ended(lane, operation);
  const tenant = await settled(lane, slug);
  const restores = (await listOperations(deps.pool, tenant.uid, 20)).filter(({ kind }) => kind === "restore").length;
  return { moments, end: { state, error, restores, ...(await substance(lane, slug)) } };
}

describe("a restore that is cut off at any call of the engine", () => {
  it.each(CASES)("of %s ends as an undisturbed one, with nothing left over", async (_, name, hurt) => {
    const [first] = lanes;
    if (first === undefined) throw new Error("there are lanes");
    const undisturbed = await live(first, `${name}-0`, 0, hurt);
    expect(undisturbed.end).toMatchObject({ state: "Succeeded", own: "data-2", running: ["app", "db"] });
    expect(undisturbed.moments).toBeGreaterThan(20);
    const moments = process.env.AT
      ? process.env.AT.split(",").map(Number)
      : Array.from({ length: undisturbed.moments }, (_each, index) => index + 1);
    const inLane = async (lane: Lane, index: number) => {
      for (const moment of moments.filter((each) => each % LANES === index)) {
        const { end } = await live(lane, `${name}-${moment}`, moment, hurt);
        expect(end, `cut off at call ${moment}`).toEqual(undisturbed.end);
      }
    };
    await Promise.all(lanes.map(inLane));
  });
});
