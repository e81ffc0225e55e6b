import { type ChildProcess, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import { compactDecrypt, exportJWK, generateKeyPair } from "jose";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { bundleTenantApp } from "../../tenant-app/bundle.ts";
import { register } from "../../tenant-app/features.ts";
import { migrate, shippedMigrations, untilMigrated } from "../../tenant-app/ground/database/migrate.ts";
import { adminCommands, describeCommands } from "../../tenant-app/ground/operator/run.ts";
import { startSchool, type TestSchool, writeSecrets } from "../fixtures/school.ts";
import { rolePassword, type SchoolDatabase, schoolDatabase } from "../fixtures/school-database.ts";

let school: TestSchool;
let empty: SchoolDatabase;
let directory: string;
let main: string;
beforeAll(async () => {
  school = await startSchool();
  empty = await schoolDatabase();
  directory = await mkdtemp(join(tmpdir(), "classmind-app-"));
  await bundleTenantApp(join(directory, "app"));
  main = join(directory, "app", "main.mjs");
});
afterAll(() => rm(directory, { recursive: true, force: true }));

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the bundled app as a container does: its file, a verb, an environment and nothing else. */
function start(args: readonly string[], environment: Readonly<Record<string, string>>): ChildProcess {
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...environment },
    cwd: "/",
    stdio: ["ignore", "pipe", "pipe"],
  });
  // Of a test that failed.
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

async function run(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = school.environment,
): Promise<Outcome> {
  const child = start(args, environment);
  let stdout = "";
  let stderr = "";
  child.stdout?.on("data", (part) => {
    stdout += part;
  });
  child.stderr?.on("data", (part) => {
    stderr += part;
  });
  const [code] = await once(child, "close");
  return { code, stdout, stderr };
}

async function admin(command: string, input: unknown) {
  const file = join(directory, `input-${randomBytes(4).toString("hex")}.json`);
  await writeFile(file, JSON.stringify(input));
  const outcome = await run(["admin", command], { ...school.environment, CLASSMIND_JOB_INPUT: file });
  return { ...outcome, json: JSON.parse(outcome.stdout) };
}

describe("bundle", () => {
  test("is the same, byte for byte, each time", async () => {
    await bundleTenantApp(join(directory, "again"));
    const hash = async (name: string) =>
      createHash("sha256")
        .update(await readFile(join(directory, name, "main.mjs")))
        .digest("hex");
    expect(await hash("again")).toBe(await hash("app"));
  });

  test("serves from an empty directory: says when it is ready and how long that took, stops in order", async () => {
    const port = "18431";
    const child = start(["serve"], { ...school.environment, CLASSMIND_LISTEN_PORT: port });
    const ready = await new Promise<{ startMs: number }>((resolve, reject) => {
      child.stdout?.on("data", (part: Buffer) => resolve(JSON.parse(part.toString("utf8").split("\n")[0] ?? "")));
      child.on("close", () => reject(new Error("it ended")));
    });
    expect(ready.startMs).toBeGreaterThan(0);
    const get = (path: string, more: Readonly<Record<string, string>> = {}) =>
      new Promise<{ status: number | undefined; body: string; bytes: Buffer; encoding: unknown }>((resolve, reject) => {
        request(
          { host: "127.0.0.1", port, path, headers: { host: school.host, ...more }, setHost: false },
          (answer) => {
            const parts: Buffer[] = [];
            answer.on("data", (part) => parts.push(part));
            answer.on("end", () => {
              const bytes = Buffer.concat(parts);
              const encoding = answer.headers["content-encoding"];
              resolve({ status: answer.statusCode, body: bytes.toString("utf8"), bytes, encoding });
            });
          },
        )
          .on("error", reject)
          .end();
      });
    expect((await get("/readyz")).status).toBe(200);
    const login = await get("/anmelden");
    expect(login.body).toContain("Goethe-Gymnasium Kassel");
    const css = /href="(\/assets\/stil[^"]+)"/.exec(login.body)?.[1] ?? "";
    const plain = await get(css, { "accept-encoding": "gzip, br;q=0" });
    expect(plain).toMatchObject({ status: 200, encoding: undefined });
    const small = await get(css, { "accept-encoding": "gzip, deflate, br, zstd" });
    expect(small).toMatchObject({ status: 200, encoding: "br" });
    expect(brotliDecompressSync(small.bytes).equals(plain.bytes)).toBe(true);
    expect(small.bytes.length).toBeLessThan(plain.bytes.length / 3);
    // Pages are not: BREACH.
    expect((await get("/anmelden", { "accept-encoding": "br" })).encoding).toBeUndefined();
    child.kill("SIGTERM");
    await expect.poll(async () => (await get("/readyz")).status).toBe(503);
    expect((await get("/anmelden")).status).toBe(200);
    const [code] = await once(child, "close");
    expect(code).toBe(0);
  });

  test("a request that is running when the process is asked to stop is finished", async () => {
    const port = "18432";
    const child = start(["serve"], { ...school.environment, CLASSMIND_LISTEN_PORT: port });
    await once(child.stdout ?? child, "data");
    const outgoing = request({
      host: "127.0.0.1",
      port,
      path: "/anmelden",
      method: "POST",
      setHost: false,
      headers: {
        host: school.host,
        origin: `https://${school.host}`,
        "content-type": "application/x-www-form-urlencoded",
        "content-length": "3",
      },
    });
    outgoing.write("a");
    await new Promise((resolve) => setTimeout(resolve, 200));
    child.kill("SIGTERM");
    await new Promise((resolve) => setTimeout(resolve, 300));
    const answer = once(outgoing, "response");
    outgoing.end("=b");
    const [incoming] = await answer;
    expect(incoming.statusCode).toBe(403);
    const [code] = await once(child, "close");
    expect(code).toBe(0);
  });
});

