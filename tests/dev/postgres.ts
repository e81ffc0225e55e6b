import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { chown, mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import pg from "pg";

const execute = promisify(execFile);

/** A PostgreSQL of its own below a directory, reached over a socket there; ends with this process. */
export interface DevServer {
  readonly host: string;
  readonly port: number;
  /** Runs statements as the superuser, one after the other; yields the rows of the last. */
  ask<Row extends pg.QueryResultRow>(database: string, ...statements: readonly string[]): Promise<Row[]>;
  stop(): Promise<void>;
}

const nobody = 65_534;
/** PostgreSQL does not run as root. */
const identity = process.getuid?.() === 0 ? { uid: nobody, gid: nobody } : {};

async function programs(): Promise<string> {
  const versions = await readdir("/usr/lib/postgresql").catch(() => []);
  const newest = versions.sort((a, b) => Number(b) - Number(a))[0];
  for (const directory of [...(newest ? [`/usr/lib/postgresql/${newest}/bin`] : []), "/usr/local/bin", "/usr/bin"]) {
    if (existsSync(join(directory, "initdb"))) return directory;
  }
  throw new Error("PostgreSQL is not installed here (initdb was not found). On Debian: apt-get install postgresql");
}

/**
 * Starts it, making its cluster when there is none. Its data matter to nobody, so nothing waits for the disk.
 * @param more settings, as `name=value`
 */
export async function startPostgres(directory: string, more: readonly string[] = []): Promise<DevServer> {
  const bin = await programs();
  const data = join(directory, "data");
  await mkdir(directory, { recursive: true, mode: 0o755 });
  if (identity.uid !== undefined) await chown(directory, identity.uid, identity.gid);
  if (!existsSync(join(data, "PG_VERSION"))) {
    await rm(data, { recursive: true, force: true });
    const words = ["-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"];
    await execute(join(bin, "initdb"), words, identity);
  }
  const settings = [
    `unix_socket_directories=${directory}`,
    "listen_addresses=",
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    ...more,
  ];
  const child: ChildProcess = spawn(
    "setpriv",
    // However this process ends.
    [
      "--pdeathsig",
      "INT",
      join(bin, "postgres"),
      "-D",
      data,
      "-p",
      "5432",
      ...settings.flatMap((setting) => ["-c", setting]),
    ],
    { ...identity, stdio: ["ignore", "ignore", "ignore"] },
  );
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  for (let tries = 0; ; tries += 1) {
    try {
      await execute(join(bin, "pg_isready"), ["--quiet", "-h", directory, "-p", "5432"]);
      break;
    } catch (error) {
      if (tries > 200 || child.exitCode !== null) throw new Error("PostgreSQL did not start", { cause: error });
      await sleep(50);
    }
  }
  return {
    host: directory,
    port: 5432,
    ask: async <Row extends pg.QueryResultRow>(database: string, ...statements: readonly string[]) => {
      const client = new pg.Client({ host: directory, port: 5432, user: "postgres", database });
      await client.connect();
      try {
        let rows: Row[] = [];
        for (const statement of statements) rows = (await client.query<Row>(statement)).rows;
        return rows;
      } finally {
        await client.end();
      }
    },
    stop: async () => {
      child.kill("SIGINT");
      await ended;
    },
  };
}
