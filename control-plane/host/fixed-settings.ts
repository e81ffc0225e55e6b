import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { copyObstacle } from "../backup/repository.ts";
import { copyConflict, domainConflict, repositoryConflict } from "../fixed-settings.ts";
import { readJson } from "../written/json.ts";
import type { Instance } from "./instance.ts";
import { layoutOf } from "./layout.ts";
import { checkRepository, formerOf } from "./repository-settings.ts";
import type { Settings } from "./settings-schema.ts";

/** What the last `up` told the reconciler. */
const applied = z.looseObject({
  platform: z.looseObject({ domain: z.string(), backup: z.looseObject({ repository: z.string() }) }),
});

/** Whether this machine has schools, stopped ones included. */
export function hasSchools({ stateDir }: Instance): boolean {
  const engine = join(stateDir, "engine");
  return existsSync(engine) && readdirSync(engine).some((name) => name.startsWith("school-"));
}

/**
 * Settings that cannot change under schools: the domain of their names, and where their backups lie. The reconciler asks the store the
 * same (store/fixed-settings.ts); here nothing has been stopped yet.
 * @throws ClassmindError `Conflict` naming the field
 */
export function checkFixed(instance: Instance, wanted: Settings): void {
  const { reconcilerConfigFile, settingsFile } = layoutOf(instance);
  if (!existsSync(reconcilerConfigFile) || !hasSchools(instance)) return;
  const { domain, backup } = applied.parse(readJson(reconcilerConfigFile)).platform;
  if (wanted.domain !== domain) throw domainConflict(domain, wanted.domain);
  const repository = checkRepository(settingsFile, wanted)?.address ?? "local";
  if (repository === backup.repository || wanted.backupAbandoned === backup.repository) return;
  const former = formerOf(settingsFile, wanted)?.address;
  if (former !== backup.repository) throw repositoryConflict("file", backup.repository, repository);
  if (copyObstacle(former, repository) !== undefined) throw copyConflict("file", former, repository);
}