describe("configuration", () => {
  test("R3 without the field key, or with one of the wrong size, the app refuses to start", async () => {
    const secrets = join(directory, "secrets");
    await writeSecrets(secrets);
    const environment = { ...school.environment, CLASSMIND_SECRETS_DIR: secrets };
    const key = join(secrets, "app-keys", "field-key");
    await writeFile(key, randomBytes(31));
    const short = await run(["serve"], environment);
    expect(short.code).toBe(1);
    expect(short.stderr).toContain("exactly 32 raw bytes");
    await rm(key);
    const missing = await run(["serve"], environment);
    expect(missing.code).toBe(1);
    expect(missing.stderr).toContain("app-keys/field-key cannot be read");
  });

  test("a missing or wrong setting is named", async () => {
    const { CLASSMIND_URL: _url, ...without } = school.environment;
    const missing = await run(["serve"], without);
    expect(missing.code).toBe(1);
    expect(missing.stderr).toContain("CLASSMIND_URL is not set");
    const wrong = await run(["serve"], {
      ...school.environment,
      CLASSMIND_LISTEN_PORT: "99999",
      CLASSMIND_URL: "http://x",
    });
    expect(wrong.stderr).toContain("CLASSMIND_LISTEN_PORT");
    expect(wrong.stderr).toContain("CLASSMIND_URL");
    expect((await run(["fly"])).code).toBe(64);
  });
});

describe("migrate", () => {
  test("two that start at once end with one schema; a third finds nothing to do", async () => {
    const server = { host: empty.host, port: empty.port };
    const name = `${empty.name}_leer`;
    await empty.query(`CREATE DATABASE ${name} OWNER school_owner`);
    try {
      const settings = { ...server, name, password: rolePassword };
      const results = await Promise.all([migrate(settings), migrate(settings), migrate(settings)]);
      const shipped = (await shippedMigrations()).map((migration) => migration.name);
      expect(results.flat().sort()).toEqual(shipped);
      expect(await migrate(settings)).toEqual([]);
    } finally {
      await empty.query(`DROP DATABASE ${name} WITH (FORCE)`);
    }
  });

  test("a newer schema is left alone, a changed migration is refused", async () => {
    const settings = { host: empty.host, port: empty.port, name: empty.name, password: rolePassword };
    await empty.query("INSERT INTO schema_migration (nummer, name, pruefsumme) VALUES (9999, '9999-spaeter.sql', 'x')");
    expect(await migrate(settings)).toEqual([]);
    await empty.query("UPDATE schema_migration SET pruefsumme = 'x' WHERE nummer = 1");
    await expect(migrate(settings)).rejects.toThrow("differs from what this database was built with");
  });

  test("no database: gives up after its patience, and says so", async () => {
    const nowhere = { host: directory, port: 1, name: "school", password: "x", patienceMs: 600 };
    await expect(migrate(nowhere)).rejects.toThrow("could not be reached in time");
  });

  test("asked to stop while it waits for a database, it ends of itself: no signal ends a container's first process", async () => {
    const server = createServer((socket) => socket.destroy()).listen(0, "127.0.0.1");
    onTestFinished(() => void server.close());
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const where = { CLASSMIND_DATABASE_HOST: "127.0.0.1", CLASSMIND_DATABASE_PORT: String(port) };
    const child = start(["migrate"], { ...school.environment, ...where });
    const ended = once(child, "close");
    await once(server, "connection");
    child.kill("SIGTERM");
    expect(await ended).toEqual([143, null]);
  });

  test("what waits for them goes on when the last migration is done, not before, and gives up after its patience", async () => {
    const name = `${empty.name}_wartet`;
    await empty.query(`CREATE DATABASE ${name} OWNER school_owner`);
    try {
      const settings = { host: empty.host, port: empty.port, name, password: rolePassword };
      await expect(untilMigrated({ ...settings, patienceMs: 100 })).rejects.toThrow(
        "not brought to this version in time",
      );
      let over = false;
      const waiting = untilMigrated(settings).then(() => {
        over = true;
      });
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect(over).toBe(false);
      await migrate(settings);
      await waiting;
      await untilMigrated(settings);
    } finally {
      await empty.query(`DROP DATABASE ${name} WITH (FORCE)`);
    }
  });

  test("as a command: exit code 0, and the database closed to everybody else", async () => {
    const outcome = await run(["migrate"]);
    expect(outcome.code).toBe(0);
    expect(outcome.stderr).toContain("schema is current");
    const rows = await school.database.query(
      "SELECT FROM pg_database d, aclexplode(d.datacl) a WHERE d.datname = current_database() AND a.grantee = 0",
    );
    expect(rows).toEqual([]);
  });
});

