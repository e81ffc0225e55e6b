import { z } from "zod";
import { ClassmindError } from "../errors.ts";
import type { Queryable } from "./queryable.ts";
import { inOrder } from "./tenants.ts";

/** The engines that schools live on: registered by the reconciler, looked at and steered through the API. */

const finding = z.object({
  check: z.string(),
  ok: z.boolean(),
  message: z.string(),
  remedy: z.string().optional(),
  required: z.boolean().optional(),
});

/** One result of preflight, as an engine reported it. */
export type StoredFinding = z.infer<typeof finding>;

export interface Override {
  readonly check: string;
  readonly operator: string;
  readonly reason: string;
  readonly createdAt: string;
}

/** What the reconciler's configuration says of an engine. */
export interface Registration {
  readonly name: string;
  readonly kind: string;
  readonly country: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly capacity: number | undefined;
  /** Where it differs from the platform's configuration. */
  readonly settings: unknown;
}

export interface RegisteredEngine extends Registration {
  readonly cordoned: boolean;
  readonly retired: boolean;
  readonly findings: readonly StoredFinding[];
  readonly lookedAt: string | undefined;
  readonly triedAt: string | undefined;
  readonly overrides: readonly Override[];
  /** Schools placed here. */
  readonly schools: number;
  /** Stopped copies of schools that were moved away. */
  readonly copies: number;
}

interface EngineRow {
  readonly name: string;
  readonly kind: string;
  readonly country: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly capacity: number | null;
  readonly settings: unknown;
  readonly cordoned: boolean;
  readonly retired_at: Date | null;
  readonly findings: unknown;
  readonly looked_at: Date | null;
  readonly tried_at: Date | null;
  readonly overrides: ReadonlyArray<{ check_name: string; operator: string; reason: string; created_at: string }>;
  readonly schools: string;
  readonly copies: string;
}

const OVERRIDES = `(select coalesce(jsonb_agg(to_jsonb(o) order by o.check_name), '[]')
  from engine_overrides o where o.engine = e.name) as overrides`;

const SELECT = `select e.name, e.kind, e.country, e.labels, e.capacity, e.settings, e.cordoned, e.retired_at, e.findings,
    e.looked_at, e.tried_at, ${OVERRIDES},
    (select count(*) from tenants t where t.engine = e.name) as schools,
    (select count(*) from tenants t where t.left_engine = e.name) as copies
  from engines e`;

function toFitness(row: FitnessRow): Pick<RegisteredEngine, "findings" | "overrides" | "lookedAt" | "triedAt"> {
  return {
    findings: z.array(finding).parse(row.findings),
    lookedAt: row.looked_at?.toISOString(),
    triedAt: row.tried_at?.toISOString(),
    overrides: row.overrides.map((each) => ({
      check: each.check_name,
      operator: each.operator,
      reason: each.reason,
      createdAt: new Date(each.created_at).toISOString(),
    })),
  };
}

function toEngine(row: EngineRow): RegisteredEngine {
  return {
    name: row.name,
    kind: row.kind,
    country: row.country,
    labels: row.labels,
    capacity: row.capacity ?? undefined,
    settings: row.settings,
    cordoned: row.cordoned,
    retired: row.retired_at !== null,
    ...toFitness(row),
    schools: Number(row.schools),
    copies: Number(row.copies),
  };
}

/** All engines that are configured or still hold schools, by name. Few: not paged. */
export async function listEngines(db: Queryable): Promise<readonly RegisteredEngine[]> {
  const { rows } = await db.query<EngineRow>(`${SELECT} order by e.name`);
  return rows.map(toEngine).filter((engine) => !engine.retired || engine.schools > 0 || engine.copies > 0);
}

/** The engines a new school could be placed on, their rows held until the transaction ends: creations count each other. */
export async function holdEngines(db: Queryable): Promise<readonly RegisteredEngine[]> {
  await db.query("select from engines order by name for no key update");
  return (await listEngines(db)).filter((engine) => !engine.retired);
}

type FitnessRow = Pick<EngineRow, "findings" | "looked_at" | "tried_at" | "overrides">;

/**
 * What decides whether an engine is fit; without the schools counted, for it is asked at each attempt.
 * @throws Error when the engine is not registered
 */
export async function readFitness(
  db: Queryable,
  name: string,
): Promise<Pick<RegisteredEngine, "findings" | "overrides" | "lookedAt" | "triedAt">> {
  const { rows } = await db.query<FitnessRow>(
    `select e.findings, e.looked_at, e.tried_at, ${OVERRIDES} from engines e where e.name = $1`,
    [name],
  );
  if (rows[0] === undefined) throw new Error(`the engine ${name} is not registered`);
  return toFitness(rows[0]);
}

/** Schools that could not be made on this engine are tried again now. */
export async function wakeStranded(db: Queryable, name: string): Promise<void> {
  await db.query(
    `update tenants set wake_at = now() where ${inOrder("engine = $1 and phase in ('Pending', 'Provisioning', 'Failed')")}`,
    [name],
  );
}

