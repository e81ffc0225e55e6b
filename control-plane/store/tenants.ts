import { randomUUID } from "node:crypto";
import type { Pool, PoolClient } from "pg";
import { ClassmindError } from "../errors.ts";
import {
  NEW_REPOSITORIES,
  NEW_VOLUMES,
  type Phase,
  type SchoolRepositories,
  type SchoolVolumes,
  type Tenant,
  type TenantSpec,
  type TenantStatus,
} from "../tenant.ts";
import type { Queryable } from "./queryable.ts";
import type { CurrentRollout, Trial } from "./rollout-rows.ts";
import { parseSilence, type Silence } from "./silence.ts";

/** Runs work in one transaction: all of it takes effect, or nothing. */
export async function inTransaction<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken = false;
  try {
    await client.query("begin");
    const result = await work(client);
    await client.query("commit");
    return result;
  } catch (error) {
    await client.query("rollback").catch(() => {
      broken = true;
    });
    throw error;
  } finally {
    client.release(broken);
  }
}

/**
 * Who locks several schools at once locks them in this order, or two of them wait for each other for ever.
 * @param condition SQL over the columns of `tenants`
 * @returns SQL that holds for those schools, and locks them
 */
export function inOrder(condition: string): string {
  return `uid in (select uid from tenants where ${condition} order by uid for no key update)`;
}

/** Locks at once, in that order, the schools that several statements of one transaction will change. */
export async function lockTenants(db: Queryable, condition: string, values: readonly unknown[]): Promise<void> {
  await db.query(`select from tenants where ${condition} order by uid for no key update`, [...values]);
}

interface TenantRow {
  readonly uid: string;
  readonly slug: string;
  readonly engine: string | null;
  readonly left_engine: string | null;
  /** What its engine's row says. */
  readonly on_engine: { readonly settings: unknown; readonly silence: unknown } | null;
  readonly generation: string;
  readonly spec: TenantSpec;
  readonly status: TenantStatus;
  readonly progress: readonly ProgressStep[];
  readonly created_at: Date;
  readonly deletion_requested_at: Date | null;
  readonly purge_after: Date | null;
  readonly attempts: number;
  readonly initialised_at: Date | null;
  readonly administrator: NonNullable<TenantStatus["administrator"]> | null;
  readonly volumes: Partial<SchoolVolumes>;
  readonly repositories: Partial<SchoolRepositories>;
  readonly observed_at: Date | null;
  readonly purge_request: NonNullable<Tenant["purgeRequest"]> | null;
  readonly purge_unverified: boolean;
  readonly version: NonNullable<Tenant["version"]> | null;
  readonly trial: Trial | null;
  readonly pin: NonNullable<Tenant["pin"]> | null;
  readonly rollout: CurrentRollout | null;
}

/** A step of the attempt under way. */
export interface ProgressStep {
  readonly name: string;
  readonly state: "Running" | "Done" | "Failed";
  readonly startedAt: string;
  readonly milliseconds?: number;
  readonly message?: string;
}

/** A tenant with what is being done to it right now. */
export interface StoredTenant extends Tenant {
  /** Where its engine differs from the platform's configuration; see platformAt. */
  readonly engineSettings: unknown;
  /** That its engine does not answer now. */
  readonly engineSilence?: Silence;
  readonly progress: readonly ProgressStep[];
  readonly attempts: number;
  /** When the status was last compared with what is; RFC 3339. */
  readonly observedAt?: string;
  /** How it does with a version that it was given a moment ago. */
  readonly trial?: Trial;
  /** Of its engine's versions. */
  readonly rollout?: CurrentRollout;
}

/** What toTenant reads. */
export const TENANT_COLUMNS =
  "uid, slug, engine, left_engine, (select jsonb_build_object('settings', settings, 'silence', silence) from engines where engines.name = tenants.engine) as on_engine, generation, spec, status, progress, created_at, deletion_requested_at, purge_after, attempts, initialised_at, administrator, volumes, repositories, observed_at, purge_request, purge_unverified, version, trial, pin, (select jsonb_build_object('state', state, 'version', version, 'reason', reason, 'changedAt', changed_at) from rollouts where rollouts.engine = tenants.engine and current) as rollout";

