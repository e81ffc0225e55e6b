import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Finding } from "../../control-plane/engine/engine.ts";
import type { AuthorityMaterial } from "../../control-plane/issuer/internal.ts";
import { type Loop, startLoop } from "../../control-plane/reconcile/loop.ts";
import { listBackups } from "../../control-plane/store/backups.ts";
import {
  getEngine,
  listEngines,
  putOverride,
  registerEngines,
  requestCheck,
  wakeStranded,
} from "../../control-plane/store/engines.ts";
import { requestOperation } from "../../control-plane/store/operations.ts";
import { findTenant, insertTenant, setDeletion } from "../../control-plane/store/tenants.ts";
import { registration, tenantSpec, testAuthority } from "../fixtures/platform.ts";
import { type PlatformDatabase, platformDatabase } from "../fixtures/platform-database.ts";
import { type TwoEngines, twoEngines } from "../fixtures/two-engines.ts";
import { until } from "../fixtures/until.ts";

/** Several engines under one control plane, and what an engine has to be before a school is made there. */

let authority: AuthorityMaterial;
let databases: PlatformDatabase;
let platform: TwoEngines;
let loop: Loop | undefined;

const encrypts = (ok: boolean): Finding => ({
  check: "storage-encryption",
  ok,
  required: true,
  message: ok ? "it encrypts" : "nothing says that it encrypts",
});

function start(fleet = platform.fleet): void {
  loop = startLoop(fleet, { workers: 4, database: databases.database });
}

const inPhase = (slug: string, phase: string) =>
  until(`${slug} is ${phase}`, async () => {
    const tenant = await findTenant(databases.pool, slug);
    return tenant?.status.phase === phase ? tenant : undefined;
  });

const conditionOf = async (slug: string, type: string) =>
  (await findTenant(databases.pool, slug))?.status.conditions.find((condition) => condition.type === type);

beforeAll(async () => {
  authority = await testAuthority();
});

beforeEach(async () => {
  databases = await platformDatabase();
  platform = await twoEngines({ databases, authority });
});

afterEach(async () => {
  await loop?.stop();
  loop = undefined;
  await platform.fleet.close();
  await databases.drop();
});

describe("several engines", () => {
  it("each hold the schools that were placed on them, and nobody else's", async () => {
    await insertTenant(databases.pool, "goethe", tenantSpec(), "simulated", undefined);
    await insertTenant(databases.pool, "mozart", tenantSpec({ country: "AT" }), "second", undefined);
    start();
    await Promise.all([inPhase("goethe", "Ready"), inPhase("mozart", "Ready")]);
    expect(Object.keys(platform.worlds.simulated.read().namespaces)).toEqual(["school-goethe"]);
    expect(Object.keys(platform.worlds.second.read().namespaces)).toEqual(["school-mozart"]);
    expect((await listEngines(databases.pool)).map(({ name, schools }) => [name, schools])).toEqual([
      ["second", 1],
      ["simulated", 1],
    ]);
  });

  it("a school whose engine is not configured any more says so, and others go on", async () => {
    await insertTenant(databases.pool, "mozart", tenantSpec(), "second", undefined);
    await insertTenant(databases.pool, "goethe", tenantSpec(), "simulated", undefined);
    const sites = new Map([...platform.fleet.sites].filter(([name]) => name !== "second"));
    start({ ...platform.fleet, sites });
    await inPhase("goethe", "Ready");
    await until("it is told", async () => await conditionOf("mozart", "EngineFit"));
    expect(await conditionOf("mozart", "EngineFit")).toMatchObject({
      status: "Unknown",
      reason: "EngineUnknown",
      message: expect.stringContaining("second"),
    });
  });

  it("one that leaves the configuration is retired, and kept in the list while schools are there", async () => {
    await insertTenant(databases.pool, "mozart", tenantSpec(), "second", undefined);
    await registerEngines(databases.pool, [registration("simulated")]);
    expect(await getEngine(databases.pool, "second")).toMatchObject({ retired: true, schools: 1 });
    await databases.pool.query("delete from tenants");
    expect((await listEngines(databases.pool)).map(({ name }) => name)).toEqual(["simulated"]);
  });

  it("schools from before engines had names belong to the first one", async () => {
    await insertTenant(databases.pool, "goethe", tenantSpec(), "simulated", undefined);
    await databases.pool.query("update tenants set engine = null");
    await registerEngines(databases.pool, [registration("simulated"), registration("second")]);
    expect((await findTenant(databases.pool, "goethe"))?.engine).toBe("simulated");
  });
});

