import { acceptShrink } from "../../store/backups.ts";
import { type Attempt, write } from "../steps.ts";

/** An operator's word that the school is as small as its newest backups say: old ones are forgotten again as their time comes. */
export async function acceptBackup(attempt: Attempt): Promise<unknown> {
  return { accepted: await write(attempt, (db) => acceptShrink(db, attempt.hold.uid)) };
}
