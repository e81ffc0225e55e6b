import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { copyResult, createResult, verifyResult } from "../../../control-plane/backup/results.ts";
import { type Bench, type JobResult, openBench } from "./bench.ts";
import { fillSchool, pictureOf } from "./school-data.ts";

/** A school's backups move between two repositories: real restic, both as directories that the job mounts. */

const HERE = "/var/lib/classmind/repository/here";
const THERE = "/var/lib/classmind/repository/there";
const PASSWORD = "the school's, in both places";

let bench: Bench;
const runs: string[] = [];

const at = (url: string) => ({
  secrets: { "backup-repository/url": url, "backup-repository/password": PASSWORD },
});
const onDisk = (url: string) => join(bench.repository, url.slice(url.lastIndexOf("/") + 1));

function succeeded(result: JobResult): JobResult["output"] {
  expect(result.output.error, result.log).toBeUndefined();
  expect(result.code, result.log).toBe(0);
  return result.output;
}

async function backUp(url: string): Promise<ReturnType<typeof createResult.parse>> {
  const runId = randomUUID();
  runs.push(runId);
  return createResult.parse(
    succeeded(await bench.run("create", { runId, host: "gymnasium", allowInit: true }, at(url))),
  );
}

const copy = (own: string, other: Record<string, unknown>, direction: string, of: readonly string[] = runs) =>
  bench.run(
    "copy",
    { direction, runs: of, other: { password: PASSWORD, environment: "", authority: "", ...other } },
    at(own),
  );

async function copied(own: string, other: string, direction: string, of?: readonly string[]) {
  return copyResult.parse(succeeded(await copy(own, { url: other }, direction, of))).snapshots;
}

const packs = async (url: string): Promise<number> => {
  const entries = await readdir(join(onDisk(url), "data"), { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).length;
};

beforeAll(async () => {
  bench = await openBench("copy");
  await fillSchool(bench);
  await backUp(HERE);
  await backUp(HERE);
});
afterAll(() => bench?.end());

describe("copying a school's backups", () => {
  it("brings both halves of each to a repository that is made for them, and says what they are called there", async () => {
    const snapshots = await copied(HERE, THERE, "to");
    expect(snapshots.map(({ run, kind }) => `${run} ${kind}`).sort()).toEqual(
      runs.flatMap((run) => [`${run} database`, `${run} files`]).sort(),
    );
    const newest = snapshots.filter(({ run }) => run === runs.at(-1));
    const id = (kind: string) => newest.find((snapshot) => snapshot.kind === kind)?.id;
    const verified = await bench.run(
      "verify",
      { databaseSnapshot: id("database"), filesSnapshot: id("files") },
      at(THERE),
    );
    expect(verifyResult.parse(succeeded(verified)).databaseBytes).toBeGreaterThan(1000);
  });

  it("again, copies what is new alone", async () => {
    const before = await packs(THERE);
    await copied(HERE, THERE, "to");
    expect(await packs(THERE)).toBe(before);
    await backUp(HERE);
    const snapshots = await copied(HERE, THERE, "to");
    expect(snapshots).toHaveLength(2 * runs.length);
  });

  it("R61 lets go over there of what the school has forgotten meanwhile, and of halves of runs that were cut off", async () => {
    const kept = runs.slice(1);
    const snapshots = await copied(HERE, THERE, "to", kept);
    expect([...new Set(snapshots.map(({ run }) => run))].sort()).toEqual([...kept].sort());
    const listed = await bench.run("forget", { snapshots: [] }, at(THERE));
    succeeded(listed);
    const files = await readdir(join(onDisk(THERE), "snapshots"));
    expect(files).toHaveLength(2 * kept.length);
    runs.splice(0, 1);
  });

  it("copies nothing of a school that has no backups, whatever is there", async () => {
    expect(await copied("/var/lib/classmind/repository/none", "/var/lib/classmind/repository/new", "to", [])).toEqual(
      [],
    );
    expect(existsSync(onDisk("/new"))).toBe(false);
  });

  it("back into a place of one's own gives what restores to the same rows and files", async () => {
    const picture = await pictureOf(bench);
    const last = await backUp(THERE);
    await rm(onDisk(HERE), { recursive: true });
    const snapshots = await copied(HERE, THERE, "from");
    const newest = snapshots.filter(({ run }) => run === runs.at(-1));
    const id = (kind: string) => newest.find((snapshot) => snapshot.kind === kind)?.id;
    const volume = await bench.volume();
    const runId = randomUUID();
    const input = {
      runId,
      databaseSnapshot: id("database"),
      filesSnapshot: id("files"),
      fingerprint: last.fingerprint,
    };
    succeeded(await bench.run("restore", input, { ...at(HERE), volume }));
    const living = await bench.open(volume);
    expect(await pictureOf(living).finally(() => living.end())).toEqual(picture);
  });

  it("fails by name when the source is not there, and makes nothing", async () => {
    const nowhere = "/var/lib/classmind/repository/nowhere";
    const result = await copy(nowhere, { url: "/var/lib/classmind/repository/new" }, "to");
    expect(result.output.error?.code, result.log).toBe("RepositoryMissing");
    expect(existsSync(onDisk("/new"))).toBe(false);
  });

  it("fails by name when the other place has another key, and changes nothing there", async () => {
    const before = await packs(THERE);
    const result = await copy(HERE, { url: THERE, password: "another school's" }, "to");
    expect(result.output.error?.code, result.log).toBe("WrongKey");
    expect(await packs(THERE)).toBe(before);
  });

  it("refuses a direction that it does not know", async () => {
    const result = await copy(HERE, { url: THERE }, "sideways");
    expect(result.output.error?.code, result.log).toBe("Invalid");
  });
});
