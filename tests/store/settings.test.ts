import { randomUUID } from "node:crypto";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { PlatformConfig } from "../../control-plane/config.ts";
import { memoryWorld, type WorldStore } from "../../control-plane/engine/simulated/world.ts";
import { type AuthorityMaterial, domainOf } from "../../control-plane/issuer/internal.ts";
import { ensureAuthority } from "../../control-plane/keys/authority.ts";
import { type Loop, startLoop } from "../../control-plane/reconcile/loop.ts";
import { listBackups } from "../../control-plane/store/backups.ts";
import { haveSchools, keepRepositories } from "../../control-plane/store/fixed-settings.ts";
import { getOperation, listOperations, requestOperation } from "../../control-plane/store/operations.ts";
import { findTenant, insertTenant, wakeAll } from "../../control-plane/store/tenants.ts";
import { namespaceOf } from "../../control-plane/tenant.ts";
import { platformConfig, simulatedPlatform, tenantSpec, testAuthority } from "../fixtures/platform.ts";
import { type PlatformDatabase, platformDatabase } from "../fixtures/platform-database.ts";
import { until } from "../fixtures/until.ts";

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

  const ELSEWHERE = "rest:https://box.example.org:8000/";
  const HOSTS = [{ name: "box.example.org", address: "192.0.2.7" }];
  const FORMER = { repository: "local", peers: [], hosts: [] };
  const change = { ...platformConfig().backup, repository: ELSEWHERE, hosts: HOSTS, former: FORMER };
  const places = async () => {
    const { rows } = await deps.pool.query<{ at: string | null }>("select repositories ->> 'at' as at from tenants");
    return rows.map(({ at }) => at);
  };
  /** What was copied of each school; one of them cannot be at first. */
  function answerCopies(refused?: string): Map<string, readonly string[]> {
    const copied = new Map<string, readonly string[]>();
    const run = deps.engine.run.bind(deps.engine);
    deps.engine.run = async (namespace, job) => {
      if (job.manifest.metadata.name !== "backup-copy") return run(namespace, job);
      const { runs, other } = job.input as { runs: readonly string[]; other: { url: string } };
      expect(other.url).toContain(ELSEWHERE);
      if (namespace === refused)
        return { exitCode: 1, output: { error: { code: "RepositoryUnreachable", message: "no answer" } }, logTail: [] };
      copied.set(namespace, runs);
      const snapshots = runs.flatMap((each) =>
        (["database", "files"] as const).map((kind) => ({ run: each, kind, id: `${kind[0]}0`.repeat(32) })),
      );
      return { exitCode: 0, output: { snapshots }, logTail: [] };
    };
    return copied;
  }

  it("changes for a fleet of 20 with all backups, one school after the other, and every school stays open", async () => {
    await keepRepositories(deps.pool, wanted("local"));
    for (const slug of FLEET) await insertTenant(deps.pool, slug, tenantSpec(), "simulated", undefined);
    for (const slug of FLEET) await ready(slug);
    await stop();
    await keepRepositories(databases.pool, new Map([["simulated", change]]));
    await start({ backup: change });
    expect(new Set(await places())).toEqual(new Set(["local"]));
    const copied = answerCopies();
    await wakeAll(deps.pool, 0);
    await until("all backups are there", async () => ((await places()).every((at) => at === null) ? true : undefined));
    for (const slug of FLEET) {
      const tenant = await ready(slug);
      const backups = await listBackups(deps.pool, tenant.uid, 10);
      expect(copied.get(namespaceOf(slug))).toEqual(backups.map(({ runId }) => runId));
      expect(backups.map(({ databaseSnapshot }) => databaseSnapshot)).toEqual(backups.map(() => "d0".repeat(32)));
      const changes = await listOperations(deps.pool, tenant.uid, 10, "change-repository");
      expect(changes.map(({ state }) => state)).toEqual(["Succeeded"]);
      const objects = world.read().namespaces[namespaceOf(slug)]?.objects.map(({ kind, name }) => `${kind}/${name}`);
      // Nothing that backups lie in is given away.
      expect(objects).toContain("PersistentVolumeClaim/repository");
    }
    // From here on what was copied from may be unreachable.
    const { former: _former, ...settled } = change;
    await keepRepositories(deps.pool, new Map([["simulated", settled]]));
  });

  it("stays where it was for a school whose backups cannot be copied, which says so and is tried again", async () => {
    await keepRepositories(deps.pool, wanted("local"));
    await insertTenant(deps.pool, "goethe", tenantSpec(), "simulated", undefined);
    const { uid } = await ready("goethe");
    await stop();
    await keepRepositories(databases.pool, new Map([["simulated", change]]));
    await start({ backup: change });
    answerCopies(namespaceOf("goethe"));
    await wakeAll(deps.pool, 0);
    await until("it was tried", async () =>
      (await listOperations(deps.pool, uid, 10, "change-repository")).find(({ state }) => state === "Failed"),
    );
    const tenant = await until("it says so", async () => {
      const found = await findTenant(deps.pool, "goethe");
      const recent = found?.status.conditions.find(({ type }) => type === "BackupRecent");
      return recent?.message?.includes("still in local") ? found : undefined;
    });
    expect(tenant.status.phase).toBe("Ready");
    expect(await places()).toEqual(["local"]);
    // Without a word of where it is: the school stays open, but nothing is done to backups that nobody can reach.
    await stop();
    const { former: _former, ...without } = change;
    await keepRepositories(databases.pool, new Map([["simulated", without]]));
    await start({ backup: without });
    const wish = { tenantUid: uid, kind: "backup", params: { trigger: "manual" }, requestedBy: "anna" } as const;
    const { id } = await requestOperation(deps.pool, wish);
    const refused = await until("it was refused", async () => {
      const { state, error } = await getOperation(deps.pool, id);
      return state === "Failed" ? error : undefined;
    });
    expect(refused).toContain("backupFormer");
    await until("the school says so", async () => {
      const { conditions, phase } = (await findTenant(deps.pool, "goethe"))?.status ?? {};
      return conditions?.some(({ reason }) => reason === "RepositoryUnnamed") && phase === "Ready" ? true : undefined;
    });
    await stop();
    await start({ backup: change });
    answerCopies();
    await deps.pool.query("update operations set finished_at = finished_at - interval '1 hour'");
    await wakeAll(deps.pool, 0);
    await until("it is there", async () => ((await places())[0] === null ? true : undefined));
  });

  it("can be set back while schools are on their way", async () => {
    await keepRepositories(deps.pool, wanted("local"));
    await insertTenant(deps.pool, "goethe", tenantSpec(), "simulated", undefined);
    await keepRepositories(deps.pool, new Map([["simulated", change]]));
    await insertTenant(deps.pool, "neu", tenantSpec(), "simulated", undefined);
    const back = { repository: "local", former: { repository: ELSEWHERE } };
    await keepRepositories(deps.pool, new Map([["simulated", back]]));
    const { rows } = await deps.pool.query("select slug, repositories ->> 'at' as at from tenants order by slug");
    expect(rows).toEqual([
      { slug: "goethe", at: null },
      { slug: "neu", at: ELSEWHERE },
    ]);
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
