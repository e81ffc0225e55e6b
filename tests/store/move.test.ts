import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { JobResult, JobRun } from "../../control-plane/engine/engine.ts";
import type { Faults } from "../../control-plane/engine/simulated/simulated.ts";
import type { AuthorityMaterial } from "../../control-plane/issuer/internal.ts";
import { type Loop, startLoop } from "../../control-plane/reconcile/loop.ts";
import { listBackups } from "../../control-plane/store/backups.ts";
import { listOperations, type Operation, requestOperation } from "../../control-plane/store/operations.ts";
import { findTenant, getTenant, insertTenant, setDeletion } from "../../control-plane/store/tenants.ts";
import { createCutOff } from "../fixtures/cut-off.ts";
import { type MovingSchool, movingSchool } from "../fixtures/moving-school.ts";
import { tenantSpec, testAuthority } from "../fixtures/platform.ts";
import { type PlatformDatabase, platformDatabase } from "../fixtures/platform-database.ts";
import { type TwoEngines, type TwoEnginesOptions, twoEngines } from "../fixtures/two-engines.ts";
import { until } from "../fixtures/until.ts";

/** A school moves between two engines: the reconcile loop on a real PostgreSQL, both engines in memory. */

const SHARED = { simulated: "rest:https://backup.example.org:8000/", second: "rest:https://backup.example.org:8000/" };
const COPY_OF = "cd".repeat(32);

let authority: AuthorityMaterial;
let databases: PlatformDatabase;
let platform: TwoEngines;
let loop: Loop;
/** Jobs in order: engine, name and input. */
let ran: Array<{ readonly engine: string; readonly name: string; readonly input: Record<string, unknown> }>;
let answers: Map<string, () => Promise<JobResult>>;
let faults: (engine: string) => Faults;

const answer = (output: unknown): JobResult => ({ exitCode: 0, output, logTail: [] });

/** Everything that was backed up so far, under new names. */
async function copied(): Promise<JobResult> {
  const { uid } = await getTenant(databases.pool, "goethe");
  const backups = await listBackups(databases.pool, uid, 100);
  const snapshots = backups
    .filter(({ state }) => state === "Complete")
    .flatMap(({ runId }) => [
      { run: runId, kind: "database", id: COPY_OF },
      { run: runId, kind: "files", id: COPY_OF },
    ]);
  return answer({ snapshots });
}

const listen: NonNullable<TwoEnginesOptions["answer"]> = (engine: string, job: JobRun) => {
  const { name } = job.manifest.metadata;
  ran.push({ engine, name, input: job.input as Record<string, unknown> });
  if (name === "backup-copy" && !answers.has(name)) return copied();
  return answers.get(name)?.();
};

async function open(repositories: TwoEnginesOptions["repositories"] = SHARED): Promise<void> {
  platform = await twoEngines({ databases, authority, repositories, answer: listen, faults: (name) => faults(name) });
  loop = startLoop(platform.fleet, { workers: 2, database: databases.database });
  await insertTenant(databases.pool, "goethe", tenantSpec(), "simulated", undefined);
  await until("goethe has a backup", async () => (await findTenant(databases.pool, "goethe"))?.status.backup?.newest);
  ran = [];
}

const school = () => movingSchool(databases, platform);
const ask: MovingSchool["ask"] = (kind, params) => school().ask(kind, params);
const ended: MovingSchool["ended"] = (operation) => school().ended(operation);
const ready: MovingSchool["ready"] = () => school().ready();
const held: MovingSchool["held"] = (engine) => school().held(engine);

const SIZE = { databaseBytes: 1, filesBytes: 0, files: 0, rows: 0 };
const goethe = () => findTenant(databases.pool, "goethe");

const RUNNING = { running: ["app", "db"], secrets: true };
const STOPPED = { running: [], secrets: false };

beforeAll(async () => {
  authority = await testAuthority();
});
beforeEach(async () => {
  databases = await platformDatabase();
  answers = new Map();
  ran = [];
  faults = () => ({});
});
afterEach(async () => {
  await loop.stop();
  await platform.fleet.close();
  await databases.drop();
});

