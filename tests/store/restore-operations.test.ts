import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { startLoop } from "../../control-plane/reconcile/loop.ts";
import { cancelOperation, getOperation, requestOperation } from "../../control-plane/store/operations.ts";
import { findTenant, getTenant, setDeletion, wakeTenant } from "../../control-plane/store/tenants.ts";
import { namespaceOf } from "../../control-plane/tenant.ts";
import { ended, failingWith, inPhase, restoreInto, troubledSchool } from "../fixtures/troubled-school.ts";
import { until } from "../fixtures/until.ts";

/** Restores that go wrong, and schools whose volume is lost. */

const stage = troubledSchool();
const failing = failingWith("RepositoryDamaged", "pack 4f is damaged");

describe("a restore", () => {
  const inWorld = () => stage.world.read().namespaces[namespaceOf("goethe")];
  const volumes = () =>
    inWorld()
      ?.volumes.filter(({ name }) => name.startsWith("data"))
      .map(({ name, data }) => [name, data.restoredFrom !== undefined]);
  const record = async () => (await getTenant(stage.deps.pool, "goethe")).volumes;

  it("fills a volume of its own beside the open school, changes places, and keeps what it replaced", async () => {
    let open: unknown;
    stage.answers.set("restore-restore", async (job) => {
      const observed = await stage.deps.engine.observe(namespaceOf("goethe"));
      open = observed.workloads.map(({ ref, state }) => [ref.name, state]);
      stage.answers.delete("restore-restore");
      return stage.deps.engine.run(namespaceOf("goethe"), job);
    });
    const operation = await ended(stage, await restoreInto(stage, "goethe"));
    expect(operation).toMatchObject({ state: "Succeeded", result: { volume: "data-2" } });
    expect(open).toEqual([
      ["db", "Ready"],
      ["app", "Ready"],
    ]);
    await inPhase(stage, "goethe", "Ready");
    expect(volumes()).toEqual([
      ["data", false],
      ["data-2", true],
    ]);
    expect(await record()).toMatchObject({ own: { claim: "data-2" }, aside: [{ claim: "data" }], dropped: [] });
    expect((await record()).next).toBeUndefined();

    const { uid } = await getTenant(stage.deps.pool, "goethe");
    const confirm = { kind: "confirm-restore", params: { volumes: ["data"] }, requestedBy: "anna" } as const;
    await ended(stage, await requestOperation(stage.deps.pool, { tenantUid: uid, ...confirm }));
    await until("the old one is gone", async () => (volumes()?.length === 1 ? true : undefined));
    await until("that is on record", async () => ((await record()).dropped.length === 0 ? true : undefined));
    await inPhase(stage, "goethe", "Ready");
  });

  it("is taken back by going back to the volume that was kept", async () => {
    await ended(stage, await restoreInto(stage, "goethe"));
    const { uid } = await getTenant(stage.deps.pool, "goethe");
    const back = { kind: "restore", params: { volume: "data" }, requestedBy: "anna" } as const;
    const operation = await ended(stage, await requestOperation(stage.deps.pool, { tenantUid: uid, ...back }));
    expect(operation).toMatchObject({ state: "Succeeded", result: { volume: "data" } });
    expect(await record()).toMatchObject({ own: { claim: "data" }, aside: [{ claim: "data-2" }] });
    await inPhase(stage, "goethe", "Ready");
  });

  it("that failed leaves the school as it was, open, with nothing left over", async () => {
    const before = inWorld()?.workloads.map(({ name, readyAt }) => [name, readyAt]);
    stage.answers.set("restore-restore", failing);
    const operation = await ended(stage, await restoreInto(stage, "goethe"));
    expect(operation).toMatchObject({ state: "Failed", error: expect.stringContaining("pack 4f") });
    await until("the volume is gone", async () => (volumes()?.length === 1 ? true : undefined));
    await inPhase(stage, "goethe", "Ready");
    expect(inWorld()?.workloads.map(({ name, readyAt }) => [name, readyAt])).toEqual(before);
    expect(await record()).toMatchObject({ own: { claim: "data" }, aside: [] });
  });

  it("that an operator calls off ends, and leaves the school as it was", async () => {
    let filling = false;
    stage.answers.set("restore-restore", (job) => {
      filling = true;
      return new Promise((_resolve, reject) => job.signal?.addEventListener("abort", () => reject(new Error("ended"))));
    });
    const operation = await restoreInto(stage, "goethe");
    await until("a volume is filled", async () => (filling ? true : undefined));
    await cancelOperation(stage.deps.pool, operation, "the wrong day");
    expect(await ended(stage, operation)).toMatchObject({ state: "Cancelled", error: "the wrong day" });
    await until("the volume is gone", async () => (volumes()?.length === 1 ? true : undefined));
    await inPhase(stage, "goethe", "Ready");
  });

  it("onto which the school does not open goes back to what there was", async () => {
    // From the moment on which it runs from the restored volume, its app is never ready.
    const { observe } = stage.deps.engine;
    stage.deps.engine.observe = async (namespace) => {
      const observed = await observe(namespace);
      if ((await record()).own.claim === "data") return observed;
      const workloads = observed.workloads.map((each) =>
        each.state === "Ready" ? { ...each, state: "Starting" as const } : each,
      );
      return { ...observed, workloads };
    };
    const operation = await restoreInto(stage, "goethe");
    await until("it runs from the restored one", async () =>
      (await record()).own.claim === "data-2" ? true : undefined,
    );
    await cancelOperation(stage.deps.pool, operation, "it does not open");
    expect(await ended(stage, operation)).toMatchObject({ state: "Cancelled" });
    await inPhase(stage, "goethe", "Ready");
    await until("only its own is left", async () => (volumes()?.length === 1 ? true : undefined));
    expect(await record()).toMatchObject({ own: { claim: "data" }, aside: [] });
  });

  it("that was cut off after it had changed places is not repeated over what people entered since", async () => {
    // The way in does not open: the work waits, and is cut off.
    let cutOff = false;
    const { observe } = stage.deps.engine;
    stage.deps.engine.observe = async (namespace) => {
      const observed = await observe(namespace);
      if (cutOff || (await record()).own.claim === "data") return observed;
      return { ...observed, workloads: observed.workloads.map((each) => ({ ...each, state: "Starting" as const })) };
    };
    const operation = await restoreInto(stage, "goethe");
    await until("it runs from the restored one", async () =>
      (await record()).own.claim === "data-2" ? true : undefined,
    );
    await stage.loop.stop();
    cutOff = true;
    stage.ran = [];
    await sleep(1_500);
    stage.loop = startLoop(stage.deps, { workers: 4, database: stage.databases.database });
    await wakeTenant(stage.deps.pool, "goethe");
    const done = await ended(stage, operation);
    expect(done).toMatchObject({ state: "Succeeded", result: { volume: "data-2" } });
    // The whole time for which it was closed, not that of whoever opened it.
    expect(done.result).toMatchObject({ closedSeconds: expect.toSatisfy((seconds: number) => seconds >= 1.5) });
    expect(stage.ran).toEqual([]);
    await inPhase(stage, "goethe", "Ready");
  });

  it("into a new school that failed leaves it empty and failed, says so, lets nobody in, and the school can be purged", async () => {
    stage.answers.set("restore-restore", failing);
    expect(await ended(stage, await restoreInto(stage, "goethe-neu"))).toMatchObject({ state: "Failed" });
    const failed = await inPhase(stage, "goethe-neu", "Failed");
    const ready = failed.status.conditions.find(({ type }) => type === "Ready");
    expect(ready?.message).toContain("pack 4f");
    expect(ready?.message).toContain("classmind tenant purge goethe-neu");
    expect(failed.status.initialisedAt).toBeUndefined();
    await wakeTenant(stage.deps.pool, "goethe-neu");
    await inPhase(stage, "goethe-neu", "Failed");
    expect(stage.ran).not.toContain("school-goethe-neu admin-create-administrator");

    await setDeletion(stage.deps.pool, "goethe-neu", { requestedAt: new Date(), purgeAfter: new Date() });
    await until("goethe-neu is gone", async () =>
      (await findTenant(stage.deps.pool, "goethe-neu")) === undefined ? true : undefined,
    );
    expect((await stage.deps.engine.observe(namespaceOf("goethe-neu"))).objects).toEqual([]);
    await inPhase(stage, "goethe", "Ready");
  });
});

