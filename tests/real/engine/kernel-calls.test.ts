import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import Dockerode from "dockerode";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import type { Engine, ObjectRef } from "../../../control-plane/engine/engine.ts";
import { loadChart } from "../../../control-plane/render/render.ts";
import { kernelTargets } from "../../../control-plane/verify/targets.ts";
import { type SmallSchool, smallSchool } from "../../fixtures/engine-school.ts";
import { tenantValues } from "../../fixtures/tenant-values.ts";
import { testInstance } from "../test-host.ts";
import { openTestEngine } from "./open.ts";

/** What a school's programs may ask of the kernel, and what becomes of processes that they leave or multiply. */

const SPACE = "school-kernel";
const other = "school-kernel-b";
const DB: ObjectRef = { kind: "StatefulSet", name: "db" };
const APP: ObjectRef = { kind: "Deployment", name: "app" };
const docker = new Dockerode({ socketPath: inject("engineSocket") });
let engine: Engine;
const school = (overrides: Partial<SmallSchool> = {}) =>
  smallSchool({ namespace: SPACE, image: inject("images").app, ...overrides });

interface Probed {
  readonly tried: number;
  readonly holes: ReadonlyArray<{ readonly host: string; readonly remedy?: string }>;
}
const targets = kernelTargets("containers");

beforeAll(async () => {
  engine = await openTestEngine();
  await engine.remove(SPACE, [{ kind: "Namespace", name: SPACE }]);
  await engine.apply(SPACE, school());
  for (const workload of [DB, APP]) await engine.awaitReady(SPACE, workload, 30_000);
});
afterAll(async () => {
  for (const space of [SPACE, other]) await engine.remove(space, [{ kind: "Namespace", name: space }]);
  await engine.close();
});

describe("the kernel, asked from inside a school", () => {
  it("refuses all that no program of a school needs", async () => {
    const values = tenantValues({
      slug: "kernel",
      images: { app: inject("images").app, postgres: inject("images").postgres },
    });
    const job = { name: "probe-kernel", command: "isolation", deadlineSeconds: 60, superuser: false };
    const manifest = loadChart(join(import.meta.dirname, "../../../charts/tenant")).renderJob("probe", values, job);
    const result = await engine.run(SPACE, { manifest, input: { targets }, deadline: 60_000 });
    expect(result.exitCode, result.logTail.join("\n")).toBe(0);
    expect(result.output).toEqual({ tried: targets.length, holes: [] });
    expect(targets.length).toBeGreaterThan(15);
  });

  /** The same probe in a container that somebody started otherwise. */
  async function probeWith(security: readonly string[]): Promise<Probed> {
    const container = await docker.createContainer({
      Image: inject("images").app,
      Entrypoint: ["bash", "-c", 'printf %s "$INPUT" > /run/job/input.json && node /app/isolation-probe.mjs'],
      Env: [`INPUT=${JSON.stringify({ targets })}`],
      User: "10001:10001",
      Labels: { "classmind.instance": testInstance().name },
      HostConfig: {
        NetworkMode: "none",
        CapDrop: ["ALL"],
        SecurityOpt: ["no-new-privileges", ...security],
        Tmpfs: { "/run/job": "size=1m,mode=1777" },
        Ulimits: [
          { Name: "nofile", Soft: 4096, Hard: 4096 },
          { Name: "nproc", Soft: 4096, Hard: 4096 },
        ],
      },
    });
    try {
      await container.start();
      const { StatusCode } = await container.wait();
      const output = await container.logs({ stdout: true, stderr: true });
      const text = output.toString("utf8");
      expect(StatusCode, text).toBe(0);
      // After the frame's header.
      return JSON.parse(text.slice(text.indexOf("{"))) as Probed;
    } finally {
      await container.remove({ force: true });
    }
  }

  it("is found open by the same probe where it is: with the engine's own default, and with none", async () => {
    const usual = (await probeWith([])).holes.map(({ host }) => host);
    expect(usual).toEqual(expect.arrayContaining(["unshare", "clone", "keyctl", "ptrace"]));
    const open = await probeWith(["seccomp=unconfined"]);
    expect(open.holes.map(({ host }) => host)).toEqual(
      expect.arrayContaining([...usual, "clone3", "setns", "add_key", "request_key", "memfd_create"]),
    );
    for (const { remedy } of open.holes) expect(remedy).toMatch(/seccomp profile/);
  });
});

