import { createConnection } from "node:net";
import { ClassmindError, messageOf } from "../errors.ts";

/**
 * HAProxy's runtime interface (its management manual, 9.3): one command a connection. Callers pass checked values only:
 * a line break or a semicolon would begin another command.
 */

const PATIENCE = 15_000;
/** Payloads must fit HAProxy's buffer of 16 kB with the command in front. */
export const PAYLOAD_LIMIT = 15_000;

/** HAProxy answered, but not that it did what it was told. */
export class RuntimeRefusal extends Error {
  constructor(command: string, answer: string) {
    super(`The gateway refused "${command}": ${answer.trim() || "no answer"}`);
    this.name = "RuntimeRefusal";
  }
}

export interface LoadedCertificate {
  /** SHA-1 over the DER, lower-case hexadecimal: all that HAProxy shows. */
  readonly sha1: string | undefined;
  /** Whether any host name is served with it. */
  readonly used: boolean;
}

export interface ListedCertificate {
  readonly path: string;
  /** HAProxy's number of the entry, needed to remove one of several. */
  readonly line: string;
  readonly hosts: readonly string[];
}

/** Sends one command with its payload, yields the answer. Rejects with ClassmindError `Unavailable` when nobody listens. */
export function runCommand(socketPath: string, command: string, payload?: string): Promise<string> {
  const unavailable = (why: string) =>
    new ClassmindError("Unavailable", `The gateway does not answer: ${why}`, {
      remedy: "See whether it runs: classmind status",
    });
  if (payload !== undefined && Buffer.byteLength(payload) > PAYLOAD_LIMIT) {
    return Promise.reject(new ClassmindError("Invalid", `More than ${PAYLOAD_LIMIT} bytes do not fit the gateway`));
  }
  return new Promise((resolve, reject) => {
    const socket = createConnection(socketPath);
    const chunks: Buffer[] = [];
    socket.setTimeout(PATIENCE, () => socket.destroy(new Error(`silent for ${PATIENCE / 1000} seconds`)));
    socket.on("error", (error) => reject(unavailable(messageOf(error))));
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    socket.on("end", () => {
      socket.destroy();
      resolve(Buffer.concat(chunks).toString());
    });
    // A payload ends with an empty line.
    socket.write(payload === undefined ? `${command}\n` : `${command} <<\n${payload.trimEnd()}\n\n`);
  });
}

/** What the process that answers says of itself. */
export interface RunningProcess {
  /** Which container it runs in; empty where nobody named it, and of one that an earlier version started. */
  readonly generation: string;
  /** Which configuration it has loaded, see `revisionOf`; empty of one that an earlier version started. */
  readonly revision: string;
}

/** Undefined while nobody answers. */
export async function runningProcess(socketPath: string): Promise<RunningProcess | undefined> {
  const answer = await runCommand(socketPath, "show info").catch(() => "");
  if (!answer.includes("HAProxy")) return undefined;
  const [, revision = "", generation = ""] = /^Description: ([0-9a-f]+) ?(\S*)$/im.exec(answer) ?? [];
  return { generation, revision };
}

async function expect(socketPath: string, wanted: string, command: string, payload?: string): Promise<void> {
  const answer = await runCommand(socketPath, command, payload);
  // Map commands answer nothing when all is well.
  const fine = wanted === "" ? answer.trim() === "" : answer.includes(wanted);
  if (!fine) throw new RuntimeRefusal(command, answer);
}

/** All entries of a map. */
export async function mapEntries(socket: string, map: string): Promise<Map<string, string>> {
  const entries = new Map<string, string>();
  for (const line of (await runCommand(socket, `show map ${map}`)).split("\n")) {
    const [, key, value] = line.split(" ");
    if (key !== undefined && value !== undefined) entries.set(key, value);
  }
  return entries;
}

/** One value of a map. */
export async function mapEntry(socket: string, map: string, key: string): Promise<string | undefined> {
  const answer = await runCommand(socket, `get map ${map} ${key}`);
  if (!answer.includes("found=")) throw new RuntimeRefusal(`get map ${map}`, answer);
  return /found=yes.*, value="([^"]*)"/.exec(answer)?.[1];
}

