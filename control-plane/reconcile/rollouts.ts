import type { PoolClient } from "pg";
import { policyOf, type RolloutSettings } from "../config.ts";
import { messageOf } from "../errors.ts";
import { appendAudit } from "../store/audit.ts";
import { type HeldClient, type Hold, whileHeld } from "../store/held.ts";
import type { Rollout, Trial } from "../store/rollout-rows.ts";
import {
  announceVersion,
  currentRollout,
  endTrials,
  giveVersion,
  movingRollouts,
  recordVersion,
  retryTrials,
  schoolsOnTrial,
  waitingSchools,
  writeRollout,
} from "../store/rollouts.ts";
import { inTransaction, lockTenants, type StoredTenant } from "../store/tenants.ts";
import type { Version } from "../tenant.ts";
import type { Dependencies, Fleet, Site } from "./dependencies.ts";
import { type Decision, decide, type RolloutSchools, versionForNew } from "./rollout.ts";

/** Rollouts of this reconciler's engines: what rollout.ts decides is done here, under a lock on the rollout's row. */

/** Whoever acts when nobody asked: no operator can be called that. */
const PLATFORM = "(platform)";

type Acting = Pick<Fleet, "pool" | "log" | "clock">;

function auditOf(rollout: Rollout, action: string, reason: string | undefined): Parameters<typeof appendAudit>[1] {
  return {
    operator: PLATFORM,
    token: undefined,
    source: "reconciler",
    action,
    slug: undefined,
    tenantUid: undefined,
    reason,
    detail: { engine: rollout.engine, version: rollout.version, previous: rollout.previous ?? null },
  };
}

/** Tells the store which version the configuration names for an engine; a new one begins a rollout. Repeatable. */
async function announce({ pool, log, clock }: Acting, { name, platform }: Site): Promise<void> {
  const begun = await inTransaction(pool, async (db) => {
    const rollout = await announceVersion(db, name, platform.images);
    if (rollout !== undefined) await appendAudit(db, auditOf(rollout, "rollout.begin", undefined), clock.now());
    return rollout;
  });
  if (begun !== undefined)
    log.info({ engine: name, version: begun.version }, "a new version: the first schools get it, then the others");
}

async function look(db: PoolClient, rollout: Rollout, limit: number): Promise<RolloutSchools> {
  const { rowCount } = await db.query("select from tenants where engine = $1 limit 1", [rollout.engine]);
  return {
    any: (rowCount ?? 0) > 0,
    trials: await schoolsOnTrial(db, rollout),
    well: await waitingSchools(db, rollout, "well", limit),
    unwell: await waitingSchools(db, rollout, "unwell", limit),
    stopped: await waitingSchools(db, rollout, "stopped", limit),
  };
}

/** Then somebody else has their turn. */
const MOST_STEPS = 100;
/** Schools at rest that get a version in one go. */
const AT_REST = 100;

async function perform(db: PoolClient, rollout: Rollout, decision: Decision, now: Date): Promise<void> {
  const { engine, version, previous, number, round, state } = rollout;
  const target = { engine, version: state === "Undoing" && previous !== undefined ? previous : version };
  const trial = (wasWell: boolean): Trial => ({
    rollout: number,
    round,
    state: "Updating",
    since: now.toISOString(),
    wasWell,
  });
  const uids = [...decision.end, ...decision.give, ...decision.retry].map(({ uid }) => uid);
  await lockTenants(db, "uid = any($1)", [[...uids, ...decision.giveAtRest, ...decision.takeBack]]);
  await endTrials(db, decision.end);
  for (const wasWell of [true, false]) {
    const uidsOf = (schools: Decision["give"]) =>
      schools.filter((each) => each.wasWell === wasWell).map(({ uid }) => uid);
    await giveVersion(db, uidsOf(decision.give), target, trial(wasWell));
    await retryTrials(db, uidsOf(decision.retry), trial(wasWell));
  }
  await giveVersion(db, decision.giveAtRest, target, undefined);
  if (previous !== undefined) await giveVersion(db, decision.takeBack, { engine, version: previous }, undefined);
}

const TOLD: Partial<Record<Rollout["state"], string>> = {
  Halted: "rollout.halt",
  Complete: "rollout.complete",
  Undone: "rollout.undone",
};

