import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile, rm, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { promisify } from "node:util";
import Dockerode from "dockerode";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from "vitest";
import { pingPostgres } from "../../../control-plane/engine/containers/postgres-ping.ts";
import type { Engine, Manifest, ObjectRef, WorkloadObservation } from "../../../control-plane/engine/engine.ts";
import { loadChart } from "../../../control-plane/render/render.ts";
import { tenantValues } from "../../fixtures/tenant-values.ts";
import { testInstance } from "../test-host.ts";
import { openTestEngine } from "./open.ts";

/** The school's own PostgreSQL, as the chart describes it, with its probes on this machine. */

const execute = promisify(execFile);
const SPACE = "school-pulse";
const DB: ObjectRef = { kind: "StatefulSet", name: "db" };
/** What the engine may need to tell, counted from the first probe in vain, and what a busy machine adds. */
const TOLD_WITHIN = 10_000;
const docker = new Dockerode({ socketPath: inject("engineSocket") });
let engine: Engine;

/** The chart's database, but found dead sooner: what is shown does not follow from how long that takes. */
function impatient(manifest: Manifest): Manifest {
  const copy = JSON.parse(JSON.stringify(manifest));
  Object.assign(copy.spec.template.spec.containers[0].livenessProbe, {
    periodSeconds: 2,
    timeoutSeconds: 2,
    failureThreshold: 5,
    terminationGracePeriodSeconds: 2,
  });
  return copy;
}
/** Longer than it takes to be found dead. */
const FOUND_DEAD = 20_000;

/** Its whole chart but for the platform in front of the database. */
function school(): readonly Manifest[] {
  const { app, postgres } = inject("images");
  const values = tenantValues({
    slug: "pulse",
    images: { app, postgres },
    storage: { className: "classmind-encrypted", size: "160Mi", claim: "data", more: [], others: 0 },
    network: {
      ingressClass: "classmind",
      lingerMilliseconds: 0,
      gatewayPeers: [{ ipBlock: { cidr: testInstance().addressPool } }],
      repositoryPeers: [],
    },
  });
  return loadChart(join(import.meta.dirname, "../../../charts/tenant"))
    .renderTenant(values)
    .filter(({ kind }) => kind !== "Deployment" && kind !== "Ingress")
    .map((manifest) => (manifest.kind === "StatefulSet" ? impatient(manifest) : manifest));
}

async function database(): Promise<WorkloadObservation> {
  const found = (await engine.observe(SPACE)).workloads.find(({ ref }) => ref.name === "db");
  if (found === undefined) throw new Error("the school has no database");
  return found;
}

async function container(): Promise<Dockerode.Container> {
  const label = [`classmind.namespace=${SPACE}`, "classmind.workload=StatefulSet/db", "classmind.role=main"];
  const [found] = await docker.listContainers({ all: true, filters: JSON.stringify({ label }) });
  if (found === undefined) throw new Error("the database has no container");
  return docker.getContainer(found.Id);
}

/** The server: its container's first process is an init. */
async function postmaster(): Promise<number> {
  const { State } = await (await container()).inspect();
  const [server] = await childrenOf(State.Pid);
  if (server === undefined) throw new Error("the container runs no server");
  return server;
}
const address = async (): Promise<string> =>
  Object.values((await (await container()).inspect()).NetworkSettings.Networks)[0]?.IPAddress ?? "";

/** Milliseconds until the database is seen as wanted. */
async function until(what: (seen: WorkloadObservation) => boolean, patience: number): Promise<number> {
  const began = Date.now();
  for (;;) {
    const seen = await database();
    if (what(seen)) return Date.now() - began;
    if (Date.now() - began > patience) throw new Error(`after ${patience} ms it is ${JSON.stringify(seen)}`);
    await wait(50);
  }
}
const isReady = ({ state }: WorkloadObservation) => state === "Ready";
const isNotReady = ({ state }: WorkloadObservation) => state !== "Ready";

async function client(): Promise<pg.Client> {
  const made = new pg.Client({
    host: await address(),
    user: "postgres",
    password: "superuser-password",
    database: "school",
  });
  made.on("error", () => undefined);
  await made.connect();
  return made;
}

/** Runs the image's own probe inside the container, as a kubelet does. */
async function probe(question: string): Promise<{ readonly code: number | null; readonly words: string }> {
  const exec = await (await container()).exec({
    Cmd: ["/usr/local/lib/classmind/postgres-probe", question],
    AttachStdout: true,
    AttachStderr: true,
    Tty: true,
  });
  const stream = await exec.start({ Tty: true });
  let words = "";
  for await (const chunk of stream) words += String(chunk);
  return { code: (await exec.inspect()).ExitCode, words: words.trim() };
}

