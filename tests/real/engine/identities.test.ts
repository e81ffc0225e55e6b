import { execFile } from "node:child_process";
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import {
  firstUid,
  handOver,
  openIdentities,
  openToGroup,
} from "../../../control-plane/engine/containers/identities.ts";
import type { Engine, ObjectRef } from "../../../control-plane/engine/engine.ts";
import { smallJob, smallSchool } from "../../fixtures/engine-school.ts";
import { testInstance } from "../test-host.ts";
import { openTestEngine } from "./open.ts";

/** Whom schools are to the kernel of one machine, on real containers and volumes. */

const run = promisify(execFile);
const SPACE = "school-users";
const WORKLOADS: readonly ObjectRef[] = [
  { kind: "StatefulSet", name: "db" },
  { kind: "Deployment", name: "app" },
];
/** What all schools ran as once. */
const SHARED = 10001;
const GROUP = 10001;
const identity = () => join(testInstance().stateDir, "engine", SPACE, "identity");
const data = () => join(testInstance().stateDir, "mnt", SPACE, "data", "data");

let engine: Engine;

async function up(replicas: 0 | 1 = 1): Promise<void> {
  await engine.apply(SPACE, smallSchool({ namespace: SPACE, image: inject("images").app, replicas }));
  if (replicas === 0) return;
  for (const workload of WORKLOADS) await engine.awaitReady(SPACE, workload, 30_000);
}

async function job<T>(input: object): Promise<T> {
  const result = await engine.run(SPACE, { manifest: smallJob(SPACE, inject("images").app), input, deadline: 60_000 });
  expect(result.exitCode, result.logTail.join("\n")).toBe(0);
  return result.output as T;
}

const uid = async () => (await job<{ uid: number }>({ action: "facts" })).uid;

/** Owners of everything below a directory. */
async function ownersBelow(directory: string): Promise<readonly string[]> {
  const names = await readdir(directory, { recursive: true });
  const owners = await Promise.all(
    names.map(async (name) => {
      const { uid: owner, gid } = await lstat(join(directory, name));
      return `${owner}:${gid}`;
    }),
  );
  return [...new Set(owners)].sort();
}

beforeEach(async () => {
  engine = await openTestEngine();
  await engine.remove(SPACE, [{ kind: "Namespace", name: SPACE }]);
});
afterEach(async () => {
  await engine.remove(SPACE, [{ kind: "Namespace", name: SPACE }]);
  await engine.close();
});

describe("a school's user", () => {
  it("is the same for all of its programs, and on record before anything runs as it", async () => {
    await up();
    const own = await uid();
    expect(Number(await readFile(identity(), "utf8"))).toBe(own);
    await job({ action: "write", name: "a", text: "x" });
    expect(await ownersBelow(data())).toEqual([`${own}:${GROUP}`]);
    const { stdout } = await run("pgrep", ["--uid", String(own), "--count"]);
    // Database and app, each with the process that takes in orphans.
    expect(Number(stdout)).toBeGreaterThanOrEqual(2);
  });

  it("stays over a stop, another process of the engine and a removed workload", async () => {
    await up();
    const own = await uid();
    await up(0);
    await engine.close();
    engine = await openTestEngine();
    await up();
    expect(await uid()).toBe(own);
  });

  it("is gone, with all its files back at the shared one, once nothing of it runs where schools are to have none", async () => {
    await up();
    await job({ action: "write", name: "bleibt.txt", text: "Klassenbuch" });
    await engine.close();
    engine = await openTestEngine({ ownUsers: false });
    await up();
    expect(await uid()).toBeGreaterThan(SHARED);
    await up(0);
    await up();
    expect(await uid()).toBe(SHARED);
    await expect(stat(identity())).rejects.toThrow("ENOENT");
    expect(await ownersBelow(data())).toEqual([`${SHARED}:${GROUP}`]);
    expect(await job({ action: "read", name: "bleibt.txt" })).toBe("Klassenbuch");
  });
});

