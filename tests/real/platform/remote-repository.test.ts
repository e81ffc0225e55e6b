import { type ChildProcess, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { layoutOf } from "../../../control-plane/host/layout.ts";
import { runProgram } from "../../../control-plane/images/command.ts";
import { mirrorLines } from "../../../control-plane/images/debian-mirror.ts";
import { proxyOptions } from "../../../control-plane/images/layers.ts";
import { SUITE } from "../../../control-plane/images/recipes.ts";
import { createCertificateAuthority, internalIssuer } from "../../../control-plane/issuer/internal.ts";
import { openPlatform, type RealPlatform } from "../../fixtures/real-platform.ts";
import { rowsAndHashes, schoolInUse, sql } from "../../fixtures/school-in-use.ts";
import { startSftpServer } from "../../fixtures/sftp-server.ts";

/**
 * Backups on another machine: restic's own REST server over TLS, with a login and a certificate that the world does not know.
 * It stands on a loopback address, which a school can reach by no way but the relay of a job.
 */

const NAME = "backup.example.org";
const ADDRESS = "127.0.77.21";
const PORT = 8123;

let platform: RealPlatform;
let directory: string;
let data: string;
let server: ChildProcess;
let settingsFile: string;
let settingsBefore: string;
/** What leads to the server, and opens it. */
let restServer: Record<"repository" | "environmentFile" | "authorityFile", string> & { readonly host: object };
const onRestServer = () => ({
  backupRepository: restServer.repository,
  backupHost: restServer.host,
  backupEnvironmentFile: restServer.environmentFile,
  backupAuthorityFile: restServer.authorityFile,
});

/** Brings the platform's settings to what a change makes of them, as an operator with an editor does. */
async function apply(change: Record<string, unknown>): Promise<void> {
  await writeFile(settingsFile, JSON.stringify({ ...JSON.parse(settingsBefore), ...change }), { mode: 0o600 });
  const ended = await platform.classmind("up");
  if (ended.code !== 0) throw new Error(ended.stderr);
}

/** The same for a repository whose schools' backups may stay where they are. */
async function configure(change: Record<string, unknown>): Promise<void> {
  // Schools of other tests have their backups where they had them; these are not looked at meanwhile.
  const applied = JSON.parse(await readFile(layoutOf(platform.instance).reconcilerConfigFile, "utf8"));
  await apply({ backupAbandoned: applied.platform.backup.repository, ...change });
}

/** Waits until no school has its backups anywhere else than the platform keeps them. */
async function untilTakenAlong(): Promise<void> {
  const store = platform.store();
  await store.connect();
  try {
    for (const end = Date.now() + 180_000; ; await new Promise((resolve) => setTimeout(resolve, 250))) {
      const { rows } = await store.query("select slug from tenants where repositories ? 'at'");
      if (rows.length === 0) return;
      if (Date.now() > end) throw new Error(`still on their way: ${rows.map(({ slug }) => slug).join(", ")}`);
    }
  } finally {
    await store.end();
  }
}

/** Debian's rest-server of the release that our images are made of, in a directory of its own: Debian 12 has none. */
async function installRestServer(root: string): Promise<void> {
  const options = ["--mode=root", "--variant=extract", "--quiet", "--include=restic-rest-server"];
  const proxy = await proxyOptions();
  await runProgram("mmdebstrap", [...options, ...proxy, SUITE, root, ...(await mirrorLines(SUITE))]);
  // Alone, without Debian's base, the program would not find its loader.
  for (const name of ["lib", "lib64"]) await symlink(`usr/${name}`, path.join(root, name)).catch(() => undefined);
}

async function startRestServer(root: string): Promise<string> {
  const authority = await createCertificateAuthority({ domain: "example.org", now: new Date() });
  const issuer = internalIssuer({ caCertificatePem: authority.certificatePem, caKeyPem: authority.keyPem });
  const pair = await issuer.issue({ hosts: [NAME], now: new Date() });
  // It ends as keys in base64 do, and has what means something to a shell.
  const password = `${randomBytes(18).toString("base64url")} $x "y"=`;
  const sha1 = createHash("sha1").update(password).digest("base64");
  const file = (name: string) => path.join(root, name);
  await writeFile(file("server.pem"), pair.certificatePem + pair.chainPem);
  await writeFile(file("server.key"), pair.privateKeyPem, { mode: 0o600 });
  await writeFile(file("authority.pem"), authority.certificatePem);
  await writeFile(file("data/.htpasswd"), `classmind:{SHA}${sha1}\n`);
  server = spawn("chroot", [
    ...[root, "restic-rest-server", "--path", "/data", "--listen", `${ADDRESS}:${PORT}`],
    ...["--tls", "--tls-cert", "/server.pem", "--tls-key", "/server.key"],
  ]);
  const answers = () =>
    new Promise<boolean>((resolve) => {
      const probe = connect({ host: ADDRESS, port: PORT }, () => resolve(true));
      probe.once("error", () => resolve(false)).once("connect", () => probe.destroy());
    });
  for (const end = Date.now() + 15_000; !(await answers()); ) {
    if (Date.now() > end || server.exitCode !== null) throw new Error("the repository's server does not start");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return password;
}

beforeAll(async () => {
  platform = await openPlatform();
  settingsFile = layoutOf(platform.instance).settingsFile;
  settingsBefore = await readFile(settingsFile, "utf8");
  directory = await mkdtemp(path.join(tmpdir(), "cm-remote-"));
  const root = path.join(directory, "debian");
  await installRestServer(root);
  data = path.join(root, "data");
  await mkdir(data);
  const password = await startRestServer(root);
  const credentials = path.join(directory, "credentials");
  // As an editor of another system leaves it, and people write it for a shell.
  const lines = [
    "\ufeff# the storage box",
    "export RESTIC_REST_USERNAME = classmind",
    `RESTIC_REST_PASSWORD='${password}'`,
    "",
  ];
  await writeFile(credentials, lines.join("\r\n"), { mode: 0o600 });
  restServer = {
    repository: `rest:https://${NAME}:${PORT}/`,
    host: { name: NAME, address: ADDRESS, port: PORT },
    environmentFile: credentials,
    authorityFile: path.join(root, "authority.pem"),
  };
}, 600_000);
afterAll(async () => {
  await configure({});
  server.kill("SIGTERM");
  await rm(directory, { recursive: true, force: true });
}, 120_000);

it("another repository: schools take all their backups along, and back, and are open meanwhile", async () => {
  await schoolInUse(platform, "hebel");
  const rows = await rowsAndHashes(platform, "hebel");
  const { runId } = await platform.json<{ runId: string }>("backup", "create", "hebel");
  const { uid } = await platform.json<{ uid: string }>("tenant", "get", "hebel");
  const verify = () => platform.json<{ verifiedAt?: string }>("backup", "verify", "hebel", runId);
  await apply({ ...onRestServer(), backupFormer: { repository: "local" } });
  await untilTakenAlong();
  await expect
    .poll(() => platform.json("tenant", "get", "hebel"), { timeout: 60_000, interval: 1_000 })
    .toMatchObject({ phase: "Ready" });
  expect(await readdir(path.join(data, uid))).toEqual(expect.arrayContaining(["config", "snapshots"]));
  expect((await verify()).verifiedAt).toBeDefined();
  await sql(platform, "hebel", "drop schema public cascade; create schema public; drop schema journal cascade");
  await platform.json("backup", "restore", "hebel", "--run", runId, "--yes", "--reason", "Alles gelöscht");
  expect(await rowsAndHashes(platform, "hebel")).toBe(rows);

  await apply({ backupFormer: restServer });
  await untilTakenAlong();
  expect((await verify()).verifiedAt).toBeDefined();
  await apply({});
});

describe("a repository on another machine", () => {
  beforeAll(() => configure(onRestServer()));

  it("takes a school's backup, proves it and gives it back; nothing of it lies on this one", async () => {
    await schoolInUse(platform, "eichendorff");
    const rows = await rowsAndHashes(platform, "eichendorff");
    const { runId } = await platform.json<{ runId: string }>("backup", "create", "eichendorff");
    const { uid } = await platform.json<{ uid: string }>("tenant", "get", "eichendorff");
    expect(await readdir(path.join(data, uid))).toEqual(expect.arrayContaining(["config", "snapshots"]));
    expect(existsSync(path.join(platform.instance.stateDir, "repositories", "school-eichendorff"))).toBe(false);
    const verified = await platform.json<{ verifiedAt?: string }>("backup", "verify", "eichendorff", runId);
    expect(verified.verifiedAt).toBeDefined();
    await sql(platform, "eichendorff", "drop schema public cascade; create schema public; drop schema journal cascade");
    await platform.json("backup", "restore", "eichendorff", "--run", runId, "--yes", "--reason", "Alles gelöscht");
    expect(await rowsAndHashes(platform, "eichendorff")).toBe(rows);
  });

  it("is no way out for anything else: no hole is seen while the way is open to a backup", async () => {
    const backup = platform.json("backup", "create", "eichendorff");
    // Both are operations of one school, so the probe comes when the backup is done or before it begins; its job has the same
    // network, and no way out.
    const isolation = await platform.json<{ holes: unknown[] }>("verify", "isolation", "eichendorff");
    expect(isolation.holes).toEqual([]);
    await backup;
  });

  it("is refused with the reason when it says not where it is, or stands on a port of the platform's own", async () => {
    const { httpsPort } = JSON.parse(settingsBefore);
    for (const [change, field] of [
      [{ backupRepository: "b2:bucket:backups" }, "backupRepository"],
      [
        { backupRepository: `sftp:me@${NAME}:/backups`, backupHost: { name: NAME, address: ADDRESS, port: 22 } },
        "backupKeyFile",
      ],
      [{ backupRepository: "rest:https://other.example.org:8123/" }, "backupHost"],
      [
        {
          backupRepository: `rest:https://${NAME}:${httpsPort}/`,
          backupHost: { name: NAME, address: ADDRESS, port: httpsPort },
        },
        "backupHost.port",
      ],
    ] as const) {
      await expect(configure({ backupHost: { name: NAME, address: ADDRESS, port: PORT }, ...change })).rejects.toThrow(
        field,
      );
    }
  });
});

it("cannot become another one while schools have their backups there, and nothing is stopped", async () => {
  await expect(configure({ backupAbandoned: undefined })).rejects.toThrow(/backups in rest:https/);
  expect(await platform.json("tenant", "get", "eichendorff")).toMatchObject({ phase: "Ready" });
});

describe("a storage box", () => {
  it("takes a school's backup over SFTP, proves it and gives it back", async () => {
    const box = await startSftpServer(directory, ADDRESS);
    try {
      const key = path.join(directory, "box-key");
      const knownHosts = path.join(directory, "box-known-hosts");
      await writeFile(key, box.key, { mode: 0o600 });
      await writeFile(knownHosts, `[${NAME}]:${box.port} ${box.hostKey}\n`);
      await configure({
        backupRepository: `sftp://${box.user}@${NAME}:${box.port}/classmind`,
        backupHost: { name: NAME, address: ADDRESS, port: box.port },
        backupKeyFile: key,
        backupKnownHostsFile: knownHosts,
      });
      await schoolInUse(platform, "moerike");
      const rows = await rowsAndHashes(platform, "moerike");
      const { runId } = await platform.json<{ runId: string }>("backup", "create", "moerike");
      const { uid } = await platform.json<{ uid: string }>("tenant", "get", "moerike");
      const there = await readdir(path.join(box.home, "classmind", uid));
      expect(there).toEqual(expect.arrayContaining(["config", "snapshots"]));
      const verified = await platform.json<{ verifiedAt?: string }>("backup", "verify", "moerike", runId);
      expect(verified.verifiedAt).toBeDefined();
      await sql(platform, "moerike", "drop schema public cascade; create schema public; drop schema journal cascade");
      await platform.json("backup", "restore", "moerike", "--run", runId, "--yes", "--reason", "Alles gelöscht");
      expect(await rowsAndHashes(platform, "moerike")).toBe(rows);
    } finally {
      await configure({});
      await box.stop();
    }
  });
});