async function childrenOf(pid: number): Promise<readonly number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
  return text.trim().split(/\s+/).filter(Boolean).map(Number);
}

beforeAll(async () => {
  engine = await openTestEngine();
  await engine.remove(SPACE, [{ kind: "Namespace", name: SPACE }]);
  await engine.apply(SPACE, school());
  await engine.awaitReady(SPACE, DB, 60_000);
});
beforeEach(() => until(isReady, 60_000));
afterAll(async () => {
  await engine.remove(SPACE, [{ kind: "Namespace", name: SPACE }]);
  await engine.close();
});

describe("a database that is asked how it is", () => {
  it("is asked without a process in its container and without a line in its log", async () => {
    const before = await engine.logs(SPACE, DB, { tail: 1000 });
    const [host, pid] = [await address(), await postmaster()];
    expect(await pingPostgres(host, 5432, 3_000)).toEqual({ kind: "accepts", words: "it takes logins" });
    const { ExecIDs } = await (await container()).inspect();
    await wait(11_000);
    expect(ExecIDs ?? []).toEqual([]);
    expect((await (await container()).inspect()).ExecIDs ?? []).toEqual([]);
    expect(await engine.logs(SPACE, DB, { tail: 1000 })).toEqual(before);
    expect(await postmaster()).toBe(pid);
  });

  it("stopped in the middle of everything, is not ready within ten seconds, and is replaced by one that is", async () => {
    const pid = await postmaster();
    const { restarts } = await database();
    process.kill(pid, "SIGSTOP");
    // Asked at once: the probe takes seconds, and whoever asks inside a container ends with it.
    const asked = probe("alive");
    expect(await until(isNotReady, 30_000)).toBeLessThan(TOLD_WITHIN);
    expect(await database()).toMatchObject({
      state: "Failing",
      reason: "ProbeFailing",
      message: "the readiness probe fails: no answer within 3 s",
    });
    expect(await asked).toEqual({ code: 1, words: "the database does not answer" });
    await until((seen) => seen.restarts > restarts && isReady(seen), 120_000);
    expect(existsSync(`/proc/${pid}`)).toBe(false);
    await (await client()).end();
  });

  it("paused by somebody, is not ready within ten seconds, and is replaced", async () => {
    const { restarts } = await database();
    await (await container()).pause();
    expect(await until(isNotReady, 30_000)).toBeLessThan(TOLD_WITHIN);
    await until((seen) => seen.restarts > restarts && isReady(seen), 120_000);
    await (await client()).end();
  });

  it("that stops as soon as its last guest leaves is not ready and not dead: it answers", async () => {
    const guest = await client();
    const { restarts } = await database();
    // Smart shutdown: nobody new, until those who are here have gone.
    process.kill(await postmaster(), "SIGTERM");
    expect(await until(isNotReady, 30_000)).toBeLessThan(TOLD_WITHIN);
    expect((await database()).message).toBe("the readiness probe fails: the database system is shutting down");
    expect(await probe("alive")).toEqual({ code: 0, words: "" });
    expect(await probe("ready")).toEqual({
      code: 1,
      words: "the database answers, but takes no logins: it starts, recovers or stops",
    });
    await wait(FOUND_DEAD);
    expect((await database()).restarts).toBe(restarts);
    await guest.end();
    await until(isReady, 60_000);
  });

  it("that recovers after a crash is alive for as long as that takes", async () => {
    const guest = await client();
    await guest.query("CREATE TABLE viel AS SELECT g, repeat('x', 500) FROM generate_series(1, 20000) g");
    const pid = await postmaster();
    const { rows } = await guest.query("SELECT pg_backend_pid() AS inside");
    expect(rows).toHaveLength(1);
    const known = new Set(await childrenOf(pid));
    const backend = (
      await Promise.all(
        [...known].map(async (child) => [child, await readFile(`/proc/${child}/cmdline`, "utf8")] as const),
      )
    ).find(([, line]) => line.includes("postgres school"));
    if (backend === undefined) throw new Error("no process serves the guest");
    process.kill(backend[0], "SIGKILL");
    let recovering: number | undefined;
    for (const end = Date.now() + 20_000; recovering === undefined && Date.now() < end; await wait(1)) {
      for (const child of await childrenOf(pid)) {
        const line = known.has(child) ? "" : await readFile(`/proc/${child}/cmdline`, "utf8").catch(() => "");
        if (line.includes("startup")) recovering = child;
      }
    }
    if (recovering === undefined) throw new Error("it did not recover");
    process.kill(recovering, "SIGSTOP");
    await until(isNotReady, TOLD_WITHIN);
    await wait(2_000);
    expect((await database()).message).toMatch(
      /the database system is (in recovery mode|not yet accepting connections)/,
    );
    expect((await probe("alive")).code).toBe(0);
    expect((await probe("ready")).code).toBe(1);
    process.kill(recovering, "SIGCONT");
    await until(isReady, 60_000);
    expect(await postmaster()).toBe(pid);
  });

  it("that can start no process for a guest is not ready, and says why", async () => {
    const pid = await postmaster();
    const groups = await readFile(`/proc/${pid}/cgroup`, "utf8");
    const own = /^\d+:[^:]*\bpids\b[^:]*:(.*)$/m.exec(groups)?.[1];
    const file = own
      ? join("/sys/fs/cgroup/pids", own, "pids.max")
      : join("/sys/fs/cgroup", /^0::(.*)$/m.exec(groups)?.[1] ?? "", "pids.max");
    const limit = await readFile(file, "utf8");
    await writeFile(file, "1");
    try {
      expect(await until(isNotReady, 30_000)).toBeLessThan(TOLD_WITHIN);
      expect((await database()).message).toMatch(/could not fork new process for connection/);
    } finally {
      // It may have been found dead and replaced by now: the limit went with its container.
      if (existsSync(file)) await writeFile(file, limit);
    }
    await until(isReady, 30_000);
  });
});

