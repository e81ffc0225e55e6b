import { beforeEach, describe, expect, it } from "vitest";
import { EngineError, type JobRun } from "../../control-plane/engine/engine.ts";
import { startLoop } from "../../control-plane/reconcile/loop.ts";
import { listBackups } from "../../control-plane/store/backups.ts";
import { getOperation, requestOperation } from "../../control-plane/store/operations.ts";
import { getTenant, insertTenant, updateSpec, wakeTenant } from "../../control-plane/store/tenants.ts";
import { namespaceOf, type TenantSpec } from "../../control-plane/tenant.ts";
import { tenantSpec } from "../fixtures/platform.ts";
import { ended, failingWith, inPhase, troubledSchool } from "../fixtures/troubled-school.ts";
import { until } from "../fixtures/until.ts";

/** Backups, reading back and forgetting that go wrong. */

const stage = troubledSchool();
const SIZE = { databaseBytes: 1, filesBytes: 0, files: 0, rows: 0 };
const failing = failingWith("RepositoryDamaged", "pack 4f is damaged");
const unreachable = failingWith("RepositoryUnreachable", "The backup server does not answer: connection refused");

describe("a backup", () => {
  it("that found no room begins as soon as there is some, not when a timer ends", async () => {
    // The first backup's own place is free a moment after it has ended.
    const place = () => until("a place is free", async () => stage.deps.backups.tryAcquire());
    const places = [await place(), await place()];
    const { uid } = await getTenant(stage.deps.pool, "goethe");
    const wish = { tenantUid: uid, kind: "backup", params: { trigger: "manual" }, requestedBy: "anna" } as const;
    const operation = await requestOperation(stage.deps.pool, wish);
    await until("the school waits", async () => {
      const { rows } = await stage.deps.pool.query<{ waits: boolean }>(
        "select lease_holder is null and wake_at > now() + interval '5 s' and wake_at < now() + interval '1 min' as waits from tenants where uid = $1",
        [uid],
      );
      return rows[0]?.waits === true ? true : undefined;
    });
    expect((await getOperation(stage.deps.pool, operation.id)).state).toBe("Pending");
    const freed = Date.now();
    for (const free of places) free();
    const { startedAt } = await ended(stage, operation);
    // The timer would have taken 15 s.
    expect(Date.parse(startedAt ?? "") - freed).toBeLessThan(10_000);
  });

  it("is complete although old ones could not be forgotten; the next one makes up for it", async () => {
    const { uid } = await getTenant(stage.deps.pool, "goethe");
    await addOldBackups(1);
    const wish = { tenantUid: uid, kind: "backup", params: { trigger: "manual" }, requestedBy: "anna" } as const;
    for (const job of ["backup-forget", "retention-forget"]) stage.answers.set(job, failing);
    const first = await ended(stage, await requestOperation(stage.deps.pool, wish));
    expect(first).toMatchObject({ state: "Succeeded", result: { forgetting: expect.stringContaining("pack 4f") } });
    const states = async () => (await listBackups(stage.deps.pool, uid, 10)).map(({ state }) => state);
    expect(await states()).toEqual(["Complete", "Forgetting", "Forgetting"]);

    stage.answers.clear();
    expect((await ended(stage, await requestOperation(stage.deps.pool, wish))).result).not.toHaveProperty("forgetting");
    // One a day is kept, what was made by hand for a week, and none that is older than a year.
    expect(await states()).toEqual(["Complete", "Complete"]);
  });

  it("that is on record stays there when its reconciler ends while old ones are forgotten, and is not made twice", async () => {
    const { uid } = await getTenant(stage.deps.pool, "goethe");
    await addOldBackups(1);
    const killed = new Promise<void>((resolve) => {
      stage.answers.set("backup-forget", async () => {
        void stage.loop.stop().then(resolve);
        throw new Error("killed");
      });
    });
    const wish = { tenantUid: uid, kind: "backup", params: { trigger: "manual" }, requestedBy: "anna" } as const;
    const operation = await requestOperation(stage.deps.pool, wish);
    await killed;
    const newest = async () => (await listBackups(stage.deps.pool, uid, 1))[0];
    const made = await newest();
    expect(made).toMatchObject({ runId: operation.id, state: "Complete" });

    // The backup's server is away when the work is taken up again.
    stage.answers.clear();
    stage.answers.set("backup-create", unreachable);
    stage.loop = startLoop(stage.deps, { workers: 4, database: stage.databases.database });
    expect(await ended(stage, operation)).toMatchObject({ state: "Succeeded", result: { runId: operation.id } });
    expect(await newest()).toEqual(made);
  });
});

