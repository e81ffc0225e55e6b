import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { EngineError, type JobResult, type JobRun } from "../../../control-plane/engine/engine.ts";
import { memoryWorld, type WorldStore } from "../../../control-plane/engine/simulated/world.ts";
import type { AuthorityMaterial } from "../../../control-plane/issuer/internal.ts";
import type { Dependencies } from "../../../control-plane/reconcile/dependencies.ts";
import { type Loop, startLoop } from "../../../control-plane/reconcile/loop.ts";
import { listBackups } from "../../../control-plane/store/backups.ts";
import {
  cancelOperation,
  getOperation,
  type Operation,
  requestOperation,
} from "../../../control-plane/store/operations.ts";
import {
  findTenant,
  getTenant,
  insertTenant,
  setDeletion,
  updateSpec,
  wakeTenant,
} from "../../../control-plane/store/tenants.ts";
import { namespaceOf, type TenantSpec } from "../../../control-plane/tenant.ts";
import { simulatedPlatform, tenantSpec, testAuthority } from "../../fixtures/platform.ts";
import { type PlatformDatabase, platformDatabase } from "../../fixtures/platform-database.ts";
import { until } from "../../fixtures/until.ts";

/** Long work that goes wrong: the reconcile loop on a real PostgreSQL and the simulated engine, whose jobs fail as told. */

type Answer = (job: JobRun) => Promise<JobResult>;

let authority: AuthorityMaterial;
let databases: PlatformDatabase;
let deps: Dependencies & { close(): Promise<void> };
let loop: Loop;
let world: WorldStore;
/** What each job answers by its name instead of its usual answer. */
let answers: Map<string, Answer>;
/** Jobs that ran since the school was ready, in order: namespace and name. */
let ran: string[];

const SIZE = { databaseBytes: 1, filesBytes: 0, files: 0, rows: 0 };
const failingWith =
  (code: string, message: string): Answer =>
  async () => ({ exitCode: 1, output: { error: { code, message } }, logTail: [] });
const failing = failingWith("RepositoryDamaged", "pack 4f is damaged");
const unreachable = failingWith("RepositoryUnreachable", "The backup server does not answer: connection refused");

const ended = ({ id }: Operation) =>
  until("the operation has ended", async () => {
    const operation = await getOperation(deps.pool, id);
    return operation.state === "Pending" || operation.state === "Running" ? undefined : operation;
  });

const inPhase = (slug: string, phase: string) =>
  until(`${slug} is ${phase}`, async () => {
    const tenant = await findTenant(deps.pool, slug);
    return tenant?.status.phase === phase ? tenant : undefined;
  });

beforeAll(async () => {
  authority = await testAuthority();
});

beforeEach(async () => {
  answers = new Map();
  ran = [];
  databases = await platformDatabase();
  const { database, keyring } = databases;
  world = memoryWorld();
  deps = await simulatedPlatform({ database, keyring, authority, world, startupMs: 0 });
  const run = deps.engine.run.bind(deps.engine);
  deps.engine.run = (namespace, job) => {
    const { name } = job.manifest.metadata;
    ran.push(`${namespace} ${name}`);
    return answers.get(name)?.(job) ?? run(namespace, job);
  };
  loop = startLoop(deps, { workers: 4, database });
  await insertTenant(deps.pool, "goethe", tenantSpec(), "simulated", undefined);
  await until("goethe has a backup", async () => (await findTenant(deps.pool, "goethe"))?.status.backup?.newest);
  ran = [];
});

afterEach(async () => {
  await loop.stop();
  await deps.close();
  await databases.drop();
});

async function restoreInto(slug: string): Promise<Operation> {
  const source = await getTenant(deps.pool, "goethe");
  const [backup] = await listBackups(deps.pool, source.uid, 1);
  const client = await deps.pool.connect();
  try {
    await client.query("begin");
    const target = slug === "goethe" ? source : await insertTenant(client, slug, tenantSpec(), "simulated", undefined);
    const operation = await requestOperation(client, {
      tenantUid: target.uid,
      kind: "restore",
      params: { runId: backup?.runId, sourceUid: source.uid, sourceSlug: source.slug },
      requestedBy: "anna",
    });
    await client.query("commit");
    return operation;
  } finally {
    client.release();
  }
}

