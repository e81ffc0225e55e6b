import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { chmod, chown, copyFile, mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import Dockerode from "dockerode";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { at, containersOf, listAt } from "../../fixtures/hardening/objects.ts";
import { buildKustomization } from "../../fixtures/kustomize.ts";
import { platformConfig } from "../../fixtures/platform.ts";
import { type PlatformDatabase, platformDatabase } from "../../fixtures/platform-database.ts";
import { testInstance } from "../test-host.ts";

/**
 * The reconciler in its image, as hard-walled as `k8s/` has it: its user, a root file system that nobody writes, secrets as a
 * kubelet mounts them (root's, read through the pod's group). The engine is simulated: there is no network in here.
 */
const UID = 10001;
const docker = new Dockerode({ socketPath: inject("engineSocket") });
const base = path.join(testInstance().stateDir, "in-its-image");
const name = `${testInstance().name}-in-its-image`;
const deployment = buildKustomization("k8s/install").find(
  (object) => object.kind === "Deployment" && object.metadata.name === "reconciler",
);
const spec = deployment === undefined ? undefined : containersOf(deployment)[0];
const words = (...keys: readonly string[]): string[] => listAt(spec, ...keys).map(String);

let database: PlatformDatabase;
let container: Dockerode.Container;

async function exec(command: readonly string[]): Promise<{ readonly code: number | null; readonly output: string }> {
  const asked = await container.exec({ Cmd: [...command], AttachStdout: true, AttachStderr: true, Tty: true });
  const stream = await asked.start({ Tty: true });
  let output = "";
  stream.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  await once(stream, "end");
  return { code: (await asked.inspect()).ExitCode, output };
}

/** Files as a kubelet lays a Secret for `fsGroup` with `defaultMode` 0440. */
async function secret(file: string, content: string): Promise<void> {
  await writeFile(path.join(base, file), content);
  await chown(path.join(base, file), 0, UID);
  await chmod(path.join(base, file), 0o440);
}

beforeAll(async () => {
  database = await platformDatabase();
  await rm(base, { recursive: true, force: true });
  await mkdir(path.join(base, "state"), { recursive: true });
  await chown(path.join(base, "state"), UID, UID);
  await secret("kek", randomBytes(32).toString("base64"));
  await copyFile(database.database.passwordFile, path.join(base, "password"));
  await chown(path.join(base, "password"), 0, UID);
  await chmod(path.join(base, "password"), 0o440);
  const connection = (config: PlatformDatabase["database"]) => ({
    ...config,
    host: "/run/postgresql",
    passwordFile: "/run/secrets/database/password",
  });
  await secret(
    "reconciler.json",
    JSON.stringify({
      platform: platformConfig(),
      database: connection(database.database),
      keyring: connection(database.keyring),
      kekFile: "/run/secrets/key-encryption-key/kek",
      workers: 2,
      engine: { kind: "simulated", stateFile: "/state/world.json" },
      readyFile: "/run/classmind/ready",
    }),
  );
  await docker
    .getContainer(name)
    .remove({ force: true })
    .catch(() => undefined);
  container = await docker.createContainer({
    name,
    Image: inject("images").controlPlane,
    User: `${UID}:${UID}`,
    Cmd: words("command"),
    Env: ["CLASSMIND_CONFIG=/etc/classmind/process/reconciler.json", "NODE_ENV=production"],
    Labels: { "classmind.instance": testInstance().name },
    HostConfig: {
      NetworkMode: "none",
      ReadonlyRootfs: true,
      CapDrop: ["ALL"],
      SecurityOpt: ["no-new-privileges"],
      Memory: 1024 ** 3,
      Binds: [
        `${base}/reconciler.json:/etc/classmind/process/reconciler.json:ro`,
        `${base}/kek:/run/secrets/key-encryption-key/kek:ro`,
        `${base}/password:/run/secrets/database/password:ro`,
        `${base}/state:/state`,
        `${inject("postgresHost")}:/run/postgresql`,
      ],
      Tmpfs: { "/tmp": "size=16m,mode=1777", "/run/classmind": "size=1m,mode=1777" },
      Ulimits: [
        { Name: "nofile", Soft: 4096, Hard: 4096 },
        { Name: "nproc", Soft: 4096, Hard: 4096 },
      ],
    },
  });
  await container.start();
});
afterAll(async () => {
  await container.remove({ force: true }).catch(() => undefined);
  await database.drop();
  await rm(base, { recursive: true, force: true });
});

describe("the reconciler in its image", () => {
  it("starts, and the probes of k8s/ see it", async () => {
    const probe = (kind: string): string[] => words(kind, "exec", "command");
    expect(at(spec, "startupProbe", "exec")).toBeDefined();
    const started = async (): Promise<number | null> => (await exec(probe("startupProbe"))).code;
    await expect.poll(started, { timeout: 60_000, interval: 200 }).toBe(0);
    expect((await exec(probe("readinessProbe"))).code).toBe(0);
    expect((await exec(probe("livenessProbe"))).code).toBe(0);
    // A reconciler that hangs touches the file no more.
    await exec(["touch", "-d", "10 minutes ago", "/run/classmind/ready"]);
    expect((await exec(probe("livenessProbe"))).code).toBe(1);
    expect((await exec(probe("readinessProbe"))).code).toBe(1);
    await expect
      .poll(async () => (await exec(probe("livenessProbe"))).code, { timeout: 40_000, interval: 1_000 })
      .toBe(0);
  });

  it("gives the first operator a token", async () => {
    const { code, output } = await exec(["node", "/app/operator.mjs", "anna"]);
    expect(output.trim()).toMatch(/^[A-Za-z0-9_-]{20,}$/);
    expect(code).toBe(0);
  });

  it("ends well when it is told to, and its file with it", async () => {
    expect((await exec(["sh", "-c", "touch /app/x"])).code).toBe(1);
    await container.stop({ t: 30 });
    expect((await container.inspect()).State.ExitCode).toBe(0);
  });
});
