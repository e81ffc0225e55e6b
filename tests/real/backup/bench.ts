import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chown, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import Dockerode from "dockerode";
import pg from "pg";
import { inject } from "vitest";
import { z } from "zod";
import { testInstance } from "../test-host.ts";

const run = promisify(execFile);
const UID = 10001;
const BACKUP = "/usr/local/lib/classmind/backup";
const ROLES = ["superuser", "owner", "app", "backup"] as const;

const answer = z.looseObject({ error: z.object({ code: z.string(), message: z.string() }).optional() });

export interface JobOptions {
  /** Secrets that replace the school's, e.g. `{ "backup-repository/password": "wrong" }`. */
  readonly secrets?: Readonly<Record<string, string>>;
  /** Further bind mounts, as "source:target:ro". */
  readonly binds?: readonly string[];
  /** What a restore fills. */
  readonly volume?: Volume;
}

/** What stands for a school's volume: its two directories on the host. */
export interface Volume {
  readonly database: string;
  readonly files: string;
}

/** A school that can be looked into. */
export interface Living {
  readonly files: string;
  connect(user?: string, database?: string): Promise<pg.Client>;
}

export interface JobResult {
  readonly code: number;
  /** The one JSON document the job wrote; empty if it wrote none. */
  readonly output: z.infer<typeof answer>;
  /** Everything it wrote to standard error. */
  readonly log: string;
}

export interface RunningJob {
  readonly container: Dockerode.Container;
  /** Resolves when the container has ended, whoever ended it; the container is removed. */
  result(): Promise<JobResult>;
}

/** A school's database in its container, its directory of files and its repository, with jobs mounted as the chart does. */
export interface Bench extends Living {
  readonly repository: string;
  /** An empty volume; of a size, if it is to be one that can be full (MiB, and inodes). */
  volume(limit?: { readonly mebibytes: number; readonly inodes: number }): Promise<Volume>;
  /** Starts the school's database on a volume that was filled. The caller calls `end`. */
  open(volume: Volume): Promise<Living & { end(): Promise<void> }>;
  start(command: string, input: unknown, options?: JobOptions): Promise<RunningJob>;
  run(command: string, input: unknown, options?: JobOptions): Promise<JobResult>;
  end(): Promise<void>;
}

const sandbox = {
  NetworkMode: "none",
  ReadonlyRootfs: true,
  CapDrop: ["ALL"],
  SecurityOpt: ["no-new-privileges"],
  Ulimits: [
    { Name: "nofile", Soft: 4096, Hard: 4096 },
    { Name: "nproc", Soft: 1024, Hard: 1024 },
  ],
};

async function makeDirectory(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  await chown(path, UID, UID);
}

async function writeSecret(path: string, text: string): Promise<void> {
  await writeFile(path, text, { mode: 0o400 });
  await chown(path, UID, UID);
}

