import { randomUUID } from "node:crypto";
import { chmod, chown, mkdtemp, open, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createResult, restoreResult, verifyResult } from "../../../control-plane/backup/results.ts";
import { type Bench, type JobResult, openBench, type Volume } from "./bench.ts";
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
      const volume = command === "restore" ? { volume: await bench.volume() } : {};
      const input = {
        ...restoreInput(randomUUID()),
        host: "gymnasium",
        allowInit: true,
        snapshots: [first.filesSnapshot],
      };
      failedWith(await bench.run(command, input, { ...wrongKey, ...volume }), "WrongKey");
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

/** Waits for a file that a job makes on its way; one that ends before it got there is an error in its own words. */
async function untilReached(file: string, result: Promise<unknown>): Promise<void> {
  const early = result.then((ended) => ({ ended }));
  for (let ended: unknown; (await stat(file).catch(() => undefined)) === undefined; ) {
    if (ended !== undefined) throw new Error(`the job ended before it got there: ${JSON.stringify(ended)}`);
    ended = await Promise.race([early, delay(50)]);
  }
}

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
    await untilReached(reached, result);
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
  const restore = async (volume: Volume, input = restoreInput(randomUUID())) => bench.run("restore", input, { volume });
  const pictureIn = async (volume: Volume) => {
    const living = await bench.open(volume);
    return pictureOf(living).finally(() => living.end());
  };

  it("R60 fills an empty volume with rows, owners, rights, row-level security and files; the living school is not touched", async () => {
    await ruinSchool(bench);
    const living = await pictureOf(bench);
    const volume = await bench.volume();
    const restored = restoreResult.parse(succeeded(await restore(volume)));
    expect(restored).toMatchObject({ fingerprint: first.fingerprint, rows: 5004 });
    const school = await bench.open(volume);
    try {
      expect(await pictureOf(school)).toEqual(picture);
      await withClient(
        school,
        async (client) => {
          expect((await client.query("SELECT id FROM pupil")).rows).toEqual([{ id: "1" }]);
          const { rows } = await client.query(
            "SELECT has_database_privilege('school_journal', 'school', 'CONNECT') AS everybody",
          );
          expect(rows).toEqual([{ everybody: false }]);
        },
        "school_app",
      );
      const { rows } = await withClient(school, (client) => client.query("SELECT datname FROM pg_database ORDER BY 1"));
      expect(rows.map(({ datname }) => datname)).toEqual(clean);
    } finally {
      await school.end();
    }
    expect(await pictureOf(bench)).toEqual(living);
    expect(await readdir(bench.files)).toEqual(["blobs"]);
  });

  it("says again what it did when its answer was lost, without doing it again", async () => {
    const volume = await bench.volume();
    const input = restoreInput(randomUUID());
    const once = succeeded(await restore(volume, input));
    const school = await bench.open(volume);
    await withClient(school, (client) => client.query("CREATE TABLE entered_since AS SELECT 1 AS one"));
    await school.end();
    expect(succeeded(await restore(volume, input))).toEqual(once);
    const again = await bench.open(volume);
    expect((await withClient(again, (client) => client.query("SELECT one FROM entered_since"))).rowCount).toBe(1);
    await again.end();
  });

  it("never touches a volume that holds something no restore has put there", async () => {
    const volume = await bench.volume();
    await writeFile(join(volume.files, "somebody's"), "");
    failedWith(await restore(volume), "VolumeNotEmpty");
    expect(await readdir(volume.files)).toEqual(["somebody's"]);
    expect(await readdir(volume.database)).toEqual([]);
    // The same where another restore has been and gone.
    const filled = await bench.volume();
    succeeded(await restore(filled));
    failedWith(await restore(filled), "VolumeNotEmpty");
    expect(await pictureIn(filled)).toEqual(picture);
  });

  it("a backup that does not match its fingerprint is not taken for restored, then or later", async () => {
    const volume = await bench.volume();
    const input = { ...restoreInput(randomUUID()), fingerprint: { "public.pupil": { rows: 1, hash: "1" } } };
    failedWith(await restore(volume, input), "FingerprintDiffers");
    failedWith(await restore(volume, input), "FingerprintDiffers");
  });

  it.each([
    ["bytes", { mebibytes: 150, inodes: 100_000 }, /needs \d.*MiB.*room for \d.*MiB/],
    ["files", { mebibytes: 1024, inodes: 2_000 }, /needs room for \d+ files.*room for \d+ files/],
  ])(
    "refuses a volume with too little room for its %s, with numbers and before anything is written",
    async (_, limit, said) => {
      const volume = await bench.volume(limit);
      const result = await restore(volume);
      failedWith(result, "VolumeTooSmall");
      expect(result.output.error?.message).toMatch(said);
      expect(await readdir(volume.database)).toEqual([]);
      expect(await readdir(volume.files)).toEqual([".incoming"]);
    },
  );

  it.each([
    ["while files come", "mv", "/var/lib/classmind/files/blobs.part"],
    ["while the database is compared", "jq", "-cS"],
    ["before it is said to be whole", "rm", "/var/lib/classmind/files/.incoming"],
  ])("killed %s it begins anew and ends as if nothing had been", async (_, program, argument) => {
    const volume = await bench.volume();
    const stand = await mkdtemp(join(tmpdir(), "cmtest-stand-"));
    const file = join(stand, program);
    // In place of the program: the moment is reached, and never passes.
    await writeFile(
      file,
      `#!/bin/bash\n[[ " $* " != *" ${argument} "* ]] || { touch /var/lib/classmind/files/reached; exec sleep infinity; }\nexec /usr/bin/${program} "$@"\n`,
    );
    await chmod(stand, 0o755);
    await chmod(file, 0o755);
    const input = restoreInput(randomUUID());
    const binds = [`${file}:/usr/local/bin/${program}:ro`];
    const job = await bench.start("restore", input, { volume, binds });
    const result = job.result();
    const reached = join(volume.files, "reached");
    await untilReached(reached, result);
    await job.container.kill({ signal: "SIGKILL" });
    expect((await result).code).not.toBe(0);
    await rm(reached);
    await rm(stand, { recursive: true });
    succeeded(await restore(volume, input));
    expect(await pictureIn(volume)).toEqual(picture);
    expect((await readdir(volume.files)).sort()).toEqual([`.restored-${input.runId.replaceAll("-", "")}`, "blobs"]);
  });

  it("refuses a run id that is none, before any effect", async () => {
    const volume = await bench.volume();
    failedWith(await restore(volume, restoreInput("x; drop database school")), "Invalid");
    expect(await readdir(volume.files)).toEqual([]);
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
    const volume = await bench.volume();
    const result = await bench.run("restore", restoreInput(randomUUID()), { volume });
    expect(["RestoreFailed", "RepositoryDamaged"], result.log).toContain(result.output.error?.code);
  });
});