describe("work", () => {
  it("that has ended since an attempt read of it is not done again", async () => {
    const { uid } = await getTenant(stage.deps.pool, "goethe");
    const end = async (moment: "before" | "after", step: string) => {
      if (moment === "before" && step === "backup")
        await stage.deps.pool.query("update operations set state = 'Succeeded' where state = 'Pending'");
    };
    await stage.loop.stop();
    Object.assign(stage.deps, { onStep: end });
    stage.loop = startLoop(stage.deps, { workers: 4, database: stage.databases.database });
    const wish = { tenantUid: uid, kind: "backup", params: { trigger: "manual" }, requestedBy: "anna" } as const;
    const operation = await requestOperation(stage.deps.pool, wish);
    const { startedAt } = await ended(stage, operation);
    expect(startedAt).toBeUndefined();
    // The next attempt finds nothing to do, and lets the school go: at once, not when a timer ends.
    const asked = Date.now();
    await until("nobody holds the school", async () => {
      const { rows } = await stage.deps.pool.query("select from tenants where uid = $1 and lease_holder is null", [
        uid,
      ]);
      return rows.length === 1 ? true : undefined;
    });
    expect(Date.now() - asked).toBeLessThan(10_000);
    expect(await getOperation(stage.deps.pool, operation.id)).toMatchObject({ state: "Succeeded" });
    expect(stage.ran).not.toContain(`${namespaceOf("goethe")} backup-create`);
  });
});

describe("a suspended school's work", () => {
  it("ends at once with the reason, under way or waiting, unless it needs no running school", async () => {
    const { pool } = stage.deps;
    const { uid } = await getTenant(pool, "goethe");
    const [newest] = await listBackups(pool, uid, 1);
    const begun = new Promise<void>((resolve) => {
      // Until it is called off.
      stage.answers.set("backup-create", ({ signal }) => {
        resolve();
        return new Promise((_done, reject) => signal?.addEventListener("abort", () => reject(new Error("ended"))));
      });
    });
    const wish = { tenantUid: uid, requestedBy: "anna" } as const;
    const running = await requestOperation(pool, { ...wish, kind: "backup", params: { trigger: "manual" } });
    await begun;
    const waiting = await requestOperation(pool, { ...wish, kind: "restore", params: { runId: newest?.runId } });
    const reading = await requestOperation(pool, { ...wish, kind: "verify-backup", params: { runId: newest?.runId } });
    const asked = Date.now();
    await change({ suspended: true });
    for (const operation of [running, waiting])
      expect(await ended(stage, operation)).toMatchObject({
        state: "Cancelled",
        error: expect.stringContaining("the school was suspended or deleted"),
      });
    expect(Date.now() - asked).toBeLessThan(10_000);
    expect(await ended(stage, reading)).toMatchObject({ state: "Succeeded" });
  });
});

