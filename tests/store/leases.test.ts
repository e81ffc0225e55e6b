import { randomUUID } from "node:crypto";
import type { Pool } from "pg";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Engine } from "../../control-plane/engine/engine.ts";
import { memoryWorld, type WorldStore } from "../../control-plane/engine/simulated/world.ts";
import type { AuthorityMaterial } from "../../control-plane/issuer/internal.ts";
import type { Dependencies } from "../../control-plane/reconcile/dependencies.ts";
import { type Loop, startLoop } from "../../control-plane/reconcile/loop.ts";
import { registerEngines, wakeStranded } from "../../control-plane/store/engines.ts";
import { keepRepositories } from "../../control-plane/store/fixed-settings.ts";
import { LeaseLostError, whileHeld } from "../../control-plane/store/held.ts";
import {
  buryTenant,
  claimTenant,
  finishAttempt,
  LEASE_SECONDS,
  renewLease,
  switchEngine,
  wakeAfterJump,
  writeLeftEngine,
  writeProgress,
  writeStatus,
} from "../../control-plane/store/leases.ts";
import type { Queryable } from "../../control-plane/store/queryable.ts";
import {
  findTenant,
  getTenant,
  inOrder,
  insertTenant,
  inTransaction,
  type StoredTenant,
  setDeletion,
  wakeAll,
} from "../../control-plane/store/tenants.ts";
import { registration, simulatedPlatform, tenantSpec, testAuthority } from "../fixtures/platform.ts";
import { type PlatformDatabase, platformDatabase } from "../fixtures/platform-database.ts";
import { until } from "../fixtures/until.ts";

/** Who may act on a school: one at a time, and nobody whose lease is gone. Real PostgreSQL, the engine in memory. */

let authority: AuthorityMaterial;
let databases: PlatformDatabase;
let world: WorldStore;
let closing: Array<() => Promise<void>>;

beforeAll(async () => {
  authority = await testAuthority();
});
beforeEach(async () => {
  databases = await platformDatabase();
  world = memoryWorld();
  closing = [];
});
afterEach(async () => {
  for (const close of closing.reverse()) await close();
  await databases.drop();
});

async function reconciler(edit: (deps: Dependencies) => Dependencies = (deps) => deps): Promise<Loop> {
  const { database, keyring } = databases;
  const kek = Buffer.alloc(32, 7);
  const deps = await simulatedPlatform({ database, keyring, authority, world, kek, startupMs: 0 });
  closing.push(() => deps.close());
  const loop = startLoop(edit(deps), { workers: 4, database });
  closing.push(() => loop.stop());
  return loop;
}

/** The same engine, with what its writes wait for. */
function withWrites(
  deps: Dependencies,
  around: <T>(namespace: string, write: () => Promise<T>) => Promise<T>,
): Dependencies {
  const { engine } = deps;
  const watched: Engine = {
    ...engine,
    apply: (namespace, objects, options) => around(namespace, () => engine.apply(namespace, objects, options)),
    remove: (namespace, objects, options) => around(namespace, () => engine.remove(namespace, objects, options)),
    run: (namespace, job) => around(namespace, () => engine.run(namespace, job)),
  };
  const sites = new Map([...deps.sites].map(([name, site]) => [name, { ...site, engine: watched }]));
  return { ...deps, engine: watched, sites };
}