describe("a school that is moved", () => {
  it("runs on the other engine with what its last backup holds; its old copy is stopped and locked, and kept", async () => {
    await open();
    const { state, result } = await ended(await ask("move", { to: "second" }));
    expect({ state, result }).toMatchObject({ state: "Succeeded", result: { from: "simulated", to: "second" } });
    expect(await ready()).toMatchObject({ engine: "second", leftEngine: "simulated" });
    expect(held("second")).toMatchObject(RUNNING);
    expect(held("simulated")).toMatchObject(STOPPED);
    expect(ran.map(({ engine, name }) => `${engine} ${name}`)).toEqual([
      "simulated backup-create",
      "second restore-restore",
    ]);
    const [made, restored] = ran;
    expect(restored?.input.runId).toBe(made?.input.runId);
  });

  it("is not open for anybody between its last backup and its start over there", async () => {
    await open();
    let meanwhile: unknown;
    answers.set("restore-restore", async () => {
      meanwhile = { here: held("simulated"), there: held("second") };
      return answer({ fingerprint: {}, rows: 0, files: 0 });
    });
    await ended(await ask("move", { to: "second" }));
    expect(meanwhile).toMatchObject({ here: { running: ["db"] }, there: { running: [] } });
  });

  it("keeps its keys and its certificate", async () => {
    await open();
    const { uid, status } = await ready();
    const keys = await platform.fleet.keyring.readSchoolKeys(uid);
    await ended(await ask("move", { to: "second" }));
    expect((await ready()).status.certificate?.serial).toBe(status.certificate?.serial);
    expect(await platform.fleet.keyring.readSchoolKeys(uid)).toEqual(keys);
  });

  it("leaves nothing where it was once the move is confirmed", async () => {
    await open();
    await ended(await ask("move", { to: "second" }));
    const confirmed = await ended(await ask("confirm-move", { from: "simulated" }));
    expect(confirmed.result).toEqual({ removed: true, from: "simulated" });
    expect(held("simulated")).toBeUndefined();
    const tenant = await ready();
    expect(tenant.leftEngine).toBeUndefined();
    expect(held("second")).toMatchObject(RUNNING);
  });

  it("goes back with what was entered since, onto nothing that was left there", async () => {
    await open();
    await ended(await ask("move", { to: "second" }));
    await ready();
    const before = platform.worlds.simulated.read().volumesMade;
    ran = [];
    await ended(await ask("move", { to: "simulated" }));
    expect(await ready()).toMatchObject({ engine: "simulated", leftEngine: "second" });
    expect(platform.worlds.simulated.read().volumesMade).toBeGreaterThan(before);
    expect(ran.map(({ engine, name }) => `${engine} ${name}`).slice(0, 2)).toEqual([
      "second backup-create",
      "simulated restore-restore",
    ]);
    expect(held("second")).toMatchObject(STOPPED);
  });

  it("is purged on both engines", async () => {
    await open();
    await ended(await ask("move", { to: "second" }));
    const now = new Date();
    await setDeletion(databases.pool, "goethe", { requestedAt: now, purgeAfter: now });
    await until("goethe is gone", async () =>
      (await findTenant(databases.pool, "goethe")) === undefined ? true : undefined,
    );
    expect([held("simulated"), held("second")]).toEqual([undefined, undefined]);
  });
});

