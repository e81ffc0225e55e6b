import { execFile, execFileSync, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createInstance } from "../../../control-plane/host/instance.ts";
import { layoutOf } from "../../../control-plane/host/layout.ts";
import { openToOperators } from "../../../control-plane/host/operator-group.ts";
import { OPERATOR_GROUP } from "../../../control-plane/operator-group-name.ts";
import { testInstance } from "../test-host.ts";

/** People of this machine who are not root, with the paths that a real installation has. */
const name = `${testInstance().name.slice(0, 10)}op`;
const instance = createInstance(name);
const layout = layoutOf(instance);
const member = `${name}-in`;
const stranger = `${name}-out`;
const TOKEN = "a-token-of-this-test";
const CLI = resolve(import.meta.dirname, "../../../cli/main.ts");
let homes = "";
let server: Server;
let supervisor: ReturnType<typeof spawn>;

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs the command line as a user of this machine, with the groups that /etc/group gives them. */
function run(user: string, words: readonly string[], input = "", more: readonly string[] = []): Promise<Ended> {
  const home = join(homes, user);
  // Nothing of our own environment: it may say where root's contexts are.
  const environment = [`HOME=${home}`, `PATH=${process.env.PATH}`, `CLASSMIND_INSTANCE=${name}`, ...more];
  const command = ["-u", user, "--", "env", "-i", ...environment, process.execPath, CLI];
  return new Promise((done) => {
    const child = execFile("runuser", [...command, ...words], { cwd: "/" }, (error, out, err) =>
      done({ code: typeof error?.code === "number" ? error.code : 0, out, err }),
    );
    child.stdin?.end(input);
  });
}

beforeAll(async () => {
  const before = process.umask(0o077);
  try {
    homes = mkdtempSync("/var/tmp/classmind-operators-");
    chmodSync(homes, 0o755);
    for (const user of [member, stranger])
      execFileSync("useradd", ["--create-home", "--home-dir", join(homes, user), "--shell", "/bin/sh", user]);
    mkdirSync(instance.runDir, { recursive: true, mode: 0o700 });
    mkdirSync(instance.configDir, { recursive: true, mode: 0o700 });
    mkdirSync(join(instance.stateDir, "log"), { recursive: true, mode: 0o700 });
    writeFileSync(layout.kekFile, "not a key");
    writeFileSync(layout.supervisorLog, "words\n");
    await openToOperators(instance);
    execFileSync("usermod", ["-aG", OPERATOR_GROUP, member]);
    server = createServer((request, response) => {
      const known = request.headers.authorization === `Bearer ${TOKEN}`;
      response.statusCode = known ? 200 : 401;
      response.end(JSON.stringify(known ? { items: [] } : { error: { code: "Unauthorized", message: "No." } }));
    });
    await new Promise<void>((done) => server.listen(layout.apiSocket, done));
    chmodSync(layout.apiSocket, 0o666);
    const program = join(homes, "supervisor-main.mjs");
    writeFileSync(program, "setInterval(() => undefined, 60_000);\n");
    supervisor = spawn(process.execPath, [program, name], { stdio: "ignore" });
    writeFileSync(layout.supervisorPidFile, `${supervisor.pid}\n`);
  } finally {
    process.umask(before);
  }
});

afterAll(async () => {
  supervisor.kill();
  await new Promise((done) => server.close(done));
  for (const user of [member, stranger]) execFileSync("userdel", [user]);
  for (const directory of [homes, instance.runDir, instance.stateDir, instance.configDir])
    rmSync(directory, { recursive: true, force: true });
});

describe("who is not root on this machine", () => {
  it("reaches nothing of the platform but the API's socket, whatever the umask was", () => {
    expect(statSync(layout.apiSocketDir).mode & 0o777).toBe(0o750);
    expect(statSync(instance.runDir).mode & 0o777).toBe(0o711);
  });

  it("logs in with an operator's token and works with the API, as a member of the group", async () => {
    const login = await run(member, ["login"], `${TOKEN}\n`);
    expect(login.code, login.err).toBe(0);
    const contexts = join(homes, member, ".config/classmind/contexts.json");
    expect(statSync(contexts).mode & 0o777).toBe(0o600);
    expect(login.out + login.err).not.toContain(TOKEN);
    expect(await run(member, ["operator", "list"])).toMatchObject({ code: 0 });
  });

  it("keeps no token that opens nothing, and needs one although the group lets them in", async () => {
    const before = readFileSync(join(homes, member, ".config/classmind/contexts.json"), "utf8");
    expect(await run(member, ["login"], "another-token\n")).toMatchObject({ code: 3 });
    expect(readFileSync(join(homes, member, ".config/classmind/contexts.json"), "utf8")).toBe(before);
  });

  it("is told that contexts lie where they may not look", async () => {
    const there = join(instance.configDir, "contexts.json");
    const { code, err } = await run(member, ["login"], `${TOKEN}\n`, [`CLASSMIND_CONTEXTS=${there}`]);
    expect(code).toBe(3);
    expect(err).toContain(`The contexts' file ${there} cannot be read`);
    expect(err).not.toMatch(/fault of classmind|\n {4}at /);
  });

  it("is told which group may, as a stranger to it", async () => {
    const { code, err } = await run(stranger, ["login"], `${TOKEN}\n`);
    expect({ code, err }).toMatchObject({ code: 3, err: expect.stringContaining(`usermod -aG ${OPERATOR_GROUP}`) });
    expect(existsSync(join(homes, stranger, ".config/classmind/contexts.json"))).toBe(false);
  });

  it("sends a token to no address where others could read it", async () => {
    const { code, err } = await run(member, ["login", "--server", "http://192.0.2.1:8443"], `${TOKEN}\n`);
    expect({ code, err }).toMatchObject({ code: 2, err: expect.stringContaining("--server") });
  });

  it.each([0o644, 0o600])(
    "sees that the platform runs, also where its process id is closed to them (%o)",
    async (mode) => {
      chmodSync(layout.supervisorPidFile, mode);
      const { code, out } = await run(stranger, ["status", "-o", "json"]);
      expect(code).toBe(0);
      expect(JSON.parse(out)).toMatchObject({ running: true, supervisor: supervisor.pid, configured: true });
    },
  );

  it("learns from doctor what it did not look at, and of no lost key", async () => {
    const { out, err } = await run(stranger, ["doctor", "-o", "json"]);
    const findings: { check: string; ok: boolean; message: string }[] = JSON.parse(out).findings;
    const of = (check: string) => findings.find((each) => each.check === check);
    for (const check of ["root", "key-encryption-key", "firewall"])
      expect(of(check)).toMatchObject({ ok: true, skipped: true, message: "not looked at: needs root" });
    expect(of("platform")).toMatchObject({ ok: true });
    expect(err).toBe("");
  });

  it.each([["up"], ["down"], ["uninstall", "--yes"], ["logs"]])(
    "is told in a sentence that `%s` is root's",
    async (...words) => {
      const { code, err } = await run(stranger, words);
      expect(code).toBe(3);
      expect(err).toContain("sudo");
      expect(err).not.toMatch(/fault of classmind|\n {4}at /);
    },
  );
});
