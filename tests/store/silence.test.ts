import { afterEach, beforeEach, expect, it } from "vitest";
import { viewTenant } from "../../control-plane/api/views.ts";
import { EngineError } from "../../control-plane/engine/engine.ts";
import { memoryWorld } from "../../control-plane/engine/simulated/world.ts";
import { type Loop, startLoop } from "../../control-plane/reconcile/loop.ts";
import { findTenant, getTenant, insertTenant } from "../../control-plane/store/tenants.ts";
import { simulatedPlatform, tenantSpec } from "../fixtures/platform.ts";
import { type PlatformDatabase, platformDatabase } from "../fixtures/platform-database.ts";
import { until } from "../fixtures/until.ts";

/** An engine that stops answering while nothing happens: the reconcile loop on a real PostgreSQL and the simulated engine. */

let databases: PlatformDatabase;
let deps: Awaited<ReturnType<typeof simulatedPlatform>>;
let loop: Loop;
let answer: (signal: AbortSignal) => Promise<void>;

beforeEach(async () => {
  databases = await platformDatabase();
  const { database, keyring } = databases;
  deps = await simulatedPlatform({ database, keyring, world: memoryWorld(), startupMs: 0 });
  answer = async () => undefined;
  deps.engine.answers = (signal) => answer(signal);
  loop = startLoop(deps, { workers: 2, database });
  await insertTenant(deps.pool, "goethe", tenantSpec({ backup: { enabled: false } }), "simulated", undefined);
  await until(
    "goethe is ready",
    async () => (await findTenant(deps.pool, "goethe"))?.status.phase === "Ready" || undefined,
  );
});
afterEach(async () => {
  await loop.stop();
  await deps.close();
  await databases.drop();
});

const engineFit = async () =>
  viewTenant(await getTenant(deps.pool, "goethe"), deps.platform).conditions.find(({ type }) => type === "EngineFit");

it.each<[string, () => Promise<void>, RegExp]>([
  ["hangs", () => new Promise(() => undefined), /has not answered within 3 s/],
  ["is gone", () => Promise.reject(new EngineError("EngineUnavailable", "connection refused")), /connection refused/],
])(
  "an engine that %s shows within ten seconds in its schools, and no longer once it answers",
  async (_, silent, words) => {
    const began = Date.now();
    answer = silent;
    const told = await until("that shows", async () => {
      const condition = await engineFit();
      return condition?.status === "Unknown" ? condition : undefined;
    });
    expect(Date.now() - began).toBeLessThan(10_000);
    expect(told).toMatchObject({ reason: "EngineUnavailable", message: expect.stringMatching(words) });
    // What was last seen of the school stands.
    expect((await getTenant(deps.pool, "goethe")).status.phase).toBe("Ready");
    answer = async () => undefined;
    await until("it is well again", async () => ((await engineFit())?.status === "True" ? true : undefined));
  },
);
