import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import Dockerode from "dockerode";
import { beforeAll, describe, expect, it } from "vitest";
import { gatewayPaths } from "../../../control-plane/gateway/paths.ts";
import { bridgeName, engineSocket } from "../../../control-plane/host/instance.ts";
import { layoutOf } from "../../../control-plane/host/layout.ts";
import { testAuthority } from "../../fixtures/platform.ts";
import { openPlatform, type RealPlatform } from "../../fixtures/real-platform.ts";
import {
  blobHashes,
  createSchool,
  firstLogin,
  rowsAndHashes,
  type SchoolInUse,
  schoolInUse,
  seenBy,
  sql,
  volumeOf,
} from "../../fixtures/school-in-use.ts";
import { firstLoginInBrowser, refusedByBrowser } from "../../fixtures/trusting-browser.ts";

/** A school as operators and its people have it: the command line, real containers, TLS that is checked. */

let platform: RealPlatform;
beforeAll(async () => {
  platform = await openPlatform();
}, 600_000);

const execute = promisify(execFile);
const run = (program: string, words: readonly string[]) =>
  execute(program, [...words], { maxBuffer: 64 * 1024 * 1024 });

/** Which of the given texts or bytes occur in a file, or in any file below a directory. */
async function found(where: string, known: ReadonlyArray<string | Buffer>): Promise<ReadonlyArray<string | Buffer>> {
  const files = (await stat(where)).isDirectory()
    ? (await readdir(where, { recursive: true, withFileTypes: true }))
        .filter((entry) => entry.isFile())
        .map((entry) => path.join(entry.parentPath, entry.name))
    : [where];
  const hits = new Set<string | Buffer>();
  for (const file of files) {
    // A file of a live database may vanish between the two.
    const content = await readFile(file).catch(() => Buffer.alloc(0));
    for (const each of known) if (content.includes(each)) hits.add(each);
  }
  return known.filter((each) => hits.has(each));
}

/** What `traces` finds of a school that never was. */
const nothing: Readonly<Record<string, unknown>> = {
  containers: [],
  networks: [],
  bridges: false,
  rules: false,
  mounts: [],
  loops: [],
  state: [],
  run: [],
  gateway: [],
  keys: 0,
  backups: 0,
  operations: 0,
};

interface Operation {
  readonly state: string;
  readonly result: { readonly rows: number };
}

/** What people see of their data, in the school that it was entered in or another one. */
const seen = (slug: string, school: SchoolInUse) => seenBy(() => platform.besucher(slug), school);

describe("a school's creation", () => {
  it("yields its address, its phase, a login that works once, and each step with its time", async () => {
    const created = await createSchool(platform, "lessing");
    expect(created).toMatchObject({ slug: "lessing", url: platform.url("lessing"), phase: "Ready" });
    for (const step of created.steps) expect(step.milliseconds, step.name).toBeGreaterThanOrEqual(0);
    expect(created.steps.map((step) => step.name)).toEqual(
      expect.arrayContaining(["issue-certificate", "record-volumes", "begin create-administrator", "open-route"]),
    );
    const { username: benutzername, password: passwort } = created.admin;
    await firstLogin(platform.besucher("lessing"), { benutzername, passwort });
    expect((await platform.besucher("lessing").meldeAn(benutzername, passwort)).status).toBe(422);
  });
});

