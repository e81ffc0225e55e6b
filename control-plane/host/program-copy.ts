import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { chmod, copyFile, cp, mkdir, open, readdir, readFile, readlink, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { bundlePrograms, REPOSITORY } from "../images/bundle.ts";
import { digestOf } from "../images/layers.ts";
import type { Instance } from "./instance.ts";
import { alone } from "./lock.ts";

/**
 * The running platform's own program: a copy of supervisor and reconciler with all they read, and of their Node, below the state
 * directory. So the checkout that it came from can be moved, updated or removed while the platform runs.
 */
export interface ProgramCopy {
  /** <state>/program/<digest of its content>; complete, and on the disk. */
  readonly directory: string;
  readonly node: string;
  readonly supervisor: string;
}

const PROGRAMS = {
  "supervisor-main": "control-plane/host/supervisor-main.ts",
  reconciler: "control-plane/reconciler.ts",
} as const;
/** Read at run time, beside the programs, as in the control plane's image. */
const BESIDE = { "charts/tenant": "charts/tenant", migrations: "control-plane/store/migrations" } as const;
const NODE = "node";
/** Hex digits of the digest in a copy's name. */
const NAME_LENGTH = 32;
const UNFINISHED = /^\.making-(\d+)$/;

function parentOf(instance: Instance): string {
  return join(instance.stateDir, "program");
}

function copyAt(directory: string): ProgramCopy {
  return { directory, node: join(directory, NODE), supervisor: join(directory, "supervisor-main.mjs") };
}

/** Files below a directory, as paths relative to it, sorted. */
async function filesBelow(directory: string): Promise<readonly string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .sort();
}

/** Name of a copy: over the path and the content of every file in it. */
async function nameOf(directory: string): Promise<string> {
  const hash = createHash("sha256");
  for (const file of await filesBelow(directory)) hash.update(`${file}\0${await digestOf(join(directory, file))}\n`);
  return hash.digest("hex").slice(0, NAME_LENGTH);
}

/** Nothing of it is lost by a power cut once it has its name. */
async function flush(directory: string): Promise<void> {
  const below = await readdir(directory, { recursive: true, withFileTypes: true });
  for (const path of [...below.map((entry) => join(entry.parentPath, entry.name)), directory]) {
    const handle = await open(path, "r");
    await handle.sync().finally(() => handle.close());
  }
}

/** Makes the copy, from a checkout whose packages are there. */
async function makeAt(directory: string): Promise<void> {
  const entries = Object.entries(PROGRAMS).map(([name, source]) => [name, join(REPOSITORY, source)]);
  await bundlePrograms(Object.fromEntries(entries), directory);
  for (const [target, source] of Object.entries(BESIDE))
    await cp(join(REPOSITORY, source), join(directory, target), { recursive: true });
  const node = join(directory, NODE);
  // Shares the blocks where the file system can.
  await copyFile(process.execPath, node, constants.COPYFILE_FICLONE);
  await chmod(node, 0o700);
}

function isAlive(pid: string): Promise<boolean> {
  return readFile(`/proc/${pid}/stat`).then(
    () => true,
    () => false,
  );
}

/**
 * Lays a copy of this checkout's program down, unless it is there already, whole. Safe against interruption and a power cut: a
 * copy gets its name when all of it is on the disk.
 */
export function copyProgram(instance: Instance): Promise<ProgramCopy> {
  return alone(`program-${instance.name}`, () => copy(instance));
}

async function copy(instance: Instance): Promise<ProgramCopy> {
  const parent = parentOf(instance);
  await mkdir(parent, { recursive: true, mode: 0o700 });
  for (const name of await readdir(parent)) {
    const pid = UNFINISHED.exec(name)?.[1];
    if (pid !== undefined && !(await isAlive(pid))) await rm(join(parent, name), { recursive: true, force: true });
  }
  const unfinished = join(parent, `.making-${process.pid}`);
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { mode: 0o700 });
  try {
    await makeAt(unfinished);
    const name = await nameOf(unfinished);
    const directory = join(parent, name);
    const present = await nameOf(directory).catch(() => undefined);
    if (present !== name) {
      await flush(unfinished);
      // Damaged, by a disk or by hand.
      await rm(directory, { recursive: true, force: true });
      await rename(unfinished, directory);
      const handle = await open(parent, "r");
      await handle.sync().finally(() => handle.close());
    }
    return copyAt(directory);
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}

/** Directories of copies that a process of this host was started from. */
async function inUse(parent: string): Promise<ReadonlySet<string>> {
  const used = new Set<string>();
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const program = await readlink(`/proc/${pid}/exe`).catch(() => "");
    const words = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    for (const word of [program, ...words.split("\0")])
      if (word.startsWith(`${parent}/`)) used.add(word.slice(parent.length + 1).split("/")[0] ?? "");
  }
  return used;
}

/** Removes the copies that nothing runs from, but for the one to keep. @returns how many */
export async function removeOldCopies(instance: Instance, keep: ProgramCopy): Promise<number> {
  const parent = parentOf(instance);
  const used = await inUse(parent);
  const old = (await readdir(parent)).filter(
    (name) => !name.startsWith(".") && join(parent, name) !== keep.directory && !used.has(name),
  );
  for (const name of old) await rm(join(parent, name), { recursive: true, force: true });
  return old.length;
}