describe("reading a backup back", () => {
  const verify = async () => {
    const { uid } = await getTenant(stage.deps.pool, "goethe");
    const [backup] = await listBackups(stage.deps.pool, uid, 1);
    const params = { runId: backup?.runId };
    const wish = { tenantUid: uid, kind: "verify-backup", params, requestedBy: "anna" } as const;
    const operation = await ended(stage, await requestOperation(stage.deps.pool, wish));
    const [read] = await listBackups(stage.deps.pool, uid, 1);
    return { operation, fault: read?.verifyError, at: read?.verifiedAt };
  };
  const condition = (reason: string) =>
    until(`the school says ${reason}`, async () => {
      const tenant = await getTenant(stage.deps.pool, "goethe");
      return tenant.status.conditions.find((each) => each.type === "BackupVerified" && each.reason === reason);
    });

  it.each([
    ["a server that does not answer", unreachable],
    ["a login that is refused", failingWith("LoginRefused", "The backup server does not let us in")],
    ["a job that was lost", async () => Promise.reject(new EngineError("JobLost", "job backup-verify was lost"))],
  ] satisfies [string, ReturnType<typeof failingWith>][])(
    "that fails for %s says nothing of the backup",
    async (_, answer) => {
      stage.answers.set("retention-verify", answer);
      const { operation, fault, at } = await verify();
      expect(operation.state).toBe("Failed");
      expect([fault, at]).toEqual([undefined, undefined]);
      await condition("NotVerifiedYet");
    },
  );

  it("that finds damage says so until a backup in a fresh repository was read back; the damaged one is kept and named", async () => {
    const { uid } = await getTenant(stage.deps.pool, "goethe");
    const urls: unknown[] = [];
    const backUp = async () => {
      stage.answers.set("backup-create", async (job) => {
        urls.push((job.input as { repository: unknown }).repository);
        stage.answers.delete("backup-create");
        return stage.deps.engine.run(namespaceOf("goethe"), job);
      });
      const wish = { tenantUid: uid, kind: "backup", params: { trigger: "manual" }, requestedBy: "anna" } as const;
      await ended(stage, await requestOperation(stage.deps.pool, wish));
    };
    await backUp();
    stage.answers.set("retention-verify", failing);
    expect((await verify()).fault).toContain("pack 4f");
    await condition("VerificationFailed");
    // What was found is not taken back by a server that is away, nor by a new backup.
    stage.answers.set("retention-verify", unreachable);
    expect((await verify()).fault).toContain("pack 4f");
    stage.answers.clear();
    await backUp();
    const { message } = await condition("VerificationFailed");
    expect(message).toMatch(/repository 1 .*number 2/);
    expect(urls).toEqual(["/var/lib/classmind/repository", "/var/lib/classmind/repository/beside-2"]);
    expect((await listBackups(stage.deps.pool, uid, 1))[0]?.repository).toBe(2);
    expect((await verify()).operation.state).toBe("Succeeded");
    expect((await condition("AsDesired")).message).toMatch(/Damaged and kept: repository 1/);
  });

  it("happens by itself soon after a backup was made, a part of the repository each day", async () => {
    const { uid } = await getTenant(stage.deps.pool, "goethe");
    let part: unknown;
    stage.answers.set("retention-verify", async (job) => {
      part = (job.input as { part: unknown }).part;
      stage.answers.delete("retention-verify");
      return stage.deps.engine.run(namespaceOf("goethe"), job);
    });
    await stage.deps.pool.query("update backups set finished_at = now() - interval '1 hour' where tenant_uid = $1", [
      uid,
    ]);
    await wakeTenant(stage.deps.pool, "goethe");
    await condition("AsDesired");
    expect(part).toMatch(/^[1-7]\/7$/);
    expect((await listBackups(stage.deps.pool, uid, 1))[0]?.verifiedExtent).toBe(part);
  });
});

