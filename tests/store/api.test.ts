import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createEventHub, type EventHub } from "../../control-plane/api/events.ts";
import { createApiMetrics } from "../../control-plane/api/metrics.ts";
import { createApi } from "../../control-plane/api/server.ts";
import { systemClock } from "../../control-plane/clock.ts";
import { silentLog } from "../../control-plane/log.ts";
import { loadChart } from "../../control-plane/render/render.ts";
import { recordFindings, registerEngines } from "../../control-plane/store/engines.ts";
import { createToken, disableOperator, putOperator } from "../../control-plane/store/operators.ts";
import { announceVersion } from "../../control-plane/store/rollouts.ts";
import { CHART, platformConfig, registration } from "../fixtures/platform.ts";
import { type PlatformDatabase, platformDatabase } from "../fixtures/platform-database.ts";

let database: PlatformDatabase;
let server: Server;
let hub: EventHub;
let base: string;
let token: string;

beforeAll(async () => {
  database = await platformDatabase();
  const platform = platformConfig();
  hub = createEventHub({ database: database.database, db: database.pool, platform, clock: systemClock });
  const context = { pool: database.pool, platform, chart: loadChart(CHART), clock: systemClock };
  server = createServer(createApi(context, hub, createApiMetrics(database.pool), silentLog));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await putOperator(database.pool, "anna", undefined);
  token = (await createToken(database.pool, "anna", "test", new Date(Date.now() + 3_600_000))).token;
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await hub.close();
  await database.drop();
});

interface Answer {
  readonly status: number;
  // The tests look into answers of many shapes.
  readonly body: Record<string, unknown>;
}