describe("two reconcilers side by side", () => {
  it("share the schools, and never write at one at the same time", async () => {
    const acting = new Map<string, Set<string>>();
    const met: string[] = [];
    const worked = new Set<string>();
    const named = (name: string) => (deps: Dependencies) =>
      withWrites(deps, async (namespace, write) => {
        const here = acting.get(namespace) ?? new Set<string>();
        acting.set(namespace, here);
        here.add(name);
        worked.add(name);
        if (here.size > 1) met.push(namespace);
        try {
          await new Promise((resolve) => setTimeout(resolve, 5));
          return await write();
        } finally {
          here.delete(name);
        }
      });
    const slugs = Array.from({ length: 12 }, (_, index) => `schule-${index}`);
    for (const slug of slugs) await insertTenant(databases.pool, slug, tenantSpec(), "simulated", undefined);
    await Promise.all([reconciler(named("one")), reconciler(named("two"))]);
    const all = (phase: string) =>
      until(`all are ${phase}`, async () => {
        const { rows } = await databases.pool.query("select from tenants where phase <> $1", [phase]);
        // Woken all the time, as a busy fleet is.
        await databases.pool.query(`update tenants set wake_at = now() where ${inOrder("random() < 0.3")}`);
        return rows.length === 0 ? true : undefined;
      });
    await all("Ready");
    await databases.pool.query(
      `update tenants set spec = spec || '{"suspended": true}', generation = generation + 1, wake_at = now()
       where ${inOrder("true")}`,
    );
    await all("Suspended");
    const now = new Date();
    for (const slug of slugs) await setDeletion(databases.pool, slug, { requestedAt: now, purgeAfter: now });
    await until("all are gone", async () =>
      (await databases.pool.query("select from tenants")).rowCount === 0 ? true : undefined,
    );
    expect([...worked].sort()).toEqual(["one", "two"]);
    expect(met).toEqual([]);
    expect(world.read().namespaces).toEqual({});
  });
});

describe("a reconciler whose lease has run out", () => {
  const WRITES: ReadonlyArray<
    readonly [string, (pool: Pool, tenant: StoredTenant, holder: string) => Promise<boolean>]
  > = [
    ["prolong it", (pool, { uid }, holder) => renewLease(pool, { uid, holder })],
    ["show progress", (pool, { uid }, holder) => writeProgress(pool, { uid, holder }, [])],
    [
      "write a status",
      (pool, tenant, holder) => writeStatus(pool, tenant, holder, { ...tenant.status, phase: "Ready" }),
    ],
    [
      "end its attempt",
      (pool, tenant, holder) => finishAttempt(pool, tenant, holder, { attempts: 0, wakeInSeconds: 60, working: false }),
    ],
    ["bury the school", (pool, tenant, holder) => buryTenant(pool, tenant, holder, 0)],
    // Everything else goes one way.
    [
      "write anything else",
      async (pool, { uid }, holder) => {
        const hold = { uid, holder };
        const writing = whileHeld(pool, hold, (db) => switchEngine(db, hold, { from: "simulated", to: "simulated" }));
        await expect(writing).rejects.toThrow(LeaseLostError);
        return false;
      },
    ],
  ];

  it.each(WRITES)("cannot %s any more once another one holds the school", async (_what, write) => {
    await insertTenant(databases.pool, "goethe", tenantSpec(), "simulated", undefined);
    const [first, second] = [randomUUID(), randomUUID()];
    const tenant = await claimTenant(databases.pool, first);
    if (tenant === undefined) throw new Error("nothing was due");
    expect(await claimTenant(databases.pool, second)).toBeUndefined();
    await databases.pool.query("update tenants set lease_expires = now() - interval '1 s'");
    expect((await claimTenant(databases.pool, second))?.slug).toBe("goethe");
    const rows = async () => (await databases.pool.query("select to_jsonb(t) as row from tenants t")).rows;
    const before = await rows();
    expect(await write(databases.pool, tenant, first)).toBe(false);
    expect(await rows()).toEqual(before);
  });

  it("never notes the engine that a school lives on as one that it left, whoever says it twice", async () => {
    await registerEngines(databases.pool, [registration("simulated"), registration("second")]);
    const { uid } = await insertTenant(databases.pool, "goethe", tenantSpec(), "simulated", undefined);
    const hold = { uid, holder: randomUUID() };
    await claimTenant(databases.pool, hold.holder);
    const move = () =>
      whileHeld(databases.pool, hold, (db) => switchEngine(db, hold, { from: "simulated", to: "second" }));
    await move();
    await expect(move()).rejects.toThrow("does not live on simulated any more");
    await whileHeld(databases.pool, hold, (db) => writeLeftEngine(db, hold, "second"));
    expect(await getTenant(databases.pool, "goethe")).toMatchObject({ engine: "second", leftEngine: "simulated" });
  });

  it("takes no school to another engine as one on trial there: it has another version now", async () => {
    await registerEngines(databases.pool, [registration("simulated"), registration("second")]);
    const { uid } = await insertTenant(databases.pool, "goethe", tenantSpec(), "simulated", undefined);
    const hold = { uid, holder: randomUUID() };
    await claimTenant(databases.pool, hold.holder);
    await databases.pool.query("update tenants set trial = '{}'");
    await whileHeld(databases.pool, hold, (db) => switchEngine(db, hold, { from: "simulated", to: "second" }));
    const { rows } = await databases.pool.query("select trial from tenants");
    expect(rows).toEqual([{ trial: null }]);
  });

  it("because the store does not answer it lets go before another one may take over", async () => {
    await insertTenant(databases.pool, "goethe", tenantSpec(), "simulated", undefined);
    let heldMs: number | undefined;
    let cut = false;
    await reconciler((deps) => {
      const query = deps.pool.query.bind(deps.pool);
      // Only what prolongs a lease fails: whoever is cut off learns nothing of what others do.
      const pool = new Proxy(deps.pool, {
        get: (target, key) =>
          key === "query"
            ? (text: unknown, values: unknown[]) =>
                cut && String(text).includes("set lease_expires = now() + make_interval")
                  ? Promise.reject(new Error("cut off"))
                  : query(String(text), values)
            : Reflect.get(target, key),
      });
      const { engine } = deps;
      const apply: Engine["apply"] = async (namespace, objects, options) => {
        if (heldMs !== undefined) return engine.apply(namespace, objects, options);
        cut = true;
        const began = performance.now();
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, 2 * LEASE_SECONDS * 1000);
          options?.signal?.addEventListener("abort", () => {
            clearTimeout(timer);
            resolve();
          });
        });
        heldMs = performance.now() - began;
        cut = false;
        throw new Error("called off");
      };
      const watched: Engine = { ...engine, apply };
      const sites = new Map([...deps.sites].map(([name, site]) => [name, { ...site, engine: watched }]));
      return { ...deps, pool, engine: watched, sites };
    });
    await until("it has let go", async () => heldMs);
    expect(heldMs).toBeLessThan(LEASE_SECONDS * 1000);
    await until("the school is ready all the same", async () =>
      (await findTenant(databases.pool, "goethe"))?.status.phase === "Ready" ? true : undefined,
    );
    expect((await getTenant(databases.pool, "goethe")).status.conditions.length).toBeGreaterThan(0);
  }, 90_000);
});

