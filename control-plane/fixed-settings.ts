import { ClassmindError } from "./errors.ts";

/** What is said of settings that would take schools their names or their backups. Nothing of them is applied. */

/**
 * @param present what schools have
 * @param wanted what the configuration says now
 */
export function domainConflict(present: string, wanted: string): ClassmindError {
  return new ClassmindError(
    "Conflict",
    `The schools of this platform have their names below ${present}, and its authority signs for nothing else: with ${wanted} none of them could be reached.`,
    { field: "domain", remedy: `Set it back to ${present}; for ${wanted} make another installation.` },
  );
}

/** What the settings are called: in the file that people write on one machine, and in a configuration. */
const NAMES = {
  file: { repository: "backupRepository", former: "backupFormer", abandoned: "backupAbandoned" },
  configuration: { repository: "backup.repository", former: "backup.former", abandoned: "backup.abandoned" },
} as const;

/**
 * @param where the settings stand
 * @param present where schools' backups lie
 * @param wanted what the settings say now
 */
export function repositoryConflict(where: keyof typeof NAMES, present: string, wanted: string): ClassmindError {
  const { repository: field, former, abandoned } = NAMES[where];
  return new ClassmindError(
    "Conflict",
    `Schools have their backups in ${present}: with ${wanted} none of these could be restored.`,
    {
      field,
      remedy: `To take them along, school after school: "${former}": { "repository": "${present}", … } as docs/backup-and-recovery.md shows. To leave them behind: "${abandoned}": "${present}". Or set it back to ${present}.`,
    },
  );
}

/** Nobody could copy from one to the other. Parameters as of repositoryConflict. */
export function copyConflict(where: keyof typeof NAMES, present: string, wanted: string): ClassmindError {
  return new ClassmindError(
    "Conflict",
    `Backups cannot be copied from ${present} to ${wanted}: one of the two has to be local.`,
    {
      field: NAMES[where].former,
      remedy: `Change to "local" first, and to ${wanted} when no school's condition BackupRecent names ${present} any more.`,
    },
  );
}

/** What is to be said and done where the configuration does not name what a school's backups are in. Pure. */
export function unnamedRepository(at: string): string {
  return `The backups of this school are in ${at}, which the configuration does not name any more: none is made, read or forgotten until "backupFormer" names it again (docs/backup-and-recovery.md).`;
}
