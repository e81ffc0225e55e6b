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

/**
 * @param field what the setting is called in the file that has it
 * @param abandoned what the setting is called that names a repository to leave behind
 * @param present where the schools' backups lie
 * @param wanted what the configuration says now
 */
export function repositoryConflict(field: string, abandoned: string, present: string, wanted: string): ClassmindError {
  return new ClassmindError(
    "Conflict",
    `The schools have their backups in ${present}: with ${wanted} none of these could be restored.`,
    {
      field,
      remedy: `Set it back to ${present}. Schools that are moved to another engine take all their backups to that one's repository. To leave these backups behind: "${abandoned}": "${present}"`,
    },
  );
}