describe("the backups of a school that is moved", () => {
  it("are copied out of a repository of the machine's own, all of them, before it closes and once more after", async () => {
    await open({ simulated: "local", second: "rest:https://backup.example.org:8000/" });
    const { uid } = await ready();
    await ended(await ask("move", { to: "second" }));
    const copies = ran.filter(({ name }) => name === "backup-copy");
    expect(copies.map(({ engine }) => engine)).toEqual(["simulated", "simulated"]);
    expect(copies[0]?.input).toMatchObject({
      direction: "to",
      other: { url: `rest:https://backup.example.org:8000/${uid}`, environment: "LOGIN=second\n" },
    });
    expect(ran.find(({ name }) => name === "restore-restore")?.input.databaseSnapshot).toBe(COPY_OF);
    const backups = await listBackups(databases.pool, uid, 10);
    expect(backups.length).toBeGreaterThan(1);
    for (const backup of backups.slice(-2))
      expect(backup).toMatchObject({ databaseSnapshot: COPY_OF, filesSnapshot: COPY_OF });
  });

  it("say so where they stay behind, in a repository that was found damaged", async () => {
    await open({ simulated: "local", second: "rest:https://backup.example.org:8000/" });
    const { uid } = await ready();
    await databases.pool.query(
      `insert into backups (run_id, tenant_uid, trigger, state, started_at, finished_at, database_snapshot, files_snapshot, repository)
       values (gen_random_uuid(), $1, 'manual', 'Complete', now() - interval '3 days', now() - interval '3 days', repeat('c', 64), repeat('d', 64), 1)`,
      [uid],
    );
    await databases.pool.query(
      "update backups set repository = 2 where tenant_uid = $1 and database_snapshot <> repeat('c', 64)",
      [uid],
    );
    await databases.pool.query(`update tenants set repositories = repositories || '{"number": 2}' where uid = $1`, [
      uid,
    ]);
    await ended(await ask("move", { to: "second" }));
    const left = (await listBackups(databases.pool, uid, 10)).filter(
      ({ verifyCode }) => verifyCode === "RepositoryDamaged",
    );
    expect(left).toMatchObject([
      { repository: 1, verifyError: expect.stringContaining("the repositories of simulated") },
    ]);
  });

  it("are copied into a repository of the machine's own by the machine they go to", async () => {
    await open({ simulated: "rest:https://backup.example.org:8000/", second: "local" });
    await ended(await ask("move", { to: "second" }));
    const copies = ran.filter(({ name }) => name === "backup-copy");
    expect(copies.map(({ engine, input }) => [engine, input.direction])).toEqual([
      ["second", "from"],
      ["second", "from"],
    ]);
  });

  it("keep the way to the other repository open for as long as they are copied, and no longer", async () => {
    await open({ simulated: "local", second: "rest:https://backup.example.org:8000/" });
    const policies = () =>
      platform.worlds.simulated
        .read()
        .namespaces["school-goethe"]?.objects.filter(({ kind }) => kind === "NetworkPolicy")
        .map(({ name }) => name);
    await ended(await ask("move", { to: "second" }));
    expect(policies()).not.toContain("repository");
  });
});

describe("a move beside other work", () => {
  const work = async (kind: Operation["kind"], params: Record<string, unknown> = {}): Promise<Operation> => {
    const { uid } = await getTenant(databases.pool, "goethe");
    return requestOperation(databases.pool, { tenantUid: uid, kind, params, requestedBy: "anna" });
  };

  it("takes nothing of what was asked for after it to the engine that the school has left", async () => {
    await open({ simulated: "local", second: "rest:https://backup.example.org:8000/" });
    await loop.stop();
    const move = await work("move", { to: "second" });
    const backup = await work("backup", { trigger: "manual" });
    loop = startLoop(platform.fleet, { workers: 2, database: databases.database });
    await ended(move);
    await ended(backup);
    const made = ran.filter(({ name }) => name === "backup-create").map(({ engine }) => engine);
    expect(made).toEqual(["simulated", "second"]);
  });

  it("that a confirmation of an earlier one meets never costs the school: only the copy that was shown is removed", async () => {
    await open();
    await ended(await ask("move", { to: "second" }));
    await ready();
    await loop.stop();
    const move = await work("move", { to: "simulated" });
    const confirm = await work("confirm-move", { from: "simulated" });
    const { volumesMade } = platform.worlds.simulated.read();
    loop = startLoop(platform.fleet, { workers: 2, database: databases.database });
    await ended(move);
    expect((await ended(confirm)).result).toEqual({ removed: false, from: "simulated" });
    expect(await ready()).toMatchObject({ engine: "simulated", leftEngine: "second" });
    expect(held("simulated")).toMatchObject(RUNNING);
    // The one that the move made, and no second, empty one.
    expect(platform.worlds.simulated.read().volumesMade).toBe(volumesMade + 1);
  });

  it("forgets the halves of backups that were cut off before it", async () => {
    await open();
    answers.set("backup-create", async () => answer({ error: { code: "BackupFailed", message: "died half-way" } }));
    const half = await ended(await work("backup", { trigger: "manual" }));
    answers.delete("backup-create");
    ran = [];
    await ended(await ask("move", { to: "second" }));
    const last = ran.find(({ name }) => name === "backup-create");
    expect(last?.input.abandoned).toEqual([half.id]);
  });
});

