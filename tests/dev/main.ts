import { type ChildProcess, spawn } from "node:child_process";
import { createHash, createSecretKey } from "node:crypto";
import { watch } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { features } from "../../tenant-app/features.ts";
import { openDatabase } from "../../tenant-app/ground/database/database.ts";
import { migrate, shippedMigrations } from "../../tenant-app/ground/database/migrate.ts";
import { inventSchool } from "../../tenant-app/ground/generator/generate.ts";
import type { InventedPerson } from "../../tenant-app/ground/generator/invented.ts";
import { shipped } from "../../tenant-app/ground/paths.ts";
import { startGateway, type TestGateway } from "../fixtures/school-gateway.ts";
import { startPostgres } from "./postgres.ts";

/**
 * `npm run dev`: the school platform alone, on an invented school, over TLS on this machine, without root and containers. What is edited
 * is there with the next request. Ctrl-C ends it; the school stays for the next time. `npm run dev -- --fresh` begins a new one.
 */

const PASSWORD = "Vier Wale im Watt";
const SIZE = { pupils: 600, teachers: 45, messages: 40 };
/** Where it listens, or on one of the next ports if something does already. */
const PORT = 8443;
const started = performance.now();
const cache = join(
  process.env.XDG_CACHE_HOME ?? (process.getuid?.() === 0 ? "/var/tmp" : join(homedir(), ".cache")),
  "classmind-dev",
);
const say = (line: string) => process.stderr.write(`${line}\n`);

const server = await startPostgres(join(cache, "postgres"));
const { ask } = server;

/** One database for each state of the migrations and of the generator. */
async function nameOfDatabase(): Promise<string> {
  const digest = createHash("sha256").update(JSON.stringify(SIZE));
  for (const { checksum } of await shippedMigrations()) digest.update(checksum);
  return `dev_${digest.digest("hex").slice(0, 12)}`;
}

const fieldKey = createHash("sha256").update("classmind dev").digest();
const name = await nameOfDatabase();
const secretsDir = join(cache, "secrets");

async function makeSchool(): Promise<void> {
  say("making an invented school …");
  await ask("postgres", await readFile(shipped("ground", "database", "roles.sql"), "utf8"));
  await ask("postgres", `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`, `CREATE DATABASE ${name} OWNER school_owner`);
  await migrate({ ...server, name, password: "" });
  const database = openDatabase({ ...server, name, user: "school_owner", password: "", max: 1, statementMs: 0 });
  try {
    const invention = {
      database,
      fieldKey: createSecretKey(fieldKey),
      now: new Date(),
      size: SIZE,
      seed: 1,
      password: PASSWORD,
    };
    await inventSchool(features, invention);
  } finally {
    await database.close();
  }
}

for (const [directory, file, content] of [
  ["database-app", "password", "-"],
  ["database-owner", "password", "-"],
  ["app-keys", "field-key", fieldKey],
  ["app-session", "session-key", createHash("sha256").update("classmind dev session").digest()],
] as const) {
  await mkdir(join(secretsDir, directory), { recursive: true, mode: 0o700 });
  await writeFile(join(secretsDir, directory, file), content, { mode: 0o600 });
}
const known = await ask<{ datname: string }>("postgres", "SELECT datname FROM pg_database");
const whole =
  known.some(({ datname }) => datname === name) &&
  (await ask(name, "SELECT FROM konto LIMIT 1").catch(() => [])).length > 0;
if (!whole || process.argv.includes("--fresh")) await makeSchool();

let schoolPort = 0;
async function openGateway(port: number): Promise<TestGateway> {
  try {
    return await startGateway(() => schoolPort, port);
  } catch (error) {
    if (port >= PORT + 10) throw error;
    return openGateway(port + 1);
  }
}
const gateway = await openGateway(PORT);
const origin = `https://demo.classmind.localhost:${gateway.port}`;
let child: ChildProcess | undefined;

/** Starts the app in a process of its own; a request that comes meanwhile waits for it. */
function startApp(): void {
  const begun = performance.now();
  schoolPort = 0;
  child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", join(import.meta.dirname, "app.ts")], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    env: {
      ...process.env,
      CLASSMIND_SCHOOL_SLUG: "demo",
      CLASSMIND_SCHOOL_NAME: "Erfundene Gesamtschule",
      CLASSMIND_SCHOOL_DEMO: "true",
      CLASSMIND_URL: origin,
      CLASSMIND_DATABASE_HOST: server.host,
      CLASSMIND_DATABASE_PORT: String(server.port),
      CLASSMIND_DATABASE_NAME: name,
      CLASSMIND_FILES_DIR: join(cache, "files"),
      CLASSMIND_SECRETS_DIR: secretsDir,
      CLASSMIND_LISTEN_PORT: "0",
      CLASSMIND_LISTEN_ADDRESS: "127.0.0.1",
    },
  });
  child.on("message", (port) => {
    schoolPort = Number(port);
    say(`ready after ${((performance.now() - begun) / 1000).toFixed(1)} s: ${origin}`);
  });
}

let restart: NodeJS.Timeout | undefined;
const watching = watch(shipped(), { recursive: true }, () => {
  clearTimeout(restart);
  restart = setTimeout(() => {
    const old = child;
    startApp();
    old?.kill("SIGKILL");
  }, 100);
});

await mkdir(join(cache, "files"), { recursive: true });
startApp();
const people = await ask<{ benutzername: string; rolle_id: InventedPerson["kind"] }>(
  name,
  `SELECT DISTINCT ON (kr.rolle_id) k.benutzername, kr.rolle_id FROM konto k JOIN konto_rolle kr ON kr.konto_id = k.id
 ORDER BY kr.rolle_id, k.benutzername`,
);
say(`\nPassword of everybody: ${PASSWORD}`);
for (const { benutzername, rolle_id } of people) say(`  ${rolle_id.padEnd(14)} ${benutzername}`);
say(`up in ${((performance.now() - started) / 1000).toFixed(1)} s; Ctrl-C ends it\n`);

let ending = false;
async function end(): Promise<void> {
  if (ending) return;
  ending = true;
  watching.close();
  child?.kill("SIGKILL");
  await gateway.close();
  await server.stop();
  process.exit(0);
}
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => void end());
