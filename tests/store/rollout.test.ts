import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { versionCondition } from "../../control-plane/api/version-condition.ts";
import type { PlatformConfig } from "../../control-plane/config.ts";
import { memoryWorld, type WorldStore } from "../../control-plane/engine/simulated/world.ts";
import type { AuthorityMaterial } from "../../control-plane/issuer/internal.ts";
import { type Loop, startLoop } from "../../control-plane/reconcile/loop.ts";
import { listAudit } from "../../control-plane/store/audit.ts";
import type { RolloutState } from "../../control-plane/store/rollout-rows.ts";
import {
  countSchools,
  currentRollout,
  imagesInUse,
  reopenRollout,
  setPin,
  writeRollout,
} from "../../control-plane/store/rollouts.ts";
import { findTenant, insertTenant, inTransaction, updateSpec, wakeAll } from "../../control-plane/store/tenants.ts";
import { namespaceOf } from "../../control-plane/tenant.ts";
import { simulatedPlatform, tenantSpec, testAuthority } from "../fixtures/platform.ts";
import { type PlatformDatabase, platformDatabase } from "../fixtures/platform-database.ts";
import { until } from "../fixtures/until.ts";

/** A new version on its way to a fleet of twenty: the reconcile loop on a real PostgreSQL and the simulated engine. */

const FLEET = Array.from({ length: 20 }, (_, index) => `schule-${index}`);
const ENGINE = "simulated";
const KEK = Buffer.alloc(32, 7);
const POLICY = { first: 3, atOnce: 4, healthySeconds: 1, deadlineSeconds: 3 };
const version = (name: string): PlatformConfig["images"] => ({
  app: `localhost/classmind/app:${name}`,
  postgres: "localhost/classmind/postgres:0123456789abcdef",
});
const OLD = version("old");
const GOOD = version("good");
const BAD = version("bad");

let authority: AuthorityMaterial;
let databases: PlatformDatabase;
let world: WorldStore;
let deps: Awaited<ReturnType<typeof simulatedPlatform>>;
let loop: Loop;
/** Most schools that ran a version at once, by its name. */
let most: Map<string, number>;
/** Schools in the order in which they got a version, by its name. */
let given: Map<string, string[]>;

const imageOf = (slug: string): string => {
  const app = world.read().namespaces[namespaceOf(slug)]?.objects.find(({ kind }) => kind === "Deployment");
  return /"image":"localhost\/classmind\/app:([a-z]+)"/.exec(JSON.stringify(app?.manifest) ?? "")?.[1] ?? "none";
};
const running = (name: string): readonly string[] => FLEET.filter((slug) => imageOf(slug) === name);

/** Schools that are not well whatever version they have. */
const sick = new Set<string>();

/** What is made of the bad version ends again and again. */
function breakBad(): void {
  world.change(({ namespaces }) => {
    for (const [namespace, { objects, workloads }] of Object.entries(namespaces)) {
      const app = objects.find(({ kind }) => kind === "Deployment");
      const isBad = JSON.stringify(app?.manifest).includes("app:bad") || sick.has(namespace.slice("school-".length));
      for (const workload of workloads) if (workload.kind === "Deployment") workload.crashing = isBad;
    }
  });
}

async function start(images: PlatformConfig["images"]): Promise<void> {
  const { database, keyring } = databases;
  const faults = {
    after: (call: string) => {
      if (!call.startsWith("apply Deployment")) return;
      breakBad();
      for (const name of ["old", "good", "bad"]) {
        const schools = running(name);
        most.set(name, Math.max(most.get(name) ?? 0, schools.length));
        given.set(name, [...new Set([...(given.get(name) ?? []), ...schools])]);
      }
    },
  };
  const platform = { images, rollout: POLICY };
  deps = await simulatedPlatform({ database, keyring, authority, world, startupMs: 0, kek: KEK, faults, platform });
  loop = startLoop(deps, { workers: 4, database });
}
async function stop(): Promise<void> {
  await loop.stop();
  await deps.close();
}
/** As `up` does it: the platform is started again with another version. */
async function up(images: PlatformConfig["images"]): Promise<void> {
  await stop();
  most = new Map();
  given = new Map();
  await start(images);
  // The loop announces the version when it has begun; until then the rollout of the one before stands there.
  await until("the version is announced", async () => {
    const found = await currentRollout(deps.pool, ENGINE);
    return found?.version.app === images.app ? found : undefined;
  });
  await wakeAll(deps.pool, 0);
}

