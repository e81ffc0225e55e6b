import { ClassmindError } from "../errors.ts";

/** Whether this process is root's. */
export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/**
 * Ends work that only root can do before it begins.
 * @param why what needs root, as the second half of a sentence
 * @throws ClassmindError Forbidden
 */
export function requireRoot(why: string): void {
  if (isRoot()) return;
  throw new ClassmindError("Forbidden", `This needs root on this machine: ${why}.`, {
    remedy: "Run it with sudo, or as root.",
  });
}