describe("users on record", () => {
  const instance = () => ({ ...testInstance(), stateDir: directory, runDir: directory });
  const nobody = async () => false;
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "identities-"));
    for (const name of ["a", "b", "c"]) await mkdir(join(directory, "engine", name), { recursive: true });
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  it("are one for each school, also when two processes give them at once", async () => {
    const [one, two] = [openIdentities(instance(), nobody), openIdentities(instance(), nobody)];
    const given = await Promise.all([
      ...["a", "b", "c"].map((name) => one.settle(name, true)),
      ...["c", "b", "a"].map((name) => two.settle(name, true)),
    ]);
    expect(new Set(given).size).toBe(3);
    expect(given.slice(0, 3)).toEqual(given.slice(3).reverse());
  });

  it("are given to none whose images run as one user alone, and to none of whom anything is alive", async () => {
    expect(await openIdentities(instance(), nobody).settle("a", false)).toBeUndefined();
    expect(await openIdentities(instance(), async () => true).settle("a", true)).toBeUndefined();
  });

  it("are an error where they cannot be read: another one would be given to the files of somebody else", async () => {
    await writeFile(join(directory, "engine/a/identity"), "");
    const identities = openIdentities(instance(), nobody);
    await expect(identities.settle("a", true)).rejects.toThrow(/holds no uid/);
    await expect(identities.settle("b", true)).rejects.toThrow(/holds no uid/);
  });

  it("have a name, for programs that ask for one, however many ask at once", async () => {
    const identities = openIdentities(instance(), nobody);
    const [passwd = ""] = await Promise.all(Array.from({ length: 8 }, () => identities.passwd(2_000_300_001)));
    expect((await stat(passwd)).mode & 0o777).toBe(0o444);
    expect(await readFile(passwd, "utf8")).toContain("classmind:x:2000300001:");
  });
});

describe("a school of before, that ran as the user of all", () => {
  it("goes on as it is while anything of it runs, and gets its own once nothing does, with all its files", async () => {
    await up();
    await job({ action: "write", name: "bleibt.txt", text: "Klassenbuch" });
    const own = await uid();
    // As an older version left it.
    await rm(identity());
    await run("chown", ["-R", "--no-dereference", `${SHARED}:${GROUP}`, join(data(), "db"), join(data(), "files")]);
    const before = await job<{ uid: number }>({ action: "facts" });
    expect(before.uid).toBe(SHARED);
    expect(await job({ action: "read", name: "bleibt.txt" })).toBe("Klassenbuch");
    await expect(stat(identity())).rejects.toThrow();
    await up(0);
    await up();
    const after = await uid();
    expect([after >= firstUid(testInstance()), own >= firstUid(testInstance())]).toEqual([true, true]);
    expect(await ownersBelow(data())).toEqual([`${after}:${GROUP}`]);
    expect(await job({ action: "read", name: "bleibt.txt" })).toBe("Klassenbuch");
  });
});

describe("what is handed over", () => {
  const root = () => join(testInstance().runDir, "handed");
  beforeEach(async () => {
    await rm(root(), { recursive: true, force: true });
    await mkdir(join(root(), "top/inner"), { recursive: true });
    await writeFile(join(root(), "outside"), "", { mode: 0o600 });
    await writeFile(join(root(), "top/inner/file"), "");
    await symlink("../../outside", join(root(), "top/inner/link"));
  });
  afterEach(() => rm(root(), { recursive: true, force: true }));

  it("is all that a directory holds, and nothing that links in it lead to", async () => {
    await handOver(join(root(), "top"), 2_000_300_001, GROUP);
    expect(await ownersBelow(join(root(), "top"))).toEqual([`2000300001:${GROUP}`]);
    expect((await stat(join(root(), "outside"))).uid).toBe(0);
  });

  it("is begun again where it was cut off: the directory itself comes last", async () => {
    await run("chown", ["2000300001:10001", join(root(), "top/inner")]);
    await handOver(join(root(), "top"), 2_000_300_001, GROUP);
    expect(await ownersBelow(join(root(), "top"))).toEqual([`2000300001:${GROUP}`]);
  });

  it("as repositories can be read by the group, links apart, once they are some: the first one and those beside it", async () => {
    const top = join(root(), "top");
    const modes = async (...names: readonly string[]) =>
      Promise.all(names.map(async (name) => ((await stat(join(top, name))).mode & 0o777).toString(8)));
    await run("chmod", ["-R", "go-rwx", top]);
    await openToGroup(top);
    expect(await modes("", "inner")).toEqual(["750", "700"]);
    await writeFile(join(top, "config"), "", { mode: 0o400 });
    await openToGroup(top);
    expect(await modes("", "config", "inner", "inner/file")).toEqual(["750", "440", "750", "640"]);

    await mkdir(join(top, "beside-2/data"), { recursive: true, mode: 0o700 });
    for (const name of ["beside-2/data/pack", "beside-2/config"]) await writeFile(join(top, name), "", { mode: 0o400 });
    await openToGroup(top);
    expect(await modes("beside-2", "beside-2/data", "beside-2/data/pack", "beside-2/config")).toEqual([
      ...["750", "750", "440", "440"],
    ]);
    expect((await stat(join(root(), "outside"))).mode & 0o777).toBe(0o600);
  });
});