/** Makes one entry of a map so; no command when it is. Yields whether it changed. */
export async function putMapEntry(socket: string, map: string, key: string, value: string): Promise<boolean> {
  const present = await mapEntry(socket, map, key);
  if (present === value) return false;
  await expect(socket, "", `${present === undefined ? "add" : "set"} map ${map} ${key} ${value}`);
  return true;
}

/** Removes an entry; no command when it is absent. Yields whether it changed. */
export async function deleteMapEntry(socket: string, map: string, key: string): Promise<boolean> {
  if ((await mapEntry(socket, map, key)) === undefined) return false;
  await expect(socket, "", `del map ${map} ${key}`);
  return true;
}

/** Paths of all certificates in memory. */
export async function loadedPaths(socket: string): Promise<string[]> {
  return (await runCommand(socket, "show ssl cert")).split("\n").filter((line) => line.startsWith("/"));
}

/** One certificate in memory, undefined when HAProxy has none of that path. */
export async function loadedCertificate(socket: string, path: string): Promise<LoadedCertificate | undefined> {
  const answer = await runCommand(socket, `show ssl cert ${path}`);
  if (!answer.includes(`Filename: ${path}`)) return undefined;
  return {
    sha1: /^SHA1 FingerPrint: ([0-9A-F]+)$/m.exec(answer)?.[1]?.toLowerCase(),
    used: /^Status: Used$/m.test(answer),
  };
}

/** Puts key, leaf and chain under a path in one step: handshakes see the old pair or the new one. */
export async function putCertificate(socket: string, path: string, pem: string): Promise<void> {
  const made = await runCommand(socket, `new ssl cert ${path}`);
  if (!made.includes("New empty") && !made.includes("already exists"))
    throw new RuntimeRefusal(`new ssl cert ${path}`, made);
  await withoutOpenTransaction(socket, async () => {
    await expect(socket, "Transaction", `set ssl cert ${path}`, pem);
    await expect(socket, "Success!", `commit ssl cert ${path}`);
  });
}

/** Forgets a certificate that no list names; no command when it is absent. */
export async function deleteCertificate(socket: string, path: string): Promise<void> {
  if ((await loadedCertificate(socket, path)) === undefined) return;
  await withoutOpenTransaction(socket, () => expect(socket, "deleted!", `del ssl cert ${path}`));
}

/** Tries twice: HAProxy holds one transaction at a time, and one left open by a caller that died is given up in between. */
async function withoutOpenTransaction(socket: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof RuntimeRefusal)) throw error;
    await abortOpenTransaction(socket);
    await work().catch(async (second: unknown) => {
      await abortOpenTransaction(socket);
      throw second;
    });
  }
}

async function abortOpenTransaction(socket: string): Promise<void> {
  const lines = (await runCommand(socket, "show ssl cert")).split("\n");
  for (const open of lines.filter((line) => line.startsWith("*"))) {
    await runCommand(socket, `abort ssl cert ${open.slice(1)}`);
  }
}

/** Entries of a certificate list. */
export async function listedCertificates(socket: string, list: string): Promise<ListedCertificate[]> {
  const entries: ListedCertificate[] = [];
  for (const line of (await runCommand(socket, `show ssl crt-list -n ${list}`)).split("\n")) {
    const [entry = "", ...hosts] = line.trim().split(" ");
    const [, path, number] = /^(\/.*):([0-9]+)$/.exec(entry) ?? [];
    if (path !== undefined && number !== undefined) entries.push({ path, line: number, hosts });
  }
  return entries;
}

/** Serves hosts with a loaded certificate. */
export async function addListed(socket: string, list: string, path: string, hosts: readonly string[]): Promise<void> {
  await expect(socket, "Success!", `add ssl crt-list ${list}`, [path, ...hosts].join(" "));
}

export async function deleteListed(socket: string, list: string, entry: ListedCertificate): Promise<void> {
  await expect(socket, "deleted in crtlist", `del ssl crt-list ${list} ${entry.path}:${entry.line}`);
}

/** Reloads through the master: the new worker reads the files, the old one ends its connections in peace. */
export async function reload(masterSocket: string): Promise<void> {
  await expect(masterSocket, "Success=1", "reload");
}
