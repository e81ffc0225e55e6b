import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ROUTES } from "../../control-plane/api/server.ts";
import { type ListeningApi, listeningApi } from "../fixtures/listening-api.ts";
import { type PlatformDatabase, platformDatabase } from "../fixtures/platform-database.ts";

let database: PlatformDatabase;
let api: ListeningApi;
let base: string;
let operator: string;
let metrics: string;
beforeAll(async () => {
  database = await platformDatabase();
  api = await listeningApi(database, 0);
  base = `http://127.0.0.1:${(api.server.address() as AddressInfo).port}`;
  operator = await api.token("anna");
  metrics = await api.token("prometheus", "metrics");
});
afterAll(async () => {
  await api.close();
  await database.drop();
});

const call = (method: string, path: string, token: string, body?: unknown) =>
  fetch(base + path, {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });

describe("a token for the metrics", () => {
  it("reads them", async () => {
    const answer = await call("GET", "/metrics", metrics);
    expect(answer.status).toBe(200);
    expect(await answer.text()).toMatch(/^classmind_schools\{phase="Ready"\} 0$/m);
    expect((await call("GET", "/metrics", operator)).status).toBe(200);
    expect((await call("GET", "/metrics", "cmo_unknown")).status).toBe(401);
  });

  it("opens no other address of the API, whatever it is", async () => {
    const before = await database.pool.query("select count(*) from audit");
    const paths = ROUTES.map(({ method, path }) => [method, `/v1${path.replaceAll(/:[a-z]+/gi, "demo")}`] as const);
    for (const [method, path] of [...paths, ["get", "/v1/events"], ["get", "/v1/nothing"]] as const) {
      const answer = await call(method.toUpperCase(), path, metrics, method === "get" ? undefined : {});
      expect(answer.status, `${method} ${path}`).toBe(403);
      expect(await answer.json()).toMatchObject({ error: { code: "Forbidden", remedy: expect.any(String) } });
    }
    expect((await database.pool.query("select count(*) from audit")).rows).toEqual(before.rows);
  });

  it("is made by an operator, shown as what it is, and ends with a revocation", async () => {
    const body = { label: "prometheus", scope: "metrics" };
    const made = (await (await call("POST", "/v1/operators/anna/tokens", operator, body)).json()) as {
      token: string;
      info: { id: string; scope: string };
    };
    expect(made.info.scope).toBe("metrics");
    const listed = await (await call("GET", "/v1/operators/anna/tokens", operator)).json();
    expect(listed).toMatchObject({ items: expect.arrayContaining([made.info]) });
    expect((await call("GET", "/v1/platform", made.token)).status).toBe(403);
    await call("DELETE", `/v1/tokens/${made.info.id}`, operator);
    expect((await call("GET", "/metrics", made.token)).status).toBe(401);
    const wrong = await call("POST", "/v1/operators/anna/tokens", operator, { label: "x", scope: "all" });
    expect(wrong.status).toBe(422);
  });

  it("leaves the tokens of before as they were", async () => {
    const plain = await call("POST", "/v1/operators/anna/tokens", operator, { label: "laptop" });
    expect(await plain.json()).toMatchObject({ info: { scope: "operator" } });
  });
});