async function call(
  method: string,
  target: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(base + target, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

const school = (slug: string): Record<string, unknown> => ({
  slug,
  displayName: "Goethe-Gymnasium",
  terms: { kind: "contract", reference: "V-1" },
});
const errorOf = (answer: Answer): Record<string, unknown> => answer.body.error as Record<string, unknown>;

describe("the API", () => {
  it("answers nobody without an operator's valid token, and tells nothing", async () => {
    for (const authorization of ["", "Bearer x", "Bearer cmo_unknown", `Basic ${token}`]) {
      const answer = await call("GET", "/v1/tenants", undefined, { authorization });
      expect(answer.status).toBe(401);
      expect(errorOf(answer).code).toBe("Unauthorized");
    }
  });

  it("stops knowing an operator the moment they are disabled", async () => {
    await putOperator(database.pool, "bert", undefined);
    const made = await createToken(database.pool, "bert", "test", new Date(Date.now() + 3_600_000));
    const headers = { authorization: `Bearer ${made.token}` };
    expect((await call("GET", "/v1/platform", undefined, headers)).body.operator).toBe("bert");
    await disableOperator(database.pool, "bert");
    expect((await call("GET", "/v1/platform", undefined, headers)).status).toBe(401);
  });

  it("refuses web pages", async () => {
    expect((await call("GET", "/v1/tenants", undefined, { origin: "https://evil.example" })).status).toBe(403);
  });

  it("R8 wants a contract's reference or a demo for every school", async () => {
    const { terms: _terms, ...without } = school("ohne-vertrag");
    const answer = await call("POST", "/v1/tenants", without);
    expect(answer.status).toBe(422);
    expect(errorOf(answer).field).toBe("terms");
    const demo = await call("POST", "/v1/tenants", { ...without, terms: { kind: "demo" } });
    expect(demo.status).toBe(201);
    expect((demo.body.terms as { expiresAt: string }).expiresAt > new Date().toISOString()).toBe(true);
    const shown = await call("POST", "/v1/tenants", {
      ...school("vorzeigen"),
      terms: { kind: "demo", invented: true },
    });
    expect(shown.body.terms).toMatchObject({ kind: "demo", invented: true });
  });

  it("R9 keeps the signed agreement's version and its clauses", async () => {
    const agreement = { version: "AVV 2026-03", clauses: ["Löschung nach 14 Tagen"] };
    expect((await call("POST", "/v1/tenants", { ...school("mit-avv"), agreement })).status).toBe(201);
    expect((await call("GET", "/v1/tenants/mit-avv")).body.agreement).toEqual(agreement);
  });

  it.each(["..", "-a", "a".repeat(64), "xn--a", "go\u0435the", "www", "a\n", "$(x)", "Goethe"])(
    "R11 refuses the name %j before any effect, naming the field and the remedy",
    async (slug) => {
      const before = await database.pool.query("select count(*) from audit");
      const answer = await call("POST", "/v1/tenants", school(slug));
      expect(answer.status).toBe(422);
      expect(errorOf(answer)).toMatchObject({
        code: "Invalid",
        field: "slug",
        remedy: expect.stringContaining("lower-case"),
      });
      expect((await database.pool.query("select count(*) from audit")).rows).toEqual(before.rows);
    },
  );

  it("R11 gives a name to one of two simultaneous creates and a clear conflict to the other", async () => {
    const answers = await Promise.all([
      call("POST", "/v1/tenants", school("zwilling")),
      call("POST", "/v1/tenants", school("zwilling")),
    ]);
    expect(answers.map((answer) => answer.status).sort()).toEqual([201, 409]);
    const conflict = answers.find((answer) => answer.status === 409);
    expect(conflict === undefined ? {} : errorOf(conflict)).toMatchObject({ code: "Conflict", field: "slug" });
  });

  it("returns the same school when a create is repeated with its idempotency key", async () => {
    const headers = { "idempotency-key": "k-1" };
    const first = await call("POST", "/v1/tenants", school("nochmal"), headers);
    const second = await call("POST", "/v1/tenants", school("nochmal"), headers);
    expect([first.status, second.status]).toEqual([201, 201]);
    expect(second.body.uid).toBe(first.body.uid);
  });

  it("names an unknown field, a wrong value and a body that is not JSON", async () => {
    expect(errorOf(await call("POST", "/v1/tenants", { ...school("a1"), kosten: 1 })).field).toBe("kosten");
    expect(errorOf(await call("POST", "/v1/tenants", { ...school("a1"), plan: "riesig" })).field).toBe("plan");
    expect(errorOf(await call("POST", "/v1/tenants", { ...school("a1"), storage: "1Mi" })).field).toBe("storage");
    const response = await fetch(`${base}/v1/tenants`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: "{",
    });
    expect(response.status).toBe(422);
    const polluted = await fetch(`${base}/v1/tenants`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: `{"slug":"a1","displayName":"A","terms":{"kind":"demo"},"__proto__":{"admin":true}}`,
    });
    expect(polluted.status).toBe(422);
  });

  it("grows a school's storage and refuses to shrink it", async () => {
    await call("POST", "/v1/tenants", { ...school("waechst"), storage: "10Gi" });
    expect((await call("PATCH", "/v1/tenants/waechst", { storage: "12Gi" })).body).toMatchObject({
      storage: "12Gi",
      generation: 2,
    });
    expect(errorOf(await call("PATCH", "/v1/tenants/waechst", { storage: "11Gi" }))).toMatchObject({
      field: "storage",
      code: "Invalid",
    });
  });

  it("deletes only when the name is repeated, keeps the name taken during the grace period, and can take it back", async () => {
    await call("POST", "/v1/tenants", school("weg"));
    expect((await call("POST", "/v1/tenants/weg/delete", { confirm: "wog" })).status).toBe(412);
    const deleted = await call("POST", "/v1/tenants/weg/delete", { confirm: "weg" });
    expect(deleted.status).toBe(202);
    expect(deleted.body.deletion).toBeDefined();
    expect((await call("POST", "/v1/tenants", school("weg"))).status).toBe(409);
    expect((await call("POST", "/v1/tenants/weg/suspend", {})).status).toBe(412);
    expect((await call("POST", "/v1/tenants/weg/undelete", {})).body.deletion).toBeUndefined();
  });

  describe("purges", () => {
    const other = async (name: string): Promise<Record<string, string>> => {
      await putOperator(database.pool, name, undefined);
      const made = await createToken(database.pool, name, "test", new Date(Date.now() + 3_600_000));
      return { authorization: `Bearer ${made.token}` };
    };
    const open = async (slug: string): Promise<void> => {
      await call("POST", "/v1/tenants", school(slug));
      await database.pool.query("update tenants set initialised_at = now() where slug = $1", [slug]);
    };
    const purge = (slug: string, headers?: Record<string, string>, more: object = {}) =>
      call("POST", `/v1/tenants/${slug}/purge`, { confirm: slug, reason: "Vertrag beendet", ...more }, headers);
    const isDue = async (slug: string): Promise<boolean> => {
      const { rows } = await database.pool.query<{ due: boolean }>(
        "select coalesce(purge_after <= now(), false) as due from tenants where slug = $1",
        [slug],
      );
      return rows[0]?.due === true;
    };

    it("nothing that was not deleted, and nothing without a reason", async () => {
      await open("offen");
      const refused = await purge("offen");
      expect(refused.status).toBe(412);
      expect(errorOf(refused)).toMatchObject({ remedy: expect.stringContaining("classmind tenant delete offen") });
      expect((await call("POST", "/v1/tenants/offen/purge", { confirm: "offen" })).status).toBe(422);
      expect(await isDue("offen")).toBe(false);
    });

    it("before the grace period ends only with the word of two operators, who say it one after the other", async () => {
      await open("zu-zweit");
      await call("POST", "/v1/tenants/zu-zweit/delete", { confirm: "zu-zweit" });
      const second = await other("berta");
      const asked = await purge("zu-zweit");
      expect(asked.status).toBe(202);
      expect(asked.body.purgeRequest).toMatchObject({ operator: "anna", reason: "Vertrag beendet" });
      expect(await isDue("zu-zweit")).toBe(false);
      // Saying it twice is still one person's word.
      await purge("zu-zweit");
      expect(await isDue("zu-zweit")).toBe(false);
      expect((await purge("zu-zweit", second)).status).toBe(202);
      expect(await isDue("zu-zweit")).toBe(true);
      expect((await call("POST", "/v1/tenants/zu-zweit/undelete", {})).status).toBe(412);
      await disableOperator(database.pool, "berta");
    });

    it("no sooner than the grace period ends where there is one operator alone", async () => {
      await open("allein");
      await call("POST", "/v1/tenants/allein/delete", { confirm: "allein" });
      const refused = await purge("allein");
      expect(refused.status).toBe(412);
      expect(errorOf(refused)).toMatchObject({ remedy: expect.stringContaining("is purged after 20") });
      expect(await isDue("allein")).toBe(false);
    });

    it("take back what one operator has asked for when the deletion is taken back", async () => {
      await open("doch-nicht");
      await call("POST", "/v1/tenants/doch-nicht/delete", { confirm: "doch-nicht" });
      const second = await other("carla");
      await purge("doch-nicht");
      await call("POST", "/v1/tenants/doch-nicht/undelete", {});
      await call("POST", "/v1/tenants/doch-nicht/delete", { confirm: "doch-nicht" });
      expect((await purge("doch-nicht", second)).body.purgeRequest).toMatchObject({ operator: "carla" });
      expect(await isDue("doch-nicht")).toBe(false);
      await disableOperator(database.pool, "carla");
    });

    it("a school that was never furnished at once: nothing was ever in it", async () => {
      await call("POST", "/v1/tenants", school("leer"));
      expect((await purge("leer")).status).toBe(202);
      expect(await isDue("leer")).toBe(true);
    });

    it("and deletes nothing that is protected, until that is taken back with a reason", async () => {
      await open("geschuetzt");
      expect((await call("POST", "/v1/tenants/geschuetzt/protect", {})).body.protected).toBe(true);
      for (const verb of ["delete", "purge"]) {
        const refused = await call("POST", `/v1/tenants/geschuetzt/${verb}`, { confirm: "geschuetzt", reason: "x" });
        expect(errorOf(refused)).toMatchObject({ remedy: expect.stringContaining("tenant unprotect geschuetzt") });
      }
      expect((await call("POST", "/v1/tenants/geschuetzt/unprotect", {})).status).toBe(422);
      expect((await call("POST", "/v1/tenants/geschuetzt/unprotect", { reason: "x" })).body.protected).toBe(false);
      expect((await call("POST", "/v1/tenants/geschuetzt/delete", { confirm: "geschuetzt" })).status).toBe(202);
    });
  });

  describe("where the storage tells how much room it has", () => {
    const GIBI = 1024 ** 3;
    beforeAll(() =>
      database.pool.query("update engines set room = $1", [
        JSON.stringify({ totalBytes: 1000 * GIBI, freeBytes: 700 * GIBI }),
      ]),
    );
    afterAll(() => database.pool.query("update engines set room = null"));

    it("promises no volume that would not fit, but for an operator who says so", async () => {
      const refused = await call("POST", "/v1/tenants", { ...school("gross"), storage: "800Gi" });
      expect(refused.status).toBe(412);
      expect(errorOf(refused)).toMatchObject({
        field: "storage",
        message: expect.stringMatching(/800\.0 GiB.*700\.0 GiB are free.*promised/),
        remedy: expect.stringContaining("--overcommit"),
      });
      expect((await call("GET", "/v1/tenants/gross")).status).toBe(404);
      const meant = { ...school("gross"), storage: "800Gi", overcommit: true };
      expect((await call("POST", "/v1/tenants", meant)).status).toBe(201);
      // What is promised counts from then on.
      expect((await call("POST", "/v1/tenants", school("klein"))).status).toBe(412);
      await database.pool.query("delete from tenants where slug = 'gross'");
    });

    it("lets no volume grow beyond it, and changes nothing then", async () => {
      expect((await call("POST", "/v1/tenants", school("waechst-mit"))).status).toBe(201);
      const refused = await call("PATCH", "/v1/tenants/waechst-mit", { storage: "800Gi", displayName: "Anders" });
      expect(errorOf(refused)).toMatchObject({ field: "storage" });
      expect((await call("GET", "/v1/tenants/waechst-mit")).body).toMatchObject({
        storage: "5Gi",
        displayName: "Goethe-Gymnasium",
        generation: 1,
      });
    });
  });

  it("records in the audit what was changed, old and new", async () => {
    await call("POST", "/v1/tenants", school("spuren"));
    await call("PATCH", "/v1/tenants/spuren", {
      displayName: "Spuren-Schule",
      storage: "6Gi",
      reason: "Bitte der Schule",
    });
    await call("POST", "/v1/tenants/spuren/suspend", { reason: "Umzug" });
    await call("POST", "/v1/tenants/spuren/resume", {});
    await call("POST", "/v1/tenants/spuren/delete", { confirm: "spuren" });
    const { items } = (await call("GET", "/v1/audit?slug=spuren")).body as {
      items: { action: string; detail: Record<string, unknown> }[];
    };
    const detailOf = (action: string) => items.find((entry) => entry.action === action)?.detail;
    expect(detailOf("tenant.update")).toEqual({
      displayName: { old: "Goethe-Gymnasium", new: "Spuren-Schule" },
      storage: { old: null, new: "6Gi" },
    });
    expect(detailOf("tenant.suspend")).toEqual({ suspended: { old: false, new: true } });
    expect(detailOf("tenant.delete")).toMatchObject({
      deletion: { old: null, new: { requestedAt: expect.any(String) } },
    });
  });

  it("lets no volume grow with a plan in silence: it says by how much, and takes either answer", async () => {
    await call("POST", "/v1/tenants", school("plan"));
    const refused = await call("PATCH", "/v1/tenants/plan", { plan: "medium" });
    expect(refused.status).toBe(412);
    expect(errorOf(refused)).toMatchObject({ field: "storage", message: expect.stringMatching(/20Gi.*5Gi/) });
    expect((await call("PATCH", "/v1/tenants/plan", { plan: "medium", storage: "5Gi" })).body).toMatchObject({
      plan: "medium",
      storage: "5Gi",
    });
    expect((await call("PATCH", "/v1/tenants/plan", { plan: "large", storage: "100Gi" })).body).toMatchObject({
      storage: "100Gi",
    });
    // Nor can it shrink with one.
    expect(errorOf(await call("PATCH", "/v1/tenants/plan", { plan: "small" }))).toMatchObject({ field: "storage" });
  });

  it("takes moments with a zone alone, and one choice of what to restore", async () => {
    await call("POST", "/v1/tenants", school("zeit"));
    const restore = (choice: object) =>
      call("POST", "/v1/tenants/zeit/restore", { confirm: "zeit", reason: "test", ...choice });
    for (const at of ["20.11.2026", "2026-11-20", "2026-11-20T08:00", "11/20/2026 08:00", "gestern"])
      expect(errorOf(await restore({ at })), at).toMatchObject({ code: "Invalid", field: "at" });
    expect(errorOf(await restore({ at: "2026-11-20T08:00:00Z", volume: "data-2" }))).toMatchObject({ code: "Invalid" });
    expect(errorOf(await restore({ volume: "data-2" }))).toMatchObject({ code: "NotFound", field: "volume" });
  });

  it("says what long work waits for, and calls it off", async () => {
    await call("POST", "/v1/tenants", school("arbeit"));
    const asked = await call("POST", "/v1/tenants/arbeit/backups", {});
    const path = `/v1/operations/${String(asked.body.id)}`;
    expect((await call("GET", path)).body).toMatchObject({
      state: "Pending",
      waitsFor: expect.stringContaining("until the school is open"),
    });
    expect((await call("POST", `${path}/cancel`, {})).status).toBe(422);
    expect((await call("POST", `${path}/cancel`, { reason: "zu früh" })).body).toMatchObject({
      cancelReason: "zu früh",
    });
    const list = await call("GET", "/v1/tenants/arbeit/operations?state=Pending");
    expect(list.body.items).toHaveLength(1);
    await database.pool.query("update operations set state = 'Cancelled'");
    expect((await call("POST", `${path}/cancel`, { reason: "noch einmal" })).status).toBe(412);
  });

  it("pages through schools in the order of their names and finds them by a part of either name", async () => {
    for (const slug of ["seite-a", "seite-b", "seite-c"]) await call("POST", "/v1/tenants", school(slug));
    const slugs: string[] = [];
    let after: string | undefined;
    do {
      const page = await call("GET", `/v1/tenants?search=seite&limit=2${after === undefined ? "" : `&after=${after}`}`);
      slugs.push(...(page.body.items as { slug: string }[]).map((item) => item.slug));
      after = page.body.next as string | undefined;
    } while (after !== undefined);
    expect(slugs).toEqual(["seite-a", "seite-b", "seite-c"]);
  });

  it("shows a school's manifests with every secret redacted", async () => {
    await call("POST", "/v1/tenants", school("manifest"));
    const { body } = await call("GET", "/v1/tenants/manifest/manifests");
    const items = body.items as { kind: string; data?: Record<string, string> }[];
    const values = items.filter((item) => item.kind === "Secret").flatMap((item) => Object.values(item.data ?? {}));
    expect(values.length).toBeGreaterThan(8);
    // The one word in them that is no secret: what kind of key the volume's is.
    const words = ["REDACTED", "secret"].map((word) => Buffer.from(word).toString("base64"));
    expect(new Set(values)).toEqual(new Set(words));
  });

  it("refuses to restore another school's backup and asks for confirmation", async () => {
    await call("POST", "/v1/tenants", school("quelle"));
    await call("POST", "/v1/tenants", school("ziel"));
    const { body } = await call("GET", "/v1/tenants/quelle");
    const runId = "0190a5c8-0000-4000-8000-00000000000a";
    await database.pool.query(
      "insert into backups (run_id, tenant_uid, trigger, state, started_at) values ($1, $2, 'manual', 'Complete', now())",
      [runId, body.uid],
    );
    expect((await call("POST", "/v1/tenants/ziel/restore", { runId, confirm: "ziel", reason: "Test" })).status).toBe(
      403,
    );
    expect((await call("POST", "/v1/tenants/quelle/restore", { runId, confirm: "ziel", reason: "Test" })).status).toBe(
      412,
    );
    expect(errorOf(await call("POST", "/v1/tenants/quelle/restore", { runId, confirm: "quelle" })).field).toBe(
      "reason",
    );
    expect(
      (await call("POST", "/v1/tenants/quelle/restore", { runId, confirm: "quelle", reason: "Test" })).status,
    ).toBe(202);
  });

  it("restores the newest backup from before a time, and refuses when there is none", async () => {
    await call("POST", "/v1/tenants", school("zeitpunkt"));
    const { body } = await call("GET", "/v1/tenants/zeitpunkt");
    const runs = {
      "2026-01-01": "0190a5c8-0000-4000-8000-00000000001a",
      "2026-01-03": "0190a5c8-0000-4000-8000-00000000001b",
    };
    for (const [day, runId] of Object.entries(runs))
      await database.pool.query(
        "insert into backups (run_id, tenant_uid, trigger, state, started_at) values ($1, $2, 'schedule', 'Complete', $3)",
        [runId, body.uid, `${day}T01:00:00Z`],
      );
    const restore = (at: string) =>
      call("POST", "/v1/tenants/zeitpunkt/restore", { at, confirm: "zeitpunkt", reason: "Test" });
    expect(errorOf(await restore("2025-12-31T00:00:00Z"))).toMatchObject({ code: "NotFound", field: "at" });
    const { body: operation } = await restore("2026-01-02T00:00:00Z");
    const { rows } = await database.pool.query("select params from operations where id = $1", [operation.id]);
    expect(rows).toMatchObject([{ params: { runId: runs["2026-01-01"] } }]);
  });

  it("records every change with operator, action and school in a chain that verifies", async () => {
    await call("POST", "/v1/tenants", school("spur"));
    await call("POST", "/v1/tenants/spur/suspend", { reason: "Rechnung offen" });
    const { body } = await call("GET", "/v1/audit?slug=spur");
    expect(body.items).toMatchObject([
      { operator: "anna", action: "tenant.suspend", reason: "Rechnung offen", source: "127.0.0.1" },
      { operator: "anna", action: "tenant.create" },
    ]);
    expect((await call("GET", "/v1/audit/verify")).body.fault).toBeUndefined();
    await expect(database.pool.query("update audit set reason = 'x'")).rejects.toThrow("append-only");
    await expect(database.pool.query("delete from audit")).rejects.toThrow("append-only");
  });

  it("streams changes of schools as they happen", async () => {
    const stop = new AbortController();
    const response = await fetch(`${base}/v1/events?slug=strom`, {
      headers: { authorization: `Bearer ${token}` },
      signal: stop.signal,
    });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    if (reader === undefined) throw new Error("no body");
    await call("POST", "/v1/tenants", school("strom"));
    let text = "";
    while (!text.includes("event: tenant")) text += (await reader.read()).value ?? "";
    expect(text).toContain('"slug":"strom"');
    stop.abort();
  });

  it("answers 503 and recovers when the database is away for a moment", async () => {
    await database.pool
      .query(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()",
      )
      .catch(() => undefined);
    const statuses = [];
    for (let index = 0; index < 12; index += 1) statuses.push((await call("GET", "/v1/platform")).status);
    expect(statuses.every((status) => status === 200 || status === 503)).toBe(true);
    expect(statuses.at(-1)).toBe(200);
  });

  it("places a school on an engine that meets what is asked for, or says what none meets", async () => {
    const made = await call("POST", "/v1/tenants", { ...school("im-westen"), engine: "simulated" });
    expect(made.body).toMatchObject({ engine: "simulated", country: "DE" });
    const abroad = await call("POST", "/v1/tenants", { ...school("im-ausland"), country: "FR" });
    expect(abroad.status).toBe(412);
    expect(errorOf(abroad)).toMatchObject({ field: "country", remedy: expect.stringContaining("engine list") });
    expect((await call("GET", "/v1/tenants/im-ausland")).status).toBe(404);
    await call("POST", "/v1/engines/simulated/cordon", { reason: "Wartung" });
    const closed = await call("POST", "/v1/tenants", school("zu-spaet"));
    expect(errorOf(closed).message).toContain("Closed for new schools");
    await call("POST", "/v1/engines/simulated/uncordon", {});
    expect((await call("POST", "/v1/tenants", school("zu-spaet"))).status).toBe(201);
    const audit = (await call("GET", "/v1/audit?limit=5")).body.items as { action: string; detail: unknown }[];
    expect(audit).toContainEqual(
      expect.objectContaining({ action: "engine.cordon", reason: "Wartung", detail: { engine: "simulated" } }),
    );
  });

  it("takes no school onto an engine whose required check failed, until somebody takes that upon themselves by name", async () => {
    const check = "storage-encryption";
    await recordFindings(database.pool, "simulated", "try", [
      { check, ok: false, message: "nothing says that it encrypts", required: true },
      { check: "storage-expansion", ok: false, message: "cannot grow" },
    ]);
    const refused = await call("POST", "/v1/tenants", school("ungeschuetzt"));
    expect(errorOf(refused)).toMatchObject({
      message: expect.stringContaining("simulated (storage-encryption)"),
      remedy: expect.stringContaining("classmind doctor --engine"),
    });
    const path = "/v1/engines/simulated/overrides";
    expect(errorOf(await call("POST", path, { check }))).toMatchObject({ field: "reason" });
    expect(errorOf(await call("POST", path, { check: "storage-expansion", reason: "so" }))).toMatchObject({
      field: "check",
      remedy: expect.stringContaining(check),
    });
    const taken = await call("POST", path, { check, reason: "LUKS darunter" });
    expect(taken.body).toMatchObject({ fit: true, overrides: [{ check, operator: "anna", reason: "LUKS darunter" }] });
    expect((await call("POST", "/v1/tenants", school("ungeschuetzt"))).status).toBe(201);
    expect((await call("DELETE", `${path}/${check}`)).body).toMatchObject({ fit: false, overrides: [] });
    expect((await call("DELETE", `${path}/${check}`)).status).toBe(404);
    const { rows } = await database.pool.query("select action from audit where action like 'engine.override%'");
    expect(rows).toEqual([{ action: "engine.override" }, { action: "engine.override-revoke" }]);
    await recordFindings(database.pool, "simulated", "try", []);
  });

  it("moves a school only to an engine that it could be placed on and that its backups reach", async () => {
    const elsewhere = { backup: { repository: "rest:https://backup.example.org:8000/" } };
    await registerEngines(database.pool, [
      registration("simulated"),
      registration("wien", { country: "AT", settings: elsewhere }),
      registration("beside"),
      registration("fsn1", { settings: elsewhere }),
    ]);
    await call("POST", "/v1/tenants", { ...school("umzug"), engine: "simulated" });
    const move = (to: string, confirm = "umzug") => call("POST", "/v1/tenants/umzug/move", { to, confirm });
    const refused = async (to: string) => errorOf(await move(to));
    expect(errorOf(await move("fsn1", "umzu")).field).toBe("confirm");
    expect(await refused("fsn1")).toMatchObject({
      code: "PreconditionFailed",
      message: expect.stringContaining("never"),
    });
    await database.pool.query(`update tenants set initialised_at = '2026-01-01T00:00:00Z' where slug = 'umzug'`);
    expect(await refused("simulated")).toMatchObject({ field: "to", message: expect.stringContaining("already") });
    expect(await refused("nirgends")).toMatchObject({ field: "engine", message: expect.stringContaining("nirgends") });
    expect(await refused("wien")).toMatchObject({
      field: "country",
      message: expect.stringContaining("wien is in AT"),
    });
    expect(await refused("beside")).toMatchObject({
      field: "to",
      message: expect.stringContaining("on their own storage"),
    });
    expect(errorOf(await call("POST", "/v1/tenants/umzug/move/confirm", { confirm: "umzug" })).message).toContain(
      "no copy",
    );
    expect((await move("fsn1")).body).toMatchObject({ kind: "move", state: "Pending", slug: "umzug" });
    expect(await refused("fsn1")).toMatchObject({ code: "Conflict" });
    const audit = (await call("GET", "/v1/audit?slug=umzug")).body.items as { action: string; detail: unknown }[];
    expect(audit[0]).toMatchObject({ action: "tenant.move", detail: { from: "simulated", to: "fsn1" } });
    await registerEngines(database.pool, [registration("simulated")]);
  });

  it("keeps a school where it is while another is made from its backups, and makes none while it moves", async () => {
    const elsewhere = { backup: { repository: "rest:https://backup.example.org:8000/" } };
    await registerEngines(database.pool, [registration("simulated"), registration("fsn1", { settings: elsewhere })]);
    await call("POST", "/v1/tenants", { ...school("vorlage"), engine: "simulated" });
    const { body } = await call("GET", "/v1/tenants/vorlage");
    await database.pool.query(`update tenants set initialised_at = '2026-01-01T00:00:00Z' where slug = 'vorlage'`);
    await database.pool.query(
      "insert into backups (run_id, tenant_uid, trigger, state, started_at) values ($1, $2, 'manual', 'Complete', now())",
      ["0190a5c8-0000-4000-8000-00000000001c", body.uid],
    );
    const move = () => call("POST", "/v1/tenants/vorlage/move", { to: "fsn1", confirm: "vorlage" });
    const restoreInto = (slug: string) =>
      call("POST", "/v1/tenants/vorlage/restore", { into: school(slug), confirm: "vorlage", reason: "Test" });
    expect((await restoreInto("abbild")).status).toBe(202);
    expect(errorOf(await move())).toMatchObject({ code: "Conflict", message: expect.stringContaining("abbild") });
    await database.pool.query("update operations set state = 'Succeeded' where params ->> 'sourceUid' = $1", [
      body.uid,
    ]);
    expect((await move()).status).toBe(202);
    expect(errorOf(await restoreInto("nachbild"))).toMatchObject({ code: "Conflict" });
    expect((await call("GET", "/v1/tenants/nachbild")).status).toBe(404);
    await registerEngines(database.pool, [registration("simulated")]);
  });
});