/** The first process of the app's one container, as the host sees it; a replaced one is waited for. */
async function firstProcess(): Promise<number> {
  const label = [`classmind.namespace=${SPACE}`, "classmind.workload=Deployment/app"];
  for (;;) {
    const found = await docker.listContainers({ filters: JSON.stringify({ label }) });
    const [only] = found;
    if (only !== undefined && found.length === 1) return (await docker.getContainer(only.Id).inspect()).State.Pid;
    await wait(100);
  }
}

/** Names of a process and all below it. */
async function namesBelow(pid: number): Promise<readonly string[]> {
  const [name, children] = await Promise.all(
    ["comm", `task/${pid}/children`].map((file) => readFile(`/proc/${pid}/${file}`, "utf8").catch(() => "")),
  );
  const below = (children ?? "").trim().split(/\s+/).filter(Boolean).map(Number);
  return [(name ?? "").trim(), ...(await Promise.all(below.map(namesBelow))).flat()];
}

/** Processes in the control group of one. */
async function countBeside(pid: number): Promise<number> {
  const groups = await readFile(`/proc/${pid}/cgroup`, "utf8");
  const own = /^\d+:[^:]*\bpids\b[^:]*:(.*)$/m.exec(groups)?.[1];
  const unified = /^0::(.*)$/m.exec(groups)?.[1] ?? "";
  const group = own === undefined ? join("/sys/fs/cgroup", unified) : join("/sys/fs/cgroup/pids", own);
  return Number(await readFile(join(group, "pids.current"), "utf8"));
}

describe("processes that a school's program leaves behind", () => {
  /** Starts a child of a child that outlives its parent by a moment, as often as it is asked. */
  const LEAVING = `
const { spawn } = require("child_process");
require("http").createServer((q, s) => {
  if (q.url === "/leave") spawn("bash", ["-c", "sleep 0.2 & sleep 0.2 & exit 0"], { stdio: "ignore" });
  s.end("ok");
}).listen(8080, "0.0.0.0");
process.on("SIGTERM", () => process.exit(0));
`;

  it("do not stay as dead entries in the process table: the container's first process takes them in", async () => {
    await engine.apply(SPACE, school({ version: "leaving", appProgram: LEAVING }));
    await engine.awaitReady(SPACE, APP, 30_000);
    const { address, port } = await endpoint();
    for (let count = 0; count < 5; count += 1) await fetch(`http://${address}:${port}/leave`);
    await wait(2_000);
    const names = await namesBelow(await firstProcess());
    expect(names).toHaveLength(2);
    expect(names[0]).toMatch(/^(catatonit|podman-init|docker-init)$/);
  });

  async function endpoint() {
    const found = (await engine.observe(SPACE)).endpoints.find(({ service }) => service === "app");
    if (found === undefined) throw new Error("the app has no endpoint");
    return found;
  }
});

describe("a school with a fork bomb", () => {
  const BOMB = `
const { spawn } = require("child_process");
console.log("the bomb is lit");
require("http").createServer((q, s) => s.end("ok")).listen(8080, "0.0.0.0");
process.on("SIGTERM", () => {});
setTimeout(() => {
  const more = () => { try { spawn("bash", ["-c", ":(){ :|:& };:; sleep 1000"], { stdio: "ignore" }).on("error", () => {}); } catch {} };
  for (let i = 0; i < 20; i += 1) more();
  setInterval(more, 100);
}, 3000);
`;

  it("can be read and stopped, and its neighbour notices nothing", async () => {
    await engine.apply(other, smallSchool({ namespace: other, image: inject("images").app }));
    await engine.apply(SPACE, school({ version: "bomb", appProgram: BOMB, appGraceSeconds: 2 }));
    await engine.awaitReady(SPACE, APP, 30_000);
    const pid = await firstProcess();
    for (const end = Date.now() + 60_000; (await countBeside(pid)) < 250 && Date.now() < end; ) await wait(200);
    expect(await countBeside(pid)).toBeGreaterThanOrEqual(250);
    expect((await engine.logs(SPACE, APP, { tail: 10 })).join("\n")).toContain("the bomb is lit");
    expect((await engine.observe(SPACE)).workloads.map(({ ref }) => ref.name).sort()).toEqual(["app", "db"]);
    for (const workload of [DB, APP]) await engine.awaitReady(other, workload, 60_000);
    const began = Date.now();
    await engine.apply(SPACE, school({ version: "bomb", appProgram: BOMB, appGraceSeconds: 2, replicas: 0 }));
    const seen = await engine.observe(SPACE);
    expect(seen.workloads.map(({ state }) => state)).toEqual(["Stopped", "Stopped"]);
    expect(seen.volumes[0]?.locked).toBe(true);
    expect(Date.now() - began).toBeLessThan(60_000);
  });
});
