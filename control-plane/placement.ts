import { ClassmindError } from "./errors.ts";
import type { Placement } from "./tenant.ts";

/** Which engine a new school is placed on. Pure; the caller holds the engines' rows, so that two creations count each other. */

export interface Candidate {
  readonly name: string;
  readonly country: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Most schools it takes; undefined: no limit. */
  readonly capacity: number | undefined;
  readonly schools: number;
  readonly cordoned: boolean;
  /** Required checks that failed and that nobody took upon themselves. */
  readonly unmet: readonly string[];
}

export interface Wish extends Placement {
  readonly country: string;
}

interface Rule {
  readonly field: string;
  passes(candidate: Candidate, wish: Wish): boolean;
  /** Why none of the candidates passed, which all passed the rules before. */
  why(candidates: readonly Candidate[], wish: Wish): string;
  readonly remedy: string;
}

const hasLabels = (candidate: Candidate, wish: Wish): boolean =>
  Object.entries(wish.labels ?? {}).every(([key, value]) => candidate.labels[key] === value);

const names = (candidates: readonly Candidate[]): string => candidates.map(({ name }) => name).join(", ");

const isFull = ({ capacity, schools }: Candidate): boolean => capacity !== undefined && schools >= capacity;

/** In the order in which a person would ask; the first that nobody passes is the answer. */
const RULES: readonly Rule[] = [
  {
    field: "engine",
    passes: (candidate, wish) => wish.engine === undefined || candidate.name === wish.engine,
    why: (candidates, wish) => `There is no engine ${wish.engine}; there are: ${names(candidates) || "none"}.`,
    remedy: "List them: classmind engine list",
  },
  {
    field: "country",
    passes: (candidate, wish) => candidate.country === wish.country,
    why: (candidates, wish) =>
      `The school has to stay in ${wish.country}; ${candidates.map(({ name, country }) => `${name} is in ${country}`).join(", ")}.`,
    remedy: "List the engines with their countries: classmind engine list",
  },
  {
    field: "labels",
    passes: hasLabels,
    why: (candidates, wish) =>
      `No engine carries ${Object.entries(wish.labels ?? {})
        .map(([key, value]) => `${key}=${value}`)
        .join(", ")}; tried: ${names(candidates)}.`,
    remedy: "List the engines with their labels: classmind engine list",
  },
  {
    field: "engine",
    passes: ({ cordoned }) => !cordoned,
    why: (candidates) => `Closed for new schools: ${names(candidates)}.`,
    remedy: "Open one: classmind engine uncordon NAME",
  },
  {
    field: "engine",
    passes: ({ unmet }) => unmet.length === 0,
    why: (candidates) =>
      `Not fit for a school: ${candidates.map(({ name, unmet }) => `${name} (${unmet.join(", ")})`).join("; ")}.`,
    remedy: "See what to do: classmind doctor --engine NAME",
  },
  {
    field: "engine",
    passes: (candidate) => !isFull(candidate),
    why: (candidates) =>
      `Full: ${candidates.map(({ name, capacity }) => `${name} has its ${capacity} schools`).join(", ")}.`,
    remedy: "Raise its capacity in the reconciler's configuration, or add an engine.",
  },
];

/** The emptier one first, by its share; without a limit every school weighs the same. */
function fill({ schools, capacity }: Candidate): number {
  return capacity === undefined ? schools / 10_000 : schools / capacity;
}

/**
 * Chooses an engine for a new school.
 * @returns its name
 * @throws ClassmindError `Unavailable` when no engine is registered, else `PreconditionFailed` naming the rule that none passes
 */
export function place(wish: Wish, candidates: readonly Candidate[]): string {
  if (candidates.length === 0)
    throw new ClassmindError("Unavailable", "No engine is registered yet: the reconciler has not started.", {
      remedy: "Start it, then try again: classmind status",
    });
  let left = candidates;
  for (const rule of RULES) {
    const passing = left.filter((candidate) => rule.passes(candidate, wish));
    if (passing.length === 0)
      throw new ClassmindError("PreconditionFailed", rule.why(left, wish), { field: rule.field, remedy: rule.remedy });
    left = passing;
  }
  const [best] = [...left].sort((a, b) => fill(a) - fill(b) || (a.name < b.name ? -1 : 1));
  return best?.name ?? "";
}
