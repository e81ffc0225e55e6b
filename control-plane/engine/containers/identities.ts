import { createHash } from "node:crypto";
import { chmod, chown, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Instance } from "../../host/instance.ts";
import { alone } from "../../host/lock.ts";
import { runHost } from "../../host/program.ts";
import { EngineError } from "../engine.ts";
import { writeWhole } from "./files.ts";
import { createMutex } from "./mutex.ts";

/**
 * Users of this host that schools run as: one each. What the kernel counts by user (watches, keys, pending signals, processes) is
 * a school's own then, and whoever got out of a container would be nobody to the others. The group is the manifest's, the same for
 * all: by it containers read what root hands to them.
 */
export interface Identities {
  /** Uid that a namespace's containers have; undefined where they have the one that the manifest names, as all had once. */
  of(namespace: string): Promise<number | undefined>;
  /**
   * The same, before something is started in the namespace. While nothing of it is alive, it gets one of its own, or, where schools are
   * to have none (any more), gives back what it has. Files follow as they are mounted (`handOver`).
   * @param capable whether the images of the namespace's pods run as any user
   */
  settle(namespace: string, capable: boolean): Promise<number | undefined>;
  /** The host's file that is /etc/passwd to containers of a user: programs as ssh want a name for theirs. */
  passwd(uid: number): Promise<string>;
}

/** Above what distributions, systemd, SSSD and container engines hand out by themselves; all fits into 31 bits. */
const FIRST = 2_000_300_000;
const PER_INSTANCE = 65_536;
const BLOCKS = 2_200;

const FILE = "identity";

/** First of the uids of an instance: two on one host hardly ever have the same. Pure. */
export function firstUid(instance: Pick<Instance, "name">): number {
  const block = createHash("sha256").update(instance.name).digest().readUInt32BE(0) % BLOCKS;
  return FIRST + block * PER_INSTANCE;
}

/** The uid for one more school: the one behind the last, as long as there are any. Pure. */
export function nextUid(first: number, taken: ReadonlySet<number>): number {
  const next = Math.max(first - 1, ...taken) + 1;
  if (next < first + PER_INSTANCE) return next;
  for (let uid = first; uid < first + PER_INSTANCE; uid += 1) if (!taken.has(uid)) return uid;
  throw new EngineError("IdentitiesExhausted", `this host has no more than ${PER_INSTANCE} users for schools`);
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");
}

/**
 * @param isAlive whether any container of a namespace runs, or may yet
 * @param wanted whether schools are to have users of their own
 */
export function openIdentities(
  instance: Instance,
  isAlive: (namespace: string) => Promise<boolean>,
  wanted = true,
): Identities {
  const root = join(instance.stateDir, "engine");
  const first = firstUid(instance);
  const mutex = createMutex();
  const fileOf = (namespace: string) => join(root, namespace, FILE);

  async function of(namespace: string): Promise<number | undefined> {
    const text = await readFile(fileOf(namespace), "utf8").catch((error: unknown) => {
      // What cannot be read may be somebody's.
      if (isAbsent(error)) return undefined;
      throw error;
    });
    if (text === undefined) return undefined;
    const uid = Number(text);
    if (text !== "" && Number.isInteger(uid) && uid > 0) return uid;
    throw new EngineError(
      "IdentityMalformed",
      `${fileOf(namespace)} holds no uid: write that of the school's files there`,
    );
  }

  async function give(namespace: string): Promise<number> {
    const others = await Promise.all((await readdir(root)).map(of));
    const uid = nextUid(first, new Set(others.filter((other) => other !== undefined)));
    await writeWhole(fileOf(namespace), String(uid), { mode: 0o600, durable: true });
    return uid;
  }

  async function change(namespace: string): Promise<number | undefined> {
    const present = await of(namespace);
    if ((present !== undefined) === wanted || (await isAlive(namespace))) return present;
    if (wanted) return give(namespace);
    await rm(fileOf(namespace));
    return undefined;
  }

  return {
    of,
    async settle(namespace, capable) {
      const present = await of(namespace);
      if (wanted ? present !== undefined || !capable : present === undefined) return present;
      // One at a time for all namespaces, and for a process that is still ending: no two get the same.
      return mutex.run("all", () => alone(`users-${instance.name}`, () => change(namespace)));
    },
    passwd: (uid) =>
      mutex.run(String(uid), async () => {
        const file = join(instance.runDir, "users", String(uid));
        const line = (name: string, id: number) => `${name}:x:${id}:${id}::/nonexistent:/usr/sbin/nologin\n`;
        const text = `${line("root", 0)}${line("classmind", uid)}${line("nobody", 65_534)}`;
        if ((await readFile(file, "utf8").catch(() => "")) !== text)
          await writeWhole(file, text, { mode: 0o444, durable: false });
        return file;
      }),
  };
}

const handing = createMutex();

/**
 * Makes a directory with all that is in it a user's; the directory itself last, so that one that was cut off is begun again.
 * Nothing to do where it is theirs already. Symbolic links are not followed, also not where one takes a directory's place meanwhile.
 */
export function handOver(path: string, uid: number, gid: number): Promise<void> {
  return handing.run(path, async () => {
    const owner = await stat(path);
    if (owner.uid === uid && owner.gid === gid) return;
    const change = ["chown", "--recursive", "-P", "--no-dereference", `${uid}:${gid}`];
    await runHost("find", [path, "-mindepth", "1", "-maxdepth", "1", "-exec", ...change, "{}", "+"]);
    await chown(path, uid, gid);
  });
}

/** Lets the group read one repository; its file `config` is the last, for restic goes on as it finds that. */
async function openOne(repository: string): Promise<void> {
  const config = join(repository, "config");
  const found = await stat(config).catch(() => undefined);
  if (found === undefined || (found.mode & 0o040) !== 0) return;
  // Never by a symbolic link: chmod follows them.
  const all = ["(", "-type", "d", "-o", "-type", "f", ")", "-not", "-path", config];
  const open = ["-execdir", "chmod", "g+rX", "{}", "+"];
  await runHost("find", [repository, ...all, ...open]);
  await runHost("find", [config, "-type", "f", ...open]);
}

/**
 * Lets the group read the repositories of a school (restic's, which goes on so by itself), so that another school's restore may: the
 * first one, and those beside it.
 */
export function openToGroup(claim: string): Promise<void> {
  return handing.run(claim, async () => {
    await chmod(claim, 0o750);
    const beside = (await readdir(claim, { withFileTypes: true })).filter(
      (entry) => entry.isDirectory() && entry.name.startsWith("beside-"),
    );
    for (const name of ["", ...beside.map((entry) => entry.name)]) await openOne(join(claim, name));
  });
}
