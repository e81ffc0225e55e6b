import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createEventHub, type EventHub } from "../../control-plane/api/events.ts";
import { createApiMetrics } from "../../control-plane/api/metrics.ts";
import { createApi } from "../../control-plane/api/server.ts";
import { type BootTime, type Clock, systemClock } from "../../control-plane/clock.ts";
import { memoryWorld } from "../../control-plane/engine/simulated/world.ts";
import { type AuthorityMaterial, createCertificateAuthority } from "../../control-plane/issuer/internal.ts";
import { silentLog } from "../../control-plane/log.ts";
import { lookAtClock } from "../../control-plane/reconcile/clock-guard.ts";
import type { Dependencies } from "../../control-plane/reconcile/dependencies.ts";
import { type Loop, startLoop } from "../../control-plane/reconcile/loop.ts";
import { readClockRecord } from "../../control-plane/store/clock.ts";
import { createToken, putOperator } from "../../control-plane/store/operators.ts";
import { findTenant, insertTenant, setDeletion, wakeTenant } from "../../control-plane/store/tenants.ts";
import type { Condition, ConditionType } from "../../control-plane/tenant.ts";
import { simulatedPlatform, tenantSpec } from "../fixtures/platform.ts";
import { type PlatformDatabase, platformDatabase } from "../fixtures/platform-database.ts";

/**
 * A clock that jumps a year, either way: the reconcile loop and the API on a real PostgreSQL and the simulated engine, with a
 * clock that the test sets. Nothing that a date brings about happens until an operator has confirmed the clock.
 */

const DAY = 86_400_000;
const YEAR = 365 * DAY;

let authority: AuthorityMaterial;
let database: PlatformDatabase;
let deps: Dependencies & { close(): Promise<void> };
let loop: Loop;
let server: Server;
let hub: EventHub;
let base: string;
let token: string;
let jump = 0;
const databases: PlatformDatabase[] = [];
let boot: BootTime | undefined;
let forgotten: unknown[];

const clock: Clock = {
  now: () => new Date(Date.now() + jump),
  sleep: systemClock.sleep,
  boot: () => boot,
};

beforeAll(async () => {
  // Older than the clock ever gets.
  authority = await createCertificateAuthority({ domain: "classmind.localhost", now: new Date(Date.now() - 2 * YEAR) });
});

/** Four schools: one under contract with a year of backups, a demo, one deleted softly, one to be purged by name. */
beforeEach(async () => {
  jump = 0;
  boot = undefined;
  forgotten = [];
  database = await platformDatabase();
  databases.push(database);
  const world = memoryWorld();
  deps = await simulatedPlatform({
    database: database.database,
    keyring: database.keyring,
    world,
    clock,
    // What was started stays started, wherever the clock goes.
    startupMs: -2 * YEAR,
    authority,
  });
  const run = deps.engine.run.bind(deps.engine);
  deps.engine.run = (namespace, job) => {
    if (job.manifest.metadata.name === "backup-forget") forgotten.push(job.input);
    return run(namespace, job);
  };
  const expiresAt = new Date(Date.now() + 30 * DAY).toISOString();
  await insertTenant(deps.pool, "goethe", tenantSpec(), "simulated", undefined);
  await insertTenant(deps.pool, "probe", tenantSpec({ terms: { kind: "demo", expiresAt } }), "simulated", undefined);
  await insertTenant(deps.pool, "weg", tenantSpec(), "simulated", undefined);
  await insertTenant(deps.pool, "sofort", tenantSpec(), "simulated", undefined);
  loop = startLoop(deps, { workers: 4, database: database.database });
  for (const slug of ["goethe", "probe", "weg", "sofort"]) {
    await until(`${slug} is ready with a backup`, async () => {
      const tenant = await findTenant(deps.pool, slug);
      return tenant?.status.phase === "Ready" && tenant.status.backup?.newest !== undefined;
    });
  }
  const goethe = await findTenant(deps.pool, "goethe");
  await deps.pool.query(
    `insert into backups (run_id, tenant_uid, trigger, state, started_at, finished_at, database_snapshot, files_snapshot)
     select gen_random_uuid(), $1, 'schedule', 'Complete', now() - make_interval(days => day), now(), repeat('c', 64), repeat('d', 64)
     from generate_series(1, 25) day`,
    [goethe?.uid],
  );
  for (const slug of ["weg", "sofort"]) {
    await setDeletion(deps.pool, slug, { requestedAt: new Date(), purgeAfter: new Date(Date.now() + 30 * DAY) });
    await until(`${slug} is deleted`, async () => (await phase(slug)) === "Deleted");
  }
  await lookAtClock(deps);

  const platform = { ...deps.platform, earlyPurge: "reason" as const };
  const context = { pool: deps.pool, platform, chart: deps.chart, clock };
  hub = createEventHub({ database: database.database, db: deps.pool, platform: deps.platform, clock });
  server = createServer(createApi(context, hub, createApiMetrics(deps.pool), silentLog));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await putOperator(deps.pool, "anna", undefined);
  token = (await createToken(deps.pool, "anna", "test", new Date(Date.now() + DAY))).token;
});

afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await hub.close();
  await loop.stop();
  await deps.close();
});
afterAll(async () => {
  for (const each of databases) await each.drop();
});

async function until(what: string, check: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 20_000;
  while (!(await check())) {
    if (Date.now() > end) throw new Error(`it did not come to pass: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

const phase = async (slug: string): Promise<string | undefined> => (await findTenant(deps.pool, slug))?.status.phase;

async function condition(slug: string, type: ConditionType): Promise<Condition | undefined> {
  return (await findTenant(deps.pool, slug))?.status.conditions.find((candidate) => candidate.type === type);
}

const serialOf = async (slug: string): Promise<string | undefined> =>
  (await findTenant(deps.pool, slug))?.status.certificate?.serial;

async function backupsOf(slug: string): Promise<number> {
  const { rows } = await deps.pool.query<{ count: string }>(
    "select count(*) from backups b join tenants t on t.uid = b.tenant_uid where slug = $1 and b.state = 'Complete'",
    [slug],
  );
  return Number(rows[0]?.count);
}

/** Lets every school have an attempt that begins after now. */
async function attemptAll(): Promise<void> {
  const { rows } = await deps.pool.query<{ slug: string }>("select slug from tenants");
  for (const { slug } of rows) await wakeTenant(deps.pool, slug);
  await until("all attempts are over", async () => {
    const open = await deps.pool.query("select from tenants where lease_holder is not null or wake_at <= now()");
    return open.rowCount === 0;
  });
}

/** Asks for a backup of `goethe`, after which what is past its time is forgotten. */
async function backUp(): Promise<void> {
  const started = await call("POST", "/v1/tenants/goethe/backups", {});
  expect(started.status).toBe(202);
  await until("the backup is made", async () => {
    const { body } = await call("GET", `/v1/operations/${String(started.body.id)}`);
    expect(body.state).not.toBe("Failed");
    return body.state === "Succeeded";
  });
}

async function call(
  method: string,
  target: string,
  body?: unknown,
): Promise<{ readonly status: number; readonly body: Record<string, unknown> }> {
  const response = await fetch(base + target, {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

const today = (): string => clock.now().toISOString().slice(0, 10);
const metrics = async (): Promise<string> =>
  (await fetch(`${base}/metrics`, { headers: { authorization: `Bearer ${token}` } })).text();

/** Everything that must be as it was. */
async function state(): Promise<unknown> {
  return {
    serials: await Promise.all(["goethe", "probe"].map(serialOf)),
    phases: await Promise.all(["probe", "weg"].map(phase)),
  };
}

describe("a clock a year ahead", () => {
  it("renews no certificate, forgets no backup, closes no demo and purges no school, until it is confirmed; then all proceed", async () => {
    const before = await state();
    const backups = await backupsOf("goethe");
    jump = YEAR;
    await attemptAll();
    await backUp();
    await attemptAll();
    expect(await state()).toEqual({
      ...(before as object),
      phases: ["Degraded", "Deleted"],
    });
    expect(await condition("probe", "AppReady")).toMatchObject({ status: "True" });
    expect(await backupsOf("goethe")).toBeGreaterThan(backups);
    expect(forgotten).toEqual([]);

    await lookAtClock(deps);
    expect((await call("GET", "/v1/clock")).body).toMatchObject({ trusted: false });
    const wrong = await call("POST", "/v1/clock/confirm", {
      date: new Date().toISOString().slice(0, 10),
      reason: "Ferien",
    });
    expect(wrong.status).toBe(412);
    expect(wrong.body.error).toMatchObject({ field: "date" });
    expect((await call("POST", "/v1/clock/confirm", { date: today(), reason: "Server war aus" })).status).toBe(202);
    const entries = (await call("GET", "/v1/audit")).body.items;
    expect(entries).toMatchObject([{ action: "clock.confirm", operator: "anna", reason: "Server war aus" }, {}]);

    await lookAtClock(deps);
    expect((await call("GET", "/v1/clock")).body).toMatchObject({ trusted: true });
    await until("the deleted school is purged", async () => (await phase("weg")) === undefined);
    await until("the demo is closed", async () => (await condition("probe", "Ready"))?.reason === "DemoExpired");
    await until("the certificate is renewed", async () => (await phase("goethe")) === "Ready");
    expect(await serialOf("goethe")).not.toBe((before as { serials: string[] }).serials[0]);
    await backUp();
    expect(forgotten).toHaveLength(1);
    expect(await backupsOf("goethe")).toBeLessThan(backups);
  });

  it("is shown on the schools, in the API and in the metrics, in words that stay the same from attempt to attempt", async () => {
    expect(await metrics()).toContain("classmind_clock_trusted 1");
    jump = YEAR;
    await attemptAll();
    const first = await condition("goethe", "BackupRecent");
    expect(first).toMatchObject({ status: "Unknown", reason: "ClockJumped" });
    expect(first?.message).toContain("classmind clock confirm");
    expect(await condition("goethe", "CertificateReady")).toMatchObject({ status: "Unknown", reason: "ClockJumped" });
    expect(await condition("goethe", "Ready")).toMatchObject({ reason: "ClockJumped" });
    jump += 5000;
    await attemptAll();
    expect(await condition("goethe", "BackupRecent")).toEqual(first);
    await lookAtClock(deps);
    expect(await metrics()).toContain("classmind_clock_trusted 0");
  });

  it("is not recorded over the time that was believed, and is believed again as soon as it is set right", async () => {
    const before = await readClockRecord(deps.pool);
    jump = YEAR;
    await lookAtClock(deps);
    await lookAtClock(deps);
    const during = await readClockRecord(deps.pool);
    expect(during?.seen).toBe(before?.seen);
    expect(during?.jumped).toBeDefined();
    jump = 0;
    await lookAtClock(deps);
    expect((await readClockRecord(deps.pool))?.jumped).toBeUndefined();
    await until("no school shows it any more", async () => {
      const conditions = await Promise.all(["goethe", "probe"].map((slug) => condition(slug, "BackupRecent")));
      return conditions.every((candidate) => candidate?.reason === "AsDesired");
    });
  });

  it("lets an operator purge, suspend and renew by name, take a deletion back, but set no date by it", async () => {
    jump = YEAR;
    await lookAtClock(deps);
    expect((await call("POST", "/v1/tenants/weg/undelete", {})).status).toBe(202);
    const refused = await call("POST", "/v1/tenants/goethe/delete", { confirm: "goethe" });
    expect(refused.status).toBe(412);
    expect(JSON.stringify(refused.body)).toContain("classmind clock confirm");
    const demo = { slug: "neu", displayName: "Neu", terms: { kind: "demo" } };
    expect((await call("POST", "/v1/tenants", demo)).status).toBe(412);
    const purge = { confirm: "sofort", reason: "Vertrag beendet" };
    expect((await call("POST", "/v1/tenants/sofort/purge", purge)).status).toBe(202);
    await until("the school is purged", async () => (await phase("sofort")) === undefined);
    const serial = await serialOf("goethe");
    await call("POST", "/v1/tenants/goethe/certificate/renew", {});
    await until("the certificate is renewed", async () => (await serialOf("goethe")) !== serial);
  });

  it("is believed without a word when the machine itself counted the year", async () => {
    boot = { id: "start", seconds: 100 };
    await lookAtClock(deps);
    jump = YEAR;
    boot = { id: "start", seconds: 100 + YEAR / 1000 };
    expect((await lookAtClock(deps)).trusted).toBe(true);
    await attemptAll();
    await until("the deleted school is purged", async () => (await phase("weg")) === undefined);
  });
});

describe("a clock a year behind", () => {
  it("renews no certificate, forgets no backup and opens no closed demo, until it is confirmed; then all proceed", async () => {
    await deps.pool.query(
      `update tenants set spec = jsonb_set(spec, '{terms,expiresAt}', to_jsonb($1::text)) where slug = 'probe'`,
      [new Date(Date.now() - 60_000).toISOString()],
    );
    await attemptAll();
    expect(await condition("probe", "Ready")).toMatchObject({ reason: "DemoExpired" });
    const before = await state();
    jump = -YEAR;
    await attemptAll();
    await backUp();
    await attemptAll();
    expect(await state()).toEqual(before);
    expect(await condition("probe", "Ready")).toMatchObject({ reason: "DemoExpired" });
    expect(await condition("goethe", "BackupRecent")).toMatchObject({ reason: "ClockJumped" });
    expect(forgotten).toEqual([]);

    await lookAtClock(deps);
    expect((await call("POST", "/v1/clock/confirm", { date: today(), reason: "Uhr ging vor" })).status).toBe(202);
    await lookAtClock(deps);
    await until("the demo is open again", async () => (await phase("probe")) === "Ready");
    await until("the certificate is replaced", async () => (await phase("goethe")) === "Ready");
    expect(await serialOf("goethe")).not.toBe((before as { serials: string[] }).serials[0]);
    expect(await phase("weg")).toBe("Deleted");
  });

  it("does not leave a school alone for a year whose lease or next attempt lies a year ahead", async () => {
    await deps.pool.query("update tenants set wake_at = now() + interval '1 year' where slug = 'goethe'");
    await deps.pool.query(
      "update tenants set lease_holder = gen_random_uuid(), lease_expires = now() + interval '1 year' where slug = 'probe'",
    );
    jump = -YEAR;
    await lookAtClock(deps);
    const { rows } = await deps.pool.query<{ far: boolean }>(
      "select due_at > now() + interval '1 minute' as far from tenants where slug in ('goethe', 'probe') and wake_at <> 'infinity'",
    );
    expect(rows.some((row) => row.far)).toBe(false);
    await until("it is attempted", async () => (await condition("goethe", "BackupRecent"))?.reason === "ClockJumped");
  });
});

it("the time is recorded once for the whole installation, not with every attempt", async () => {
  const before = await readClockRecord(deps.pool);
  jump = 60_000;
  await attemptAll();
  await lookAtClock(deps);
  expect(await readClockRecord(deps.pool)).toEqual(before);
  jump = 11 * 60_000;
  await Promise.all([lookAtClock(deps), lookAtClock(deps)]);
  const after = await readClockRecord(deps.pool);
  expect(Date.parse(after?.seen ?? "") - Date.parse(before?.seen ?? "")).toBeGreaterThan(10 * 60_000);
});
