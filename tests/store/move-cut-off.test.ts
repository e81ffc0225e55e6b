import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Loop, startLoop } from "../../control-plane/reconcile/loop.ts";
import { listOperations } from "../../control-plane/store/operations.ts";
import { findTenant, insertTenant } from "../../control-plane/store/tenants.ts";
import { type CutOff, createCutOff } from "../fixtures/cut-off.ts";
import { movingSchool } from "../fixtures/moving-school.ts";
import { tenantSpec, testAuthority } from "../fixtures/platform.ts";
import { type PlatformDatabase, platformDatabase } from "../fixtures/platform-database.ts";
import { type TwoEngines, twoEngines } from "../fixtures/two-engines.ts";
import { until } from "../fixtures/until.ts";

/** Moves that are cut off: the reconcile loop on a real PostgreSQL, both engines in memory. Most of a move is waiting, so several go on beside each other. */

const LANES = 3;
const REPOSITORY = "rest:https://backup.example.org:8000/";

/** A platform of its own: what is cut off here is not elsewhere. */
interface Lane {
  readonly databases: PlatformDatabase;
  readonly platform: TwoEngines;
  readonly disturbance: CutOff;
  loop: Loop;
}
let lanes: readonly Lane[] = [];

const start = ({ databases, platform }: Pick<Lane, "databases" | "platform">) =>
  startLoop(platform.fleet, { workers: 2, database: databases.database });

beforeAll(async () => {
  const authority = await testAuthority();
  const openLane = async (): Promise<Lane> => {
    const databases = await platformDatabase();
    const disturbance = createCutOff();
    const repositories = { simulated: REPOSITORY, second: REPOSITORY };
    const platform = await twoEngines({ databases, authority, repositories, faults: () => disturbance.faults });
    return { databases, platform, disturbance, loop: start({ databases, platform }) };
  };
  lanes = await Promise.all(Array.from({ length: LANES }, openLane));
});
afterAll(async () => {
  for (const { loop, platform, databases } of lanes) {
    await loop.stop();
    await platform.fleet.close();
    await databases.drop();
  }
});

interface Lived {
  /** How many calls of the engines there were from the request to the end. */
  readonly moments: number;
  readonly end: object;
}

/** A school is made and moved. @param moment at which call of an engine the reconciler is killed; 0: at none */
async function live(lane: Lane, moment: number): Promise<Lived> {
  const { databases, platform, disturbance } = lane;
  const { pool } = databases;
  const slug = `schule-${moment}`;
  await insertTenant(pool, slug, tenantSpec(), "simulated", undefined);
  await until(`${slug} has a backup`, async () => (await findTenant(pool, slug))?.status.backup?.newest);
  const { ask, ended, ready, held } = movingSchool(databases, platform, slug);
  await ready();
  disturbance.begin(moment, () => lane.loop.stop());
  const operation = await ask("move", { to: "second" });
  // Towards the end there may be fewer calls than there were: then nothing is cut off, and must not be later.
  const whole = ended(operation).then(ready);
  await (moment > 0 ? Promise.race([disturbance.cut, whole]) : whole);
  const moments = disturbance.end();
  if (moment > 0) {
    await lane.loop.stop();
    lane.loop = start(lane);
  }
  const { state, error } = await ended(operation);
  const { engine, leftEngine: left, uid } = await ready();
  await until(`nothing goes on at ${slug}`, async () =>
    (await listOperations(pool, uid, 20)).every(({ finishedAt }) => finishedAt !== undefined) ? true : undefined,
  );
  const moves = (await listOperations(pool, uid, 20)).filter(({ kind }) => kind === "move").length;
  return { moments, end: { state, error, engine, left, moves, here: held("simulated"), there: held("second") } };
}

describe("a move that is cut off", () => {
  it("anywhere, ends as an undisturbed one: on the other engine, stopped here, nothing twice", async () => {
    const [first] = lanes;
    if (first === undefined) throw new Error("there are lanes");
    const undisturbed = await live(first, 0);
    expect(undisturbed.end).toMatchObject({ state: "Succeeded", engine: "second", left: "simulated", moves: 1 });
    expect(undisturbed.end).toMatchObject({ here: { running: [] }, there: { running: ["app", "db"] } });
    expect(undisturbed.moments).toBeGreaterThan(30);
    const moments = Array.from({ length: undisturbed.moments }, (_each, index) => index + 1);
    const inLane = async (lane: Lane, index: number) => {
      for (const moment of moments.filter((each) => each % LANES === index))
        expect((await live(lane, moment)).end, `cut off at call ${moment}`).toEqual(undisturbed.end);
    };
    await Promise.all(lanes.map(inLane));
  });
});
