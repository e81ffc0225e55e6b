import { randomBytes, randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createResult, restoreResult, verifyResult } from "../../../control-plane/backup/results.ts";
import type { Engine } from "../../../control-plane/engine/engine.ts";
import { createCertificateAuthority } from "../../../control-plane/issuer/internal.ts";
import { type S3Server, startS3Server } from "../../fixtures/s3-server.ts";
import { openTestEngine } from "../engine/open.ts";
import { testInstance } from "../test-host.ts";
import { creation, type RemoteAddress, type RemoteSchool, remoteSchool } from "./remote-school.ts";

/**
 * Backups to an object store: the chart's own objects and jobs on the containers engine, restic of the image, and a server that
 * speaks S3 over TLS on a loopback address, which a school can reach by no way but the relay of a job.
 */

const NAME = "store.example.org";
const ADDRESS = "127.0.77.41";
const NAMESPACE = "school-s-three";
const SNAPSHOTS = { databaseSnapshot: "0".repeat(64), filesSnapshot: "1".repeat(64), snapshots: ["0".repeat(64)] };

const password = randomBytes(18).toString("base64url");
let server: S3Server;
let engine: Engine;
let school: RemoteSchool;
let remote: RemoteAddress;

beforeAll(async () => {
  await mkdir(testInstance().stateDir, { recursive: true });
  server = await startS3Server(testInstance().stateDir, NAME, ADDRESS);
  remote = {
    repository: `s3:https://${NAME}:${server.port}/${server.bucket}/classmind`,
    host: { name: NAME, address: ADDRESS, port: server.port },
    password,
    environment: server.environment,
    authority: server.authorityPem,
  };
  engine = await openTestEngine();
  school = remoteSchool(engine, NAMESPACE);
  await school.apply(remote);
});
afterAll(async () => {
  await engine.remove(NAMESPACE, [{ kind: "Namespace", name: NAMESPACE }]);
  await engine.close();
  await server.stop();
});

describe("a repository in an object store", () => {
  let backup: ReturnType<typeof createResult.parse>;

  it("is made with a school's first backup; nothing of it lies on this machine", async () => {
    const missing = await school.run("create", { ...creation(), allowInit: false }, remote);
    expect(missing.output, missing.words).toMatchObject({ error: { code: "RepositoryMissing" } });
    backup = createResult.parse(await school.succeeded("create", creation(), remote));
    const names = await readdir(path.join(server.objects, "classmind", school.uid), { recursive: true });
    for (const snapshot of [backup.databaseSnapshot, backup.filesSnapshot])
      expect(names.some((name) => name.includes(snapshot))).toBe(true);
    expect(existsSync(path.join(testInstance().stateDir, "repositories", NAMESPACE))).toBe(false);
  });

  it("is read back, restored from and tidied", async () => {
    const { databaseSnapshot, filesSnapshot, fingerprint } = backup;
    const input = { runId: randomUUID(), databaseSnapshot, filesSnapshot, fingerprint };
    verifyResult.parse(await school.succeeded("verify", input, remote));
    expect(restoreResult.parse(await school.succeeded("restore", input, remote))).toMatchObject({ fingerprint });
    const second = createResult.parse(await school.succeeded("create", creation(), remote));
    const snapshots = [second.databaseSnapshot, second.filesSnapshot];
    expect(await school.succeeded("forget", { snapshots }, remote)).toEqual({ forgotten: 2 });
    verifyResult.parse(await school.succeeded("verify", input, remote));
  });
});

describe("an object store that cannot be used", () => {
  const refused = async (changed: RemoteAddress, command: string) => {
    const { exitCode, output, words } = await school.run(command, { ...creation(), ...SNAPSHOTS }, changed);
    expect(exitCode, words).not.toBe(0);
    return { output, words };
  };

  it("because it does not know us, is said to refuse us", async () => {
    const changed = { ...remote, environment: server.strangersEnvironment };
    await school.apply(changed);
    const { output, words } = await refused(changed, "create");
    expect(output, words).toMatchObject({ error: { code: "LoginRefused" } });
  });

  it("because its certificate is signed by somebody else, gets nothing of us", async () => {
    const other = await createCertificateAuthority({ domain: "example.org", now: new Date() });
    const changed = { ...remote, authority: other.certificatePem };
    await school.apply(changed);
    const { output, words } = await refused(changed, "verify");
    expect(output, words).toMatchObject({ error: { code: "CertificateRefused" } });
  });

  it("because it does not answer, is said not to: neither damaged, nor missing, nor to be made anew", async () => {
    await school.apply(remote);
    await server.pause();
    try {
      for (const command of ["create", "verify"]) {
        const { output, words } = await refused(remote, command);
        expect(output, words).toMatchObject({ error: { code: "RepositoryUnreachable" } });
      }
    } finally {
      await server.resume();
    }
  });

  it("because its bucket is not there, is missing: none is made in silence", async () => {
    const changed = { ...remote, repository: remote.repository.replace(`/${server.bucket}/`, "/nobody/") };
    await school.apply(changed);
    const { output, words } = await refused(changed, "create");
    expect(output, words).toMatchObject({ error: { code: "RepositoryMissing" } });
    expect(existsSync(path.join(server.objects, "../nobody"))).toBe(false);
  });
});