export function toTenant(row: TenantRow): StoredTenant {
  const silence = parseSilence(row.on_engine?.silence);
  const deletion =
    row.deletion_requested_at !== null && row.purge_after !== null
      ? {
          deletion: { requestedAt: row.deletion_requested_at.toISOString(), purgeAfter: row.purge_after.toISOString() },
        }
      : {};
  return {
    uid: row.uid,
    slug: row.slug,
    engine: row.engine ?? "",
    ...(row.left_engine === null ? {} : { leftEngine: row.left_engine }),
    engineSettings: row.on_engine?.settings ?? {},
    ...(silence === undefined ? {} : { engineSilence: silence }),
    generation: Number(row.generation),
    spec: row.spec,
    status: {
      ...row.status,
      ...(row.initialised_at === null ? {} : { initialisedAt: row.initialised_at.toISOString() }),
      ...(row.administrator === null ? {} : { administrator: row.administrator }),
    },
    volumes: { ...NEW_VOLUMES, ...row.volumes },
    repositories: { ...NEW_REPOSITORIES, ...row.repositories },
    progress: row.progress,
    attempts: row.attempts,
    createdAt: row.created_at.toISOString(),
    ...(row.observed_at === null ? {} : { observedAt: row.observed_at.toISOString() }),
    ...deletion,
    ...(row.purge_request === null ? {} : { purgeRequest: row.purge_request }),
    ...(row.purge_unverified ? { purgeUnverified: true } : {}),
    ...(row.version === null ? {} : { version: row.version }),
    ...(row.trial === null ? {} : { trial: row.trial }),
    ...(row.pin === null ? {} : { pin: row.pin }),
    ...(row.rollout === null ? {} : { rollout: row.rollout }),
  };
}

const EMPTY_STATUS: TenantStatus = { observedGeneration: 0, phase: "Pending", conditions: [], steps: [] };

/** Postgres' code for a violated unique constraint. */
const UNIQUE_VIOLATION = "23505";

function isUniqueViolation(error: unknown): error is { readonly constraint?: string } {
  return typeof error === "object" && error !== null && "code" in error && error.code === UNIQUE_VIOLATION;
}

/** The school that an earlier call with the same idempotency key made. */
export async function findCreated(db: Queryable, slug: string, createKey: string): Promise<StoredTenant | undefined> {
  const { rows } = await db.query<TenantRow>(
    `select ${TENANT_COLUMNS} from tenants where create_key = $1 and slug = $2`,
    [createKey, slug],
  );
  return rows[0] === undefined ? undefined : toTenant(rows[0]);
}

/**
 * Records a new school.
 * @param engine name of the engine it is placed on
 * @param createKey idempotency key, see findCreated
 * @throws ClassmindError `Conflict` when the slug is taken
 */
export async function insertTenant(
  db: Queryable,
  slug: string,
  spec: TenantSpec,
  engine: string,
  createKey: string | undefined,
): Promise<StoredTenant> {
  try {
    const { rows } = await db.query<TenantRow>(
      `insert into tenants (uid, slug, spec, status, engine, create_key) values ($1, $2, $3, $4, $5, $6) returning ${TENANT_COLUMNS}`,
      [randomUUID(), slug, JSON.stringify(spec), JSON.stringify(EMPTY_STATUS), engine, createKey ?? null],
    );
    const row = rows[0];
    if (row === undefined) throw new Error("insert returned no row");
    return toTenant(row);
  } catch (error) {
    if (!isUniqueViolation(error)) throw error;
    throw new ClassmindError("Conflict", `A school named ${slug} exists already.`, {
      field: "slug",
      remedy: `Look at it with: classmind tenant get ${slug}. A deleted school keeps its name until it is purged.`,
      cause: error,
    });
  }
}

export async function findTenant(db: Queryable, slug: string): Promise<StoredTenant | undefined> {
  const { rows } = await db.query<TenantRow>(`select ${TENANT_COLUMNS} from tenants where slug = $1`, [slug]);
  return rows[0] === undefined ? undefined : toTenant(rows[0]);
}

/** @throws ClassmindError `NotFound` */
export async function getTenant(db: Queryable, slug: string): Promise<StoredTenant> {
  const tenant = await findTenant(db, slug);
  if (tenant !== undefined) return tenant;
  throw new ClassmindError("NotFound", `There is no school named ${slug}.`, {
    field: "slug",
    remedy: "List the schools with: classmind tenant list",
  });
}

export async function findTenantByUid(db: Queryable, uid: string): Promise<StoredTenant | undefined> {
  const { rows } = await db.query<TenantRow>(`select ${TENANT_COLUMNS} from tenants where uid = $1`, [uid]);
  return rows[0] === undefined ? undefined : toTenant(rows[0]);
}

export interface TenantPage {
  readonly items: readonly StoredTenant[];
  /** Slug to pass as `after` for the next page; undefined on the last one. */
  readonly next: string | undefined;
}