describe("a school that is to stop while it is moved", () => {
  const suspend = (): Promise<unknown> =>
    databases.pool.query(
      `update tenants set spec = spec || '{"suspended": true}', generation = generation + 1, wake_at = now() where slug = 'goethe'`,
    );

  /** What opens the repository is there while old backups are forgotten. */
  const suspended = async () => {
    await until("goethe is suspended", async () => ((await goethe())?.status.phase === "Suspended" ? true : undefined));
    const { uid } = await getTenant(databases.pool, "goethe");
    await until("nothing goes on any more", async () =>
      (await listOperations(databases.pool, uid, 20)).every(({ finishedAt }) => finishedAt !== undefined)
        ? true
        : undefined,
    );
    await until("its secrets are gone", async () =>
      [held("simulated"), held("second")].some((there) => there?.secrets === true) ? undefined : true,
    );
  };

  it("stays where it is, stopped, with nothing over there", async () => {
    await open();
    answers.set("backup-create", async () => {
      await suspend();
      answers.delete("backup-create");
      return answer({ databaseSnapshot: COPY_OF, filesSnapshot: COPY_OF, bytesAdded: 1, fingerprint: {}, size: SIZE });
    });
    const { state, error } = await ended(await ask("move", { to: "second" }));
    expect({ state, error }).toEqual({ state: "Failed", error: expect.stringContaining("suspended or deleted") });
    await suspended();
    expect([held("simulated"), held("second")]).toMatchObject([STOPPED, undefined]);
  });

  it("has its old copy stopped and locked too, when it was suspended after the switch", async () => {
    await open();
    const move = await ask("move", { to: "second" });
    await until("it lives there", async () =>
      (await getTenant(databases.pool, "goethe")).engine === "second" ? true : undefined,
    );
    await suspend();
    await ended(move);
    await suspended();
    expect([held("simulated"), held("second")]).toMatchObject([STOPPED, STOPPED]);
    await ended(await ask("confirm-move", { from: "simulated" }));
    expect(held("simulated")).toBeUndefined();
  });
});

describe("a switch whose transaction fails", () => {
  it("leaves the school open where it was, and nothing over there", async () => {
    await open();
    await databases.pool.query(
      "create function refuse_switch() returns trigger language plpgsql as $$ begin if new.engine is distinct from old.engine then raise exception 'no room'; end if; return new; end $$",
    );
    await databases.pool.query(
      "create trigger refuse before update on tenants for each row execute function refuse_switch()",
    );
    const { state, error } = await ended(await ask("move", { to: "second" }));
    expect({ state, error }).toEqual({ state: "Failed", error: "no room" });
    expect(await ready()).toMatchObject({ engine: "simulated" });
    expect([held("simulated"), held("second")]).toMatchObject([RUNNING, undefined]);
  });
});

