import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Decision, decide, type RolloutSchools, versionForNew } from "../../../control-plane/reconcile/rollout.ts";
import { trialAfter } from "../../../control-plane/reconcile/trial.ts";
import type { Rollout, RolloutState, Trial, TrialRow } from "../../../control-plane/store/rollout-rows.ts";

const POLICY = { first: 3, atOnce: 4, healthySeconds: 60, deadlineSeconds: 600 };
const OLD = { app: "app:old", postgres: "postgres:1" };
const NEW = { app: "app:new", postgres: "postgres:1" };
const START = Date.parse("2026-11-26T08:00:00Z");

interface School {
  readonly uid: string;
  version: "old" | "new";
  /** Whether it works with the version: what the school is like, not what is known. */
  good: { readonly old: boolean; readonly new: boolean };
  stopped: boolean;
  pinned: boolean;
  trial: Trial | undefined;
}

interface World {
  now: number;
  rollout: Rollout;
  readonly schools: School[];
  /** Of the schools: which were ever on the version while nobody had proven it, and running, and not on an operator's word. */
  most: number;
  changes: number;
}

const rolloutOf = (overrides: Partial<Rollout> = {}): Rollout => ({
  number: 2,
  engine: "simulated",
  version: NEW,
  previous: OLD,
  state: "Running",
  proven: false,
  well: 0,
  round: 1,
  reason: undefined,
  startedAt: new Date(START).toISOString(),
  changedAt: new Date(START).toISOString(),
  ...overrides,
});

const isWell = ({ version, good, stopped }: School): boolean => !stopped && good[version];
const onVersion = ({ version }: School): boolean => version === "new";

/** What the store would tell. */
function seen({ schools, rollout }: World): RolloutSchools {
  const undoing = rollout.state === "Undoing";
  const waits = (school: School) =>
    onVersion(school) === undoing && !school.pinned && (undoing || school.trial === undefined);
  const uids = (choose: (school: School) => boolean) =>
    schools.filter((school) => waits(school) && choose(school)).map(({ uid }) => uid);
  return {
    any: schools.length > 0,
    trials: schools.flatMap((school): TrialRow[] =>
      school.trial === undefined
        ? []
        : [
            {
              uid: school.uid,
              slug: school.uid,
              trial: school.trial,
              pinned: school.pinned,
              onVersion: onVersion(school),
            },
          ],
    ),
    well: uids((school) => isWell(school)),
    unwell: uids((school) => !school.stopped && !isWell(school)),
    stopped: uids(({ stopped }) => stopped),
  };
}

function perform(world: World, decision: Decision): void {
  const { rollout } = world;
  const of = (uid: string): School => {
    const school = world.schools.find((each) => each.uid === uid);
    if (school === undefined) throw new Error(uid);
    return school;
  };
  const target = rollout.state === "Undoing" ? "old" : "new";
  const begin = (uid: string, wasWell: boolean, give: boolean) => {
    const school = of(uid);
    if (give) school.version = target;
    const { number, round } = rollout;
    school.trial = { rollout: number, round, state: "Updating", since: new Date(world.now).toISOString(), wasWell };
    world.changes += 1;
  };
  for (const { uid } of decision.end) of(uid).trial = undefined;
  for (const { uid, wasWell } of decision.give) begin(uid, wasWell, true);
  for (const { uid, wasWell } of decision.retry) begin(uid, wasWell, false);
  for (const uid of decision.giveAtRest) {
    of(uid).version = target;
    of(uid).trial = undefined;
    world.changes += 1;
  }
  for (const uid of decision.takeBack) {
    of(uid).version = "old";
    of(uid).trial = undefined;
  }
  const { state, proven, well, reason } = decision;
  world.rollout = { ...rollout, state, proven, well, reason };
}