describe("a backup that holds far less than the one before", () => {
  it("is told, and forgets nothing, until an operator says that this is right", async () => {
    const { uid } = await getTenant(stage.deps.pool, "goethe");
    const holding = (rows: number) =>
      stage.answers.set("backup-create", async (job) => {
        const result = await run("backup-create", job);
        return { ...result, output: { ...(result.output as object), size: { ...SIZE, rows } } };
      });
    const run = async (name: string, job: JobRun) => {
      stage.answers.delete(name);
      return stage.deps.engine.run(namespaceOf("goethe"), job);
    };
    const backUp = async (rows: number) => {
      holding(rows);
      const wish = { tenantUid: uid, kind: "backup", params: { trigger: "schedule" }, requestedBy: "anna" } as const;
      expect((await ended(stage, await requestOperation(stage.deps.pool, wish))).state).toBe("Succeeded");
    };
    const recent = (reason: string) =>
      until(`the school says ${reason}`, async () =>
        (await getTenant(stage.deps.pool, "goethe")).status.conditions.find(
          (each) => each.type === "BackupRecent" && each.reason === reason,
        ),
      );
    await backUp(5_000);
    await backUp(12);
    expect((await recent("BackupShrunk")).message).toMatch(/12 rows, and 5000 before.*classmind backup accept goethe/);
    // Held against the same one, not against the small one.
    await backUp(12);
    expect((await listBackups(stage.deps.pool, uid, 10)).map(({ shrunk }) => shrunk !== undefined)).toEqual([
      true,
      true,
      false,
    ]);
    const accept = { tenantUid: uid, kind: "accept-backup", params: {}, requestedBy: "anna" } as const;
    await ended(stage, await requestOperation(stage.deps.pool, accept));
    await recent("AsDesired");
    await backUp(13);
    expect(await listBackups(stage.deps.pool, uid, 10)).toHaveLength(1);
  });
});

describe("forgetting", () => {
  it("leaves alone what a school that is being made from it reads, and is made up for", async () => {
    const source = await getTenant(stage.deps.pool, "goethe");
    await addOldBackups(1);
    const [old] = (await listBackups(stage.deps.pool, source.uid, 10)).slice(-1);
    let reading = false;
    let done: () => void = () => undefined;
    stage.answers.set("restore-restore", async (job) => {
      reading = true;
      await new Promise<void>((resolve) => {
        done = resolve;
      });
      stage.answers.delete("restore-restore");
      return stage.deps.engine.run(namespaceOf("goethe-neu"), job);
    });
    const target = await insertTenant(stage.deps.pool, "goethe-neu", tenantSpec(), "simulated", undefined);
    const restoring = await requestOperation(stage.deps.pool, {
      tenantUid: target.uid,
      kind: "restore",
      params: { runId: old?.runId, sourceUid: source.uid, sourceSlug: source.slug },
      requestedBy: "anna",
    });
    await until("it is read", async () => (reading ? true : undefined));
    const wish = { tenantUid: source.uid, kind: "backup", params: { trigger: "manual" }, requestedBy: "anna" } as const;
    await ended(stage, await requestOperation(stage.deps.pool, wish));
    await wakeTenant(stage.deps.pool, "goethe");
    expect((await listBackups(stage.deps.pool, source.uid, 10)).map(({ runId }) => runId)).toContain(old?.runId);
    expect(stage.ran.filter((job) => job.includes("forget"))).toEqual([]);
    done();
    expect((await ended(stage, restoring)).state).toBe("Succeeded");
    await wakeTenant(stage.deps.pool, "goethe");
    await until("it is forgotten", async () =>
      (await listBackups(stage.deps.pool, source.uid, 10)).some(({ runId }) => runId === old?.runId) ? undefined : true,
    );
  });
});

/** Backups of goethe from before the year that they may be kept. */
async function addOldBackups(count: number): Promise<void> {
  const { uid } = await getTenant(stage.deps.pool, "goethe");
  await stage.deps.pool.query(
    `insert into backups (run_id, tenant_uid, trigger, state, started_at, finished_at, database_snapshot, files_snapshot)
     select gen_random_uuid(), $1, 'schedule', 'Complete', now() - make_interval(days => 400 + n), now(), repeat('c', 64), repeat('d', 64)
     from generate_series(1, $2) n`,
    [uid, count],
  );
}

async function change(wish: Partial<TenantSpec>): Promise<void> {
  const client = await stage.deps.pool.connect();
  try {
    await updateSpec(client, "goethe", ({ spec }) => ({ ...spec, ...wish }));
  } finally {
    client.release();
  }
}

