import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import path from "node:path";
import Dockerode from "dockerode";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { LABEL } from "../../../control-plane/engine/containers/names.ts";
import type { Engine, ObjectRef } from "../../../control-plane/engine/engine.ts";
import { type SmallSchool, smallJob, smallSchool } from "../../fixtures/engine-school.ts";
import { testInstance } from "../test-host.ts";
import { openTestEngine } from "./open.ts";

const SPACE = "school-phoenix";
const DB: ObjectRef = { kind: "StatefulSet", name: "db" };
const APP: ObjectRef = { kind: "Deployment", name: "app" };
let engine: Engine;
const docker = new Dockerode({ socketPath: inject("engineSocket") });

const school = (overrides: Partial<SmallSchool> = {}) =>
  smallSchool({ namespace: SPACE, image: inject("images").app, ...overrides });
const up = async (overrides: Partial<SmallSchool> = {}) => {
  await engine.apply(SPACE, school(overrides));
  for (const workload of [DB, APP]) await engine.awaitReady(SPACE, workload, 30_000);
};
const appUrl = async (path: string) => {
  const found = (await engine.observe(SPACE)).endpoints.find((entry) => entry.service === "app");
  return found && `http://${found.address}:${found.port}${path}`;
};
const app = async () => (await engine.observe(SPACE)).workloads.find((workload) => workload.ref.kind === "Deployment");

