import { type ChildProcess, fork } from "node:child_process";
import { createHash, createSecretKey, randomUUID } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { Agent, request } from "node:https";
import { homedir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import pg from "pg";
import { createCertificateAuthority, internalIssuer } from "../../control-plane/issuer/internal.ts";
import { place } from "../../tenant-app/features/dateien/public.ts";
import { features } from "../../tenant-app/features.ts";
import { newRowKey, seal } from "../../tenant-app/ground/crypto/fields.ts";
import { openDatabase } from "../../tenant-app/ground/database/database.ts";
import { migrate, shippedMigrations } from "../../tenant-app/ground/database/migrate.ts";
import { inventSchool } from "../../tenant-app/ground/generator/generate.ts";
import { shipped } from "../../tenant-app/ground/paths.ts";
import { startPostgres } from "../dev/postgres.ts";
import { Besucher } from "../fixtures/school-visitor.ts";
import { BARE_MARKS, fillBook, findBook } from "./book.ts";
import { burst } from "./burst.ts";

/**
 * `npm run bench:pages`: what pages of a large invented school cost, in requests a second by 20 connections, statements and buffers, against
 * bare Express pages with the same lists, and how long a whole school takes to sign in, against the hashes alone; in one run on this machine.
 * Needs PostgreSQL alone. The school is kept for the next run. Before both stands the same program that ends TLS (tls.ts); connections are
 * kept, as browsers do.
 */

const { values: options } = parseArgs({
  options: {
    pupils: { type: "string", default: "1400" },
    teachers: { type: "string", default: "100" },
    /** That each teacher has written. */
    messages: { type: "string", default: "2970" },
    files: { type: "string", default: "20000" },
    seconds: { type: "string", default: "4" },
    /** That sign in at once. */
    burst: { type: "string", default: "1200" },
  },
});
const CONNECTIONS = 20;
const PASSWORD = "Vier Wale im Watt";
const HOST = "bench.classmind.localhost";
const size = { pupils: Number(options.pupils), teachers: Number(options.teachers), messages: Number(options.messages) };
const say = (line: string) => process.stderr.write(`bench: ${line}\n`);
const cache = join(
  process.env.XDG_CACHE_HOME ?? (process.getuid?.() === 0 ? "/var/tmp" : join(homedir(), ".cache")),
  "classmind-bench",
);

const server = await startPostgres(join(cache, "postgres"), [
  "shared_preload_libraries=pg_stat_statements",
  "shared_buffers=256MB",
]);
const digest = createHash("sha256").update(JSON.stringify({ size, files: options.files }));
for (const { checksum } of await shippedMigrations()) digest.update(checksum);
const name = `bench_${digest.digest("hex").slice(0, 12)}`;

const { ask } = server;

const fieldKey = createSecretKey(createHash("sha256").update("classmind bench").digest());

/** Files of teachers, by their rows: none is downloaded here. */
async function inventFiles(count: number): Promise<void> {
  const owners = await ask<{ id: string }>(name, "SELECT konto_id AS id FROM konto_rolle WHERE rolle_id = 'lehrer'");
  const rows = Array.from({ length: count }, (_, index) => {
    const id = randomUUID();
    const { rowKey, wrapped } = newRowKey(fieldKey, place("schluessel", id));
    const sealed = seal(rowKey, place("name", id), `Arbeitsblatt ${index}.pdf`);
    return {
      id,
      besitzer_id: owners[index % owners.length]?.id,
      schluessel: `\\x${wrapped.toString("hex")}`,
      name: `\\x${sealed.toString("hex")}`,
    };
  });
  const client = new pg.Client({ host: server.host, port: server.port, user: "postgres", database: name });
  await client.connect();
  await client.query("SET classmind.umbau = 'ja'");
  await client.query(
    `INSERT INTO datei (id, besitzer_id, schluessel, name, groesse, hochgeladen_am)
     SELECT x.id, x.besitzer_id, x.schluessel, x.name, 1000, now() - random() * interval '300 days'
       FROM json_to_recordset($1::json) AS x (id uuid, besitzer_id uuid, schluessel bytea, name bytea)`,
    [JSON.stringify(rows)],
  );
  await client.end();
}

async function makeSchool(): Promise<void> {
  say(`making a school of ${size.pupils + size.teachers} people with ${size.teachers * size.messages} messages …`);
  await ask("postgres", await readFile(shipped("ground", "database", "roles.sql"), "utf8"));
  await ask("postgres", `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`, `CREATE DATABASE ${name} OWNER school_owner`);
  await migrate({ ...server, name, password: "" });
  const database = openDatabase({ ...server, name, user: "school_owner", password: "", max: 1, statementMs: 0 });
  await inventSchool(features, { database, fieldKey, now: new Date(), size, seed: 1, password: PASSWORD });
  await fillBook(
    database,
    fieldKey,
    await findBook((statement) => ask<{ course: string; teacher: string; pupil: string }>(name, statement)),
  );
  await database.close();
  await inventFiles(Number(options.files));
  await ask(
    name,
    "CREATE EXTENSION pg_stat_statements SCHEMA erweiterung",
    `CREATE TABLE bare_nachricht AS SELECT e.konto_id, n.absender_id, n.gesendet_am, 'Betreff ' || left(n.id::text, 8) AS betreff
       FROM nachricht_empfaenger e JOIN nachricht n ON n.id = e.nachricht_id`,
    "CREATE INDEX ON bare_nachricht (konto_id, gesendet_am)",
    "ALTER TABLE bare_nachricht ENABLE ROW LEVEL SECURITY",
    ...BARE_MARKS,
    "VACUUM ANALYZE",
  );
}

const known = await ask<{ datname: string }>("postgres", "SELECT datname FROM pg_database");
const whole =
  known.some(({ datname }) => datname === name) &&
  (await ask(name, "SELECT FROM bare_nachricht, bare_note LIMIT 1").catch(() => [])).length > 0;
if (!whole) await makeSchool();

const secretsDir = join(cache, "secrets");
for (const [directory, file, content] of [
  ["database-app", "password", "-"],
  ["database-owner", "password", "-"],
  ["app-keys", "field-key", fieldKey.export()],
  ["app-session", "session-key", createHash("sha256").update("classmind bench session").digest()],
] as const) {
  await mkdir(join(secretsDir, directory), { recursive: true, mode: 0o700 });
  await writeFile(join(secretsDir, directory, file), content, { mode: 0o600 });
}
await mkdir(join(cache, "files"), { recursive: true });

const children: ChildProcess[] = [];
function start(program: string, args: readonly string[], env: Readonly<Record<string, string>>): Promise<number> {
  const child = fork(join(import.meta.dirname, program), [...args], {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
    execArgv: ["--disable-warning=ExperimentalWarning"],
    env: { ...process.env, NODE_ENV: "production", ...env },
  });
  children.push(child);
  return new Promise((resolve, reject) => {
    child.once("message", (port) => resolve(Number(port)));
    child.once("exit", (code) => reject(new Error(`${program} ended with ${code}`)));
  });
}

const authority = await createCertificateAuthority({ domain: "classmind.localhost", now: new Date() });
const trusted = { ca: authority.certificatePem, servername: HOST };
/** Puts TLS before a port; returns the port that speaks it. */
async function withTls(port: number): Promise<number> {
  const issuer = internalIssuer({ caCertificatePem: authority.certificatePem, caKeyPem: authority.keyPem });
  const { certificatePem, privateKeyPem } = await issuer.issue({ hosts: [HOST], now: new Date() });
  return start("tls.ts", [String(port)], { BENCH_CERTIFICATE: certificatePem, BENCH_KEY: privateKeyPem });
}

interface Load {
  readonly perSecond: number;
  readonly median: number;
  readonly p95: number;
  readonly p99: number;
}

/** What browsers send, one for each connection: everybody has a session of their own, and the app a bound for each. */
type Browsers = ReadonlyArray<Readonly<Record<string, string>>>;
const ANYBODY: Browsers = [{}];

/** Asks for a page by so many connections at once, for so long. @throws Error for any other answer than 200 */
async function hammer(port: number, path: string, browsers: Browsers, seconds: number): Promise<Load> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS, ...trusted });
  const end = performance.now() + seconds * 1000;
  const times: number[] = [];
  const one = (headers: Browsers[number] = {}): Promise<void> =>
    new Promise((resolve, reject) => {
      const begun = performance.now();
      const asked = request({ agent, host: "127.0.0.1", port, path, headers }, (answer) => {
        answer.resume();
        answer.once("end", () => {
          times.push(performance.now() - begun);
          if (answer.statusCode === 200) resolve();
          else reject(new Error(`${path} answers ${answer.statusCode}`));
        });
      });
      asked.once("error", reject).end();
    });
  const begun = performance.now();
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async (_, connection) => {
      while (performance.now() < end) await one(browsers[connection % browsers.length]);
    }),
  );
  const took = (performance.now() - begun) / 1000;
  agent.destroy();
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.floor(times.length * share)] ?? Number.NaN;
  return { perSecond: times.length / took, median: at(0.5), p95: at(0.95), p99: at(0.99) };
}

