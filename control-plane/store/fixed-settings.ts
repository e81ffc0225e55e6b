import { z } from "zod";
import { repositoryConflict } from "../fixed-settings.ts";
import { readSetting, writeSetting } from "./settings.ts";
import type { Queryable } from "./tenants.ts";

const NAME = "backup-repositories";
/** Address of the backup repository, by engine. */
const repositories = z.record(z.string(), z.string());

/** Whether there are schools: all, or those that an engine has or still keeps a copy of. */
export async function haveSchools(db: Queryable, engine?: string): Promise<boolean> {
  const { rows } = await db.query(
    "select from tenants where $1::text is null or engine = $1 or left_engine = $1 limit 1",
    [engine ?? null],
  );
  return rows.length > 0;
}

/**
 * Keeps in mind where the backups of each engine's schools lie. Called before anything is done with the new configuration.
 * @param wanted address by engine
 * @throws ClassmindError `Conflict` when an engine with schools is to have another one; nothing is noted then
 */
export async function keepRepositories(db: Queryable, wanted: ReadonlyMap<string, string>): Promise<void> {
  const present = (await readSetting(db, NAME, repositories)) ?? {};
  for (const [engine, address] of wanted) {
    const before = present[engine];
    if (before !== undefined && before !== address && (await haveSchools(db, engine)))
      throw repositoryConflict("backup.repository", before, address);
  }
  await writeSetting(db, NAME, { ...present, ...Object.fromEntries(wanted) });
}