/** @throws ClassmindError `NotFound` */
export async function getEngine(db: Queryable, name: string): Promise<RegisteredEngine> {
  const { rows } = await db.query<EngineRow>(`${SELECT} where e.name = $1`, [name]);
  if (rows[0] !== undefined) return toEngine(rows[0]);
  throw new ClassmindError("NotFound", `There is no engine named ${name}.`, {
    field: "name",
    remedy: "List them: classmind engine list",
  });
}

/** Required checks that failed and that nobody took upon themselves. Pure. */
export function unmetOf(engine: Pick<RegisteredEngine, "findings" | "overrides">): readonly StoredFinding[] {
  return engine.findings.filter(
    ({ check, ok, required }) =>
      required === true && !ok && !engine.overrides.some((override) => override.check === check),
  );
}

/**
 * Records the configured engines; what is not among them is retired. Schools from before engines had names belong to the
 * first one. One transaction is the caller's.
 */
export async function registerEngines(db: Queryable, engines: readonly Registration[]): Promise<void> {
  for (const engine of engines) {
    await db.query(
      `insert into engines (name, kind, country, labels, capacity, settings) values ($1, $2, $3, $4, $5, $6)
       on conflict (name) do update set kind = excluded.kind, country = excluded.country, labels = excluded.labels,
         capacity = excluded.capacity, settings = excluded.settings, retired_at = null,
         -- What was tried out was something else.
         tried_at = case when engines.kind = excluded.kind and engines.settings = excluded.settings then engines.tried_at end`,
      [
        engine.name,
        engine.kind,
        engine.country,
        JSON.stringify(engine.labels),
        engine.capacity ?? null,
        JSON.stringify(engine.settings),
      ],
    );
  }
  const names = engines.map(({ name }) => name);
  await db.query("update engines set retired_at = coalesce(retired_at, now()) where name <> all($1)", [names]);
  await db.query(`update tenants set engine = $1 where ${inOrder("engine is null")}`, [names[0]]);
}

/** The check that is not the engine's own: it takes what the store remembers. No examination makes it pass. */
export const CLUSTER_IDENTITY = "cluster-identity";

/** How thoroughly an engine was examined: by looking alone, or with things made and removed again. */
export type Depth = "look" | "try";

/**
 * Records what an examination found. A look leaves alone what only a try can find.
 * @param began by the database's clock: what was mended later was not seen
 */
export async function recordFindings(
  db: Queryable,
  name: string,
  depth: Depth,
  findings: readonly StoredFinding[],
  began: Date = new Date(),
): Promise<void> {
  const earlier = (await readFitness(db, name)).findings;
  const kept = earlier.filter(
    ({ check }) =>
      (depth === "look" || check === CLUSTER_IDENTITY) && !findings.some((present) => present.check === check),
  );
  await db.query(
    `update engines set findings = $2, looked_at = $4, tried_at = case when $3 then $4 else tried_at end where name = $1`,
    [name, JSON.stringify([...findings, ...kept]), depth === "try", began],
  );
}

/**
 * Whether an engine's name leads to the cluster that it led to when it was first asked; then this one is remembered.
 * @param identity see Engine.identity
 */
export async function isSameCluster(db: Queryable, name: string, identity: string): Promise<boolean> {
  const { rows } = await db.query<{ same: boolean }>(
    "update engines set identity = coalesce(identity, $2) where name = $1 returning identity = $2 as same",
    [name, identity],
  );
  return rows[0]?.same === true;
}

/** Asks the reconciler to try an engine out now. */
export async function requestCheck(db: Queryable, name: string): Promise<void> {
  await db.query("update engines set check_requested_at = now() where name = $1", [name]);
}

/** Engines among the given ones that somebody wants tried out. */
export async function requestedChecks(db: Queryable, names: readonly string[]): Promise<readonly string[]> {
  const { rows } = await db.query<{ name: string }>(
    `select name from engines where name = any($1) and check_requested_at > coalesce(tried_at, '-infinity') order by name`,
    [names],
  );
  return rows.map(({ name }) => name);
}

/** Closes an engine for new schools, or opens it. Those that are there go on. */
export async function setCordon(db: Queryable, name: string, cordoned: boolean): Promise<void> {
  await db.query("update engines set cordoned = $2 where name = $1", [name, cordoned]);
}

/** An administrator takes a failed check upon themselves, by name. */
export async function putOverride(
  db: Queryable,
  engine: string,
  override: Pick<Override, "check" | "operator" | "reason">,
): Promise<void> {
  await db.query("delete from engine_overrides where engine = $1 and check_name = $2", [engine, override.check]);
  await db.query("insert into engine_overrides (engine, check_name, operator, reason) values ($1, $2, $3, $4)", [
    engine,
    override.check,
    override.operator,
    override.reason,
  ]);
}

/** @returns whether there was one */
export async function dropOverride(db: Queryable, engine: string, check: string): Promise<boolean> {
  const { rowCount } = await db.query("delete from engine_overrides where engine = $1 and check_name = $2", [
    engine,
    check,
  ]);
  return rowCount === 1;
}