describe("an engine's name that leads to another cluster", () => {
  beforeEach(async () => {
    await insertTenant(databases.pool, "mozart", tenantSpec({ country: "AT" }), "second", undefined);
    start();
    await inPhase("mozart", "Ready");
    await until("it has a backup", async () => (await findTenant(databases.pool, "mozart"))?.status.backup?.newest);
    platform.identity = "a cluster in Graz";
    platform.worlds.second.change((state) => {
      state.namespaces = {};
    });
  });
  const wake = () => databases.pool.query("update tenants set wake_at = now()");
  const told = () =>
    until("it is told", async () => {
      const ready = await conditionOf("mozart", "Ready");
      return ready?.reason === "PreflightFailed" ? ready : undefined;
    });

  it("gets no empty school in place of the one that is not found there", async () => {
    await wake();
    expect((await told()).message).toMatch(/cluster-identity: this is another cluster/);
    expect(platform.worlds.second.read().namespaces).toEqual({});
    await requestCheck(databases.pool, "second");
    await until("it was tried out", async () => {
      const { findings, triedAt } = await getEngine(databases.pool, "second");
      return triedAt !== undefined && findings.some(({ ok }) => !ok) ? true : undefined;
    });
    await wake();
    await told();
    expect(platform.worlds.second.read().namespaces).toEqual({});
  });

  it("does not count as the end of a school that is purged: its keys stay", async () => {
    const { uid } = (await findTenant(databases.pool, "mozart")) ?? { uid: "" };
    const now = new Date();
    await setDeletion(databases.pool, "mozart", { requestedAt: now, purgeAfter: now });
    await until("it is told", async () =>
      (await findTenant(databases.pool, "mozart"))?.status.conditions.find(
        ({ reason }) => reason === "PreflightFailed",
      ),
    );
    expect(await platform.fleet.keyring.readSchoolKeys(uid)).toBeDefined();
    platform.identity = "a cluster in Vienna";
    await wake();
    await until("it is purged", async () =>
      (await findTenant(databases.pool, "mozart")) === undefined ? true : undefined,
    );
  });

  it("gets its schools back from their backups, when an administrator says that it was set up anew, and none by itself", async () => {
    await wake();
    await told();
    await putOverride(databases.pool, "second", { check: "cluster-identity", operator: "anna", reason: "Brand" });
    await wake();
    await until("it is told", async () =>
      (await conditionOf("mozart", "Ready"))?.reason === "VolumeMissing" ? true : undefined,
    );
    expect(platform.worlds.second.read().namespaces).toEqual({});
    const { uid } = (await findTenant(databases.pool, "mozart")) ?? { uid: "" };
    const [backup] = await listBackups(databases.pool, uid, 1);
    const params = { runId: backup?.runId, sourceUid: uid, sourceSlug: "mozart" };
    await requestOperation(databases.pool, { tenantUid: uid, kind: "restore", params, requestedBy: "anna" });
    await inPhase("mozart", "Ready");
    expect(Object.keys(platform.worlds.second.read().namespaces)).toEqual(["school-mozart"]);
  });
});

describe("an engine whose required check fails", () => {
  beforeEach(() => {
    platform.findings = [encrypts(false), { check: "storage-expansion", ok: false, message: "cannot grow" }];
  });

  it("gets no school: not even the namespace is made, and the condition says why and what to do", async () => {
    await insertTenant(databases.pool, "mozart", tenantSpec(), "second", undefined);
    start();
    const { status } = await inPhase("mozart", "Failed");
    expect(status.conditions.find(({ type }) => type === "Ready")).toMatchObject({
      status: "False",
      reason: "PreflightFailed",
      message: expect.stringMatching(/nothing says that it encrypts.*classmind doctor --engine second/),
    });
    expect(status.conditions.find(({ type }) => type === "EngineFit")?.reason).toBe("PreflightFailed");
    expect(platform.worlds.second.read().namespaces).toEqual({});
  });

  it("makes what waits for it as soon as an operator's check finds it mended", async () => {
    await insertTenant(databases.pool, "mozart", tenantSpec(), "second", undefined);
    start();
    await inPhase("mozart", "Failed");
    platform.findings = [encrypts(true)];
    await requestCheck(databases.pool, "second");
    await inPhase("mozart", "Ready");
  });

  it("gets schools when an administrator takes that check upon themselves, and each of them shows it", async () => {
    await insertTenant(databases.pool, "mozart", tenantSpec(), "second", undefined);
    start();
    await inPhase("mozart", "Failed");
    const override = { check: "storage-encryption", operator: "anna", reason: "LUKS below it" };
    await putOverride(databases.pool, "second", override);
    await wakeStranded(databases.pool, "second");
    await inPhase("mozart", "Ready");
    expect(await conditionOf("mozart", "EngineFit")).toMatchObject({
      status: "True",
      reason: "PreflightOverridden",
      message: expect.stringMatching(/nothing says that it encrypts.*overridden by anna: LUKS below it/),
    });
  });

  it("lets schools that are there already go on", async () => {
    platform.findings = [encrypts(true)];
    await insertTenant(databases.pool, "mozart", tenantSpec(), "second", undefined);
    start();
    await inPhase("mozart", "Ready");
    platform.findings = [encrypts(false)];
    await requestCheck(databases.pool, "second");
    await until("the check has failed", async () =>
      (await getEngine(databases.pool, "second")).findings.find(({ ok }) => !ok),
    );
    await databases.pool.query("update tenants set wake_at = now()");
    await until("the condition tells", async () =>
      (await conditionOf("mozart", "EngineFit"))?.status === "False" ? true : undefined,
    );
    expect((await conditionOf("mozart", "Ready"))?.status).toBe("True");
  });
});