describe("who changes many schools at once", () => {
  const places = (repository: string) => new Map([["simulated", { repository, former: { repository: "local" } }]]);
  const WIDE: ReadonlyArray<readonly [string, (db: Queryable) => Promise<unknown>]> = [
    ["wakes all", (db) => wakeAll(db, 0)],
    ["wakes all after the clock jumped", (db) => wakeAfterJump(db, 0)],
    ["wakes those that could not be made", (db) => wakeStranded(db, "simulated")],
    ["notes where their backups are", (db) => keepRepositories(db, places("sftp:backup@lager:/schulen"))],
  ];

  it.each(WIDE)("locks them in one order (%s): two of these never wait for each other", async (_name, change) => {
    await inTransaction(databases.pool, (db) => registerEngines(db, [registration("simulated")]));
    await keepRepositories(databases.pool, places("local"));
    for (let index = 0; index < 8; index += 1)
      await insertTenant(databases.pool, `schule-${index}`, tenantSpec(), "simulated", undefined);
    // The first in order becomes the last in the file.
    const FIRST = "uid = (select uid from tenants order by uid limit 1)";
    await databases.pool.query(`update tenants set attempts = attempts where ${FIRST}`);
    let changing: Promise<unknown> | undefined;
    await inTransaction(databases.pool, async (holding) => {
      await holding.query(`select from tenants where ${FIRST} for update`);
      changing = inTransaction(databases.pool, change);
      await until("it waits for the first", async () => {
        const { rowCount } = await databases.pool.query(
          "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
        );
        return rowCount === 1 ? true : undefined;
      });
      const others = await holding.query(`select from tenants where not ${FIRST} for update skip locked`);
      expect(others.rowCount).toBe(7);
    });
    await changing;
  });
});