describe("a school's journal", () => {
  it("R48 is put to use only with a reason, which the audit keeps with who asked", async () => {
    expect((await call("POST", "/v1/tenants", school("protokoll"))).status).toBe(201);
    const at = "/v1/tenants/protokoll/journal";
    for (const what of ["verify", "rebuild"]) {
      const refused = await call("POST", `${at}/${what}`, {});
      expect([refused.status, errorOf(refused).field]).toEqual([422, "reason"]);
    }
    const since = "2026-11-27T08:00:00Z";
    expect(errorOf(await call("POST", `${at}/undo`, { reason: "x", username: "max", since: "gestern" })).field).toBe(
      "since",
    );
    const asked = await call("POST", `${at}/undo`, { reason: "Passwort gestohlen", username: "max.mathe", since });
    expect(asked.status).toBe(202);
    expect(asked.body).toMatchObject({ kind: "undo-account", state: "Pending" });
    const { rows } = await database.pool.query(
      "select action, operator, reason, detail from audit where action = 'journal.undo'",
    );
    expect(rows).toEqual([
      expect.objectContaining({
        operator: "anna",
        reason: "Passwort gestohlen",
        detail: { username: "max.mathe", since, apply: false },
      }),
    ]);
  });
});

describe("somebody's second factor", () => {
  it("R36 R48 is removed only with a reason, which the audit keeps with who asked", async () => {
    expect((await call("POST", "/v1/tenants", school("faktor"))).status).toBe(201);
    const at = "/v1/tenants/faktor/remove-second-factor";
    expect(errorOf(await call("POST", at, { username: "ada.amt" })).field).toBe("reason");
    const asked = await call("POST", at, { username: "ada.amt", reason: "Telefon verloren" });
    expect([asked.status, asked.body]).toEqual([202, expect.objectContaining({ kind: "remove-second-factor" })]);
    const { rows } = await database.pool.query(
      "select operator, reason, detail from audit where action = 'tenant.remove-second-factor'",
    );
    expect(rows).toEqual([{ operator: "anna", reason: "Telefon verloren", detail: { username: "ada.amt" } }]);
  });
});