/** Decides until nothing is to be done. A crash before `perform` loses the decision, and that is all: it is one transaction. */
function settle(world: World, crashes: () => boolean): void {
  for (let steps = 0; steps < 50; steps += 1) {
    const decision = decide(world.rollout, seen(world), POLICY);
    if (crashes()) return;
    const before = JSON.stringify([world.schools, world.rollout]);
    perform(world, decision);
    count(world);
    if (JSON.stringify([world.schools, world.rollout]) === before) return;
  }
  throw new Error("it never settles");
}

function count(world: World): void {
  // What is taken back was proven, perhaps: those that have it leave it.
  if (world.rollout.proven || world.rollout.state === "Undoing") return;
  const exposed = world.schools.filter((school) => onVersion(school) && !school.stopped && !school.pinned);
  world.most = Math.max(world.most, exposed.length);
}

/** The attempt at each school, after some time. */
function attempt(world: World, school: School): void {
  if (school.trial === undefined) return;
  school.trial = trialAfter(
    school.trial,
    {
      goal: school.stopped ? "stop" : "run",
      resting: false,
      well: isWell(school),
      why: "it does not answer",
      now: new Date(world.now),
      clockTrusted: true,
    },
    POLICY,
  );
}

function steer(world: World, state: RolloutState): void {
  const { rollout } = world;
  world.rollout = {
    ...rollout,
    state,
    round: rollout.round + 1,
    ...(state === "Undoing" ? { proven: false, well: 0 } : {}),
  };
}

const schools = (badWithNew: readonly boolean[], badBefore: readonly boolean[]): School[] =>
  badWithNew.map((bad, index) => ({
    uid: `s${index}`,
    version: "old",
    good: { old: badBefore[index] !== true, new: !bad && badBefore[index] !== true },
    stopped: false,
    pinned: false,
    trial: undefined,
  }));

const open = (all: School[], rollout = rolloutOf()): World => ({
  now: START,
  rollout,
  schools: all,
  most: 0,
  changes: 0,
});
const never = () => false;

function runFor(world: World, seconds: number): void {
  for (let passed = 0; passed <= seconds; passed += 30) {
    settle(world, never);
    for (const school of world.schools) attempt(world, school);
    world.now += 30_000;
  }
  settle(world, never);
}

