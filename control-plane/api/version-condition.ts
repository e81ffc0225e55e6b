import type { StoredTenant } from "../store/tenants.ts";
import { type Condition, type Pin, REASONS, sameVersion } from "../tenant.ts";

/** The short name of a version: the tag of the app's image, which follows from its content. */
export const shortVersion = ({ app }: { readonly app: string }): string => app.slice(app.lastIndexOf("/") + 1);

const steer = (engine: string, verb: string): string => `classmind app rollout ${verb} --engine ${engine}`;

type Told = Pick<Condition, "status" | "reason" | "message"> & { readonly since?: string };
type Known = StoredTenant & Required<Pick<StoredTenant, "version" | "rollout">>;

function ofPinned({ version, rollout, slug }: Known, pin: Pin): Told {
  const has = sameVersion(version, rollout.version);
  const why = pin.reason === undefined ? "" : ` (${pin.reason})`;
  const others = has ? "" : `; the others get ${shortVersion(rollout.version)}`;
  return {
    status: has ? "True" : "False",
    reason: REASONS.VersionPinned,
    message: `${pin.operator} keeps it on ${shortVersion(version)}${why}${others}. To let it go with them: classmind app unpin ${slug}`,
    since: pin.at,
  };
}

function ofHalted({ version, rollout, engine }: Known): Told {
  const own = sameVersion(version, rollout.version) ? "It has that version." : `It stays on ${shortVersion(version)}.`;
  const message = `The rollout of ${shortVersion(rollout.version)} halted: ${rollout.reason ?? ""} ${own} Try again: ${steer(engine, "resume")}; or go back: ${steer(engine, "undo")}`;
  return { status: "False", reason: REASONS.RolloutHalted, message };
}

function ofUndone({ version, rollout, engine }: Known): Told {
  const has = sameVersion(version, rollout.version);
  const turn = has ? ", and this school's turn comes" : "";
  const message = `${shortVersion(version)}; the rollout of ${shortVersion(rollout.version)} was taken back${turn}. Try it again: ${steer(engine, "resume")}`;
  return { status: has ? "False" : "True", reason: REASONS.RolloutUndone, message };
}

function ofMoving({ version, rollout, trial }: Known): Told {
  const own = shortVersion(version);
  if (!sameVersion(version, rollout.version)) {
    const message = `${own}; ${shortVersion(rollout.version)} is on its way to the schools, a few at a time.`;
    return { status: "False", reason: REASONS.RolloutRunning, message };
  }
  if (trial === undefined)
    return { status: "True", reason: REASONS.AsDesired, message: `It has the platform's version, ${own}.` };
  const message = `It got ${own} a moment ago and is watched.`;
  return { status: "True", reason: REASONS.RolloutRunning, message, since: trial.since };
}

function told(tenant: Known): Told {
  if (tenant.pin !== undefined) return ofPinned(tenant, tenant.pin);
  const { version, rollout, engine } = tenant;
  switch (rollout.state) {
    case "Halted":
      return ofHalted(tenant);
    case "Paused": {
      const message = `${shortVersion(version)}; the rollout of ${shortVersion(rollout.version)} is paused. Let it go on: ${steer(engine, "resume")}`;
      return { status: "False", reason: REASONS.RolloutPaused, message };
    }
    case "Undoing":
    case "Undone":
      return ofUndone(tenant);
    default:
      return ofMoving(tenant);
  }
}

/**
 * How a school's version stands to the one that the platform's configuration names: read off its row and the rollout's, so that a
 * rollout that halts costs the schools nothing. Undefined before its first attempt. Pure.
 */
export function versionCondition(tenant: StoredTenant): Condition | undefined {
  const { version, rollout } = tenant;
  if (version === undefined || rollout === undefined) return undefined;
  const { since = rollout.changedAt, ...rest } = told({ ...tenant, version, rollout });
  return { type: "VersionCurrent", ...rest, lastTransitionTime: new Date(since).toISOString() };
}