/** Statements and buffers that one request for a page costs. */
async function costOf(
  port: number,
  path: string,
  browsers: Browsers,
): Promise<{ statements: number; buffers: number }> {
  const rounds = 5;
  await ask(name, "SELECT erweiterung.pg_stat_statements_reset()");
  for (let round = 0; round < rounds; round += 1) await hammerOnce(port, path, browsers[0]);
  const [row] = await ask<{ calls: number; buffers: number }>(
    name,
    `SELECT coalesce(sum(calls), 0)::int AS calls, coalesce(sum(shared_blks_hit + shared_blks_read), 0)::int AS buffers
       FROM erweiterung.pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid WHERE r.rolname = 'school_app'`,
  );
  return { statements: (row?.calls ?? 0) / rounds, buffers: (row?.buffers ?? 0) / rounds };
}

function hammerOnce(port: number, path: string, headers: Browsers[number] = {}): Promise<void> {
  return new Promise((resolve, reject) => {
    request({ host: "127.0.0.1", port, path, headers, ...trusted }, (answer) =>
      answer.resume().once("end", () => resolve()),
    )
      .once("error", reject)
      .end();
  });
}

/** Browsers in which the first of a role are signed in, or one account in all of them. */
async function signedIn(port: number, rolle: string, konto?: string): Promise<Browsers> {
  const who = konto === undefined ? "" : `AND k.id = '${konto}'`;
  const rows = await ask<{ benutzername: string }>(
    name,
    `SELECT k.benutzername FROM konto k JOIN konto_rolle kr ON kr.konto_id = k.id AND kr.rolle_id = '${rolle}' ${who} ORDER BY k.id LIMIT ${CONNECTIONS}`,
  );
  const browsers: Array<Browsers[number]> = [];
  for (let connection = 0; connection < CONNECTIONS; connection += 1) {
    const browser = new Besucher({ port, host: HOST });
    const answer = await browser.meldeAn(rows[connection % rows.length]?.benutzername ?? "", PASSWORD);
    if (answer.status !== 303) throw new Error(`the ${rolle} could not sign in: ${answer.status}`);
    browsers.push({
      host: HOST,
      cookie: [...browser.cookies].map(([key, value]) => `${key}=${value}`).join("; "),
      "x-forwarded-proto": "https",
      "x-forwarded-for": "127.0.0.1",
    });
  }
  return browsers;
}