describe("a rollout", () => {
  it("gives a good version to the first, waits until it is proven, and then to all", () => {
    const world = open(schools(Array(20).fill(false), []));
    settle(world, never);
    expect(world.schools.filter(onVersion)).toHaveLength(3);
    runFor(world, 3600);
    expect(world.rollout).toMatchObject({ state: "Complete", proven: true, well: 3 });
    expect(world.schools.every((school) => onVersion(school) && school.trial === undefined)).toBe(true);
  });

  it("halts when one of the first was well before and is not any more; then it changes nothing", () => {
    const world = open(schools(Array(20).fill(true), []));
    runFor(world, 1200);
    expect(world.rollout).toMatchObject({ state: "Halted", reason: expect.stringContaining("does not answer") });
    const { changes } = world;
    runFor(world, 7200);
    expect(world.changes).toBe(changes);
    expect(world.schools.filter(onVersion)).toHaveLength(3);
  });

  it("halts among the rest too", () => {
    const world = open(
      schools(
        Array.from({ length: 20 }, (_, index) => index === 12),
        [],
      ),
    );
    runFor(world, 3600);
    expect(world.rollout).toMatchObject({ state: "Halted", proven: true, reason: expect.stringMatching(/^s12: /) });
    // An operator lets it go on: that school halts it no more, since it was not well before this try.
    steer(world, "Running");
    runFor(world, 3600);
    expect(world.rollout.state).toBe("Complete");
  });

  it("is not proven by schools that were not well before, nor halted by them", () => {
    const before = Array.from({ length: 20 }, (_, index) => index < 10);
    const world = open(schools(Array(20).fill(false), before));
    settle(world, never);
    expect(world.schools.filter(onVersion).every(({ good }) => good.old)).toBe(true);
    runFor(world, 7200);
    expect(world.rollout.state).toBe("Complete");
  });

  it("of which nobody is well takes what there is, and halts when they are not well with it either", () => {
    const world = open(schools(Array(20).fill(false), Array(20).fill(true)));
    runFor(world, 3600);
    expect(world.rollout.state).toBe("Halted");
    expect(world.schools.filter(onVersion)).toHaveLength(3);
    const mended = open(schools(Array(20).fill(false), Array(20).fill(true)));
    for (const school of mended.schools) school.good = { old: false, new: true };
    runFor(mended, 3600);
    expect(mended.rollout.state).toBe("Complete");
  });

  it("waits while there are only suspended and pinned schools, and takes the first that comes back", () => {
    const world = open(schools(Array(4).fill(false), []));
    for (const [index, school] of world.schools.entries()) {
      school.stopped = index < 2;
      school.pinned = index >= 2;
    }
    runFor(world, 3600);
    expect(world.rollout).toMatchObject({ state: "Running", proven: false });
    expect(world.schools.some(onVersion)).toBe(false);
    const [first] = world.schools;
    if (first !== undefined) first.stopped = false;
    runFor(world, 3600);
    expect(world.rollout.state).toBe("Complete");
    expect(world.schools.map(onVersion)).toEqual([true, true, false, false]);
  });

  it("without any school is complete", () => {
    expect(decide(rolloutOf(), seen(open([])), POLICY)).toMatchObject({ state: "Complete", proven: true });
  });

  it("gives those first that an earlier one left on a version that nobody had proven, and no others beside them", () => {
    const world = open(schools(Array(20).fill(false), []), rolloutOf({ number: 3 }));
    const since = new Date(START).toISOString();
    const trial: Trial = { rollout: 2, round: 1, state: "Failed", since, wasWell: true, message: "bad" };
    for (const school of world.schools.slice(5, 8)) school.trial = trial;
    settle(world, never);
    expect(world.schools.filter(onVersion).map(({ uid }) => uid)).toEqual(["s5", "s6", "s7"]);
  });

  it("gives a new school what is good", () => {
    const offered = (state: RolloutState, proven: boolean) => versionForNew(rolloutOf({ state, proven }));
    expect(offered("Complete", true)).toBe(NEW);
    expect(offered("Running", true)).toBe(NEW);
    for (const state of ["Running", "Paused", "Halted", "Undoing", "Undone"] as const)
      expect(offered(state, false), state).toBe(OLD);
    expect(offered("Halted", true)).toBe(OLD);
  });
});

const OF_A_SCHOOL = ["suspend", "resume", "pin", "unpin", "attempt", "breaks"] as const;
const OF_OPERATORS = ["pause", "go on", "undo"] as const;
type Event =
  | { readonly kind: "wait"; readonly seconds: number }
  | { readonly kind: (typeof OF_A_SCHOOL)[number]; readonly school: number }
  | { readonly kind: (typeof OF_OPERATORS)[number] };

const events: fc.Arbitrary<Event[]> = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant("wait" as const), seconds: fc.integer({ min: 1, max: 700 }) }),
    fc.record({ kind: fc.constantFrom(...OF_A_SCHOOL), school: fc.nat({ max: 14 }) }),
    fc.record({ kind: fc.constantFrom(...OF_OPERATORS) }),
  ),
  { maxLength: 60 },
);

/** In which states operators may ask for what, and what it becomes then. */
const ASKED: Readonly<Record<(typeof OF_OPERATORS)[number], readonly [readonly RolloutState[], RolloutState]>> = {
  pause: [["Running"], "Paused"],
  "go on": [["Paused", "Halted", "Undone"], "Running"],
  undo: [["Running", "Paused", "Halted", "Complete"], "Undoing"],
};