/** Starts the school's database and prepares empty files and an empty repository. The caller calls `end`. */
export async function openBench(name: string): Promise<Bench> {
  const docker = new Dockerode({ socketPath: inject("engineSocket") });
  const instance = testInstance();
  const base = join(instance.runDir, `backup-${name}-${randomBytes(4).toString("hex")}`);
  const files = join(base, "files");
  const repository = join(base, "repository");
  const socket = join(base, "socket");
  const passwords = new Map(ROLES.map((role) => [role, `${randomBytes(12).toString("base64url")}:\\${role}`]));
  for (const path of [base, files, repository, socket]) await makeDirectory(path);

  const secrets: Record<string, string> = {
    "backup-repository/password": randomBytes(24).toString("base64url"),
    "backup-repository/url": "/var/lib/classmind/repository",
    "backup-repository/environment": "",
  };
  for (const role of ROLES) secrets[`database-${role}/password`] = passwords.get(role) ?? "";
  const writeSecrets = async (directory: string, values: Readonly<Record<string, string>>) => {
    await makeDirectory(directory);
    for (const [path, text] of Object.entries(values)) {
      await makeDirectory(join(directory, path.slice(0, path.indexOf("/"))));
      await writeSecret(join(directory, path), text);
    }
    return directory;
  };
  const bindSecrets = (directory: string, names: readonly string[]) =>
    names.map((secret) => `${join(directory, secret)}:/run/secrets/${secret}:ro`);

  const schoolSecrets = await writeSecrets(join(base, "secrets"), secrets);
  const common = {
    Image: inject("images").postgres,
    User: `${UID}:${UID}`,
    Labels: { "classmind.instance": instance.name },
  };
  const allRoles = ROLES.map((role) => `database-${role}`);
  /** @param data directory of the host; in memory if there is none */
  const startDatabase = async (runDir: string, data?: string) => {
    const database = await docker.createContainer({
      ...common,
      Cmd: ["/usr/local/lib/classmind/postgres-start", "-c", "fsync=off", "-c", "full_page_writes=off"],
      Env: ["PGDATA=/var/lib/classmind/db/pgdata", "CLASSMIND_SHARED_BUFFERS=16MB"],
      HostConfig: {
        ...sandbox,
        Binds: [
          `${runDir}:/run/postgresql`,
          ...(data === undefined ? [] : [`${data}:/var/lib/classmind/db`]),
          ...bindSecrets(schoolSecrets, allRoles),
        ],
        Tmpfs: {
          ...(data === undefined ? { "/var/lib/classmind/db": "size=1g,mode=1777" } : {}),
          "/tmp": "size=64m,mode=1777",
        },
      },
    });
    await database.start();
    const connect = async (user = "postgres", target = "school") => {
      const role = ROLES.find((candidate) => user === `school_${candidate}`) ?? "superuser";
      const password = passwords.get(role) ?? "";
      const client = new pg.Client({ host: runDir, user, password, database: target });
      client.on("error", () => undefined);
      await client.connect();
      return client;
    };
    for (const until = Date.now() + 60_000; ; ) {
      try {
        await (await connect()).end();
        return { database, connect };
      } catch (error) {
        if (Date.now() > until) throw error;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  };
  const { database, connect } = await startDatabase(socket);
  const mounted: string[] = [];

  let jobs = 0;
  const start = async (command: string, input: unknown, options: JobOptions = {}): Promise<RunningJob> => {
    jobs += 1;
    const own = join(base, `job-${jobs}`);
    await makeDirectory(own);
    await makeDirectory(join(own, "job"));
    await writeSecret(join(own, "job", "input.json"), JSON.stringify(input));
    const jobSecrets = await writeSecrets(join(own, "secrets"), { ...secrets, ...options.secrets });
    const { volume } = options;
    const mounts =
      volume === undefined
        ? [`${socket}:/run/postgresql`, `${files}:/var/lib/classmind/files`]
        : [`${volume.database}:/var/lib/classmind/db`, `${volume.files}:/var/lib/classmind/files`];
    const roles = volume === undefined ? ["database-backup"] : allRoles;
    const container = await docker.createContainer({
      ...common,
      Cmd: [BACKUP, command],
      Env: [
        "PGHOST=/run/postgresql",
        "PGDATA=/var/lib/classmind/db/pgdata",
        "CLASSMIND_SHARED_BUFFERS=64MB",
        "RESTIC_CACHE_DIR=/tmp/restic",
      ],
      HostConfig: {
        ...sandbox,
        Binds: [
          ...mounts,
          `${repository}:/var/lib/classmind/repository`,
          `${join(own, "job")}:/run/job:ro`,
          ...bindSecrets(jobSecrets, ["backup-repository", ...roles]),
          ...(options.binds ?? []),
        ],
        Tmpfs: {
          "/tmp": "size=256m,mode=1777",
          ...(volume === undefined ? {} : { "/run/postgresql": "size=8m,mode=1777" }),
        },
      },
    });
    await container.start();
    const result = async (): Promise<JobResult> => {
      const { StatusCode: code } = z.object({ StatusCode: z.number() }).parse(await container.wait());
      const read = async (stream: "stdout" | "stderr") =>
        withoutFrames(await container.logs({ stdout: stream === "stdout", stderr: stream === "stderr" }));
      const [text, log] = [await read("stdout"), await read("stderr")];
      await container.remove({ force: true, v: true });
      return { code, output: answer.parse(JSON.parse(text || "{}")), log };
    };
    return { container, result };
  };

  return {
    files,
    repository,
    connect,
    async volume(limit) {
      const root = join(base, `volume-${randomBytes(4).toString("hex")}`);
      await makeDirectory(root);
      if (limit !== undefined) {
        const options = `size=${limit.mebibytes}m,nr_inodes=${limit.inodes},mode=0711,uid=${UID},gid=${UID}`;
        await run("mount", ["-t", "tmpfs", "-o", options, "cmtest-volume", root]);
        mounted.push(root);
      }
      const volume = { database: join(root, "db"), files: join(root, "files") };
      for (const path of Object.values(volume)) await makeDirectory(path);
      return volume;
    },
    async open(volume) {
      const runDir = join(base, `socket-${randomBytes(4).toString("hex")}`);
      await makeDirectory(runDir);
      const living = await startDatabase(runDir, volume.database);
      return {
        files: volume.files,
        connect: living.connect,
        end: async () => living.database.remove({ force: true, v: true }),
      };
    },
    start,
    run: async (command, input, options) => (await start(command, input, options)).result(),
    async end() {
      await database.remove({ force: true, v: true });
      for (const path of mounted) await run("umount", [path]);
      await rm(base, { recursive: true, force: true });
    },
  };
}

/** Docker's multiplexed log: frames of eight bytes of header, the last four the payload's length. */
function withoutFrames(log: Buffer): string {
  const parts: Buffer[] = [];
  for (let at = 0; at + 8 <= log.length; ) {
    const length = log.readUInt32BE(at + 4);
    parts.push(log.subarray(at + 8, at + 8 + length));
    at += 8 + length;
  }
  return Buffer.concat(parts).toString("utf8");
}