describe("a backup", () => {
  it("that found no room begins as soon as there is some, not when a timer ends", async () => {
    // The first backup's own place is free a moment after it has ended.
    const place = () => until("a place is free", async () => deps.backups.tryAcquire());
    const places = [await place(), await place()];
    const { uid } = await getTenant(deps.pool, "goethe");
    const wish = { tenantUid: uid, kind: "backup", params: { trigger: "manual" }, requestedBy: "anna" } as const;
    const operation = await requestOperation(deps.pool, wish);
    await until("the school waits", async () => {
      const { rows } = await deps.pool.query<{ waits: boolean }>(
        "select lease_holder is null and wake_at > now() + interval '5 s' and wake_at < now() + interval '1 min' as waits from tenants where uid = $1",
        [uid],
      );
      return rows[0]?.waits === true ? true : undefined;
    });
    expect((await getOperation(deps.pool, operation.id)).state).toBe("Pending");
    const freed = Date.now();
    for (const free of places) free();
    const { startedAt } = await ended(operation);
    // The timer would have taken 15 s.
    expect(Date.parse(startedAt ?? "") - freed).toBeLessThan(10_000);
  });

  it("is complete although old ones could not be forgotten; the next one makes up for it", async () => {
    const { uid } = await getTenant(deps.pool, "goethe");
    await deps.pool.query(
      `insert into backups (run_id, tenant_uid, trigger, state, started_at, finished_at, database_snapshot, files_snapshot)
       values (gen_random_uuid(), $1, 'schedule', 'Complete', now() - interval '400 days', now(), repeat('c', 64), repeat('d', 64))`,
      [uid],
    );
    const wish = { tenantUid: uid, kind: "backup", params: { trigger: "manual" }, requestedBy: "anna" } as const;
    for (const job of ["backup-forget", "retention-forget"]) answers.set(job, failing);
    const first = await ended(await requestOperation(deps.pool, wish));
    expect(first).toMatchObject({ state: "Succeeded", result: { forgetting: expect.stringContaining("pack 4f") } });
    const states = async () => (await listBackups(deps.pool, uid, 10)).map(({ state }) => state);
    expect(await states()).toEqual(["Complete", "Forgetting", "Forgetting"]);

    answers.clear();
    expect((await ended(await requestOperation(deps.pool, wish))).result).not.toHaveProperty("forgetting");
    // One a day is kept, what was made by hand for a week, and none that is older than a year.
    expect(await states()).toEqual(["Complete", "Complete"]);
  });
});