try {
  const plainPort = await start("../dev/app.ts", [], {
    CLASSMIND_SCHOOL_SLUG: "bench",
    CLASSMIND_SCHOOL_NAME: "Gemessene Gesamtschule",
    CLASSMIND_URL: `https://${HOST}`,
    CLASSMIND_DATABASE_HOST: server.host,
    CLASSMIND_DATABASE_PORT: String(server.port),
    CLASSMIND_DATABASE_NAME: name,
    CLASSMIND_FILES_DIR: join(cache, "files"),
    CLASSMIND_SECRETS_DIR: secretsDir,
    CLASSMIND_LISTEN_PORT: "0",
    CLASSMIND_LISTEN_ADDRESS: "127.0.0.1",
  });
  const port = await withTls(plainPort);
  const teacher = await signedIn(plainPort, "lehrer");
  const admin = await signedIn(plainPort, "administrator");
  const pupil = await signedIn(plainPort, "schueler");
  const [someone] = await ask<{ id: string }>(
    name,
    "SELECT konto_id AS id FROM konto_rolle WHERE rolle_id = 'schueler' ORDER BY konto_id LIMIT 1",
  );
  const [course] = await ask<{ id: string }>(name, "SELECT id FROM kurs ORDER BY id LIMIT 1");
  const [group] = await ask<{ id: string }>(name, "SELECT id FROM klasse ORDER BY id LIMIT 1");
  const book = await findBook((statement) => ask<{ course: string; teacher: string; pupil: string }>(name, statement));
  const grading = await signedIn(plainPort, "lehrer", book.teacher);
  const graded = await signedIn(plainPort, "schueler", book.pupil);
  const bareProgram = [server.host, name, someone?.id ?? "", book.course, book.pupil];
  const barePort = await withTls(await start("bare-page.ts", bareProgram, {}));
  const seconds = Number(options.seconds);
  const line = (title: string, cells: readonly string[]) =>
    `  ${title.padEnd(34)}${cells.map((cell) => cell.padStart(12)).join("")}`;
  say(`${CONNECTIONS} connections, ${seconds} s each`);
  console.log(line("page", ["a second", "median", "p95", "p99", "to bare", "statements", "buffers"]));
  const inRow = (title: string, load: Load, bare: Load, cost?: { statements: number; buffers: number }) =>
    console.log(
      line(title, [
        load.perSecond.toFixed(0),
        `${load.median.toFixed(1)} ms`,
        `${load.p95.toFixed(1)} ms`,
        `${load.p99.toFixed(1)} ms`,
        `${(load.perSecond / bare.perSecond).toFixed(2)}×`,
        cost ? cost.statements.toFixed(1) : "",
        cost ? cost.buffers.toFixed(0) : "",
      ]),
    );
  const bareLoad = async (title: string, path: string): Promise<Load> => {
    await hammer(barePort, path, ANYBODY, 0.5);
    const load = await hammer(barePort, path, ANYBODY, seconds);
    inRow(title, load, load);
    return load;
  };
  const measured = async (title: string, path: string, browsers: Browsers, bare: Load) => {
    await hammer(port, path, browsers, 0.5);
    const load = await hammer(port, path, browsers, seconds);
    inRow(title, load, bare, await costOf(port, path, browsers));
  };
  const bareList = await bareLoad("bare list of messages", "/");
  for (const [title, path, browsers] of [
    ["start, pupil", "/", pupil],
    ["messages, pupil", "/nachrichten", pupil],
    ["start, teacher", "/", teacher],
    ["messages, teacher", "/nachrichten", teacher],
    ["sent, teacher", "/nachrichten/gesendet", teacher],
    ["files, teacher", "/dateien", teacher],
    ["courses, teacher", "/kurse", teacher],
    ["classes, teacher", "/klassen", teacher],
    ["accounts, administrator", "/konten", admin],
    ["accounts searched", "/konten?suche=mueller", admin],
    ["people, administrator", "/personen", admin],
    ["a course, administrator", `/kurse/${course?.id}`, admin],
    ["a class, administrator", `/klassen/${group?.id}`, admin],
  ] as const) {
    await measured(title, path, browsers, bareList);
  }
  for (const [bareTitle, barePath, title, path, browsers] of [
    ["bare book of marks", "/book", "book of marks, teacher", `/noten/kurse/${book.course}`, grading],
    ["bare list of marks", "/marks", "own marks, pupil", `/noten/${book.pupil}`, graded],
  ] as const) {
    await measured(title, path, browsers, await bareLoad(bareTitle, barePath));
  }
  await burst({
    port: plainPort,
    host: HOST,
    password: PASSWORD,
    names: (
      await ask<{ benutzername: string }>(
        name,
        `SELECT k.benutzername FROM konto k JOIN konto_rolle r ON r.konto_id = k.id AND r.rolle_id = 'schueler'
          ORDER BY k.id LIMIT ${Number(options.burst)}`,
      )
    ).map(({ benutzername }) => benutzername),
    meanwhile: () => hammerOnce(port, "/", teacher[0]),
    print: (title, figures) => console.log(line(title, figures)),
  });
} finally {
  for (const child of children) {
    child.removeAllListeners("exit");
    child.kill("SIGKILL");
  }
  await server.stop();
}