/** A browser gives up loading when a network of the host comes or goes, as that of the first backup's job does. */
async function firstBackup(slug: string): Promise<void> {
  for (const end = Date.now() + 120_000; ; ) {
    const { items } = await platform.json<{ items: { state: string }[] }>("backup", "list", slug);
    if (items.some(({ state }) => state === "Complete")) return;
    if (Date.now() > end) throw new Error(`${slug} has no backup yet`);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

describe("a school's page", () => {
  it("opens in a browser with a valid certificate, and only there; the printed login works", async () => {
    const created = await createSchool(platform, "hebbel");
    await firstBackup("hebbel");
    const { authorityFile } = layoutOf(platform.instance);
    expect(await firstLoginInBrowser(created, authorityFile)).toContain("Schul");
    const stranger = path.join(platform.instance.runDir, "another-authority.pem");
    await writeFile(stranger, (await testAuthority()).certificatePem);
    expect(await refusedByBrowser(created.url, stranger)).toBe(true);
  });
});

describe("a school's backup", () => {
  it("brings accounts, messages and files back after everything was dropped, by row counts and hashes", async () => {
    const school = await schoolInUse(platform, "kleist");
    const rows = await rowsAndHashes(platform, "kleist");
    const blobs = await blobHashes(platform, "kleist");
    expect(Object.keys(blobs).length).toBeGreaterThan(0);
    await platform.json("backup", "create", "kleist");
    await sql(platform, "kleist", "drop schema public cascade; create schema public; drop schema journal cascade");
    await rm(path.join(volumeOf(platform, "kleist"), "files", "blobs"), { recursive: true });
    const operation = await platform.json<Operation>(
      ...["backup", "restore", "kleist", "--yes", "--reason", "Alles gelöscht"],
    );
    expect(operation).toMatchObject({ state: "Succeeded", result: { volume: "data-2" } });
    process.stderr.write(`restored into place: ${JSON.stringify(operation.result)}\n`);
    expect(await rowsAndHashes(platform, "kleist")).toBe(rows);
    expect(await blobHashes(platform, "kleist")).toEqual(blobs);
    expect(await seen("kleist", school)).toEqual({ nachricht: true, datei: true });

    // What it replaced is kept, locked, until that is confirmed.
    const images = () => readdir(path.join(platform.instance.stateDir, "volumes", "school-kleist"));
    expect((await images()).sort()).toEqual(["data-2.img", "data.img"]);
    await expect(readdir(volumeOf(platform, "kleist"))).rejects.toThrow("ENOENT");
    await platform.json("backup", "confirm", "kleist", "--yes");
    for (const end = Date.now() + 20_000; (await images()).length > 1; ) {
      expect(Date.now()).toBeLessThan(end);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect(await images()).toEqual(["data-2.img"]);
    expect(await seen("kleist", school)).toEqual({ nachricht: true, datei: true });
  });

  it("is gone back from to the volume that it replaced", async () => {
    const school = await schoolInUse(platform, "busch");
    await platform.json("backup", "create", "busch");
    await sql(platform, "busch", "create table seither (eins int)");
    await platform.json("backup", "restore", "busch", "--yes", "--reason", "Prüfung");
    await expect(sql(platform, "busch", "select count(*) from seither")).rejects.toThrow();
    await platform.json("backup", "restore", "busch", "--volume", "data", "--yes", "--reason", "doch nicht");
    expect(await sql(platform, "busch", "select count(*) from seither")).toBe("0");
    expect(await seen("busch", school)).toEqual({ nachricht: true, datei: true });
  });

  it("R60 restores into a new school, where the same people find the same, and leaves the old one as it was", async () => {
    const school = await schoolInUse(platform, "fontane");
    const rows = await rowsAndHashes(platform, "fontane");
    const blobs = await blobHashes(platform, "fontane");
    await platform.json("backup", "create", "fontane");
    const operation = await platform.json<Operation>(
      ...["backup", "restore", "fontane", "--into", "fontane-neu", "--demo", "--reason", "Prüfung"],
    );
    expect(operation.state).toBe("Succeeded");
    expect(await rowsAndHashes(platform, "fontane-neu")).toBe(rows);
    expect(await blobHashes(platform, "fontane-neu")).toEqual(blobs);
    expect(await seen("fontane-neu", school)).toEqual({ nachricht: true, datei: true });
    expect(await rowsAndHashes(platform, "fontane")).toBe(rows);
    expect(await seen("fontane", school)).toEqual({ nachricht: true, datei: true });
  });
});

/** Everything below a directory that has the name of the school's namespace or its slug in its path. */
async function pathsNaming(directory: string, slug: string): Promise<readonly string[]> {
  // With types: links, such as an image's /dev/fd, are not followed.
  const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries
    .map((entry) => path.relative(directory, path.join(entry.parentPath, entry.name)))
    .filter((entry) => entry.split("/").some((part) => part.includes(slug)));
}

/** What of a school can be found on this host and in the platform's databases. */
async function traces(slug: string, uid: string): Promise<Record<string, unknown>> {
  const { instance } = platform;
  const docker = new Dockerode({ socketPath: engineSocket(instance) });
  const named = (entries: ReadonlyArray<{ readonly name: string }>) =>
    entries.map(({ name }) => name).filter((name) => name.includes(`school-${slug}`));
  const containers = await docker.listContainers({ all: true });
  const lines = async (program: string, ...words: readonly string[]) =>
    (await run(program, words)).stdout.split("\n").filter((line) => line.includes(slug));
  const layout = layoutOf(instance);
  const served = gatewayPaths({ configDir: layout.gatewayConfigDir, runDir: layout.gatewayRunDir });
  const [store, keyring] = [platform.store(), platform.store("keyring")];
  await Promise.all([store.connect(), keyring.connect()]);
  const count = async (client: typeof store, table: string) =>
    Number((await client.query(`select count(*) from ${table} where tenant_uid = $1`, [uid])).rows[0]?.count);
  try {
    return {
      containers: named(containers.map(({ Names }) => ({ name: Names[0] ?? "" }))),
      networks: named((await docker.listNetworks()).map(({ Name }) => ({ name: Name }))),
      bridges: (await run("ip", ["-brief", "link"])).stdout.includes(bridgeName(instance, `school-${slug}`)),
      rules: (await run("nft", ["list", "ruleset"])).stdout.includes(bridgeName(instance, `school-${slug}`)),
      mounts: (await readFile("/proc/self/mounts", "utf8")).split("\n").filter((line) => line.includes(slug)),
      loops: await lines("losetup", "--list", "--noheadings", "--output", "BACK-FILE"),
      state: await pathsNaming(instance.stateDir, slug),
      run: await pathsNaming(instance.runDir, slug),
      gateway: (
        await Promise.all(
          [served.routes, served.certificateList].map(async (file) => (await readFile(file, "utf8")).split("\n")),
        )
      )
        .flat()
        .filter((line) => line.includes(slug)),
      keys: await count(keyring, "keys"),
      backups: await count(store, "backups"),
      operations: await count(store, "operations"),
    };
  } finally {
    await Promise.all([store.end(), keyring.end()]);
  }
}

describe("a school's secrets on this machine", () => {
  it("a known message is neither in the raw volume nor in the repository while the school runs", async () => {
    const school = await schoolInUse(platform, "storm");
    await platform.json("backup", "create", "storm");
    await sql(platform, "storm", "checkpoint");
    await run("sync", []);
    const image = path.join(platform.instance.stateDir, "volumes", "school-storm", "data.img");
    const repository = path.join(platform.instance.stateDir, "repositories", "school-storm");
    // A user name is not encrypted by the app: it is found through the open volume, so the search works.
    const known = [school.nachricht.inhalt, school.lehrerin.benutzername, school.datei.inhalt.subarray(0, 64)];
    expect(await found(path.join(volumeOf(platform, "storm"), "db"), known)).toEqual([school.lehrerin.benutzername]);
    expect(await found(image, known)).toEqual([]);
    expect(await found(repository, known)).toEqual([]);
  });

  it("a suspended school's directory is unreadable and its page says that it is closed, until it is resumed", async () => {
    const school = await schoolInUse(platform, "raabe");
    const mount = path.dirname(volumeOf(platform, "raabe"));
    expect(await readdir(volumeOf(platform, "raabe"))).toEqual(expect.arrayContaining(["db", "files"]));
    expect(await platform.json("tenant", "suspend", "raabe", "--yes")).toMatchObject({ phase: "Suspended" });
    await expect(readdir(volumeOf(platform, "raabe"))).rejects.toThrow("ENOENT");
    const image = path.join(platform.instance.stateDir, "volumes", "school-raabe", "data.img");
    // Whoever mounts the image without the key finds no names and can read nothing.
    await mkdir(mount, { recursive: true });
    await run("mount", ["-o", "loop,ro", image, mount]);
    try {
      const names = await readdir(path.join(mount, "data"));
      expect(names.length).toBeGreaterThan(0);
      for (const name of names) {
        expect(["db", "files"]).not.toContain(name);
        await expect(readFile(path.join(mount, "data", name))).rejects.toThrow();
      }
    } finally {
      await run("umount", [mount]);
    }
    const page = await platform.besucher("raabe").get("/");
    expect(page.status).toBe(503);
    expect(await readdir(path.join(platform.instance.runDir, "secrets", "school-raabe"))).toEqual([]);
    expect(await platform.json("tenant", "resume", "raabe")).toMatchObject({ phase: "Ready" });
    expect(await seen("raabe", school)).toEqual({ nachricht: true, datei: true });
  });
});

describe("R61 a suspended school", () => {
  it("keeps no backup for more than a year, though its volume stays locked and it makes no new ones", async () => {
    await createSchool(platform, "novalis");
    await firstBackup("novalis");
    expect(await platform.json("tenant", "suspend", "novalis", "--yes")).toMatchObject({ phase: "Suspended" });
    const { uid } = await platform.json<{ uid: string }>("tenant", "get", "novalis");
    const snapshots = path.join(
      platform.instance.stateDir,
      "repositories",
      "school-novalis",
      "repository",
      "snapshots",
    );
    // Of the database, of the files, of the keys of its people.
    expect(await readdir(snapshots)).toHaveLength(3);
    const store = platform.store();
    await store.connect();
    await store.query("update backups set started_at = now() - interval '366 days' where tenant_uid = $1", [uid]);
    await store.query("update tenants set wake_at = now() where uid = $1", [uid]);
    await store.end();
    for (const end = Date.now() + 60_000; (await readdir(snapshots)).length > 0; ) {
      if (Date.now() > end) throw new Error("the snapshots are still there");
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    for (;;) {
      const { items } = await platform.json<{ items: unknown[] }>("backup", "list", "novalis");
      if (items.length === 0) break;
    }
    await expect(readdir(volumeOf(platform, "novalis"))).rejects.toThrow("ENOENT");
    expect(await readdir(path.join(platform.instance.runDir, "secrets", "school-novalis"))).toEqual([]);
  });
});

/** A school's keys as they lie in the keyring, after the planner has taken its samples of them. */
async function wrappedKeys(uid: string): Promise<readonly Buffer[]> {
  const keyring = platform.store("keyring");
  await keyring.connect();
  try {
    await keyring.query("analyze keys");
    // Into the table's pages, which hold each row in one piece; the log may break it over two of its own.
    await keyring.query("checkpoint");
    const { rows } = await keyring.query<{ wrapped: Buffer }>("select wrapped from keys where tenant_uid = $1", [uid]);
    // The TLS pair is kept compressed and in pieces.
    return rows.map(({ wrapped }) => wrapped).filter(({ length }) => length < 200);
  } finally {
    await keyring.end();
  }
}

describe("a purged school", () => {
  it("leaves nothing, its backups open for nobody, and its name begins empty", async () => {
    const school = await schoolInUse(platform, "arnim");
    await platform.json("backup", "create", "arnim");
    const { uid } = await platform.json<{ uid: string }>("tenant", "get", "arnim");
    const before = await traces("arnim", uid);
    for (const [what, trace] of Object.entries(before)) expect(trace, what).not.toEqual(nothing[what]);
    const keyring = path.join(platform.instance.stateDir, "platform-database");
    const wrapped = await wrappedKeys(uid);
    expect(await found(keyring, wrapped)).toEqual(wrapped);
    await platform.json("tenant", "delete", "arnim", "--yes", "--reason", "Vertrag beendet");
    // A transaction elsewhere in the server would keep deleted rows from being wiped: the purge waits for its end.
    const long = platform.store();
    await long.connect();
    await long.query("begin");
    await long.query("select pg_current_xact_id()");
    const purged = platform.purge("arnim");
    await new Promise((resolve) => setTimeout(resolve, 6_000));
    await long.end();
    await purged;

    expect(await traces("arnim", uid)).toEqual(nothing);
    expect(await found(keyring, wrapped)).toEqual([]);
    expect(
      (await platform
        .besucher("arnim")
        .get("/")
        .catch((error: Error) => error)) instanceof Error,
    ).toBe(true);

    const recreated = new Date().toISOString();
    const again = await createSchool(platform, "arnim");
    expect(await sql(platform, "arnim", "select count(*) from nachricht")).toBe("0");
    expect(await blobHashes(platform, "arnim").catch(() => ({}))).toEqual({});
    // The new school's own first backup may have begun already.
    const { items } = await platform.json<{ items: { startedAt: string }[] }>("backup", "list", "arnim");
    expect(items.filter(({ startedAt }) => startedAt < recreated)).toEqual([]);
    const stranger = await platform.besucher("arnim").meldeAn(school.lehrerin.benutzername, school.lehrerin.passwort);
    expect(stranger.status).toBe(422);
    expect(again.admin.password).not.toBe(school.created.admin.password);
  });
});
