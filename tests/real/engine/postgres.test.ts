import { once } from "node:events";
import { chown, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import Dockerode from "dockerode";
import pg from "pg";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { testInstance } from "../test-host.ts";

/** The database image by itself: what `postgres-start` promises. */

const UID = 10001;
const docker = new Dockerode({ socketPath: inject("engineSocket") });
const base = join(testInstance().stateDir, "postgres-start");
const volume = join(base, "volume");
const socket = join(base, "socket");
const name = `${testInstance().name}-postgres-start`;
const SECRETS = ["superuser", "owner", "app", "backup"] as const;
const PLATFORM_ROLES = ["postgres", "controlplane_api", "controlplane_reconciler", "keyring"] as const;

async function setPasswords(suffix: string): Promise<void> {
  for (const role of SECRETS) {
    const file = join(base, "secrets", `database-${role}`, "password");
    await writeFile(file, `it's ${role} ${suffix}`);
    await chown(file, UID, UID);
  }
}

/** @param platform environment of a platform's database; a school's if absent */
async function start(platform?: readonly string[]): Promise<Dockerode.Container> {
  await docker
    .getContainer(name)
    .remove({ force: true })
    .catch(() => undefined);
  const container = await docker.createContainer({
    name,
    Image: inject("images").postgres,
    User: `${UID}:${UID}`,
    Entrypoint: ["/usr/local/lib/classmind/postgres-start"],
    Env: ["PGDATA=/var/lib/classmind/db/pgdata", ...(platform ?? [])],
    Labels: { "classmind.instance": testInstance().name },
    HostConfig: {
      NetworkMode: "none",
      ReadonlyRootfs: true,
      CapDrop: ["ALL"],
      Binds: [
        `${volume}:/var/lib/classmind/db`,
        `${socket}:/run/postgresql`,
        `${join(base, "secrets", "platform")}:/run/secrets/platform:ro`,
        ...SECRETS.map((role) => `${join(base, "secrets", `database-${role}`)}:/run/secrets/database-${role}:ro`),
      ],
      Tmpfs: { "/tmp": "size=16m,mode=1777" },
      Ulimits: [
        { Name: "nofile", Soft: 4096, Hard: 4096 },
        { Name: "nproc", Soft: 4096, Hard: 4096 },
      ],
    },
  });
  await container.start();
  return container;
}

async function connect(user: string, password: string, database = "school"): Promise<pg.Client> {
  const client = new pg.Client({ host: socket, user, password, database });
  await client.connect();
  return client;
}

async function untilUp(password: string): Promise<pg.Client> {
  const until = Date.now() + 30_000;
  for (;;) {
    try {
      return await connect("postgres", password, "postgres");
    } catch (error) {
      if (Date.now() > until) {
        const words = await docker.getContainer(name).logs({ stdout: true, stderr: true, tail: 10 });
        throw new Error(`PostgreSQL did not start: ${words.toString("utf8")}`, { cause: error });
      }
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  }
}

async function words(): Promise<string> {
  return (await docker.getContainer(name).logs({ stdout: true, stderr: true })).toString("utf8");
}

beforeEach(async () => {
  await rm(base, { recursive: true, force: true });
  const secrets = ["platform", ...SECRETS.map((role) => `database-${role}`)].map((each) => join(base, "secrets", each));
  for (const directory of [volume, socket, ...secrets]) {
    await mkdir(directory, { recursive: true });
    await chown(directory, UID, UID);
  }
  await setPasswords("one");
  for (const role of PLATFORM_ROLES) {
    const file = join(base, "secrets", "platform", role);
    await writeFile(file, `it's ${role}`);
    await chown(file, UID, UID);
  }
});
afterEach(async () => {
  await docker
    .getContainer(name)
    .remove({ force: true })
    .catch(() => undefined);
  await rm(base, { recursive: true, force: true });
});

describe("a database that is asked to stop", () => {
  it("ends well although somebody is connected and does nothing, as a school's app is all the time", async () => {
    const container = await start();
    const client = await untilUp("it's superuser one");
    client.on("error", () => undefined);
    // Time enough to end well: after it the engine kills.
    await container.stop({ t: 8 });
    expect((await container.inspect()).State.ExitCode).toBe(0);
    expect(await words()).toMatch(/database system is shut down/);
  });
});

describe("the database's first start", () => {
  it("makes roles with no more rights than their work needs", async () => {
    await start();
    const root = await untilUp("it's superuser one");
    const { rows } = await root.query(
      "SELECT rolname, rolsuper, rolbypassrls, rolcanlogin FROM pg_roles WHERE rolname LIKE 'school%' ORDER BY 1",
    );
    expect(rows.map((row) => [row.rolname, row.rolsuper, row.rolbypassrls, row.rolcanlogin])).toEqual([
      ["school_app", false, false, true],
      ["school_backup", false, true, true],
      ["school_journal", false, false, false],
      ["school_owner", false, false, true],
    ]);
    await root.end();
    const owner = await connect("school_owner", "it's owner one");
    await owner.query("CREATE TABLE t (a text)");
    await owner.end();
    const app = await connect("school_app", "it's app one");
    await expect(app.query("SELECT * FROM t")).rejects.toThrow(/permission denied/);
    await expect(app.query("CREATE TABLE u ()")).rejects.toThrow(/permission denied/);
    await app.end();
    await expect(connect("school_app", "it's app one", "postgres")).rejects.toThrow(/permission denied/);
    await expect(connect("school_app", "wrong")).rejects.toThrow(/password authentication failed/);
  });

  it("killed at any moment, it is repeated and ends as an undisturbed one", async () => {
    for (const moment of [20, 80, 160, 300, 500]) {
      const container = await start();
      await new Promise((resolve) => setTimeout(resolve, moment));
      await container.kill().catch(() => undefined);
      await container.wait();
    }
    await start();
    const root = await untilUp("it's superuser one");
    expect((await root.query("SELECT count(*)::int AS n FROM pg_database")).rows).toEqual([{ n: 4 }]);
    await root.end();
    expect((await readdir(volume)).filter((entry) => entry.startsWith(".new"))).toEqual([]);
  });

  it("a directory that is not a cluster is left alone", async () => {
    await mkdir(join(volume, "pgdata"));
    await writeFile(join(volume, "pgdata", "fremd.txt"), "x");
    const container = await start();
    expect((await container.wait()).StatusCode).toBe(78);
    expect(await words()).toContain("neither empty nor a cluster");
    expect(await readdir(join(volume, "pgdata"))).toEqual(["fremd.txt"]);
  });

  it("a missing secret is named, and nothing listens", async () => {
    await rm(join(base, "secrets", "database-app", "password"));
    const container = await start();
    expect((await container.wait()).StatusCode).toBe(78);
    expect(await words()).toContain("/run/secrets/database-app/password is missing");
  });
});

describe("later starts", () => {
  it("changed secrets become the passwords; data stays", async () => {
    const first = await start();
    const owner = await untilUp("it's superuser one").then(async (root) => {
      await root.end();
      return connect("school_owner", "it's owner one");
    });
    await owner.query("CREATE TABLE bleibt AS SELECT 42 AS a");
    await owner.end();
    await first.stop({ t: 20 });
    await setPasswords("two");
    await start();
    await (await untilUp("it's superuser two")).end();
    await expect(connect("school_owner", "it's owner one")).rejects.toThrow(/password/);
    const again = await connect("school_owner", "it's owner two");
    expect((await again.query("SELECT a FROM bleibt")).rows).toEqual([{ a: 42 }]);
    await again.end();
  });

  it("after a SIGKILL acknowledged rows are there", async () => {
    const first = await start();
    await (await untilUp("it's superuser one")).end();
    const owner = await connect("school_owner", "it's owner one");
    owner.on("error", () => undefined);
    await owner.query("CREATE TABLE bleibt (a int)");
    for (let row = 0; row < 50; row += 1) await owner.query("INSERT INTO bleibt VALUES ($1)", [row]);
    await first.kill();
    await first.wait();
    await start();
    await (await untilUp("it's superuser one")).end();
    const again = await connect("school_owner", "it's owner one");
    expect((await again.query("SELECT count(*)::int AS n FROM bleibt")).rows).toEqual([{ n: 50 }]);
    await again.end();
  });

  it("R32 the log holds neither statements nor values of failed ones, and no password", async () => {
    await start();
    await (await untilUp("it's superuser one")).end();
    const owner = await connect("school_owner", "it's owner one");
    await owner.query("CREATE TABLE p (name text PRIMARY KEY, alter int)");
    await owner.query("INSERT INTO p VALUES ('Jürgen Groß', 12)");
    await expect(owner.query("INSERT INTO p VALUES ('Jürgen Groß', 12)")).rejects.toThrow();
    await expect(owner.query("SELECT 'Jürgen Groß'::int")).rejects.toThrow();
    await owner.query("ALTER ROLE CURRENT_USER PASSWORD 'streng geheim'");
    await owner.end();
    const log = await words();
    expect(log).toContain("ready to accept connections");
    for (const secret of ["Jürgen", "streng geheim", "it's", "INSERT", "SELECT"]) expect(log).not.toContain(secret);
  });

  it("passwords are nowhere in arguments or the environment of its processes", async () => {
    const container = await start();
    await (await untilUp("it's superuser one")).end();
    const { State } = await container.inspect();
    for (const file of ["cmdline", "environ"]) {
      expect(await readFile(`/proc/${State.Pid}/${file}`, "utf8")).not.toContain("it's");
    }
  });
});

describe("a platform's database", () => {
  const listening = async (environment: readonly string[]): Promise<boolean> => {
    const container = await start(["CLASSMIND_ROLE=platform", ...environment]);
    await (await untilUp("it's postgres")).end();
    const asked = await container.exec({ Cmd: ["pg_isready", "--quiet", "--host=127.0.0.1"], AttachStdout: true });
    const output = await asked.start({});
    output.resume();
    await once(output, "end");
    return (await asked.inspect()).ExitCode === 0;
  };

  it("listens on its socket alone, and on a cluster where it is told to", async () => {
    expect(await listening([])).toBe(false);
    expect(await listening(["CLASSMIND_LISTEN=*"])).toBe(true);
  });

  it("lets each of the platform's roles into its own database with its own password", async () => {
    await start(["CLASSMIND_ROLE=platform", "CLASSMIND_LISTEN=*"]);
    await (await untilUp("it's postgres")).end();
    await (await connect("controlplane_api", "it's controlplane_api", "controlplane")).end();
    await (await connect("keyring", "it's keyring", "keyring")).end();
    await expect(connect("controlplane_api", "it's controlplane_api", "keyring")).rejects.toThrow(/permission denied/);
  });
});