describe("reading a backup back", () => {
  const verify = async () => {
    const { uid } = await getTenant(deps.pool, "goethe");
    const [backup] = await listBackups(deps.pool, uid, 1);
    const params = { runId: backup?.runId };
    const wish = { tenantUid: uid, kind: "verify-backup", params, requestedBy: "anna" } as const;
    const operation = await ended(await requestOperation(deps.pool, wish));
    const [read] = await listBackups(deps.pool, uid, 1);
    return { operation, fault: read?.verifyError, at: read?.verifiedAt };
  };
  const condition = (reason: string) =>
    until(`the school says ${reason}`, async () => {
      const tenant = await getTenant(deps.pool, "goethe");
      return tenant.status.conditions.find((each) => each.type === "BackupVerified" && each.reason === reason);
    });

  it.each([
    ["a server that does not answer", unreachable],
    ["a login that is refused", failingWith("LoginRefused", "The backup server does not let us in")],
    ["a job that was lost", async () => Promise.reject(new EngineError("JobLost", "job backup-verify was lost"))],
  ] satisfies [string, Answer][])("that fails for %s says nothing of the backup", async (_, answer) => {
    answers.set("retention-verify", answer);
    const { operation, fault, at } = await verify();
    expect(operation.state).toBe("Failed");
    expect([fault, at]).toEqual([undefined, undefined]);
    await condition("NotVerifiedYet");
  });

  it("that finds damage says so until a backup in a fresh repository was read back; the damaged one is kept and named", async () => {
    const { uid } = await getTenant(deps.pool, "goethe");
    const urls: unknown[] = [];
    const backUp = async () => {
      answers.set("backup-create", async (job) => {
        urls.push((job.input as { repository: unknown }).repository);
        answers.delete("backup-create");
        return deps.engine.run(namespaceOf("goethe"), job);
      });
      const wish = { tenantUid: uid, kind: "backup", params: { trigger: "manual" }, requestedBy: "anna" } as const;
      await ended(await requestOperation(deps.pool, wish));
    };
    await backUp();
    answers.set("retention-verify", failing);
    expect((await verify()).fault).toContain("pack 4f");
    await condition("VerificationFailed");
    // What was found is not taken back by a server that is away, nor by a new backup.
    answers.set("retention-verify", unreachable);
    expect((await verify()).fault).toContain("pack 4f");
    answers.clear();
    await backUp();
    const { message } = await condition("VerificationFailed");
    expect(message).toMatch(/repository 1 .*number 2/);
    expect(urls).toEqual(["/var/lib/classmind/repository", "/var/lib/classmind/repository/beside-2"]);
    expect((await listBackups(deps.pool, uid, 1))[0]?.repository).toBe(2);
    expect((await verify()).operation.state).toBe("Succeeded");
    expect((await condition("AsDesired")).message).toMatch(/Damaged and kept: repository 1/);
  });

  it("happens by itself soon after a backup was made, a part of the repository each day", async () => {
    const { uid } = await getTenant(deps.pool, "goethe");
    let part: unknown;
    answers.set("retention-verify", async (job) => {
      part = (job.input as { part: unknown }).part;
      answers.delete("retention-verify");
      return deps.engine.run(namespaceOf("goethe"), job);
    });
    await deps.pool.query("update backups set finished_at = now() - interval '1 hour' where tenant_uid = $1", [uid]);
    await wakeTenant(deps.pool, "goethe");
    await condition("AsDesired");
    expect(part).toMatch(/^[1-7]\/7$/);
    expect((await listBackups(deps.pool, uid, 1))[0]?.verifiedExtent).toBe(part);
  });
});

describe("a backup that holds far less than the one before", () => {
  it("is told, and forgets nothing, until an operator says that this is right", async () => {
    const { uid } = await getTenant(deps.pool, "goethe");
    const holding = (rows: number) =>
      answers.set("backup-create", async (job) => {
        const result = await run("backup-create", job);
        return { ...result, output: { ...(result.output as object), size: { ...SIZE, rows } } };
      });
    const run = async (name: string, job: JobRun) => {
      answers.delete(name);
      return deps.engine.run(namespaceOf("goethe"), job);
    };
    const backUp = async (rows: number) => {
      holding(rows);
      const wish = { tenantUid: uid, kind: "backup", params: { trigger: "schedule" }, requestedBy: "anna" } as const;
      expect((await ended(await requestOperation(deps.pool, wish))).state).toBe("Succeeded");
    };
    const recent = (reason: string) =>
      until(`the school says ${reason}`, async () =>
        (await getTenant(deps.pool, "goethe")).status.conditions.find(
          (each) => each.type === "BackupRecent" && each.reason === reason,
        ),
      );
    await backUp(5_000);
    await backUp(12);
    expect((await recent("BackupShrunk")).message).toMatch(/12 rows, and 5000 before.*classmind backup accept goethe/);
    // Held against the same one, not against the small one.
    await backUp(12);
    expect((await listBackups(deps.pool, uid, 10)).map(({ shrunk }) => shrunk !== undefined)).toEqual([
      true,
      true,
      false,
    ]);
    const accept = { tenantUid: uid, kind: "accept-backup", params: {}, requestedBy: "anna" } as const;
    await ended(await requestOperation(deps.pool, accept));
    await recent("AsDesired");
    await backUp(13);
    expect(await listBackups(deps.pool, uid, 10)).toHaveLength(1);
  });
});