describe("admin commands", () => {
  test("create-administrator returns a one-time password that only the recipient can read, and it works", async () => {
    const { publicKey, privateKey } = await generateKeyPair("ECDH-ES", { crv: "X25519", extractable: true });
    const recipient = await exportJWK(publicKey);
    const person = { firstName: "Jürgen", lastName: "Groß", email: "j@schule.example" };
    const first = await admin("create-administrator", { ...person, recipient });
    expect(first.code).toBe(0);
    expect(first.json.username).toBe("juergen.gross");
    const open = async (sealed: string) =>
      new TextDecoder().decode((await compactDecrypt(sealed, privateKey)).plaintext);
    const password = await open(first.json.sealedPassword);
    expect(first.stdout + first.stderr).not.toContain(password);

    const second = await admin("create-administrator", { ...person, recipient });
    expect(second.json.username).toBe("juergen.gross");
    expect(second.json.existing).toBeUndefined();
    const renewed = await open(second.json.sealedPassword);
    expect(renewed).not.toBe(password);

    const browser = school.besucher();
    expect((await browser.meldeAn("juergen.gross", password)).status).toBe(422);
    expect((await browser.meldeAn("juergen.gross", renewed)).location).toBe("/passwort");
    const neu = "Sieben Igel im Garten";
    await browser.post("/passwort", { bisher: renewed, neu, wiederholt: neu });
    expect((await browser.get("/konten")).status).toBe(200);

    const third = await admin("create-administrator", { ...person, recipient });
    expect(third.json).toEqual({ username: "juergen.gross", existing: true });
    expect((await browser.get("/konten")).status).toBe(200);

    const reset = await admin("reset-password", { username: "juergen.gross", recipient });
    expect((await browser.get("/konten")).status).toBe(303);
    expect((await school.besucher().meldeAn("juergen.gross", await open(reset.json.sealedPassword))).location).toBe(
      "/passwort",
    );
  });

  test("invent-school changes nothing where there is anybody but the first administrator", async () => {
    await school.konto("Lore", "Da", "lehrer");
    expect((await admin("invent-school", {})).json).toEqual({ people: 0, existing: true });
  });

  test("R35 lock-account and unlock-account", async () => {
    const konto = await school.konto("Lore", "Lock", "lehrer");
    const browser = await school.angemeldet(konto);
    expect((await admin("lock-account", { username: konto.benutzername })).json).toEqual({
      username: konto.benutzername,
      locked: true,
    });
    expect((await browser.get("/")).status).toBe(303);
    expect((await admin("unlock-account", { username: konto.benutzername })).json.locked).toBe(false);
    expect((await browser.meldeAn(konto.benutzername, konto.passwort)).status).toBe(303);
  });

  test("a new password for a locked account says that it is locked; with `unlock` it is not any more", async () => {
    const { publicKey, privateKey } = await generateKeyPair("ECDH-ES", { crv: "X25519", extractable: true });
    const recipient = await exportJWK(publicKey);
    const open = async (sealed: string) =>
      new TextDecoder().decode((await compactDecrypt(sealed, privateKey)).plaintext);
    const konto = await school.konto("Gesa", "Gesperrt", "lehrer");
    await admin("lock-account", { username: konto.benutzername });
    const locked = await admin("reset-password", { username: konto.benutzername, recipient });
    expect(locked.json.locked).toBe(true);
    const password = await open(locked.json.sealedPassword);
    expect((await school.besucher().meldeAn(konto.benutzername, password)).text).toContain("gesperrt");
    const unlocked = await admin("reset-password", { username: konto.benutzername, recipient, unlock: true });
    expect(unlocked.json.locked).toBe(false);
    const again = await open(unlocked.json.sealedPassword);
    expect((await school.besucher().meldeAn(konto.benutzername, again)).location).toBe("/passwort");
  });

  test("the last account that can manage the school is not locked, by the operator either", async () => {
    const rows = await school.database.query<{ benutzername: string }>(
      `SELECT k.benutzername FROM konto k JOIN konto_rolle kr ON kr.konto_id = k.id AND kr.rolle_id = 'administrator'
        WHERE k.gesperrt_am IS NULL`,
    );
    for (const { benutzername } of rows.slice(1)) await admin("lock-account", { username: benutzername });
    const refused = await admin("lock-account", { username: rows[0]?.benutzername });
    expect(refused.json.error.code).toBe("last-administrator");
    for (const { benutzername } of rows.slice(1)) await admin("unlock-account", { username: benutzername });
  });

  test("usage counts, and fingerprint changes with any row and any blob, and with nothing else", async () => {
    const konto = await school.konto("Uwe", "Usage", "lehrer");
    const browser = await school.angemeldet(konto);
    const before = await admin("fingerprint", {});
    await browser.get("/");
    const same = await admin("fingerprint", {});
    expect(same.json.hash).toBe(before.json.hash);
    const used = (await admin("usage", {})).json;
    await browser.get("/dateien");
    await browser.upload("x.bin", randomBytes(1234));
    const more = (await admin("usage", {})).json;
    expect(more.files).toBe(used.files + 1);
    expect(more.bytes).toBe(used.bytes + 1234);
    expect(more.databaseBytes).toBeGreaterThan(1_000_000);
    const after = await admin("fingerprint", {});
    expect(after.json.hash).not.toBe(before.json.hash);
    expect(after.json.blobs.count).toBe(before.json.blobs.count + 1);
    const tables = Object.fromEntries(after.json.tables.map((table: { name: string }) => [table.name, table]));
    expect(tables["public.datei"].rows).toBe(more.files);
    expect(tables["public.sitzung"].volatile).toBe(true);
    const today = `journal.eintrag_${new Date().toISOString().slice(0, 10).replaceAll("-", "")}`;
    expect(tables[today].rows).toBeGreaterThan(0);
  });

  test("collect takes the time from its input", async () => {
    const browser = await school.angemeldet(await school.konto("Conny", "Collect", "lehrer"));
    await browser.get("/dateien");
    await browser.upload("weg.bin", randomBytes(10));
    const [datei] = await school.database.query<{ id: string }>(
      "SELECT id FROM datei ORDER BY hochgeladen_am DESC LIMIT 1",
    );
    await browser.post(`/dateien/${datei?.id}/loeschen`, {});
    expect((await admin("collect", {})).json).toEqual({ deleted: 0, orphans: 0, bytes: 0 });
    const now = new Date(Date.now() + 25 * 60 * 60 * 1000).toISOString();
    expect((await admin("collect", { now })).json).toMatchObject({ deleted: 1, orphans: 0 });
  });

  test("wrong input, unknown accounts and unknown commands are one JSON document with code, message and field", async () => {
    const bad = await admin("create-administrator", { firstName: "", lastName: "x", email: "x" });
    expect(bad.code).toBe(1);
    expect(bad.json.error.code).toBe("invalid-input");
    expect(bad.json.error.field).toBe("email");
    const { privateKey } = await generateKeyPair("ECDH-ES", { crv: "X25519", extractable: true });
    const leaked = await admin("reset-password", { username: "x", recipient: await exportJWK(privateKey) });
    expect(leaked.json.error.field).toBe("recipient");
    expect((await admin("lock-account", { username: "niemand" })).json.error).toMatchObject({
      code: "unknown-account",
      field: "username",
    });
    expect((await admin("explode", {})).json.error.code).toBe("unknown-command");
    const nothing = await run(["admin", "usage"], {
      ...school.environment,
      CLASSMIND_JOB_INPUT: join(directory, "missing.json"),
    });
    expect(JSON.parse(nothing.stdout).error.code).toBe("no-input");
    const gone = await run(["admin", "usage"], { ...school.environment, CLASSMIND_DATABASE_HOST: directory });
    expect(gone.code).toBe(1);
  });

  test("help describes every command by the schemas that check it", async () => {
    const outcome = await run(["admin", "help"]);
    expect(JSON.parse(outcome.stdout)).toEqual(JSON.parse(JSON.stringify(describeCommands(adminCommands(register)))));
    const names = JSON.parse(outcome.stdout).commands.map((one: { name: string }) => one.name);
    expect([...names].sort()).toEqual([
      "collect",
      "create-administrator",
      "destroy-person-key",
      "disclose-person",
      "fingerprint",
      "invent-school",
      "lock-account",
      "rebuild-marks",
      "remove-second-factor",
      "reset-password",
      "take-down-file",
      "undo-account",
      "unlock-account",
      "usage",
      "verify-journal",
    ]);
  });
});
