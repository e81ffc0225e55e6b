import type { RolloutSettings } from "../config.ts";
import type { Rollout, RolloutState, Trial, TrialRow } from "../store/rollout-rows.ts";

/**
 * What a rollout does next: pure. A few schools get a new version first; when they have stayed well with it for a while it is proven, and the rest
 * get it, so many at once. One that was well before and is not any more halts it: from then on it changes nothing, until an operator has it go on or
 * go back. Whoever decides holds the rollout's row, and decides again from what the store says: a decision that was lost costs nothing.
 */

/** Schools that are concerned; of those that wait, as many as can be needed. */
export interface RolloutSchools {
  /** Whether there is any school at all. */
  readonly any: boolean;
  readonly trials: readonly TrialRow[];
  /** Not pinned, on another version (of one that goes back: on this one), by how they are. */
  readonly well: readonly string[];
  readonly unwell: readonly string[];
  readonly stopped: readonly string[];
}

export interface Decision {
  /** Schools that get the version (of one that goes back: the previous one) now. */
  readonly give: ReadonlyArray<{ readonly uid: string; readonly wasWell: boolean }>;
  /** Schools that get it without anybody waiting for them: they do not run. */
  readonly giveAtRest: readonly string[];
  /** Schools that get back what they had: they stopped before anything was proven. */
  readonly takeBack: readonly string[];
  /** Schools that failed in an earlier round and are given more time. */
  readonly retry: ReadonlyArray<{ readonly uid: string; readonly wasWell: boolean }>;
  /** Trials that are over. */
  readonly end: readonly TrialRow[];
  readonly state: RolloutState;
  readonly proven: boolean;
  readonly well: number;
  readonly reason: string | undefined;
}

type Begun = Pick<Rollout, "number" | "state" | "proven" | "well" | "round" | "reason" | "previous">;

function nothing({ state, proven, well, reason }: Begun): Decision {
  return { give: [], giveAtRest: [], takeBack: [], retry: [], end: [], state, proven, well, reason };
}

/** What is to be done now. Rollouts that stand still are left alone. */
export function decide(rollout: Begun, schools: RolloutSchools, policy: RolloutSettings): Decision {
  if (rollout.state === "Undoing") return goBack(rollout, schools, policy);
  if (rollout.state !== "Running") return nothing(rollout);
  if (!schools.any) return { ...nothing(rollout), state: "Complete", proven: true };
  return goOn(rollout, schools, policy);
}

const asWell = (uids: readonly string[]) => uids.map((uid) => ({ uid, wasWell: true }));
const asUnwell = (uids: readonly string[]) => uids.map((uid) => ({ uid, wasWell: false }));

function goOn(rollout: Begun, schools: RolloutSchools, policy: RolloutSettings): Decision {
  const mine = schools.trials.filter(
    (school) => school.trial.rollout === rollout.number && school.onVersion && !school.pinned,
  );
  const inState = (...states: readonly Trial["state"][]) => mine.filter(({ trial }) => states.includes(trial.state));
  const failed = inState("Failed");
  const again = failed.filter(({ trial }) => trial.round < rollout.round);
  const worst = failed.find((school) => !again.includes(school));
  if (worst !== undefined)
    return { ...nothing(rollout), state: "Halted", reason: `${worst.slug}: ${worst.trial.message ?? "is not well"}` };
  // What an earlier rollout left on a version that nobody proved: it comes first, so that no more schools are exposed than before.
  const exposed = schools.trials.filter(
    (school) => school.trial.rollout !== rollout.number && !school.pinned && !school.onVersion,
  );
  const kept = new Set([...mine, ...exposed]);
  const stopped = inState("Stopped");
  const proof = inState("Proven");
  const takesBack = !rollout.proven && rollout.previous !== undefined;
  const begun: Decision = {
    ...nothing(rollout),
    retry: again.map(({ uid }) => ({ uid, wasWell: !rollout.proven })),
    takeBack: takesBack ? stopped.map(({ uid }) => uid) : [],
    end: [
      ...schools.trials.filter((school) => !kept.has(school)),
      ...proof,
      ...(takesBack ? [] : stopped),
      ...(rollout.proven ? inState("Excused") : []),
    ],
    well: rollout.proven ? rollout.well : rollout.well + proof.length,
  };
  const updating = inState("Updating").length + again.length;
  const watched = inState("Well").length;
  const waiting = exposed.map(({ uid, trial }) => ({ uid, wasWell: trial.wasWell }));
  return rollout.proven
    ? theRest(begun, schools, waiting, policy.atOnce - updating, updating + watched)
    : theFirst(begun, schools, waiting, policy.first, {
        under: updating + watched,
        excused: inState("Excused").length,
      });
}

function theFirst(
  begun: Decision,
  { well, unwell }: RolloutSchools,
  exposed: Decision["give"],
  first: number,
  { under, excused }: { readonly under: number; readonly excused: number },
): Decision {
  const slots = Math.max(0, first - under - excused - begun.well);
  const give = [...exposed, ...asWell(well)].slice(0, slots);
  if (give.length > 0) return { ...begun, give };
  if (under > 0) return begun;
  if (begun.well > 0) return { ...begun, proven: true };
  // Nobody is well: there is nothing to lose, and nothing else that could show that it is good.
  if (slots > 0) return { ...begun, give: asUnwell(unwell).slice(0, slots) };
  const reason = `The ${excused} schools that got it first were not well before, and are not well with it: nothing shows that it is good.`;
  return { ...begun, state: "Halted", reason };
}

function theRest(
  begun: Decision,
  { well, unwell, stopped }: RolloutSchools,
  exposed: Decision["give"],
  slots: number,
  under: number,
): Decision {
  const waiting = [...exposed, ...asWell(well), ...asUnwell(unwell)];
  const done = waiting.length === 0 && stopped.length === 0 && under === 0;
  return {
    ...begun,
    give: waiting.slice(0, Math.max(0, slots)),
    giveAtRest: stopped,
    state: done ? "Complete" : begun.state,
    reason: undefined,
  };
}

/** To a version that was good: nothing is to be proven, and nothing halts it. What is still on the new one stays on trial until its turn. */
function goBack(rollout: Begun, schools: RolloutSchools, policy: RolloutSettings): Decision {
  const back = schools.trials.filter(({ onVersion }) => !onVersion);
  const updating = back.filter(
    ({ trial, pinned }) => trial.rollout === rollout.number && trial.state === "Updating" && !pinned,
  );
  const end = schools.trials.filter((school) => school.pinned || (back.includes(school) && !updating.includes(school)));
  const waiting = [...asUnwell(schools.unwell), ...asWell(schools.well)];
  const done = end.length === 0 && waiting.length === 0 && schools.stopped.length === 0 && updating.length === 0;
  return {
    ...nothing(rollout),
    give: waiting.slice(0, Math.max(0, policy.atOnce - updating.length)),
    giveAtRest: schools.stopped,
    end,
    state: done ? "Undone" : "Undoing",
  };
}

/** Which version a school gets that is new on the engine: one that is good. Never more schools than the first are on one that is not proven. */
export function versionForNew({ state, proven, version, previous }: Rollout): Rollout["version"] {
  const good = state === "Complete" || (state === "Running" && proven);
  return good ? version : (previous ?? version);
}