describe("forgetting", () => {
  it("leaves alone what a school that is being made from it reads, and is made up for", async () => {
    const source = await getTenant(deps.pool, "goethe");
    await addOldBackups(1);
    const [old] = (await listBackups(deps.pool, source.uid, 10)).slice(-1);
    let reading = false;
    let done: () => void = () => undefined;
    answers.set("restore-restore", async (job) => {
      reading = true;
      await new Promise<void>((resolve) => {
        done = resolve;
      });
      answers.delete("restore-restore");
      return deps.engine.run(namespaceOf("goethe-neu"), job);
    });
    const target = await insertTenant(deps.pool, "goethe-neu", tenantSpec(), "simulated", undefined);
    const restoring = await requestOperation(deps.pool, {
      tenantUid: target.uid,
      kind: "restore",
      params: { runId: old?.runId, sourceUid: source.uid, sourceSlug: source.slug },
      requestedBy: "anna",
    });
    await until("it is read", async () => (reading ? true : undefined));
    const wish = { tenantUid: source.uid, kind: "backup", params: { trigger: "manual" }, requestedBy: "anna" } as const;
    await ended(await requestOperation(deps.pool, wish));
    await wakeTenant(deps.pool, "goethe");
    expect((await listBackups(deps.pool, source.uid, 10)).map(({ runId }) => runId)).toContain(old?.runId);
    expect(ran.filter((job) => job.includes("forget"))).toEqual([]);
    done();
    expect((await ended(restoring)).state).toBe("Succeeded");
    await wakeTenant(deps.pool, "goethe");
    await until("it is forgotten", async () =>
      (await listBackups(deps.pool, source.uid, 10)).some(({ runId }) => runId === old?.runId) ? undefined : true,
    );
  });
});

/** Backups of goethe from before the year that they may be kept. */
async function addOldBackups(count: number): Promise<void> {
  const { uid } = await getTenant(deps.pool, "goethe");
  await deps.pool.query(
    `insert into backups (run_id, tenant_uid, trigger, state, started_at, finished_at, database_snapshot, files_snapshot)
     select gen_random_uuid(), $1, 'schedule', 'Complete', now() - make_interval(days => 400 + n), now(), repeat('c', 64), repeat('d', 64)
     from generate_series(1, $2) n`,
    [uid, count],
  );
}

async function change(wish: Partial<TenantSpec>): Promise<void> {
  const client = await deps.pool.connect();
  try {
    await updateSpec(client, "goethe", ({ spec }) => ({ ...spec, ...wish }));
  } finally {
    client.release();
  }
}

const complete = async () => (await listBackups(deps.pool, (await getTenant(deps.pool, "goethe")).uid, 10)).length;

describe("R61 a school that makes no backups", () => {
  it("has its old ones forgotten while it is suspended, and what opens its repository is gone again", async () => {
    await change({ suspended: true });
    await inPhase("goethe", "Suspended");
    ran = [];
    await addOldBackups(2);
    let present: readonly string[] = [];
    answers.set("retention-forget", async () => {
      const { objects } = await deps.engine.observe(namespaceOf("goethe"));
      present = objects.filter(({ kind }) => kind === "Secret").map(({ name }) => name);
      return { exitCode: 0, output: {}, logTail: [] };
    });
    await wakeTenant(deps.pool, "goethe");
    await until("only the young one is left", async () => ((await complete()) === 1 ? true : undefined));
    expect(ran).toEqual(["school-goethe retention-forget"]);
    expect(present).toEqual(["backup-repository"]);
    await until("the secret is gone", async () => {
      const { objects } = await deps.engine.observe(namespaceOf("goethe"));
      return objects.some(({ kind }) => kind === "Secret") ? undefined : true;
    });
    await inPhase("goethe", "Suspended");
  });

  it("has its old ones forgotten while backups are off", async () => {
    await change({ backup: { enabled: false } });
    await addOldBackups(1);
    await wakeTenant(deps.pool, "goethe");
    await until("only the young one is left", async () => ((await complete()) === 1 ? true : undefined));
    expect(ran).toEqual(["school-goethe retention-forget"]);
    await inPhase("goethe", "Ready");
  });

  it("tries again when they could not be forgotten, and leaves no secret meanwhile", async () => {
    await change({ suspended: true });
    await inPhase("goethe", "Suspended");
    answers.set("retention-forget", failing);
    await addOldBackups(1);
    await wakeTenant(deps.pool, "goethe");
    await until("it was tried", async () => (ran.includes("school-goethe retention-forget") ? true : undefined));
    await until("the secret is gone", async () => {
      const { objects } = await deps.engine.observe(namespaceOf("goethe"));
      return objects.some(({ kind }) => kind === "Secret") ? undefined : true;
    });
    expect(await complete()).toBe(2);
    answers.clear();
    await wakeTenant(deps.pool, "goethe");
    await until("only the young one is left", async () => ((await complete()) === 1 ? true : undefined));
  });
});

