import { execFile, spawn } from "node:child_process";
import { chown, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** The least privileged of Debian's accounts: PostgreSQL refuses to run as root. */
const NOBODY = 65534;
const SERVERS = "/usr/lib/postgresql";

async function serverDirectory(): Promise<string> {
  const versions = (await readdir(SERVERS).catch(() => []))
    .filter((name) => /^\d+$/.test(name))
    .sort((a, b) => Number(b) - Number(a));
  for (const version of versions) {
    const bin = path.join(SERVERS, version, "bin");
    if ((await readdir(bin)).includes("initdb")) return bin;
  }
  process.stdout.write("Installing Debian's PostgreSQL, which the tests run on\n");
  await run("apt-get", ["update", "-q"]);
  await run("apt-get", ["install", "-q", "-y", "--no-install-recommends", "postgresql"], {
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
  });
  return serverDirectory();
}

/**
 * Starts one real PostgreSQL for all tests of this run, in a directory of its own, reached by a Unix socket; it ends with the
 * run. Needs root on Debian (installs the server when it is missing).
 */
export default async function setup(): Promise<() => Promise<void>> {
  const bin = await serverDirectory();
  const directory = await mkdtemp(path.join(tmpdir(), "classmind-test-"));
  const passwordFile = path.join(directory, "password");
  await writeFile(passwordFile, "test\n", { mode: 0o644 });
  await chown(directory, NOBODY, NOBODY);
  const data = path.join(directory, "data");
  const as = { uid: NOBODY, gid: NOBODY, cwd: directory };
  await run(
    path.join(bin, "initdb"),
    [
      "-D",
      data,
      "-U",
      "postgres",
      "--pwfile",
      passwordFile,
      "-A",
      "scram-sha-256",
      "-E",
      "UTF8",
      "--locale=C.UTF-8",
      "--no-sync",
    ],
    as,
  );
  const server = spawn(
    path.join(bin, "postgres"),
    ["-D", data, "-k", directory, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=300"],
    {
      ...as,
      stdio: ["ignore", "ignore", "pipe"],
    },
  );
  const ended = new Promise<void>((resolve) => server.once("exit", () => resolve()));
  await new Promise<void>((resolve, reject) => {
    let output = "";
    server.stderr.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      if (output.includes("ready to accept connections")) resolve();
    });
    server.once("exit", () => reject(new Error(`PostgreSQL did not start: ${output}`)));
  });
  process.env.CLASSMIND_TEST_POSTGRES_HOST = directory;
  process.env.CLASSMIND_TEST_POSTGRES_PORT = "5432";
  process.env.CLASSMIND_TEST_POSTGRES_PASSWORD_FILE = passwordFile;
  return async () => {
    server.kill("SIGINT");
    await ended;
    await rm(directory, { recursive: true, force: true });
  };
}