/** One page of schools in the order of their slugs. */
export async function listTenants(
  db: Queryable,
  query: {
    readonly limit: number;
    readonly after?: string | undefined;
    readonly phase?: Phase | undefined;
    readonly search?: string | undefined;
  },
): Promise<TenantPage> {
  const { rows } = await db.query<TenantRow>(
    `select ${TENANT_COLUMNS} from tenants
     where slug > $1 and ($2::text is null or phase = $2)
       and ($3::text is null or strpos(slug, $3) > 0 or strpos(lower(spec ->> 'displayName'), $3) > 0)
     order by slug limit $4`,
    [query.after ?? "", query.phase ?? null, query.search?.toLowerCase() ?? null, query.limit + 1],
  );
  const items = rows.slice(0, query.limit).map(toTenant);
  return { items, next: rows.length > query.limit ? items.at(-1)?.slug : undefined };
}

/** Number of schools by phase. */
export async function countByPhase(db: Queryable): Promise<Readonly<Record<string, number>>> {
  const { rows } = await db.query<{ phase: string; count: string }>(
    "select phase, count(*) from tenants group by phase",
  );
  return Object.fromEntries(rows.map((row) => [row.phase, Number(row.count)]));
}

/**
 * Changes what is wanted. The generation rises, so that an attempt for the old wish cannot write its status.
 * @param change pure function from the current spec to the next; runs under the row's lock
 */
export async function updateSpec(
  db: PoolClient,
  slug: string,
  change: (tenant: StoredTenant) => TenantSpec,
): Promise<StoredTenant> {
  const tenant = await holdTenant(db, slug);
  const spec = change(tenant);
  const updated = await db.query<TenantRow>(
    `update tenants set spec = $2, generation = generation + 1, wake_at = now() where slug = $1 returning ${TENANT_COLUMNS}`,
    [slug, JSON.stringify(spec)],
  );
  return updated.rows[0] === undefined ? tenant : toTenant(updated.rows[0]);
}

/** When a deletion was asked for, and when the purge begins. */
export interface Deletion {
  readonly requestedAt: Date;
  readonly purgeAfter: Date;
}

/** Marks a school as deleted (with the time its purge begins) or, with undefined, takes that back; a wish for an early purge goes. */
export async function setDeletion(
  db: Queryable,
  slug: string,
  deletion: (Deletion & { readonly unverified?: boolean }) | undefined,
): Promise<void> {
  await db.query(
    `update tenants set deletion_requested_at = $2, purge_after = $3, purge_request = null, purge_unverified = $4,
       generation = generation + 1, wake_at = now()
     where slug = $1`,
    [slug, deletion?.requestedAt ?? null, deletion?.purgeAfter ?? null, deletion?.unverified ?? false],
  );
}

/** Records that an operator asks for a purge before the end of the grace period; it waits for another one's word. */
export async function requestPurge(
  db: Queryable,
  slug: string,
  request: NonNullable<Tenant["purgeRequest"]>,
): Promise<void> {
  await db.query("update tenants set purge_request = $2 where slug = $1", [slug, JSON.stringify(request)]);
}

/** The school with its row held until the transaction ends, so that what is decided about it stands. @throws ClassmindError `NotFound` */
export async function holdTenant(db: PoolClient, slug: string): Promise<StoredTenant> {
  const { rows } = await db.query<TenantRow>(`select ${TENANT_COLUMNS} from tenants where slug = $1 for update`, [
    slug,
  ]);
  return rows[0] === undefined ? getTenant(db, slug) : toTenant(rows[0]);
}

/**
 * Asks for an attempt now.
 * @param engine only if the school lives there: another engine may still hold what a move left behind
 */
export async function wakeTenant(db: Queryable, slug: string, engine?: string): Promise<void> {
  await db.query("update tenants set wake_at = now() where slug = $1 and ($2::text is null or engine = $2)", [
    slug,
    engine ?? null,
  ]);
}

/**
 * Asks for an attempt at every school, spread over `spreadSeconds`: after a restart nothing volatile can be taken for granted.
 * @param engine only of schools that live there
 */
export async function wakeAll(db: Queryable, spreadSeconds: number, engine?: string): Promise<number> {
  const { rowCount } = await db.query(
    `update tenants set wake_at = least(wake_at, now() + random() * make_interval(secs => $1))
     where ${inOrder("$2::text is null or engine = $2")}`,
    [spreadSeconds, engine ?? null],
  );
  return rowCount ?? 0;
}
