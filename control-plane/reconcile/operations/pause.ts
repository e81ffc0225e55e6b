import { EngineError, type Observation } from "../../engine/engine.ts";
import { holdFor, type Operation, type OperationHolds } from "../../store/operations.ts";
import { namespaceOf, REASONS } from "../../tenant.ts";
import { APP } from "../plan.ts";
import { type Attempt, write } from "../steps.ts";

/**
 * Work that needs the app at rest says so and waits; stopping and starting it is the attempts' part, as closing and opening its
 * way in is. So there is one hand at a school's objects, and what the work is cut off from comes right by itself.
 */

const PATIENCE_MS = 180_000;
const FIRST_PAUSE_MS = 40;
const LONGEST_PAUSE_MS = 1_000;

/** Looks until what is seen is as it should be. @throws EngineError with the words of what it is instead */
export async function untilSeen(
  attempt: Attempt,
  what: string,
  isSo: (observed: Observation) => boolean | Promise<boolean>,
  longestPause = LONGEST_PAUSE_MS,
): Promise<void> {
  const { deps, gathered, signal } = attempt;
  const end = deps.clock.now().getTime() + PATIENCE_MS;
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(longestPause, pause * 1.5)) {
    const observed = await deps.engine.observe(namespaceOf(gathered.tenant.slug));
    if (await isSo(observed)) return;
    signal.throwIfAborted();
    if (deps.clock.now().getTime() > end) {
      const said = observed.workloads.map(({ ref, message }) => `${ref.name}: ${message}`).join("; ");
      throw new EngineError(REASONS.StepFailed, `${what} took too long. ${said}`);
    }
    await deps.clock.sleep(pause, signal);
  }
}

const stateOfApp = ({ workloads }: Observation) => workloads.find(({ ref }) => ref.kind === APP.kind)?.state;

/**
 * Has the school closed and its app at rest from here on, and returns when it is. The database goes on.
 * @param objects that the work has taken charge of besides
 */
export async function pauseApp(
  attempt: Attempt,
  { id }: Operation,
  objects: NonNullable<OperationHolds["objects"]> = [],
): Promise<void> {
  await write(attempt, (db) => holdFor(db, attempt.hold, id, { paused: true, objects }));
  await untilSeen(attempt, "stopping the app", (observed) => stateOfApp(observed) === "Stopped");
}

/** Whether the app serves and the way in is open. */
export async function isAppOpen({ deps, gathered }: Attempt, observed: Observation): Promise<boolean> {
  if (stateOfApp(observed) !== "Ready") return false;
  return deps.gateway === undefined || (await deps.gateway.observe(gathered.tenant.slug)).route?.state === "open";
}