beforeAll(async () => {
  authority = await testAuthority();
});
beforeEach(async () => {
  databases = await platformDatabase();
  world = memoryWorld();
  most = new Map();
  given = new Map();
  sick.clear();
  await start(OLD);
});
afterEach(async () => {
  await stop();
  await databases.drop();
});

const school = async (slug: string) => {
  const tenant = await findTenant(deps.pool, slug);
  if (tenant === undefined) throw new Error(`${slug} is gone`);
  return tenant;
};
const ready = (slug: string) =>
  until(`${slug} is ready`, async () => {
    const tenant = await school(slug);
    return tenant.status.phase === "Ready" ? tenant : undefined;
  });
const make = (slug: string) =>
  insertTenant(deps.pool, slug, tenantSpec({ backup: { enabled: false } }), ENGINE, undefined);
async function fleet(slugs: readonly string[] = FLEET): Promise<void> {
  for (const slug of slugs) await make(slug);
  for (const slug of slugs) await ready(slug);
}
const rollout = async () => {
  const found = await currentRollout(deps.pool, ENGINE);
  if (found === undefined) throw new Error("nothing was announced");
  return found;
};
const becomes = (state: RolloutState) =>
  until(
    `the rollout is ${state}`,
    async () => {
      const found = await rollout();
      return found.state === state ? found : undefined;
    },
    rollout,
  );
/** What the API does for an operator. */
const steer = (state: RolloutState, proven = false) =>
  inTransaction(deps.pool, async (db) => {
    const found = await currentRollout(db, ENGINE, "write");
    if (found !== undefined)
      await writeRollout(db, found.number, {
        state,
        proven,
        well: proven ? found.well : 0,
        reason: undefined,
        again: true,
      });
  });
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

describe("a new version", () => {
  it("reaches a few schools first, and all of them when these stayed well", async () => {
    await fleet();
    expect(running("old")).toHaveLength(20);
    await up(GOOD);
    await until("the first schools have it", async () => (running("good").length === POLICY.first ? true : undefined));
    // Nothing is proven before they stayed well for a while.
    await pause(POLICY.healthySeconds * 1000 - 400);
    expect(running("good")).toHaveLength(POLICY.first);
    await becomes("Complete");
    expect(running("good")).toHaveLength(20);
    for (const slug of FLEET) {
      await ready(slug);
      expect(versionCondition(await school(slug))).toMatchObject({ status: "True", reason: "AsDesired" });
    }
  });

  it("that is bad halts by itself, and the other schools keep what they have", async () => {
    await fleet();
    await up(BAD);
    const halted = await becomes("Halted");
    expect(halted.reason).toMatch(/^schule-\d+: It did not become well within 3 s: /);
    await pause(500);
    expect(most.get("bad")).toBe(POLICY.first);
    expect(running("old")).toHaveLength(17);
    for (const slug of running("old")) {
      const tenant = await school(slug);
      expect(tenant.status.phase).toBe("Ready");
      expect(versionCondition(tenant)).toMatchObject({ status: "False", reason: "RolloutHalted" });
      expect(versionCondition(tenant)?.message).toContain("classmind app rollout undo --engine simulated");
    }
    const entries = await listAudit(deps.pool, { limit: 10 });
    expect(entries.map(({ action }) => action)).toContain("rollout.halt");
    // Another start of the platform changes nothing.
    await up(BAD);
    await pause(500);
    expect((await rollout()).state).toBe("Halted");
    expect(running("bad")).toHaveLength(POLICY.first);
  });

  it("goes back everywhere when an operator takes it back, and does not come again by itself", async () => {
    await fleet();
    await up(BAD);
    await becomes("Halted");
    await steer("Undoing");
    await becomes("Undone");
    expect(running("old")).toHaveLength(20);
    for (const slug of FLEET) await ready(slug);
    await up(BAD);
    await pause(500);
    expect((await rollout()).state).toBe("Undone");
    expect(running("bad")).toEqual([]);
  });

  it("is followed by a better one, which the schools that suffer get first", async () => {
    await fleet();
    await up(BAD);
    await becomes("Halted");
    const suffering = running("bad");
    await up(GOOD);
    await until("they have it", async () => (suffering.every((slug) => imageOf(slug) === "good") ? true : undefined));
    expect(running("old")).toHaveLength(17);
    await becomes("Complete");
    expect(running("good")).toHaveLength(20);
  });

  it("that is the one before is given at once: it was good", async () => {
    await fleet();
    await up(BAD);
    await becomes("Halted");
    await up(OLD);
    await becomes("Complete");
    expect(running("old")).toHaveLength(20);
    for (const slug of FLEET) await ready(slug);
  });

  it("is tried again by the same schools alone when a halted rollout goes on", async () => {
    await fleet();
    await up(BAD);
    await becomes("Halted");
    const first = running("bad");
    const { changedAt } = await rollout();
    await steer("Running");
    await until("it halts again", async () => {
      const found = await rollout();
      return found.state === "Halted" && found.changedAt !== changedAt ? found : undefined;
    });
    expect(running("bad")).toEqual(first);
  });
});