describe("a school whose volume is lost", () => {
  const spaceOf = (slug = "goethe") => stage.world.read().namespaces[namespaceOf(slug)];
  const dataOf = () => (spaceOf()?.volumes ?? []).map(({ name }) => name).filter((name) => name.startsWith("data"));
  const missing = () =>
    until("the school says so", async () => {
      const { status } = await getTenant(stage.deps.pool, "goethe");
      const ready = status.conditions.find(({ type }) => type === "Ready");
      return ready?.reason === "VolumeMissing" ? ready : undefined;
    });
  const loseVolume = () =>
    stage.world.change((state) => {
      const space = state.namespaces[namespaceOf("goethe")];
      if (space === undefined) throw new Error("there is no school");
      space.volumes = [];
      space.objects = space.objects.filter(({ kind }) => kind !== "PersistentVolumeClaim");
      space.workloads = [];
    });
  const loseAll = () =>
    stage.world.change((state) => {
      delete state.namespaces[namespaceOf("goethe")];
    });

  it.each([
    ["its volume", loseVolume],
    ["its whole namespace", loseAll],
  ])("(%s) says so and what to do, and gets no empty one in its place", async (_, lose) => {
    lose();
    await wakeTenant(stage.deps.pool, "goethe");
    const { message } = await missing();
    expect(message).toContain("classmind backup restore goethe");
    stage.ran = [];
    await wakeTenant(stage.deps.pool, "goethe");
    const { uid } = await getTenant(stage.deps.pool, "goethe");
    const wish = { tenantUid: uid, kind: "backup", params: { trigger: "manual" }, requestedBy: "anna" } as const;
    const backup = await requestOperation(stage.deps.pool, wish);
    await until("it was looked at", async () => {
      const { rows } = await stage.deps.pool.query(
        "select wake_at > now() as rests from tenants where slug = 'goethe'",
      );
      return rows[0]?.rests === true ? true : undefined;
    });
    expect(dataOf()).toEqual([]);
    expect(spaceOf()?.workloads ?? []).toEqual([]);
    expect((await getOperation(stage.deps.pool, backup.id)).state).toBe("Pending");
    expect(stage.ran).toEqual([]);
    expect((await getTenant(stage.deps.pool, "goethe")).status.phase).toBe("Degraded");
  });

  it.each([
    ["its volume", loseVolume],
    ["its whole namespace", loseAll],
  ])("(%s) is restored under its own name", async (_, lose) => {
    lose();
    await wakeTenant(stage.deps.pool, "goethe");
    await missing();
    expect(await ended(stage, await restoreInto(stage, "goethe"))).toMatchObject({ state: "Succeeded" });
    await inPhase(stage, "goethe", "Ready");
    expect(dataOf()).toEqual(["data-2"]);
  });

  it("does not take another volume of that name for its own, until an operator says that it is", async () => {
    stage.world.change((state) => {
      state.volumesMade += 1;
      for (const volume of state.namespaces[namespaceOf("goethe")]?.volumes ?? []) volume.made = state.volumesMade;
    });
    await wakeTenant(stage.deps.pool, "goethe");
    expect((await missing()).message).toContain("another one");
    const { uid } = await getTenant(stage.deps.pool, "goethe");
    const identity = String(stage.world.read().volumesMade);
    const accept = (params: object) =>
      requestOperation(stage.deps.pool, {
        tenantUid: uid,
        kind: "accept-volume",
        params: { ...params },
        requestedBy: "anna",
      });
    expect((await ended(stage, await accept({ identity: "somebody's" }))).state).toBe("Failed");
    expect((await ended(stage, await accept({ identity }))).state).toBe("Succeeded");
    await inPhase(stage, "goethe", "Ready");
  });
});
