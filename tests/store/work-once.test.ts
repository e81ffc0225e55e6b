import { describe, expect, it } from "vitest";
import type { JobRun } from "../../control-plane/engine/engine.ts";
import { gather } from "../../control-plane/reconcile/gather.ts";
import { listOperations, type OperationKind, requestOperation } from "../../control-plane/store/operations.ts";
import { getTenant } from "../../control-plane/store/tenants.ts";
import { namespaceOf } from "../../control-plane/tenant.ts";
import { troubledSchool } from "../fixtures/troubled-school.ts";
import { until } from "../fixtures/until.ts";

/** Work that ends while an attempt looks at the school. */

const stage = troubledSchool();

/** Holds a job up until it is let go. */
function held(name: string): () => void {
  const { promise, resolve } = Promise.withResolvers<void>();
  stage.answers.set(name, async (job: JobRun) => {
    await promise;
    stage.answers.delete(name);
    return stage.deps.engine.run(namespaceOf("goethe"), job);
  });
  return resolve;
}

/** The school's pool, except that the question for open work is answered only when all work has ended. */
function answeringLate(letGo: () => void, uid: string): typeof stage.deps.pool {
  return new Proxy(stage.deps.pool, {
    get(pool, key) {
      if (key !== "query") return Reflect.get(pool, key, pool);
      return async (text: string, values: unknown[]) => {
        if (/deadline_at < now\(\) as overdue from operations/.test(text)) {
          letGo();
          await until("all work has ended", async () =>
            (await listOperations(pool, uid, 20)).some(({ finishedAt }) => finishedAt === undefined) ? undefined : true,
          );
        }
        return pool.query(text, values);
      };
    },
  });
}

describe("work that ends while an attempt looks at the school", () => {
  it.each<[OperationKind, string, string]>([
    ["backup", "backup-create", "delete from backups"],
    ["create-administrator", "admin-create-administrator", "update tenants set initialised_at = null"],
  ])("is not begun a second time: %s", async (kind, job, undone) => {
    const { uid } = await getTenant(stage.deps.pool, "goethe");
    const letGo = held(job);
    await stage.deps.pool.query(undone);
    await requestOperation(stage.deps.pool, { tenantUid: uid, kind, params: {}, requestedBy: "anna" });
    await until("it is under way", async () => (stage.ran.some((ran) => ran.endsWith(` ${job}`)) ? true : undefined));
    const before = await getTenant(stage.deps.pool, "goethe");
    const deps = { ...stage.deps, pool: answeringLate(letGo, uid) };
    const { due } = await gather(deps, before, new AbortController().signal, () => true);
    expect(due.filter((work) => work.kind === kind)).toEqual([]);
  });
});