describe("a reconciler", () => {
  it("may end at any time, and another one may be at work beside it: no step is lost, and no school comes too early", async () => {
    await fleet();
    await up(GOOD);
    for (let restarts = 0; restarts < 6; restarts += 1) {
      const { database, keyring } = databases;
      const platform = { images: GOOD, rollout: POLICY };
      const beside = await simulatedPlatform({ database, keyring, authority, world, startupMs: 0, kek: KEK, platform });
      const other = startLoop(beside, { workers: 2, database });
      await pause(150 + restarts * 100);
      await loop.stop();
      const { proven } = await rollout();
      if (!proven) expect(running("good").length).toBeLessThanOrEqual(POLICY.first);
      await deps.close();
      await start(GOOD);
      await other.stop();
      await beside.close();
    }
    await becomes("Complete");
    expect(running("good")).toHaveLength(20);
    const begun = (await listAudit(deps.pool, { limit: 50 })).filter(({ action }) => action === "rollout.begin");
    expect(begun).toHaveLength(1);
  });
});

describe("a school", () => {
  it("that is suspended, or was not well before, is not picked first and halts nothing; it gets the version with the rest", async () => {
    await fleet();
    const ill = FLEET.slice(0, 8);
    const suspended = FLEET.slice(8, 12);
    for (const slug of ill) sick.add(slug);
    breakBad();
    for (const slug of suspended)
      await inTransaction(deps.pool, (db) => updateSpec(db, slug, ({ spec }) => ({ ...spec, suspended: true })));
    await wakeAll(deps.pool, 0);
    const phase = (slugs: readonly string[], wanted: string) =>
      until(`they are ${wanted}`, async () => {
        const found = await Promise.all(slugs.map(school));
        return found.every(({ status }) => status.phase === wanted) ? true : undefined;
      });
    await phase(ill, "Degraded");
    await phase(suspended, "Suspended");
    await up(GOOD);
    await becomes("Complete");
    // Nobody waits for a school that does not run.
    await until("all have it", async () => (running("good").length === 20 ? true : undefined));
    for (const slug of given.get("good")?.slice(0, POLICY.first) ?? [])
      expect([...ill, ...suspended]).not.toContain(slug);
  });

  it("that is pinned keeps its version until it is let go, and its images are kept", async () => {
    await fleet();
    const pin = { operator: "anna", at: new Date().toISOString(), reason: "Abitur" };
    await setPin(deps.pool, "schule-7", pin);
    await up(GOOD);
    await becomes("Complete");
    expect(running("old")).toEqual(["schule-7"]);
    expect(versionCondition(await school("schule-7"))).toMatchObject({ status: "False", reason: "VersionPinned" });
    expect([...(await imagesInUse(deps.pool))].sort()).toEqual([GOOD.app, OLD.app, GOOD.postgres].sort());
    await inTransaction(deps.pool, async (db) => {
      const found = await currentRollout(db, ENGINE, "write");
      await setPin(db, "schule-7", undefined);
      if (found !== undefined) await reopenRollout(db, found.number);
    });
    await until("it has the version of the others", async () => (running("good").length === 20 ? true : undefined));
    await becomes("Complete");
    const found = await rollout();
    expect(await countSchools(deps.pool, found)).toEqual({ updated: 20, waiting: 0, pinned: 0, onTrial: 0 });
  });

  it("that is made while nothing is proven gets the version that is good", async () => {
    await fleet();
    await up(BAD);
    await becomes("Halted");
    await make("neu");
    await ready("neu");
    expect(imageOf("neu")).toBe("old");
  });
});

describe("a fleet of", () => {
  it.each([1, 2])("%i school is its own proof", async (size) => {
    await fleet(FLEET.slice(0, size));
    await up(GOOD);
    await becomes("Complete");
    expect(running("good")).toHaveLength(size);
    await up(BAD);
    await becomes("Halted");
    await steer("Undoing");
    await becomes("Undone");
    expect(running("good")).toHaveLength(size);
  });

  it("no school has every version at once", async () => {
    await up(GOOD);
    await becomes("Complete");
    await fleet(FLEET.slice(0, 1));
    expect(running("good")).toHaveLength(1);
  });
});
