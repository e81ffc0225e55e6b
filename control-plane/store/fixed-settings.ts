import { z } from "zod";
import { copyObstacle } from "../backup/repository.ts";
import { copyConflict, repositoryConflict } from "../fixed-settings.ts";
import type { Queryable } from "./queryable.ts";
import { readSetting, writeSetting } from "./settings.ts";
import { lockTenants } from "./tenants.ts";

const NAME = "backup-repositories";
/** Address of the backup repository, by engine. */
const repositories = z.record(z.string(), z.string());

interface Wanted {
  readonly repository: string;
  /** Left behind, with what is in it. */
  readonly abandoned?: string | undefined;
  /** Copied from, one school after the other. */
  readonly former?: { readonly repository: string } | undefined;
}

/** Whether there are schools: all, or those that an engine has or still keeps a copy of. */
export async function haveSchools(db: Queryable, engine?: string): Promise<boolean> {
  const { rows } = await db.query(
    "select from tenants where $1::text is null or engine = $1 or left_engine = $1 limit 1",
    [engine ?? null],
  );
  return rows.length > 0;
}

/** Schools of an engine have their backups there, until they are copied. */
async function noteFormer(db: Queryable, engine: string, former: string): Promise<void> {
  await db.query(
    `update tenants set repositories = repositories || jsonb_build_object('at', $2::text)
     where engine = $1 and not repositories ? 'at'`,
    [engine, former],
  );
}

/** What schools of an engine had in a repository that is left behind is nobody's any more; where they are to be, they are. */
async function forgetPlaces(db: Queryable, engine: string, places: readonly string[]): Promise<void> {
  await db.query(
    "update tenants set repositories = repositories - 'at' where engine = $1 and repositories ->> 'at' = any ($2)",
    [engine, places],
  );
}

/**
 * Keeps in mind where the backups of each engine's schools lie. Called before anything is done with the new configuration, in a
 * transaction.
 * @param wanted address by engine, the one that may be left behind, and the one that is copied from
 * @throws ClassmindError `Conflict` when backups of schools could not be reached any more; nothing is noted then
 */
export async function keepRepositories(db: Queryable, wanted: ReadonlyMap<string, Wanted>): Promise<void> {
  const present = (await readSetting(db, NAME, repositories)) ?? {};
  await lockTenants(db, "engine = any($1)", [[...wanted.keys()]]);
  for (const [engine, { repository, abandoned, former }] of wanted) {
    const before = present[engine];
    if (before !== undefined && before !== repository && before !== abandoned && (await haveSchools(db, engine))) {
      if (former?.repository !== before) throw repositoryConflict("configuration", before, repository);
      if (copyObstacle(before, repository) !== undefined) throw copyConflict("configuration", before, repository);
      await noteFormer(db, engine, before);
    }
    await forgetPlaces(db, engine, [repository, ...(abandoned === undefined ? [] : [abandoned])]);
  }
  const addresses = [...wanted].map(([engine, { repository }]) => [engine, repository] as const);
  await writeSetting(db, NAME, { ...present, ...Object.fromEntries(addresses) });
}