const complete = async () =>
  (await listBackups(stage.deps.pool, (await getTenant(stage.deps.pool, "goethe")).uid, 10)).length;

describe("R61 a school that makes no backups", () => {
  it("has its old ones forgotten while it is suspended, and what opens its repository is gone again", async () => {
    await change({ suspended: true });
    await inPhase(stage, "goethe", "Suspended");
    stage.ran = [];
    await addOldBackups(2);
    let present: readonly string[] = [];
    stage.answers.set("retention-forget", async () => {
      const { objects } = await stage.deps.engine.observe(namespaceOf("goethe"));
      present = objects.filter(({ kind }) => kind === "Secret").map(({ name }) => name);
      return { exitCode: 0, output: {}, logTail: [] };
    });
    await wakeTenant(stage.deps.pool, "goethe");
    await until("only the young one is left", async () => ((await complete()) === 1 ? true : undefined));
    expect(stage.ran).toEqual(["school-goethe retention-forget"]);
    expect(present).toEqual(["backup-repository"]);
    await until("the secret is gone", async () => {
      const { objects } = await stage.deps.engine.observe(namespaceOf("goethe"));
      return objects.some(({ kind }) => kind === "Secret") ? undefined : true;
    });
    await inPhase(stage, "goethe", "Suspended");
  });

  it("has its old ones forgotten while backups are off", async () => {
    await change({ backup: { enabled: false } });
    await addOldBackups(1);
    await wakeTenant(stage.deps.pool, "goethe");
    await until("only the young one is left", async () => ((await complete()) === 1 ? true : undefined));
    expect(stage.ran).toEqual(["school-goethe retention-forget"]);
    await inPhase(stage, "goethe", "Ready");
  });

  it("tries again when they could not be forgotten, and leaves no secret meanwhile", async () => {
    await change({ suspended: true });
    await inPhase(stage, "goethe", "Suspended");
    stage.answers.set("retention-forget", failing);
    await addOldBackups(1);
    await wakeTenant(stage.deps.pool, "goethe");
    await until("it was tried", async () => (stage.ran.includes("school-goethe retention-forget") ? true : undefined));
    await until("the secret is gone", async () => {
      const { objects } = await stage.deps.engine.observe(namespaceOf("goethe"));
      return objects.some(({ kind }) => kind === "Secret") ? undefined : true;
    });
    expect(await complete()).toBe(2);
    stage.answers.clear();
    await wakeTenant(stage.deps.pool, "goethe");
    await until("only the young one is left", async () => ((await complete()) === 1 ? true : undefined));
  });
});

describe("R61 a school whose backups fail", () => {
  beforeEach(() => {
    for (const job of ["backup-create", "backup-forget"]) stage.answers.set(job, unreachable);
  });
  const recent = async () =>
    (await getTenant(stage.deps.pool, "goethe")).status.conditions.find(({ type }) => type === "BackupRecent");

  it("keeps none that is older than a year, and all others", async () => {
    const { uid } = await getTenant(stage.deps.pool, "goethe");
    await addOldBackups(1);
    // Of one day, so that a backup that succeeds would forget one of them.
    await stage.deps.pool.query(
      `insert into backups (run_id, tenant_uid, trigger, state, started_at, finished_at, database_snapshot, files_snapshot)
       select gen_random_uuid(), $1, 'schedule', 'Complete', now() - make_interval(mins => n), now(), repeat('a', 64), repeat('b', 64)
       from generate_series(1, 2) n`,
      [uid],
    );
    const wish = { tenantUid: uid, kind: "backup", params: { trigger: "manual" }, requestedBy: "anna" } as const;
    expect((await ended(stage, await requestOperation(stage.deps.pool, wish))).state).toBe("Failed");
    const states = async () => (await listBackups(stage.deps.pool, uid, 10)).map(({ state }) => state).sort();
    await until("the old one is gone", async () =>
      (await states()).join() === "Complete,Complete,Complete,Failed" ? true : undefined,
    );
    expect(stage.ran.filter((job) => job.includes("retention"))).toEqual(["school-goethe retention-forget"]);
  });

  it("says so when they cannot be forgotten, and stays open", async () => {
    stage.answers.set("retention-forget", unreachable);
    await addOldBackups(1);
    await wakeTenant(stage.deps.pool, "goethe");
    const said = await until("the school says it", async () => {
      const found = await recent();
      return found?.reason === "RetentionFailed" ? found : undefined;
    });
    expect(said).toMatchObject({ status: "False", message: expect.stringContaining("connection refused") });
    expect((await getTenant(stage.deps.pool, "goethe")).status.phase).toBe("Ready");
    stage.answers.clear();
    await wakeTenant(stage.deps.pool, "goethe");
    await until("it is well again", async () => ((await recent())?.reason === "AsDesired" ? true : undefined));
    expect(await complete()).toBe(1);
  });
});