describe("R61 a school whose backups fail", () => {
  beforeEach(() => {
    for (const job of ["backup-create", "backup-forget"]) answers.set(job, unreachable);
  });
  const recent = async () =>
    (await getTenant(deps.pool, "goethe")).status.conditions.find(({ type }) => type === "BackupRecent");

  it("keeps none that is older than a year, and all others", async () => {
    const { uid } = await getTenant(deps.pool, "goethe");
    await addOldBackups(1);
    // Of one day, so that a backup that succeeds would forget one of them.
    await deps.pool.query(
      `insert into backups (run_id, tenant_uid, trigger, state, started_at, finished_at, database_snapshot, files_snapshot)
       select gen_random_uuid(), $1, 'schedule', 'Complete', now() - make_interval(mins => n), now(), repeat('a', 64), repeat('b', 64)
       from generate_series(1, 2) n`,
      [uid],
    );
    const wish = { tenantUid: uid, kind: "backup", params: { trigger: "manual" }, requestedBy: "anna" } as const;
    expect((await ended(await requestOperation(deps.pool, wish))).state).toBe("Failed");
    const states = async () => (await listBackups(deps.pool, uid, 10)).map(({ state }) => state).sort();
    await until("the old one is gone", async () =>
      (await states()).join() === "Complete,Complete,Complete,Failed" ? true : undefined,
    );
    expect(ran.filter((job) => job.includes("retention"))).toEqual(["school-goethe retention-forget"]);
  });

  it("says so when they cannot be forgotten, and stays open", async () => {
    answers.set("retention-forget", unreachable);
    await addOldBackups(1);
    await wakeTenant(deps.pool, "goethe");
    const said = await until("the school says it", async () => {
      const found = await recent();
      return found?.reason === "RetentionFailed" ? found : undefined;
    });
    expect(said).toMatchObject({ status: "False", message: expect.stringContaining("connection refused") });
    expect((await getTenant(deps.pool, "goethe")).status.phase).toBe("Ready");
    answers.clear();
    await wakeTenant(deps.pool, "goethe");
    await until("it is well again", async () => ((await recent())?.reason === "AsDesired" ? true : undefined));
    expect(await complete()).toBe(1);
  });
});

