import { randomUUID } from "node:crypto";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { PlatformConfig } from "../../../control-plane/config.ts";
import { memoryWorld, type WorldStore } from "../../../control-plane/engine/simulated/world.ts";
import { type AuthorityMaterial, domainOf } from "../../../control-plane/issuer/internal.ts";
import { ensureAuthority } from "../../../control-plane/keys/authority.ts";
import { type Loop, startLoop } from "../../../control-plane/reconcile/loop.ts";
import { haveSchools, keepRepositories } from "../../../control-plane/store/fixed-settings.ts";
import { findTenant, insertTenant, wakeAll } from "../../../control-plane/store/tenants.ts";
import { namespaceOf } from "../../../control-plane/tenant.ts";
import { platformConfig, simulatedPlatform, tenantSpec, testAuthority } from "../../fixtures/platform.ts";
import { type PlatformDatabase, platformDatabase } from "../../fixtures/platform-database.ts";
import { until } from "../../fixtures/until.ts";

/** What a changed setting does to a platform that has schools: the reconcile loop on a real PostgreSQL and the simulated engine. */

const FLEET = Array.from({ length: 20 }, (_, index) => `schule-${index}`);
const KEK = Buffer.alloc(32, 7);
let authority: AuthorityMaterial;
let databases: PlatformDatabase;
let world: WorldStore;
let deps: Awaited<ReturnType<typeof simulatedPlatform>>;
let loop: Loop;

async function start(platform: Partial<PlatformConfig> = {}): Promise<void> {
  const { database, keyring } = databases;
  deps = await simulatedPlatform({ database, keyring, authority, world, startupMs: 0, kek: KEK, platform });
  loop = startLoop(deps, { workers: 4, database });
}
async function stop(): Promise<void> {
  await loop.stop();
  await deps.close();
}
/** The platform is started again with other settings. */
async function restart(platform: Partial<PlatformConfig>): Promise<void> {
  await stop();
  await start(platform);
  await wakeAll(deps.pool, 0);
}

beforeAll(async () => {
  authority = await testAuthority();
});
beforeEach(async () => {
  databases = await platformDatabase();
  world = memoryWorld();
  await start();
});
afterEach(async () => {
  await stop();
  await databases.drop();
});

const ready = (slug: string) =>
  until(`${slug} is ready`, async () => {
    const tenant = await findTenant(deps.pool, slug);
    return tenant?.status.phase === "Ready" && tenant.status.backup?.newest !== undefined ? tenant : undefined;
  });
const volumesOf = (slug: string) => world.read().namespaces[namespaceOf(slug)]?.volumes ?? [];
const made = () =>
  Object.fromEntries(FLEET.map((slug) => [slug, volumesOf(slug).map((volume) => ({ ...volume, data: {} }))]));

async function fleet(): Promise<void> {
  for (const slug of FLEET)
    await insertTenant(deps.pool, slug, tenantSpec({ backup: { enabled: true } }), "simulated", undefined);
  for (const slug of FLEET) await ready(slug);
}

describe("a fleet of twenty schools", () => {
  it.each([
    ["another class of volumes", () => ({ storageClass: "faster" })],
    [
      "another class of repositories, and smaller ones",
      () => ({ backup: { ...platformConfig().backup, storageClass: "slower", repositorySize: "1Gi" } }),
    ],
  ])("keeps what it has when the settings name %s, and all upkeep goes on; a new school gets it", async (_, change) => {
    await fleet();
    const before = made();
    const running = new Set(FLEET);
    await restart(change());
    for (const slug of FLEET) {
      const { applied } = { applied: namespaceOf(slug) };
      world.change(({ namespaces }) => {
        const namespace = namespaces[applied];
        if (namespace === undefined) throw new Error(`${slug} is gone`);
        namespace.objects = namespace.objects.filter(({ kind }) => kind !== "Deployment");
        namespace.workloads = namespace.workloads.filter(({ kind }) => kind !== "Deployment");
      });
    }
    await wakeAll(deps.pool, 0);
    await until("every school's platform is there again", async () => {
      for (const slug of running)
        if (world.read().namespaces[namespaceOf(slug)]?.workloads.some(({ kind }) => kind === "Deployment"))
          running.delete(slug);
      return running.size === 0 ? true : undefined;
    });
    for (const slug of FLEET)
      expect((await ready(slug)).status.conditions).toContainEqual(
        expect.objectContaining({ type: "Ready", status: "True" }),
      );
    expect(made()).toEqual(before);
    await insertTenant(deps.pool, "neu", tenantSpec(), "simulated", undefined);
    await ready("neu");
    expect(volumesOf("neu").map(({ className, capacityBytes }) => ({ className, capacityBytes }))).not.toEqual(
      volumesOf("schule-0").map(({ className, capacityBytes }) => ({ className, capacityBytes })),
    );
  });
});

describe("the repository of backups", () => {
  const wanted = (repository: string, abandoned?: string) => new Map([["simulated", { repository, abandoned }]]);

  it("cannot be another one while schools have their backups there", async () => {
    await keepRepositories(deps.pool, wanted("local"));
    await insertTenant(deps.pool, "goethe", tenantSpec(), "simulated", undefined);
    const refused = keepRepositories(deps.pool, wanted("s3:https://box.example.org:9000/schulen"));
    await expect(refused).rejects.toMatchObject({ code: "Conflict", field: "backup.repository" });
    // Nothing was noted: the right one is taken.
    await keepRepositories(deps.pool, wanted("local"));
  });

  it("can be another one when an operator leaves the backups behind by name", async () => {
    await keepRepositories(deps.pool, wanted("local"));
    await insertTenant(deps.pool, "goethe", tenantSpec(), "simulated", undefined);
    const elsewhere = "s3:https://box.example.org:9000/schulen";
    await expect(keepRepositories(deps.pool, wanted(elsewhere, "rest:https://other.example.org/"))).rejects.toThrow();
    await keepRepositories(deps.pool, wanted(elsewhere, "local"));
    // Once left, it is the new one that they have.
    await expect(keepRepositories(deps.pool, wanted("local"))).rejects.toMatchObject({ code: "Conflict" });
  });

  it("may be another one before the first school", async () => {
    await keepRepositories(deps.pool, wanted("local"));
    await keepRepositories(deps.pool, wanted("s3:https://box.example.org:9000/schulen"));
  });
});

describe("the domain", () => {
  const ensure = (domain: string) => ensureAuthority(deps.keyring, domain, new Date(), () => haveSchools(deps.pool));

  it("may be another one before the first school: the authority is made anew", async () => {
    await ensure("schulen.example");
    expect(domainOf(await ensure("andere.example"))).toBe("andere.example");
  });

  it("cannot be another one under schools, and the right one is taken again", async () => {
    const first = await ensure("schulen.example");
    await insertTenant(deps.pool, `schule-${randomUUID().slice(0, 8)}`, tenantSpec(), "simulated", undefined);
    await expect(ensure("andere.example")).rejects.toMatchObject({ code: "Conflict", field: "domain" });
    expect(await ensure("schulen.example")).toEqual(first);
  });
});