describe("a copy that cannot be stopped when its school has moved", () => {
  let unreachable = false;
  beforeEach(() => {
    unreachable = false;
    faults = (engine) => ({
      before(call) {
        if (engine === "simulated" && unreachable && call === "apply StatefulSet/db") throw new Error("no answer");
      },
    });
  });
  const condition = (status: "True" | "False", words = "") =>
    until(`the left copy's condition is ${status}`, async () =>
      (await goethe())?.status.conditions.find(
        (each) => each.type === "LeftCopyStopped" && each.status === status && each.message.includes(words),
      ),
    );

  it("costs the school nothing: it is open over there, says what still runs, and that is stopped once its engine answers", async () => {
    await open();
    // A school's database is applied once where it is made, and where it was once it is to stop.
    unreachable = true;
    expect((await ended(await ask("move", { to: "second" }))).result).toMatchObject({
      left: "The copy on simulated could not be stopped yet: no answer",
    });
    expect(await ready()).toMatchObject({ engine: "second", leftEngine: "simulated" });
    expect(await condition("False", "no answer")).toMatchObject({ reason: "LeftCopyRunning" });
    expect(held("simulated")).toMatchObject({ running: ["db"], secrets: true });
    expect(held("second")).toMatchObject(RUNNING);
    unreachable = false;
    expect(await condition("True")).toMatchObject({ reason: "AsDesired" });
    expect(held("simulated")).toMatchObject(STOPPED);
    await ended(await ask("confirm-move", { from: "simulated" }));
    await until("nothing is said of a copy", async () =>
      (await goethe())?.status.conditions.some(({ type }) => type === "LeftCopyStopped") ? undefined : true,
    );
  });

  it("is not waited for by an operator who confirms that its engine is gone for good", async () => {
    await open();
    unreachable = true;
    await ended(await ask("move", { to: "second" }));
    await condition("False");
    const { state, error } = await ended(await ask("confirm-move", { from: "simulated", abandon: true }));
    expect({ state, error }).toEqual({ state: "Succeeded", error: undefined });
    const school = await ready();
    expect(school.engine).toBe("second");
    expect(school).not.toHaveProperty("leftEngine");
  });
});

describe("a move that fails", () => {
  it.each(["backup-create", "restore-restore"])(
    "at %s opens the school where it was, and leaves nothing over there",
    async (name) => {
      await open();
      answers.set(name, async () => answer({ error: { code: "FingerprintDiffers", message: "the data differs" } }));
      const { state, error } = await ended(await ask("move", { to: "second" }));
      expect({ state, error }).toEqual({ state: "Failed", error: "the data differs" });
      expect(await ready()).toMatchObject({ engine: "simulated" });
      expect(held("simulated")).toMatchObject(RUNNING);
      expect(held("second")).toBeUndefined();
    },
  );

  it("because the other engine is not fit fails before the school closes", async () => {
    await open();
    platform.findings = [{ check: "storage-encryption", ok: false, required: true, message: "in the clear" }];
    const { error } = await ended(await ask("move", { to: "second" }));
    expect(error).toMatch(/in the clear.*classmind doctor --engine second/);
    expect(ran).toEqual([]);
    expect(held("simulated")).toMatchObject(RUNNING);
  });

  it("and cannot clean up over there notes it, so that confirming or purging removes it", async () => {
    let broken = true;
    faults = (engine) => ({
      before(call) {
        if (engine === "second" && broken && call.startsWith("remove Namespace")) throw new Error("unreachable");
      },
    });
    await open();
    answers.set("restore-restore", async () => answer({ error: { code: "RestoreFailed", message: "no room" } }));
    await ended(await ask("move", { to: "second" }));
    expect(await ready()).toMatchObject({ engine: "simulated", leftEngine: "second" });
    broken = false;
    await ended(await ask("confirm-move", { from: "second" }));
    expect(held("second")).toBeUndefined();
    expect(held("simulated")).toMatchObject(RUNNING);
  });
});

describe("a move that is cut off", () => {
  it("and whose school is purged then leaves nothing on either engine", async () => {
    const disturbance = createCutOff();
    faults = () => disturbance.faults;
    await open();
    disturbance.begin(25, () => loop.stop());
    await ask("move", { to: "second" });
    await disturbance.cut;
    disturbance.end();
    expect(held("second")).toBeDefined();
    const now = new Date();
    await setDeletion(databases.pool, "goethe", { requestedAt: now, purgeAfter: now });
    loop = startLoop(platform.fleet, { workers: 2, database: databases.database });
    await until("goethe is gone", async () =>
      (await findTenant(databases.pool, "goethe")) === undefined ? true : undefined,
    );
    expect([held("simulated"), held("second")]).toEqual([undefined, undefined]);
  });
});
