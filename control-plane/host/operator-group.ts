import { chmodSync, chownSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { messageOf } from "../errors.ts";
import { CONTAINER_UID } from "../images/recipes.ts";
import { OPERATOR_GROUP } from "../operator-group-name.ts";
import type { Instance } from "./instance.ts";
import { layoutOf } from "./layout.ts";
import { runHost } from "./program.ts";

/**
 * Membership of the group lets in the door and no further: what somebody may do is decided by their operator's token, because Node
 * cannot ask a socket who is at its other end.
 */

/** The number of a group in the text of group(5); undefined when it is not there. Pure. */
export function groupNumber(groups: string, name: string): number | undefined {
  for (const line of groups.split("\n")) {
    const [found, , number] = line.split(":");
    if (found === name && number !== undefined && /^\d+$/.test(number)) return Number(number);
  }
  return undefined;
}

/** Makes the group if it is not there, without members: who may come in is for an administrator to say. @returns its number */
async function ensureGroup(): Promise<number> {
  const read = () => groupNumber(readFileSync("/etc/group", "utf8"), OPERATOR_GROUP);
  const present = read();
  if (present !== undefined) return present;
  let why = "it is not in /etc/group afterwards";
  try {
    await runHost("groupadd", ["--system", OPERATOR_GROUP]);
  } catch (error) {
    // Another installation of this host may have made it meanwhile.
    why = messageOf(error);
  }
  const made = read();
  if (made === undefined) throw new Error(`the group ${OPERATOR_GROUP} cannot be made: ${why}`);
  return made;
}

/**
 * The directory of the API's socket: its container writes it, members of the group reach what is in it, nobody else does. The ways
 * to it can be passed but not listed; everything else in them is closed by modes of its own. Modes are set, whatever the umask.
 */
export async function openToOperators(instance: Instance): Promise<void> {
  const { apiSocketDir } = layoutOf(instance);
  const group = await ensureGroup();
  mkdirSync(apiSocketDir, { recursive: true, mode: 0o700 });
  chownSync(apiSocketDir, CONTAINER_UID, group);
  chmodSync(apiSocketDir, 0o750);
  chmodSync(instance.runDir, 0o711);
  const above = dirname(instance.runDir);
  chmodSync(above, (statSync(above).mode & 0o7777) | 0o011);
}
