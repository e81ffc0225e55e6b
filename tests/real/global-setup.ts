import { randomBytes } from "node:crypto";
import { chown, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import Dockerode from "dockerode";
import type { TestProject } from "vitest/node";
import { messageOf } from "../../control-plane/errors.ts";
import type { Instance } from "../../control-plane/host/instance.ts";
import { HOST_PACKAGES, installPackages, missingPackages } from "../../control-plane/host/packages.ts";
import { startEngineService } from "../../control-plane/host/podman.ts";
import { buildImages, type ImageReferences, pruneImages } from "../../control-plane/images/build.ts";
import { removePlatform } from "../fixtures/real-platform.ts";
import { removeInstanceRemains } from "./remains.ts";
import { claimTestInstance, TEST_PACKAGES, testInstance } from "./test-host.ts";

declare module "vitest" {
  interface ProvidedContext {
    postgresHost: string;
    postgresPort: number;
    postgresPasswordFile: string;
    engineSocket: string;
    images: ImageReferences;
  }
}

const UID = 10001;

interface PreparedHost {
  readonly postgres: { readonly host: string; readonly passwordFile: string };
  readonly engineSocket: string;
  readonly images: ImageReferences;
  end(): Promise<void>;
}

/** Each project loads this module for itself: what they share is kept beside it. */
const shared = globalThis as { classmindTestHost?: { readonly host: Promise<PreparedHost>; users: number } };

/**
 * Prepares the host once for all tests of the projects `real` and `store`: Debian packages, the test instance's container engine,
 * images, and one PostgreSQL 17 reached over a socket directory. Images are kept from run to run; everything else of an earlier run
 * is removed first, and of this run in the end.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  shared.classmindTestHost ??= { host: prepareHost(), users: 0 };
  const use = shared.classmindTestHost;
  use.users += 1;
  const host = await use.host;
  project.provide("postgresHost", host.postgres.host);
  project.provide("postgresPort", 5432);
  project.provide("postgresPasswordFile", host.postgres.passwordFile);
  project.provide("engineSocket", host.engineSocket);
  project.provide("images", host.images);
  return async () => {
    use.users -= 1;
    if (use.users === 0) await host.end();
  };
}

async function prepareHost(): Promise<PreparedHost> {
  if (process.getuid?.() !== 0) {
    throw new Error("these tests start containers, mount volumes and load firewall rules: run them as root on Linux");
  }
  // Programs of ours that tests start are compiled once, as `classmind` does it.
  process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, "../../node_modules/.cache/compiled");
  const say = (message: string) => process.stderr.write(`real: ${message}\n`);
  await installPackages(await missingPackages([...HOST_PACKAGES, ...TEST_PACKAGES]), { onProgress: say });

  const claim = claimTestInstance();
  const instance = testInstance();
  await mkdir(instance.stateDir, { recursive: true, mode: 0o700 });
  const service = await startEngineService(instance);
  const docker = new Dockerode({ socketPath: service.socket });
  const end = async () => {
    await removePlatform(instance.name);
    await removeInstanceRemains(docker, instance);
    await service.stop();
    claim.release();
  };
  try {
    await removePlatform(instance.name);
    await removeInstanceRemains(docker, instance);
    const images = await buildImages(docker, instance, { onProgress: say });
    await pruneImages(docker, instance, new Set(Object.values(images)));
    const postgres = await startPostgres(docker, instance, images.postgres);
    process.env.CLASSMIND_TEST_POSTGRES_HOST = postgres.host;
    process.env.CLASSMIND_TEST_POSTGRES_PORT = "5432";
    process.env.CLASSMIND_TEST_POSTGRES_PASSWORD_FILE = postgres.passwordFile;
    process.env.CLASSMIND_TEST_ENGINE_SOCKET = service.socket;
    process.env.CLASSMIND_TEST_IMAGES = JSON.stringify(images);
    return { postgres, engineSocket: service.socket, images, end };
  } catch (error) {
    await end().catch((second: unknown) => say(`cleaning up failed as well: ${messageOf(second)}`));
    throw error;
  }
}

/** One server for all test files, without durability; its superuser is `postgres`. Connect with `host` as socket directory. */
async function startPostgres(
  docker: Dockerode,
  instance: Instance,
  image: string,
): Promise<{ host: string; passwordFile: string }> {
  const base = join(instance.runDir, "test-postgres");
  await rm(base, { recursive: true, force: true });
  const host = join(base, "socket");
  const secrets = join(base, "secrets");
  for (const directory of [base, host, secrets]) {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await chown(directory, UID, UID);
  }
  for (const role of ["postgres", "controlplane_api", "controlplane_reconciler", "keyring"]) {
    const file = join(secrets, role);
    await writeFile(file, randomBytes(24).toString("base64url"), { mode: 0o400 });
    await chown(file, UID, UID);
  }
  const container = await docker.createContainer({
    name: `${instance.name}-postgres`,
    Image: image,
    User: `${UID}:${UID}`,
    Cmd: [
      "/usr/local/lib/classmind/postgres-start",
      ...[
        "fsync=off",
        "synchronous_commit=off",
        "full_page_writes=off",
        "max_connections=200",
        "shared_buffers=64MB",
      ].flatMap((setting) => ["-c", setting]),
    ],
    Env: ["PGDATA=/var/lib/classmind/db/pgdata", "CLASSMIND_ROLE=platform"],
    Labels: { "classmind.instance": instance.name },
    HostConfig: {
      NetworkMode: "none",
      ReadonlyRootfs: true,
      CapDrop: ["ALL"],
      SecurityOpt: ["no-new-privileges"],
      Binds: [`${host}:/run/postgresql`, `${secrets}:/run/secrets/platform:ro`],
      Tmpfs: { "/var/lib/classmind/db": "size=4g,mode=1777", "/tmp": "size=64m,mode=1777" },
      ShmSize: 256 * 1024 * 1024,
      Ulimits: [
        { Name: "nofile", Soft: 4096, Hard: 4096 },
        { Name: "nproc", Soft: 1024, Hard: 1024 },
      ],
    },
  });
  await container.start();
  await untilAccepting(docker, `${instance.name}-postgres`, host);
  return { host, passwordFile: join(secrets, "postgres") };
}

async function untilAccepting(docker: Dockerode, container: string, host: string): Promise<void> {
  const { connect } = await import("node:net");
  const until = Date.now() + 60_000;
  for (;;) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(join(host, ".s.PGSQL.5432"), () => {
        socket.destroy();
        resolve(true);
      });
      socket.on("error", () => resolve(false));
    });
    if (open) return;
    const state = await docker.getContainer(container).inspect();
    if (!state.State.Running || Date.now() > until) {
      const words = await docker.getContainer(container).logs({ stdout: true, stderr: true, tail: 20 });
      throw new Error(`PostgreSQL for the tests did not start: ${words.toString("utf8")}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
