import { randomUUID } from "node:crypto";
import { chmod, chown, mkdtemp, open, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createResult, restoreResult, verifyResult } from "../../../control-plane/backup/results.ts";
import { type Bench, type JobResult, openBench } from "./bench.ts";
import { fillSchool, PLAINTEXT, pictureOf, ruinSchool, withClient } from "./school-data.ts";

let bench: Bench;
let picture: unknown;
let first: ReturnType<typeof createResult.parse>;
const firstRun = randomUUID();
const wrongKey = { secrets: { "backup-repository/password": "not this school's" } };

beforeAll(async () => {
  bench = await openBench("school");
  await fillSchool(bench);
  picture = await pictureOf(bench);
});
afterAll(() => bench?.end());

const create = (runId: string, options = {}) =>
  bench.run("create", { runId, host: "gymnasium", allowInit: true }, options);

/** The answer of a job that succeeded; its log is the message otherwise. */
function succeeded(result: JobResult): JobResult["output"] {
  expect(result.output.error, result.log).toBeUndefined();
  expect(result.code, result.log).toBe(0);
  return result.output;
}

function failedWith(result: JobResult, code: string): void {
  expect(result.output.error?.code, result.log).toBe(code);
  expect(result.code).not.toBe(0);
}

async function filesOf(directory: string): Promise<string[]> {
  const entries = await readdir(join(bench.repository, directory), { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

const databases = () =>
  withClient(bench, async (client) => {
    const { rows } = await client.query<{ datname: string }>("SELECT datname FROM pg_database ORDER BY 1");
    return rows.map((row) => row.datname);
  });
const clean = ["postgres", "school", "template0", "template1"];
const restoreInput = (runId: string) => ({
  runId,
  databaseSnapshot: first.databaseSnapshot,
  filesSnapshot: first.filesSnapshot,
  fingerprint: first.fingerprint,
});

describe("creating", () => {
  it("a missing repository is an error unless a new one is expected", async () => {
    failedWith(await bench.run("create", { runId: firstRun, host: "gymnasium" }), "RepositoryMissing");
    expect(await readdir(bench.repository)).toEqual([]);
  });

  it("a backup is two snapshots of one run, with a fingerprint of every table", async () => {
    first = createResult.parse(succeeded(await create(firstRun)));
    expect(first.databaseSnapshot).not.toBe(first.filesSnapshot);
    expect(await filesOf("snapshots")).toHaveLength(2);
    expect(first.fingerprint).toMatchObject({
      "public.pupil": { rows: 5002, hash: expect.stringMatching(/^-?\d+$/) },
      'public."Odd ""name"': { rows: 2 },
      "public.empty": { rows: 0, hash: "0" },
    });
  });

  it("a school's words are nowhere in the repository, nor in a log", async () => {
    const needle = Buffer.from(PLAINTEXT.slice(0, 12));
    const files = await filesOf(".");
    expect(files.length).toBeGreaterThan(4);
    for (const file of files) expect((await readFile(file)).includes(needle), file).toBe(false);
  });

  it("a key that does not fit is named, and no fresh repository takes the place of the old one", async () => {
    const before = (await filesOf(".")).sort();
    for (const command of ["create", "verify", "restore", "forget"]) {
      const input = {
        ...restoreInput(randomUUID()),
        host: "gymnasium",
        allowInit: true,
        snapshots: [first.filesSnapshot],
      };
      failedWith(await bench.run(command, input, wrongKey), "WrongKey");
    }
    expect((await filesOf(".")).sort()).toEqual(before);
  });

  it("a database that refuses the dumping role leaves no snapshot", async () => {
    failedWith(await create(randomUUID(), { secrets: { "database-backup/password": "wrong" } }), "DatabaseUnreachable");
    expect(await filesOf("snapshots")).toHaveLength(2);
  });

  it("a dump that dies half-way leaves no snapshot", async () => {
    // pg_dump waits for this lock, and is ended while it waits.
    await withClient(bench, async (client) => {
      await client.query("BEGIN; LOCK TABLE pupil IN ACCESS EXCLUSIVE MODE");
      const job = await bench.start("create", { runId: randomUUID(), host: "gymnasium" });
      const result = job.result();
      // A connection of its own: inside a transaction, pg_stat_activity does not change.
      await withClient(bench, async (watcher) => {
        for (let ended = 0; ended === 0; await delay(50)) {
          const { rowCount } = await watcher.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pg_dump' AND wait_event_type = 'Lock'",
          );
          ended = rowCount ?? 0;
        }
      });
      await client.query("ROLLBACK");
      failedWith(await result, "ResticFailed");
    });
    expect(await filesOf("snapshots")).toHaveLength(2);
  });
});

describe("a run that is cut off between its two snapshots", () => {
  it("leaves half a backup, which the next run forgets, and nothing else", async () => {
    // In place of mkdir, which comes between the two: it is reached, and never returns.
    const stand = await mkdtemp(join(tmpdir(), "cmtest-mkdir-"));
    const mkdir = join(stand, "mkdir");
    await writeFile(mkdir, "#!/bin/bash\ntouch /var/lib/classmind/files/reached\nexec sleep infinity\n");
    await chmod(stand, 0o755);
    await chmod(mkdir, 0o755);
    const abandoned = randomUUID();
    const input = { runId: abandoned, host: "gymnasium" };
    const job = await bench.start("create", input, { binds: [`${mkdir}:/usr/local/bin/mkdir:ro`] });
    const result = job.result();
    const reached = join(bench.files, "reached");
    while (!(await stat(reached).catch(() => undefined))) await delay(50);
    await job.container.kill({ signal: "SIGKILL" });
    await result;
    await rm(reached);
    await rm(stand, { recursive: true });
    succeeded(await bench.run("unlock", {}));
    const before = await filesOf("snapshots");
    expect(before).toHaveLength(3);

    const next = createResult.parse(
      succeeded(await bench.run("create", { runId: randomUUID(), host: "gymnasium", abandoned: [abandoned] })),
    );
    const ids = [first.databaseSnapshot, first.filesSnapshot, next.databaseSnapshot, next.filesSnapshot];
    expect((await filesOf("snapshots")).map((file) => file.split("/").at(-1)).sort()).toEqual(ids.sort());
    succeeded(await bench.run("forget", { snapshots: [next.databaseSnapshot, next.filesSnapshot] }));
    failedWith(await bench.run("create", { ...input, abandoned: ["x"] }), "Invalid");
  });
});

describe("restoring", () => {
  it("R14 brings dropped tables and deleted files back, with owners, rights and row-level security", async () => {
    await ruinSchool(bench);
    const runId = randomUUID();
    const restored = restoreResult.parse(succeeded(await bench.run("restore", restoreInput(runId))));
    expect(restored).toEqual({ swapped: true, fingerprint: first.fingerprint, rows: 5004 });
    expect(await pictureOf(bench)).toEqual(picture);
    await withClient(
      bench,
      async (client) => {
        expect((await client.query("SELECT id FROM pupil")).rows).toEqual([{ id: "1" }]);
        const { rows } = await client.query(
          "SELECT has_database_privilege('school_journal', 'school', 'CONNECT') AS everybody",
        );
        expect(rows).toEqual([{ everybody: false }]);
      },
      "school_app",
    );
    succeeded(await bench.run("settle", { runId }));
    expect(await databases()).toEqual(clean);
    expect(await readdir(bench.files)).toEqual(["blobs"]);
    succeeded(await bench.run("settle", { runId }));
    expect(await pictureOf(bench)).toEqual(picture);
  });

  it("a backup that does not match its fingerprint never replaces the living data", async () => {
    await ruinSchool(bench);
    const living = await pictureOf(bench);
    const runId = randomUUID();
    const input = { ...restoreInput(runId), fingerprint: { "public.pupil": { rows: 1, hash: "1" } } };
    failedWith(await bench.run("restore", input), "FingerprintDiffers");
    expect(await pictureOf(bench)).toEqual(living);
    succeeded(await bench.run("rollback", { runId }));
    expect(await pictureOf(bench)).toEqual(living);
    expect(await databases()).toEqual(clean);
  });

  it("rolling back brings data and files from before the restore back, however often it is asked", async () => {
    const living = await pictureOf(bench);
    const runId = randomUUID();
    succeeded(await bench.run("restore", restoreInput(runId)));
    expect(await pictureOf(bench)).toEqual(picture);
    succeeded(await bench.run("rollback", { runId }));
    succeeded(await bench.run("rollback", { runId }));
    expect(await pictureOf(bench)).toEqual(living);
    expect(await databases()).toEqual(clean);
    expect(await readdir(bench.files)).toEqual(["blobs"]);
  });

  it.each([
    ["finishes when asked again", "restore"],
    ["is undone by rolling back", "rollback"],
  ])("a restore killed between the swap of the databases and that of the files %s", async (_, then) => {
    const living = await pictureOf(bench);
    const runId = randomUUID();
    // In place of mv: the swap of the files is reached, and never returns.
    const stand = await mkdtemp(join(tmpdir(), "cmtest-mv-"));
    const mv = join(stand, "mv");
    await writeFile(
      mv,
      '#!/bin/bash\n[[ $* != *"/outgoing-"* ]] || { touch /var/lib/classmind/files/reached; exec sleep infinity; }\nexec /usr/bin/mv "$@"\n',
    );
    await chmod(stand, 0o755);
    await chmod(mv, 0o755);
    const job = await bench.start("restore", restoreInput(runId), { binds: [`${mv}:/usr/local/bin/mv:ro`] });
    const result = job.result();
    const reached = join(bench.files, "reached");
    while (!(await stat(reached).catch(() => undefined))) await delay(50);
    await job.container.kill({ signal: "SIGKILL" });
    expect((await result).code).not.toBe(0);
    await rm(reached);
    await rm(stand, { recursive: true });
    expect(await databases()).toContain(`outgoing_${runId.replaceAll("-", "")}`);

    const output = succeeded(await bench.run(then, restoreInput(runId)));
    expect(await pictureOf(bench)).toEqual(then === "restore" ? picture : living);
    // The second case begins with ruined data again.
    if (then === "restore") {
      expect(output.fingerprint).toEqual(first.fingerprint);
      succeeded(await bench.run("rollback", { runId }));
      expect(await pictureOf(bench)).toEqual(living);
    }
    expect(await databases()).toEqual(clean);
  });

  it.each(["restore", "rollback", "settle"])("%s refuses a run id that is none, before any effect", async (command) => {
    const before = await databases();
    failedWith(await bench.run(command, { ...restoreInput("x; drop database school") }), "Invalid");
    expect(await databases()).toEqual(before);
  });
});

describe("the repository", () => {
  it("what is forgotten is forgotten by id, and the rest stays whole", async () => {
    const second = createResult.parse(succeeded(await create(randomUUID())));
    expect(await filesOf("snapshots")).toHaveLength(4);
    const snapshots = [second.databaseSnapshot, second.filesSnapshot];
    expect(succeeded(await bench.run("forget", { snapshots }))).toEqual({ forgotten: 2 });
    const left = (await filesOf("snapshots")).map((file) => file.split("/").at(-1)).sort();
    expect(left).toEqual([first.databaseSnapshot, first.filesSnapshot].sort());
  });

  it("checking reads all of a backup back", async () => {
    const verified = verifyResult.parse(succeeded(await bench.run("verify", restoreInput(randomUUID()))));
    expect(verified.files).toBe(3);
    expect(verified.databaseBytes).toBeGreaterThan(6_000_000);
  });

  it("a lock that a killed job left is removed when asked", async () => {
    expect(succeeded(await bench.run("unlock", {}))).toEqual({ unlocked: true });
    expect(await filesOf("locks")).toEqual([]);
  });

  it("one flipped byte fails the check, and a restore does not claim success", async () => {
    const packs = await Promise.all(
      (await filesOf("data")).map(async (file) => ({ file, size: (await stat(file)).size })),
    );
    // The largest pack holds the database's large row.
    const [pack] = packs.sort((a, b) => b.size - a.size);
    if (pack === undefined) throw new Error("the repository has no packs");
    await chmod(pack.file, 0o600);
    const handle = await open(pack.file, "r+");
    const byte = Buffer.alloc(1);
    await handle.read(byte, 0, 1, 1000);
    byte.writeUInt8((byte.readUInt8() ^ 1) & 0xff);
    await handle.write(byte, 0, 1, 1000);
    await handle.close();
    await chown(pack.file, 10001, 10001);
    failedWith(await bench.run("verify", restoreInput(randomUUID())), "RepositoryDamaged");
    const living = await pictureOf(bench);
    const runId = randomUUID();
    const result = await bench.run("restore", restoreInput(runId));
    expect(["RestoreFailed", "RepositoryDamaged"], result.log).toContain(result.output.error?.code);
    expect(await pictureOf(bench)).toEqual(living);
    succeeded(await bench.run("rollback", { runId }));
  });
});