function isIdle(decision: Decision, rollout: Rollout): boolean {
  const { give, giveAtRest, takeBack, retry, end } = decision;
  const still = [give, giveAtRest, takeBack, retry, end].every(({ length }) => length === 0);
  return (
    still && decision.state === rollout.state && decision.proven === rollout.proven && decision.well === rollout.well
  );
}

/** One step, in one transaction. @returns whether anything was done: then there may be more */
async function stepOf({ pool, log, clock }: Acting, engine: string, policy: RolloutSettings): Promise<boolean> {
  const now = clock.now();
  const [rollout, decision] = await inTransaction(pool, async (db) => {
    // Somebody else is at it: another reconciler, or an operator.
    const present = await currentRollout(db, engine, "writeOrLeave");
    if (present === undefined) return [];
    const schools = await look(db, present, Math.max(policy.first, policy.atOnce, AT_REST));
    const decided = decide(present, schools, policy);
    if (isIdle(decided, present)) return [];
    await perform(db, present, decided, now);
    await writeRollout(db, present.number, decided);
    const action = decided.state === present.state ? undefined : TOLD[decided.state];
    if (action !== undefined) await appendAudit(db, auditOf(present, action, decided.reason), now);
    return [present, decided] as const;
  });
  if (rollout === undefined || decision === undefined) return false;
  if (decision.state === "Halted")
    log.error(
      { engine, version: rollout.version, reason: decision.reason },
      "the rollout halted; no other school gets this version",
    );
  else if (decision.state !== rollout.state)
    log.info({ engine, version: rollout.version }, `the rollout is ${decision.state}`);
  else if (decision.proven !== rollout.proven)
    log.info({ engine, version: rollout.version }, "the new version is proven");
  return true;
}

export interface Rollouts {
  /** Takes what rollouts there are as far as it goes now. Costs one small question while there is none. */
  answer(): Promise<void>;
}

export function createRollouts(fleet: Fleet): Rollouts {
  const announced = new Set<string>();
  return {
    async answer() {
      for (const site of fleet.sites.values()) {
        if (announced.has(site.name)) continue;
        await announce(fleet, site);
        announced.add(site.name);
      }
      for (const engine of await movingRollouts(fleet.pool, [...fleet.sites.keys()])) {
        const site = fleet.sites.get(engine);
        if (site === undefined) continue;
        for (let steps = 0; steps < MOST_STEPS; steps += 1) {
          if (!(await stepOf(fleet, engine, policyOf(site.platform)))) break;
        }
      }
    },
  };
}

/** What a school would be made of that is new on an engine. */
async function offeredVersion(
  db: Pick<PoolClient, "query">,
  engine: string,
  configured: Version,
  lock: "none" | "read",
): Promise<Version> {
  const rollout = await currentRollout(db, engine, lock);
  return rollout === undefined ? configured : versionForNew(rollout);
}

/** The same dependencies, with the images of a version. */
export function withImages<T extends Pick<Dependencies, "platform">>(deps: T, { app, postgres }: Version): T {
  return { ...deps, platform: { ...deps.platform, images: { app, postgres } } };
}

/** The dependencies of an attempt on a school's own engine, with the version that it was given; recorded first if it has none yet. */
export async function withOwnVersion(
  deps: Dependencies,
  tenant: StoredTenant,
  hold: Hold,
): Promise<readonly [Dependencies, StoredTenant]> {
  const { engineName, platform, pool } = deps;
  if (tenant.version?.engine === engineName) return [withImages(deps, tenant.version), tenant];
  const given = await whileHeld(pool, hold, async (db: HeldClient) => {
    const version = await offeredVersion(db, engineName, platform.images, "read");
    await recordVersion(db, hold, engineName, version);
    return version;
  });
  const { trial: _trial, ...rest } = tenant;
  return [withImages(deps, given), { ...rest, version: { engine: engineName, ...given } }];
}

/** The dependencies of what is done for a school on an engine on which it does not live (yet, or any more). */
export async function withOfferedVersion(deps: Dependencies): Promise<Dependencies> {
  return withImages(deps, await offeredVersion(deps.pool, deps.engineName, deps.platform.images, "none"));
}

/** Never throws: without the store there is nothing to roll out. */
export async function answerRollouts(rollouts: Rollouts, log: Fleet["log"]): Promise<void> {
  await rollouts.answer().catch((error: unknown) => log.error({ error: messageOf(error) }, "the rollouts stand still"));
}
