import { z } from "zod";
import { repositoryConflict } from "../fixed-settings.ts";
import { readSetting, writeSetting } from "./settings.ts";
import type { Queryable } from "./tenants.ts";

const NAME = "backup-repositories";
/** Address of the backup repository, by engine. */
const repositories = z.record(z.string(), z.string());

interface Wanted {
  readonly repository: string;
  readonly abandoned?: string | undefined;
}

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
 * @param wanted address by engine, and the one that may be left behind
 * @throws ClassmindError `Conflict` when an engine with schools is to have another one; nothing is noted then
 */
export async function keepRepositories(db: Queryable, wanted: ReadonlyMap<string, Wanted>): Promise<void> {
  const present = (await readSetting(db, NAME, repositories)) ?? {};
  for (const [engine, { repository, abandoned }] of wanted) {
    const before = present[engine];
    if (before === undefined || before === repository || before === abandoned) continue;
    if (await haveSchools(db, engine))
      throw repositoryConflict("backup.repository", "backup.abandoned", before, repository);
  }
  const addresses = [...wanted].map(([engine, { repository }]) => [engine, repository] as const);
  await writeSetting(db, NAME, { ...present, ...Object.fromEntries(addresses) });
}