describe("what people ask of the operator", () => {
  const { publicKey } = generateKeyPairSync("x25519");
  const { kty, crv, x } = publicKey.export({ format: "jwk" });
  const recipient = { kty, crv, x };

  it("R49 nothing is disclosed without a recorded request, an identity check and a reason; all three are kept with who asked", async () => {
    expect((await call("POST", "/v1/tenants", school("auskunft"))).status).toBe(201);
    const at = "/v1/tenants/auskunft/disclosures";
    const whole = {
      person: "mia.muster",
      request: "DS-2026-17",
      identity: { how: "Personalausweis im Sekretariat" },
      reason: "Antrag nach Art. 15",
      recipient,
    };
    for (const [field, body] of [
      ["request", { ...whole, request: undefined }],
      ["request", { ...whole, request: "  " }],
      ["identity", { ...whole, identity: undefined }],
      ["identity.how", { ...whole, identity: {} }],
      ["identity.on", { ...whole, identity: { ...whole.identity, on: "gestern" } }],
      ["reason", { ...whole, reason: undefined }],
      ["recipient", { ...whole, recipient: undefined }],
    ] as const) {
      const refused = await call("POST", at, body);
      expect([refused.status, errorOf(refused).field], field).toEqual([422, field]);
    }
    const asked = await call("POST", at, whole);
    expect([asked.status, asked.body]).toEqual([202, expect.objectContaining({ kind: "disclose-person" })]);
    const { rows } = await database.pool.query(
      "select operator, reason, detail from audit where action = 'disclosure.create'",
    );
    const on = new Date().toISOString().slice(0, 10);
    const identity = { how: "Personalausweis im Sekretariat", by: "anna", on };
    const detail = { person: "mia.muster", request: "DS-2026-17", identity };
    expect(rows).toEqual([{ operator: "anna", reason: "Antrag nach Art. 15", detail }]);
    // Lists show that there was one, and not all of it each time.
    const { id } = asked.body as { id: string };
    const result = { sealedReport: "x".repeat(1000), rows: 3 };
    await database.pool.query("update operations set state = 'Succeeded', result = $2 where id = $1", [id, result]);
    const list = await call("GET", "/v1/tenants/auskunft/operations");
    expect(JSON.stringify(list.body)).toContain('"rows":3');
    expect(JSON.stringify(list.body)).not.toContain("sealedReport");
    expect(JSON.stringify((await call("GET", `/v1/operations/${id}`)).body)).toContain("sealedReport");
  });

  it("R25 a file is taken down by its id or its address, with a recorded notice, a reason, and words for its owner", async () => {
    expect((await call("POST", "/v1/tenants", school("meldung"))).status).toBe(201);
    const at = "/v1/tenants/meldung/takedowns";
    const id = "6504eb6f-43d9-4e56-afe3-564b5bde4912";
    const whole = {
      file: id,
      notice: "M-2026-4",
      reason: "Meldung geprüft",
      ownerReason: "Sie enthält ein Schulbuch.",
    };
    for (const [field, body] of [
      ["file", { ...whole, file: "Referat.pdf" }],
      ["file", { ...whole, file: "https://goethe.example/konten/6504eb6f-43d9-4e56-afe3-564b5bde4912" }],
      ["notice", { ...whole, notice: "" }],
      ["ownerReason", { ...whole, ownerReason: undefined }],
      ["reason", { ...whole, reason: undefined }],
    ] as const) {
      const refused = await call("POST", at, body);
      expect([refused.status, errorOf(refused).field], field).toEqual([422, field]);
    }
    for (const file of [`/dateien/${id}`, `https://meldung.schulen.example/dateien/${id}/inhalt`, id.toUpperCase()]) {
      expect((await call("POST", at, { ...whole, file })).status, file).toBe(202);
      await database.pool.query("update operations set state = 'Succeeded' where kind = 'take-down-file'");
    }
    const { rows } = await database.pool.query("select operator, reason, detail from audit where action = 'takedown'");
    const detail = { file: id, notice: "M-2026-4", ownerReason: "Sie enthält ein Schulbuch." };
    expect(rows).toEqual(Array(3).fill({ operator: "anna", reason: "Meldung geprüft", detail }));
  });
});

