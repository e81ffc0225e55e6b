import { describe, expect, it } from "vitest";
import type { JobRun } from "../../control-plane/engine/engine.ts";
import { keySnapshots } from "../../control-plane/store/key-snapshots.ts";
import { requestOperation } from "../../control-plane/store/operations.ts";
import { getTenant, updateSpec, wakeTenant } from "../../control-plane/store/tenants.ts";
import { namespaceOf } from "../../control-plane/tenant.ts";
import { ended, failingWith, inPhase, restoreInto, troubledSchool } from "../fixtures/troubled-school.ts";
import { until } from "../fixtures/until.ts";

/** Snapshots of the keys of a school's people: which are kept, and which a restore gets. */

const stage = troubledSchool();
const uidOf = async (slug = "goethe") => (await getTenant(stage.deps.pool, slug)).uid;
const kept = async () => keySnapshots(stage.deps.pool, await uidOf());

/** Lets a job go on, and remembers what it was given. */
function watched(name: string): unknown[] {
  const given: unknown[] = [];
  const goOn = (job: JobRun) => {
    given.push(job.input);
    stage.answers.delete(name);
    return stage.deps.engine.run(namespaceOf("goethe"), job).finally(() => stage.answers.set(name, goOn));
  };
  stage.answers.set(name, goOn);
  return given;
}

async function backUp(): Promise<void> {
  const wish = { kind: "backup", params: { trigger: "manual" }, requestedBy: "anna" } as const;
  const operation = await requestOperation(stage.deps.pool, { tenantUid: await uidOf(), ...wish });
  expect((await ended(stage, operation)).state).toBe("Succeeded");
}
const older = (days: number) =>
  stage.deps.pool.query("update key_snapshots set taken_at = taken_at - make_interval(days => $1)", [days]);

describe("the keys of a school's people", () => {
  it("come with each backup; what is older than 30 days is forgotten with the next one, and nothing of it stays unused", async () => {
    const [first] = await kept();
    await older(31);
    const forgotten = watched("backup-forget");
    await backUp();
    const snapshots = expect.arrayContaining([first?.snapshot]);
    expect(forgotten).toEqual([expect.objectContaining({ snapshots, thorough: true })]);
    const now = await kept();
    expect(now).toHaveLength(1);
    expect(now[0]?.snapshot).not.toBe(first?.snapshot);
  });

  it("that are younger stay, and the newest whatever its age", async () => {
    await backUp();
    await older(20);
    await backUp();
    expect(await kept()).toHaveLength(3);
    const suspend = await stage.deps.pool.connect();
    await updateSpec(suspend, "goethe", ({ spec }) => ({ ...spec, suspended: true })).finally(() => suspend.release());
    await inPhase(stage, "goethe", "Suspended");
    await older(400);
    await wakeTenant(stage.deps.pool, "goethe");
    await until("only the newest is left", async () => ((await kept()).length === 1 ? true : undefined));
    expect(stage.ran).toContain("school-goethe retention-forget");
  });

  it("go with the last backup: nothing of a school is kept for longer than a year", async () => {
    const suspend = await stage.deps.pool.connect();
    await updateSpec(suspend, "goethe", ({ spec }) => ({ ...spec, suspended: true })).finally(() => suspend.release());
    await inPhase(stage, "goethe", "Suspended");
    await stage.deps.pool.query("update backups set started_at = started_at - interval '366 days'");
    await wakeTenant(stage.deps.pool, "goethe");
    await until("none is left", async () => ((await kept()).length === 0 ? true : undefined));
  });

  it("of any backup are restored as they are now: the newest are given along, and what was done meanwhile is brought before it opens", async () => {
    const [before] = await kept();
    const given = watched("restore-restore");
    const brought = watched("restore-bring-keys");
    expect((await ended(stage, await restoreInto(stage, "goethe"))).state).toBe("Succeeded");
    const [newest] = await kept();
    expect(newest?.runId).not.toBe(before?.runId);
    expect(given).toEqual([expect.objectContaining({ keys: { snapshot: before?.snapshot } })]);
    expect(brought).toEqual([expect.objectContaining({ keys: { snapshot: newest?.snapshot } })]);
    expect([...new Set(stage.ran.filter((job) => /keys|restore-restore/.test(job)))]).toEqual([
      "school-goethe restore-restore",
      "school-goethe backup-keys",
      "school-goethe restore-bring-keys",
    ]);
    // And back again: the volume that was kept knows nothing of what was done since.
    const { uid } = await getTenant(stage.deps.pool, "goethe");
    const back = { kind: "restore", params: { volume: "data" }, requestedBy: "anna" } as const;
    await ended(stage, await requestOperation(stage.deps.pool, { tenantUid: uid, ...back }));
    expect(brought).toHaveLength(2);
  });

  it("of a school whose database does not answer any more are those of its newest backup", async () => {
    stage.answers.set("backup-keys", failingWith("DatabaseUnreachable", "there is no database"));
    const [newest] = await kept();
    const given = watched("restore-restore");
    expect((await ended(stage, await restoreInto(stage, "goethe"))).state).toBe("Succeeded");
    expect(given).toEqual([expect.objectContaining({ keys: { snapshot: newest?.snapshot } })]);
  });

  it("that could not be put into a volume keep it from taking the school's place", async () => {
    stage.answers.set("restore-bring-keys", failingWith("RestoreFailed", "the keys could not be restored"));
    const { uid, volumes } = await getTenant(stage.deps.pool, "goethe");
    expect((await ended(stage, await restoreInto(stage, "goethe"))).state).toBe("Failed");
    expect((await getTenant(stage.deps.pool, "goethe")).volumes.own).toEqual(volumes.own);
    // Nor does one that was kept.
    stage.answers.delete("restore-bring-keys");
    expect((await ended(stage, await restoreInto(stage, "goethe"))).state).toBe("Succeeded");
    stage.answers.set("restore-bring-keys", failingWith("RestoreFailed", "the keys could not be restored"));
    const { own } = (await getTenant(stage.deps.pool, "goethe")).volumes;
    const back = { kind: "restore", params: { volume: volumes.own.claim }, requestedBy: "anna" } as const;
    const operation = await requestOperation(stage.deps.pool, { tenantUid: uid, ...back });
    expect((await ended(stage, operation)).state).toBe("Failed");
    expect((await getTenant(stage.deps.pool, "goethe")).volumes.own).toEqual(own);
    await inPhase(stage, "goethe", "Ready");
  });

  it("go with a backup from which another school is made, from wherever they lie", async () => {
    await stage.deps.pool.query("update key_snapshots set repository = 2");
    const [newest] = await kept();
    let input: unknown;
    stage.answers.set("restore-restore", (job) => {
      input = job.input;
      stage.answers.delete("restore-restore");
      return stage.deps.engine.run(namespaceOf("schiller"), job);
    });
    expect((await ended(stage, await restoreInto(stage, "schiller"))).state).toBe("Succeeded");
    const repository = expect.stringMatching(/-2$/);
    expect(Object(input).keys).toEqual({ snapshot: newest?.snapshot, repository });
  });
});
