import { randomBytes, randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { createResult, restoreResult, verifyResult } from "../../../control-plane/backup/results.ts";
import type { Engine, Manifest } from "../../../control-plane/engine/engine.ts";
import { smallJob } from "../../fixtures/engine-school.ts";
import { freePort } from "../../fixtures/free-port.ts";
import { answers, type SftpServer, startSftpServer } from "../../fixtures/sftp-server.ts";
import { openTestEngine } from "../engine/open.ts";
import { testInstance } from "../test-host.ts";
import { creation, type RemoteAddress, type RemoteSchool, remoteSchool } from "./remote-school.ts";

/**
 * Backups to a storage box: the chart's own objects and jobs on the containers engine, restic and ssh of the image, and a real
 * sshd on a loopback address, which a school can reach by no way but the relay of a job.
 */

const NAME = "box.example.org";
const ADDRESS = "127.0.77.31";
const NAMESPACE = "school-sftp";
const OTHER_NAMESPACE = "school-sftp-two";

const password = randomBytes(18).toString("base64url");

let server: SftpServer;
let engine: Engine;
let school: RemoteSchool;

interface Change {
  readonly key?: string;
  readonly hostKey?: string;
  /** Directory below the user's home. */
  readonly below?: string;
  readonly port?: number;
}

function remote(change: Change = {}): RemoteAddress {
  const port = change.port ?? server.port;
  return {
    repository: `sftp://${server.user}@${NAME}:${port}/${server.homeThere}/${change.below ?? "backups"}`,
    host: { name: NAME, address: ADDRESS, port },
    password,
    key: change.key ?? server.key,
    knownHosts: `[${NAME}]:${port} ${change.hostKey ?? server.hostKey}\n`,
  };
}

async function run(command: string, input: unknown, change: Change = {}) {
  const { words, ...result } = await school.run(command, input, remote(change));
  return { ...result, words: [words, server.log().slice(-2_000)].join("\n") };
}

const succeeded = (command: string, input: unknown) => school.succeeded(command, input, remote());
const repositoryOf = (below = "backups") => path.join(server.home, below, school.uid);

beforeAll(async () => {
  server = await startSftpServer(testInstance().stateDir, ADDRESS);
  engine = await openTestEngine();
  school = remoteSchool(engine, NAMESPACE);
  await school.apply(remote());
});
afterAll(async () => {
  await server.stop();
  for (const name of [NAMESPACE, OTHER_NAMESPACE]) await engine.remove(name, [{ kind: "Namespace", name }]);
  await engine.close();
});

describe("a repository over SFTP", () => {
  let backup: ReturnType<typeof createResult.parse>;

  it("is made with a school's first backup, below the platform's directory; nothing of it lies on this machine", async () => {
    const missing = await run("create", { ...creation(), allowInit: false });
    expect(missing.output, missing.words).toMatchObject({ error: { code: "RepositoryMissing" } });
    backup = createResult.parse(await succeeded("create", creation()));
    expect(await readdir(repositoryOf())).toEqual(expect.arrayContaining(["config", "snapshots"]));
    expect(existsSync(path.join(testInstance().stateDir, "repositories", NAMESPACE))).toBe(false);
  });

  it("is read back, restored from and tidied", async () => {
    const { databaseSnapshot, filesSnapshot, fingerprint } = backup;
    const input = { runId: randomUUID(), databaseSnapshot, filesSnapshot, fingerprint };
    verifyResult.parse(await succeeded("verify", input));
    expect(restoreResult.parse(await succeeded("restore", input))).toMatchObject({ fingerprint });
    const second = createResult.parse(await succeeded("create", creation()));
    const snapshots = [second.databaseSnapshot, second.filesSnapshot];
    expect(await succeeded("forget", { snapshots })).toEqual({ forgotten: 2 });
    expect((await readdir(path.join(repositoryOf(), "snapshots"))).sort()).toEqual(
      [databaseSnapshot, filesSnapshot].sort(),
    );
  });

  it("is freed of the lock that a killed job left", async () => {
    const killed = new AbortController();
    // restic over SFTP writes beside and renames: what a killed one was still writing is no lock, and nobody reads it.
    const locks = async () =>
      (await readdir(path.join(repositoryOf(), "locks"))).filter((name) => /^[0-9a-f]{64}$/.test(name));
    const { databaseSnapshot, filesSnapshot } = backup;
    const verify = engine.run(NAMESPACE, {
      manifest: school.job("verify", remote()),
      input: { databaseSnapshot, filesSnapshot },
      deadline: 60_000,
      signal: killed.signal,
    });
    const ended = verify.catch((error: unknown) => error);
    while ((await locks()).length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    killed.abort();
    await ended;
    expect(await succeeded("unlock", {})).toEqual({ unlocked: true });
    expect(await locks()).toEqual([]);
  });

  it("gives another school's backup to a restore into a new one", async () => {
    const { databaseSnapshot, filesSnapshot, fingerprint } = backup;
    const other = remoteSchool(engine, OTHER_NAMESPACE);
    await other.apply(remote());
    const url = school.urlAt(remote());
    const input = {
      ...{ runId: randomUUID(), databaseSnapshot, filesSnapshot, fingerprint },
      source: { url, password },
    };
    expect(await other.succeeded("restore", input, remote())).toMatchObject({ fingerprint });
  });
});

describe("a server that is not to be trusted, or does not let us in", () => {
  it("with another key than the known one is refused, before anything is sent", async () => {
    const change = { hostKey: server.othersHostKey, below: "stranger" };
    await school.apply(remote(change));
    for (const command of ["create", "verify", "forget"]) {
      const { exitCode, output, words } = await run(command, { ...creation(), ...SNAPSHOTS }, change);
      expect(output, words).toMatchObject({ error: { code: "HostKeyRefused" } });
      expect(exitCode).not.toBe(0);
    }
    expect(existsSync(repositoryOf("stranger"))).toBe(false);
  });

  it("is said to refuse our key when it does", async () => {
    const change = { key: server.strangersKey };
    await school.apply(remote(change));
    const { output, words } = await run("create", creation(), change);
    expect(output, words).toMatchObject({ error: { code: "LoginRefused" } });
  });

  it("is said not to answer when it does not", async () => {
    const change = { port: await freePort(ADDRESS) };
    await school.apply(remote(change));
    const { output, words } = await run("create", creation(), change);
    expect(output, words).toMatchObject({ error: { code: "RepositoryUnreachable" } });
  });
});

const SNAPSHOTS = { databaseSnapshot: "0".repeat(64), filesSnapshot: "1".repeat(64), snapshots: ["0".repeat(64)] };

describe("the way to it", () => {
  it("is open to a backup's job alone, at its one port, and only while that job runs", async () => {
    await school.apply(remote());
    const image = inject("images").app;
    const hostAliases = [{ ip: ADDRESS, hostnames: [NAME] }];
    const labels = { "app.kubernetes.io/component": "job", "classmind.de/job": "backup" };
    const labelled = (name: string): Manifest => {
      const job = smallJob(NAMESPACE, image, name);
      const { template, ...spec } = job.spec as { template: { spec: object } };
      return { ...job, spec: { ...spec, template: { metadata: { labels }, spec: { ...template.spec, hostAliases } } } };
    };
    const ask = async (which: Manifest, input: unknown, signal?: AbortSignal) => {
      const job = { manifest: which, input, deadline: 30_000, ...(signal === undefined ? {} : { signal }) };
      return (await engine.run(NAMESPACE, job)).output;
    };
    const gateway = await ask(labelled("labelled"), { action: "resolve", name: NAME });
    const way = { host: gateway, port: server.port };
    const beside = { host: gateway, port: server.port - 1 };
    const direct = { host: ADDRESS, port: server.port };
    const targets = [way, beside, direct];
    const [open, ...closed] = (await ask(labelled("labelled"), { action: "connect", targets })) as string[];
    expect(open).toBe("open");
    expect(closed).not.toContain("open");

    const held = new AbortController();
    let ended = false;
    const holding = ask(labelled("holding"), { action: "hang" }, held.signal)
      .catch((error: unknown) => error)
      .finally(() => {
        ended = true;
      });
    while (!(await answers(String(gateway), server.port))) {
      if (ended) throw new Error(`the way was never open: ${await holding}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const plain = await ask(smallJob(NAMESPACE, image, "plain"), { action: "connect", targets });
    expect(plain).not.toContain("open");
    held.abort();
    await holding;
    expect(await answers(String(gateway), server.port)).toBe(false);
  });
});