describe("versions and their rollouts", () => {
  const OLD = { app: "registry.example/app:old", postgres: "registry.example/postgres:1" };
  const NEW = { app: "registry.example/app:new", postgres: "registry.example/postgres:1" };
  const verb = (name: string, body: Record<string, unknown> = {}) =>
    call("POST", `/v1/rollouts/simulated/${name}`, body);

  it("are nothing before a reconciler has announced one", async () => {
    expect((await call("GET", "/v1/rollouts")).body).toEqual({ items: [] });
    expect((await call("GET", "/v1/rollouts/simulated")).status).toBe(404);
    expect((await call("GET", "/v1/rollouts/nowhere")).status).toBe(404);
  });

  it("are steered in the states in which there is something to steer, each time with an entry in the audit", async () => {
    await announceVersion(database.pool, "simulated", OLD);
    expect(errorOf(await verb("undo"))).toMatchObject({ code: "PreconditionFailed", field: "previous" });
    await announceVersion(database.pool, "simulated", NEW);
    expect(errorOf(await verb("resume"))).toMatchObject({
      code: "Conflict",
      remedy: expect.stringContaining("status"),
    });
    expect((await verb("pause", { reason: "Ferien" })).body).toMatchObject({
      state: "Paused",
      reason: "paused by anna: Ferien",
      version: NEW,
      previous: OLD,
    });
    expect((await verb("resume")).body).toMatchObject({ state: "Running", proven: false });
    expect(errorOf(await verb("promote"))).toMatchObject({ code: "Invalid", field: "reason" });
    expect((await verb("promote", { reason: "geprüft" })).body).toMatchObject({ state: "Running", proven: true });
    expect((await verb("undo")).body).toMatchObject({ state: "Undoing", proven: false });
    expect(errorOf(await verb("resume"))).toMatchObject({ code: "Conflict" });
    const { items } = (await call("GET", "/v1/audit?limit=4")).body as { items: { action: string }[] };
    expect(items.map(({ action }) => action)).toEqual([
      "rollout.undo",
      "rollout.promote",
      "rollout.resume",
      "rollout.pause",
    ]);
  });

  it("pass a pinned school by, which says so, does not move, and goes with the others again when it is let go", async () => {
    await registerEngines(database.pool, [registration("simulated"), registration("fsn1")]);
    await call("POST", "/v1/tenants", { ...school("festgehalten"), engine: "simulated" });
    const pin = (name: string, body = {}) => call("POST", `/v1/tenants/festgehalten/${name}`, body);
    expect(errorOf(await pin("pin"))).toMatchObject({ code: "PreconditionFailed" });
    await database.pool.query("update tenants set version = $1, initialised_at = now() where slug = 'festgehalten'", [
      JSON.stringify({ engine: "simulated", ...OLD }),
    ]);
    const pinned = (await pin("pin", { reason: "Abitur" })).body;
    expect(pinned).toMatchObject({ version: OLD, pin: { operator: "anna", reason: "Abitur" } });
    expect(pinned.conditions).toContainEqual(
      expect.objectContaining({ type: "VersionCurrent", status: "False", reason: "VersionPinned" }),
    );
    const move = await call("POST", "/v1/tenants/festgehalten/move", { to: "fsn1", confirm: "festgehalten" });
    expect(errorOf(move).remedy).toContain("classmind app unpin festgehalten");
    await database.pool.query("update rollouts set state = 'Complete' where current");
    expect((await pin("unpin")).body.pin).toBeUndefined();
    expect((await call("GET", "/v1/rollouts/simulated")).body).toMatchObject({
      state: "Running",
      schools: { waiting: 1 },
    });
    const manifests = JSON.stringify((await call("GET", "/v1/tenants/festgehalten/manifests")).body);
    expect(manifests).toContain(OLD.app);
  });
});