describe("a restore", () => {
  const inWorld = () => world.read().namespaces[namespaceOf("goethe")];
  const volumes = () =>
    inWorld()
      ?.volumes.filter(({ name }) => name.startsWith("data"))
      .map(({ name, data }) => [name, data.restoredFrom !== undefined]);
  const record = async () => (await getTenant(deps.pool, "goethe")).volumes;

  it("fills a volume of its own beside the open school, changes places, and keeps what it replaced", async () => {
    let open: unknown;
    answers.set("restore-restore", async (job) => {
      const observed = await deps.engine.observe(namespaceOf("goethe"));
      open = observed.workloads.map(({ ref, state }) => [ref.name, state]);
      answers.delete("restore-restore");
      return deps.engine.run(namespaceOf("goethe"), job);
    });
    const operation = await ended(await restoreInto("goethe"));
    expect(operation).toMatchObject({ state: "Succeeded", result: { volume: "data-2" } });
    expect(open).toEqual([
      ["db", "Ready"],
      ["app", "Ready"],
    ]);
    await inPhase("goethe", "Ready");
    expect(volumes()).toEqual([
      ["data", false],
      ["data-2", true],
    ]);
    expect(await record()).toMatchObject({ own: { claim: "data-2" }, aside: [{ claim: "data" }], dropped: [] });
    expect((await record()).next).toBeUndefined();

    const { uid } = await getTenant(deps.pool, "goethe");
    const confirm = { kind: "confirm-restore", params: { volumes: ["data"] }, requestedBy: "anna" } as const;
    await ended(await requestOperation(deps.pool, { tenantUid: uid, ...confirm }));
    await until("the old one is gone", async () => (volumes()?.length === 1 ? true : undefined));
    await until("that is on record", async () => ((await record()).dropped.length === 0 ? true : undefined));
    await inPhase("goethe", "Ready");
  });

  it("is taken back by going back to the volume that was kept", async () => {
    await ended(await restoreInto("goethe"));
    const { uid } = await getTenant(deps.pool, "goethe");
    const back = { kind: "restore", params: { volume: "data" }, requestedBy: "anna" } as const;
    const operation = await ended(await requestOperation(deps.pool, { tenantUid: uid, ...back }));
    expect(operation).toMatchObject({ state: "Succeeded", result: { volume: "data" } });
    expect(await record()).toMatchObject({ own: { claim: "data" }, aside: [{ claim: "data-2" }] });
    await inPhase("goethe", "Ready");
  });

  it("that failed leaves the school as it was, open, with nothing left over", async () => {
    const before = inWorld()?.workloads.map(({ name, readyAt }) => [name, readyAt]);
    answers.set("restore-restore", failing);
    const operation = await ended(await restoreInto("goethe"));
    expect(operation).toMatchObject({ state: "Failed", error: expect.stringContaining("pack 4f") });
    await until("the volume is gone", async () => (volumes()?.length === 1 ? true : undefined));
    await inPhase("goethe", "Ready");
    expect(inWorld()?.workloads.map(({ name, readyAt }) => [name, readyAt])).toEqual(before);
    expect(await record()).toMatchObject({ own: { claim: "data" }, aside: [] });
  });

  it("that an operator calls off ends, and leaves the school as it was", async () => {
    let filling = false;
    answers.set("restore-restore", (job) => {
      filling = true;
      return new Promise((_resolve, reject) => job.signal?.addEventListener("abort", () => reject(new Error("ended"))));
    });
    const operation = await restoreInto("goethe");
    await until("a volume is filled", async () => (filling ? true : undefined));
    await cancelOperation(deps.pool, operation, "the wrong day");
    expect(await ended(operation)).toMatchObject({ state: "Cancelled", error: "the wrong day" });
    await until("the volume is gone", async () => (volumes()?.length === 1 ? true : undefined));
    await inPhase("goethe", "Ready");
  });

  it("onto which the school does not open goes back to what there was", async () => {
    // From the moment on which it runs from the restored volume, its app is never ready.
    const { observe } = deps.engine;
    deps.engine.observe = async (namespace) => {
      const observed = await observe(namespace);
      if ((await record()).own.claim === "data") return observed;
      const workloads = observed.workloads.map((each) =>
        each.state === "Ready" ? { ...each, state: "Starting" as const } : each,
      );
      return { ...observed, workloads };
    };
    const operation = await restoreInto("goethe");
    await until("it runs from the restored one", async () =>
      (await record()).own.claim === "data-2" ? true : undefined,
    );
    await cancelOperation(deps.pool, operation, "it does not open");
    expect(await ended(operation)).toMatchObject({ state: "Cancelled" });
    await inPhase("goethe", "Ready");
    await until("only its own is left", async () => (volumes()?.length === 1 ? true : undefined));
    expect(await record()).toMatchObject({ own: { claim: "data" }, aside: [] });
  });

  it("that was cut off after it had changed places is not repeated over what people entered since", async () => {
    // The way in does not open: the work waits, and is cut off.
    let cutOff = false;
    const { observe } = deps.engine;
    deps.engine.observe = async (namespace) => {
      const observed = await observe(namespace);
      if (cutOff || (await record()).own.claim === "data") return observed;
      return { ...observed, workloads: observed.workloads.map((each) => ({ ...each, state: "Starting" as const })) };
    };
    const operation = await restoreInto("goethe");
    await until("it runs from the restored one", async () =>
      (await record()).own.claim === "data-2" ? true : undefined,
    );
    await loop.stop();
    cutOff = true;
    ran = [];
    loop = startLoop(deps, { workers: 4, database: databases.database });
    await wakeTenant(deps.pool, "goethe");
    expect(await ended(operation)).toMatchObject({ state: "Succeeded", result: { volume: "data-2" } });
    expect(ran).toEqual([]);
    await inPhase("goethe", "Ready");
  });

  it("into a new school that failed leaves it empty and failed, says so, lets nobody in, and the school can be purged", async () => {
    answers.set("restore-restore", failing);
    expect(await ended(await restoreInto("goethe-neu"))).toMatchObject({ state: "Failed" });
    const failed = await inPhase("goethe-neu", "Failed");
    const ready = failed.status.conditions.find(({ type }) => type === "Ready");
    expect(ready?.message).toContain("pack 4f");
    expect(ready?.message).toContain("classmind tenant purge goethe-neu");
    expect(failed.status.initialisedAt).toBeUndefined();
    await wakeTenant(deps.pool, "goethe-neu");
    await inPhase("goethe-neu", "Failed");
    expect(ran).not.toContain("school-goethe-neu admin-create-administrator");

    await setDeletion(deps.pool, "goethe-neu", { requestedAt: new Date(), purgeAfter: new Date() });
    await until("goethe-neu is gone", async () =>
      (await findTenant(deps.pool, "goethe-neu")) === undefined ? true : undefined,
    );
    expect((await deps.engine.observe(namespaceOf("goethe-neu"))).objects).toEqual([]);
    await inPhase("goethe", "Ready");
  });
});