describe("a database that is asked to stop", () => {
  it("gets the signal that its image names: it ends at once although somebody is connected, and has nothing to recover", async () => {
    const guest = await client();
    const began = Date.now();
    const suspended = school().map((manifest) =>
      manifest.kind === "StatefulSet"
        ? ({ ...manifest, spec: { ...Object(manifest.spec), replicas: 0 } } as Manifest)
        : manifest,
    );
    await engine.apply(SPACE, suspended);
    // A minute is what it gets before it is killed.
    expect(Date.now() - began).toBeLessThan(30_000);
    await guest.end().catch(() => undefined);
    await engine.apply(SPACE, school());
    await engine.awaitReady(SPACE, DB, 60_000);
    const said = (await engine.logs(SPACE, DB, { tail: 50 })).join("\n");
    expect(said).toMatch(/database system was shut down at/);
    expect(said).not.toMatch(/was interrupted|not properly shut down/);
  });
});

describe("the room of the database's volume", () => {
  const mount = () => join(testInstance().stateDir, "mnt", SPACE, "data");
  const filler = () => join(mount(), "data", "fuellung");

  it.each([
    [
      "bytes",
      async () => {
        const { bavail, bsize, blocks } = await statfs(mount());
        await execute("fallocate", [
          "-l",
          String(bavail * bsize - Math.floor(blocks * bsize * 0.03)),
          join(filler(), "gross"),
        ]);
      },
      /^volume full: 9[5-9] % of its bytes and \d % of its inodes are used$/,
    ],
    [
      "inodes",
      async () => {
        const { files, ffree } = await statfs(mount());
        const wanted = ffree - Math.floor(files * 0.03);
        await execute("bash", ["-c", `cd "$0" && seq 1 ${wanted} | xargs touch`, filler()]);
      },
      /^volume full: \d+ % of its bytes and 9[5-9] % of its inodes are used$/,
    ],
  ])(
    "of %s is known to the engine, which wakes its watchers at nine tenths, and to the image's own probe",
    async (_, fill, words) => {
      await mkdir(filler());
      const ended = new AbortController();
      const woken: string[] = [];
      const watching = (async () => {
        for await (const { namespace } of engine.watch(ended.signal)) woken.push(namespace);
      })();
      const wokenWithin = async (milliseconds: number) => {
        for (const end = Date.now() + milliseconds; !woken.includes(SPACE) && Date.now() < end; ) await wait(100);
        return woken.splice(0).includes(SPACE);
      };
      try {
        expect((await probe("ready")).code).toBe(0);
        await wait(500);
        woken.length = 0;
        await fill();
        expect(await wokenWithin(12_000)).toBe(true);
        const [seen] = (await engine.observe(SPACE)).volumes.filter(({ name }) => name === "data");
        const bytes = (seen?.usedBytes ?? 0) / (seen?.capacityBytes ?? 1);
        const inodes = (seen?.inodes?.used ?? 0) / (seen?.inodes?.total ?? 1);
        expect(Math.max(bytes, inodes)).toBeGreaterThan(0.95);
        const said = await probe("ready");
        expect(said.words).toMatch(words);
        expect(said.code).toBe(1);
        expect((await probe("alive")).code).toBe(0);
        // Nobody is told again while nothing changes.
        expect(await wokenWithin(7_000)).toBe(false);
      } finally {
        await rm(filler(), { recursive: true });
      }
      expect(await wokenWithin(12_000)).toBe(true);
      expect((await probe("ready")).code).toBe(0);
      ended.abort();
      await watching;
    },
  );
});