function happenTo(world: World, school: School, kind: (typeof OF_A_SCHOOL)[number]): void {
  switch (kind) {
    case "suspend":
    case "resume":
      school.stopped = kind === "suspend";
      return;
    case "pin":
      // By an operator's word a school may stay on what nobody has proven; in this story nobody says so.
      school.pinned ||= !onVersion(school);
      return;
    case "unpin":
      school.pinned = false;
      // One that was over begins again for it (see reopenRollout).
      if (world.rollout.state === "Complete") world.rollout = { ...world.rollout, state: "Running" };
      return;
    case "breaks":
      school.good = { ...school.good, new: false };
      return;
    case "attempt":
      attempt(world, school);
  }
}

function happen(world: World, event: Event): void {
  if (event.kind === "wait") {
    world.now += event.seconds * 1000;
  } else if ("school" in event) {
    const school = world.schools[event.school % world.schools.length];
    if (school !== undefined) happenTo(world, school, event.kind);
  } else {
    const [from, state] = ASKED[event.kind];
    if (from.includes(world.rollout.state)) steer(world, state);
  }
  count(world);
}

/** Schools are looked at after each event; what `crashes` says is lost. */
function play(world: World, story: readonly Event[], crashes: () => boolean): void {
  for (const event of story) {
    happen(world, event);
    settle(world, crashes);
    for (const school of world.schools) if (!crashes()) attempt(world, school);
  }
}

const fleets = fc
  .tuple(
    fc.array(fc.boolean(), { minLength: 1, maxLength: 15 }),
    fc.array(fc.boolean(), { minLength: 15, maxLength: 15 }),
  )
  .map(([bad, before]) => schools(bad, before));

describe("whatever happens, in whatever order, with crashes between any two steps", () => {
  it("no more schools than the first run a version that nobody has proven", () => {
    fc.assert(
      fc.property(fleets, events, fc.infiniteStream(fc.boolean()), (all, story, coins) => {
        const world = open(structuredClone(all));
        play(world, story, () => coins.next().value === true);
        expect(world.most).toBeLessThanOrEqual(POLICY.first);
      }),
      { numRuns: 2000 },
    );
  });

  it("a rollout that stands still changes nothing", () => {
    fc.assert(
      fc.property(fleets, fc.constantFrom("Paused", "Halted", "Undone", "Complete", "Superseded"), (all, state) => {
        const world = open(structuredClone(all), rolloutOf({ state: state as RolloutState }));
        for (const [index, school] of world.schools.entries()) if (index % 3 === 0) school.version = "new";
        const before = JSON.stringify(world.schools);
        runFor(world, 1800);
        expect(JSON.stringify(world.schools)).toBe(before);
        expect(world.rollout.state).toBe(state);
      }),
    );
  });

  it("one that is taken back ends with no school on the version but those that are pinned to it", () => {
    fc.assert(
      fc.property(fleets, events, (all, story) => {
        const world = open(structuredClone(all));
        play(world, story, never);
        steer(world, "Undoing");
        runFor(world, 7200);
        expect(world.rollout.state).toBe("Undone");
        expect(world.schools.filter((school) => onVersion(school) && !school.pinned)).toEqual([]);
        expect(world.schools.filter(({ trial }) => trial !== undefined)).toEqual([]);
      }),
    );
  });

  it("a good version reaches every school that is not pinned, once nothing more happens", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 15 }), events, (size, story) => {
        const world = open(schools(Array(size).fill(false), []));
        const harmless = story.filter(({ kind }) => kind !== "undo" && kind !== "breaks");
        play(world, harmless, never);
        for (const school of world.schools) school.stopped = false;
        if (world.rollout.state === "Paused") steer(world, "Running");
        runFor(world, 7200);
        const pinned = world.schools.filter((school) => school.pinned);
        if (pinned.length === world.schools.length) return;
        expect(world.rollout.state).toBe("Complete");
        expect(world.schools.filter((school) => !onVersion(school) && !school.pinned)).toEqual([]);
      }),
      {
        examples: [
          // Let go after it was over.
          [
            2,
            [
              { kind: "pin", school: 1 },
              ...[60, 1].map((seconds) => ({ kind: "wait" as const, seconds })),
              { kind: "unpin", school: 1 },
            ],
          ],
        ],
      },
    );
  });
});