describe("a school whose volume is lost", () => {
  const spaceOf = (slug = "goethe") => world.read().namespaces[namespaceOf(slug)];
  const dataOf = () => (spaceOf()?.volumes ?? []).map(({ name }) => name).filter((name) => name.startsWith("data"));
  const missing = () =>
    until("the school says so", async () => {
      const { status } = await getTenant(deps.pool, "goethe");
      const ready = status.conditions.find(({ type }) => type === "Ready");
      return ready?.reason === "VolumeMissing" ? ready : undefined;
    });
  const loseVolume = () =>
    world.change((state) => {
      const space = state.namespaces[namespaceOf("goethe")];
      if (space === undefined) throw new Error("there is no school");
      space.volumes = [];
      space.objects = space.objects.filter(({ kind }) => kind !== "PersistentVolumeClaim");
      space.workloads = [];
    });
  const loseAll = () =>
    world.change((state) => {
      delete state.namespaces[namespaceOf("goethe")];
    });

  it.each([
    ["its volume", loseVolume],
    ["its whole namespace", loseAll],
  ])("(%s) says so and what to do, and gets no empty one in its place", async (_, lose) => {
    lose();
    await wakeTenant(deps.pool, "goethe");
    const { message } = await missing();
    expect(message).toContain("classmind backup restore goethe");
    ran = [];
    await wakeTenant(deps.pool, "goethe");
    const { uid } = await getTenant(deps.pool, "goethe");
    const wish = { tenantUid: uid, kind: "backup", params: { trigger: "manual" }, requestedBy: "anna" } as const;
    const backup = await requestOperation(deps.pool, wish);
    await until("it was looked at", async () => {
      const { rows } = await deps.pool.query("select wake_at > now() as rests from tenants where slug = 'goethe'");
      return rows[0]?.rests === true ? true : undefined;
    });
    expect(dataOf()).toEqual([]);
    expect(spaceOf()?.workloads ?? []).toEqual([]);
    expect((await getOperation(deps.pool, backup.id)).state).toBe("Pending");
    expect(ran).toEqual([]);
    expect((await getTenant(deps.pool, "goethe")).status.phase).toBe("Degraded");
  });

  it.each([
    ["its volume", loseVolume],
    ["its whole namespace", loseAll],
  ])("(%s) is restored under its own name", async (_, lose) => {
    lose();
    await wakeTenant(deps.pool, "goethe");
    await missing();
    expect(await ended(await restoreInto("goethe"))).toMatchObject({ state: "Succeeded" });
    await inPhase("goethe", "Ready");
    expect(dataOf()).toEqual(["data-2"]);
  });

  it("does not take another volume of that name for its own, until an operator says that it is", async () => {
    world.change((state) => {
      state.volumesMade += 1;
      for (const volume of state.namespaces[namespaceOf("goethe")]?.volumes ?? []) volume.made = state.volumesMade;
    });
    await wakeTenant(deps.pool, "goethe");
    expect((await missing()).message).toContain("another one");
    const { uid } = await getTenant(deps.pool, "goethe");
    const identity = String(world.read().volumesMade);
    const accept = (params: object) =>
      requestOperation(deps.pool, {
        tenantUid: uid,
        kind: "accept-volume",
        params: { ...params },
        requestedBy: "anna",
      });
    expect((await ended(await accept({ identity: "somebody's" }))).state).toBe("Failed");
    expect((await ended(await accept({ identity }))).state).toBe("Succeeded");
    await inPhase("goethe", "Ready");
  });
});