async function eventually(what: string, condition: () => Promise<boolean>, patience = 20_000): Promise<void> {
  const until = Date.now() + patience;
  while (!(await condition())) {
    if (Date.now() > until) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

beforeAll(async () => {
  engine = await openTestEngine();
  await engine.remove(SPACE, [{ kind: "Namespace", name: SPACE }]);
  await up();
});
afterAll(async () => {
  await engine.remove(SPACE, [{ kind: "Namespace", name: SPACE }]);
  await engine.close();
});

describe("the engine keeps a school running", () => {
  it("restarts an app that hangs, told by its liveness probe", async () => {
    const url = await appUrl("/hang");
    await fetch(String(url), { signal: AbortSignal.timeout(300) }).catch(() => undefined);
    await eventually("restart", async () => ((await app())?.restarts ?? 0) >= 1);
    await engine.awaitReady(SPACE, APP, 30_000);
    expect((await fetch(String(await appUrl("/")))).status).toBe(200);
  });

  it("restarts a container that ends, and one that somebody removed", async () => {
    const before = (await app())?.restarts ?? 0;
    await fetch(String(await appUrl("/exit"))).catch(() => undefined);
    await eventually(
      "restart",
      async () => ((await app())?.restarts ?? 0) > before && (await app())?.state === "Ready",
    );
    const label = {
      filters: JSON.stringify({ label: [`classmind.namespace=${SPACE}`, "classmind.workload=StatefulSet/db"] }),
    };
    const [container] = await docker.listContainers(label);
    await docker.getContainer(container?.Id ?? "").remove({ force: true });
    await eventually("the database again", async () => {
      const [again] = await docker.listContainers(label);
      return again !== undefined && again.Id !== container?.Id;
    });
    await engine.awaitReady(SPACE, DB, 30_000);
  });

  it("brings a school back whose processes were all killed at once, their monitors too", async () => {
    const containers = await docker.listContainers({
      filters: JSON.stringify({ label: [`${LABEL.namespace}=${SPACE}`] }),
    });
    expect(containers).toHaveLength(2);
    const pids = await Promise.all(
      containers.map(async ({ Id }) => (await docker.getContainer(Id).inspect()).State.Pid),
    );
    for (const pid of pids) {
      const parent = /^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
      // The monitor first, so that it notes nothing.
      for (const each of [Number(parent), pid]) process.kill(each, "SIGKILL");
    }
    const restarts = async () => (await engine.observe(SPACE)).workloads.map((workload) => workload.restarts);
    const before = await restarts();
    await eventually(
      "a new database and a new app",
      async () => (await restarts()).every((count, index) => count > (before[index] ?? 0)),
      60_000,
    );
    await eventually("both ready", async () =>
      (await engine.observe(SPACE)).workloads.every((workload) => workload.state === "Ready"),
    );
    expect((await fetch(String(await appUrl("/")))).status).toBe(200);
  });

  it("an update loses no request: the old pod serves until the new one is ready", async () => {
    const failures: unknown[] = [];
    const versions = new Set<string>();
    let stop = false;
    const asking = (async () => {
      while (!stop) {
        const url = await appUrl("/");
        if (url === undefined) failures.push("no endpoint");
        else {
          await fetch(url).then(
            async (answer) => versions.add((await answer.text()).split(" ")[0] ?? ""),
            (error: unknown) => failures.push(error),
          );
        }
      }
    })();
    await up({ version: "two" });
    await new Promise((resolve) => setTimeout(resolve, 500));
    stop = true;
    await asking;
    expect(failures).toEqual([]);
    expect(versions).toEqual(new Set(["one", "two"]));
  });

  it("an update that never becomes ready leaves the old pod serving, and awaitReady says why", async () => {
    await engine.apply(
      SPACE,
      school({ version: "three", appProgram: "console.error('no such table'); process.exit(1)" }),
    );
    await expect(engine.awaitReady(SPACE, APP, 30_000)).rejects.toMatchObject({
      reason: "ContainerCrashing",
      message: expect.stringContaining("no such table"),
    });
    expect(await (await fetch(String(await appUrl("/")))).text()).toMatch(/^two /);
    const seen = await app();
    expect(seen?.state).toBe("Failing");
    await up({ version: "two" });
  });

  it("an image that is not there is named at once", async () => {
    await engine.apply(SPACE, smallSchool({ namespace: SPACE, image: "localhost/classmind/app:ffffffffffffffff" }));
    const started = Date.now();
    await expect(engine.awaitReady(SPACE, APP, 30_000)).rejects.toMatchObject({ reason: "ImageMissing" });
    expect(Date.now() - started).toBeLessThan(5_000);
    await up({ version: "two" });
  });

  it("an app that is stopped before anybody could reach it ends at once, though it does not hear the signal yet", async () => {
    await engine.apply(SPACE, school({ replicas: 0 }));
    const deaf = { appProgram: "setInterval(() => {}, 1000)", appGraceSeconds: 60 };
    await engine.apply(SPACE, school(deaf));
    const label = {
      filters: JSON.stringify({ label: [`${LABEL.namespace}=${SPACE}`, `${LABEL.workload}=Deployment/app`] }),
    };
    await eventually("it runs", async () => (await docker.listContainers(label)).length === 1);
    const stopping = engine.apply(SPACE, school({ ...deaf, replicas: 0 }));
    await eventually("it is gone", async () => (await docker.listContainers({ all: true, ...label })).length === 0);
    await stopping;
    await up({ version: "two" });
  });

  it("a stop and a start keep the data", async () => {
    await engine.apply(SPACE, school({ replicas: 0 }));
    await up();
    const result = await engine.run(SPACE, {
      manifest: smallJob(SPACE, inject("images").app),
      input: { action: "connect", targets: [{ host: "db", port: 5432 }] },
      deadline: 20_000,
    });
    expect(result.output).toEqual(["open"]);
  });
});

describe("jobs", () => {
  const job = (input: object, more: { deadline?: number; signal?: AbortSignal; name?: string } = {}) =>
    engine.run(SPACE, {
      manifest: smallJob(SPACE, inject("images").app, more.name),
      input,
      deadline: more.deadline ?? 30_000,
      ...(more.signal ? { signal: more.signal } : {}),
    });
  const containers = () =>
    docker.listContainers({
      all: true,
      filters: JSON.stringify({ label: [`classmind.instance=${testInstance().name}`] }),
    });

  it("a failing job reports its exit code and last words", async () => {
    const result = await job({ action: "fail" });
    expect(result).toMatchObject({ exitCode: 7, output: undefined, logTail: ["it broke"] });
  });

  it("a job that outlives its deadline is killed and reported", async () => {
    await expect(job({ action: "hang" }, { deadline: 800 })).rejects.toMatchObject({ reason: "JobDeadline" });
    expect((await containers()).filter((entry) => entry.Labels["classmind.workload"]?.startsWith("Job/"))).toEqual([]);
  });

  it("a job that is called off is killed", async () => {
    const stop = new AbortController();
    const running = job({ action: "hang" }, { signal: stop.signal });
    setTimeout(() => stop.abort(), 600);
    await expect(running).rejects.toMatchObject({ reason: "JobAborted" });
  });

  it("a job of the same name left by a dead caller is removed first", async () => {
    const caller = spawn(process.execPath, [path.join(import.meta.dirname, "dying-caller.ts")], {
      stdio: ["pipe", "ignore", "inherit"],
    });
    caller.stdin.end(JSON.stringify({ namespace: SPACE, image: inject("images").app, name: "left" }));
    await eventually("the first job runs", async () =>
      (await containers()).some((entry) => entry.Names[0]?.includes("left") && entry.State === "running"),
    );
    const dead = once(caller, "exit");
    caller.kill("SIGKILL");
    await dead;
    expect((await job({ action: "echo" }, { name: "left" })).exitCode).toBe(0);
  });

  it("several jobs run side by side", async () => {
    const results = await Promise.all(["one", "two", "three"].map((name) => job({ action: "echo", name }, { name })));
    expect(results.map((result) => result.output)).toEqual(
      ["one", "two", "three"].map((name) => ({ action: "echo", name })),
    );
  });
});