describe("a new school", () => {
  const kind = "demo";
  const expiresAt = new Date(Date.now() + 86_400_000).toISOString();
  const make = (slug: string, terms: TenantSpec["terms"]) =>
    insertTenant(stage.deps.pool, slug, tenantSpec({ terms }), "simulated", undefined);

  it("that is a demo to be shown is filled with invented people before it opens; without that wish it is empty", async () => {
    await make("probe", { kind, expiresAt, invented: true });
    await inPhase(stage, "probe", "Ready");
    await make("leer", { kind, expiresAt });
    await inPhase(stage, "leer", "Ready");
    const admin = (slug: string) => stage.ran.filter((job) => job.startsWith(`school-${slug} admin-`));
    expect(admin("probe")).toEqual(["school-probe admin-create-administrator", "school-probe admin-invent-school"]);
    expect(admin("leer")).toEqual(["school-leer admin-create-administrator"]);
  });

  it.each(["create-administrator", "invent-school"])(
    "for which %s fails stays closed, says why, and opens when it can",
    async (command) => {
      stage.answers.set(`admin-${command}`, failingWith("internal", "The command failed"));
      await make("probe", { kind, expiresAt, invented: true });
      const { status } = await inPhase(stage, "probe", "Failed");
      expect(status.conditions.find(({ type }) => type === "Ready")).toMatchObject({
        status: "False",
        message: expect.stringMatching(/could not be given its first administrator.*The command failed/),
      });
      expect(status.initialisedAt).toBeUndefined();
      stage.answers.clear();
      await wakeTenant(stage.deps.pool, "probe");
      await inPhase(stage, "probe", "Ready");
    },
  );
});

describe("a school's journal", () => {
  it("R48 is put to use by the school's own program, which is told who asked and why; what it answers is the operation's result", async () => {
    const { uid } = await getTenant(stage.deps.pool, "goethe");
    const inputs: unknown[] = [];
    stage.answers.set("admin-verify-journal", async (job) => {
      inputs.push(job.input);
      return { exitCode: 0, output: { marks: 3, chain: [], findings: [] }, logTail: [] };
    });
    const params = { reason: "Monatliche Prüfung" };
    const wish = { tenantUid: uid, kind: "verify-journal", params, requestedBy: "anna" } as const;
    const done = await ended(stage, await requestOperation(stage.deps.pool, wish));
    expect(done).toMatchObject({ state: "Succeeded", result: { marks: 3, findings: [] } });
    expect(inputs).toEqual([{ reason: "Monatliche Prüfung", by: "anna" }]);
    stage.answers.set("admin-undo-account", failingWith("unknown-account", "There is no account"));
    const undo = {
      ...wish,
      kind: "undo-account",
      params: { ...params, username: "x", since: "2026-01-01T00:00:00Z", apply: true },
    } as const;
    expect(await ended(stage, await requestOperation(stage.deps.pool, undo))).toMatchObject({
      state: "Failed",
      error: expect.stringContaining("There is no account"),
    });
  });
});
