import {
  hashPassword,
  isOneTimeHash,
  oneTimeAsMade,
  verifyOneTime,
  verifyPassword,
} from "../../ground/crypto/passwords.ts";
import type { Zugang } from "./queries.ts";

/** Hash of a password that nobody has: checking an unknown name takes as long as checking a known one. */
let nobody: Promise<string> | undefined;
export function nobodysHash(): Promise<string> {
  nobody ??= hashPassword("niemand");
  return nobody;
}

/** Whether a password is right. Of a one-time password capitals, blanks and dashes of any kind do not count: it is read from paper. */
export async function passt(getippt: string, zugang: Zugang | undefined, nobody: string): Promise<boolean> {
  const pruefwert = zugang?.passwort ?? nobody;
  if (isOneTimeHash(pruefwert)) {
    // How long it takes does not tell that somebody has not chosen their own yet.
    await verifyPassword(getippt, nobody);
    return verifyOneTime(getippt, pruefwert);
  }
  // One that was set by an earlier version.
  return verifyPassword(zugang?.einmalig_bis == null ? getippt : oneTimeAsMade(getippt), pruefwert);
}
