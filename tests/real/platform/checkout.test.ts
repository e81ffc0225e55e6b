import { execFile, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { appendFile, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { layoutOf } from "../../../control-plane/host/layout.ts";
import { supervisorPid } from "../../../control-plane/host/supervisor-pid.ts";
import { openPlatform, type RealPlatform } from "../../fixtures/real-platform.ts";
import { secondCheckout, upFrom } from "../../fixtures/second-checkout.ts";

/** The platform runs from a copy of its program, whatever becomes of the checkout that brought it up. */

const execute = promisify(execFile);
let platform: RealPlatform;
let clone: string;
beforeAll(async () => {
  platform = await openPlatform();
  clone = `/var/tmp/classmind-test/${platform.instance.name}-clone`;
  await secondCheckout(clone);
}, 600_000);
afterAll(async () => {
  for (const directory of [clone, `${clone}-moved`]) await rm(directory, { recursive: true, force: true });
});

const settingsFile = () => layoutOf(platform.instance).settingsFile;
const programs = () => path.join(platform.instance.stateDir, "program");
const up = async () => {
  const { code, stderr } = await platform.classmind("up");
  expect(code, stderr).toBe(0);
  return stderr;
};

function reconcilerPid(): number {
  const { reconcilerReadyFile } = layoutOf(platform.instance);
  return existsSync(reconcilerReadyFile) ? Number(readFileSync(reconcilerReadyFile, "utf8")) : 0;
}

describe("a platform that runs", () => {
  it("does so from a copy below its state directory, with its own Node", async () => {
    const pid = supervisorPid(platform.instance) ?? 0;
    for (const process of [pid, reconcilerPid()])
      expect(readlinkSync(`/proc/${process}/exe`)).toMatch(new RegExp(`^${programs()}/[0-9a-f]{32}/node$`));
    expect(readdirSync(programs())).toHaveLength(1);
  });

  it("is left alone by the next `up`, by one from another checkout and another directory, and by files that were only touched", async () => {
    const pid = supervisorPid(platform.instance);
    const reconciler = reconcilerPid();
    const before = await readFile(settingsFile(), "utf8");
    expect(await up()).toContain("running already");
    expect(await upFrom(clone, platform)).toContain("running already");
    const now = new Date();
    await utimes(settingsFile(), now, now);
    // As an editor leaves it, and a person orders it.
    const reversed = Object.fromEntries(Object.entries(JSON.parse(before) as object).reverse());
    await writeFile(settingsFile(), `${JSON.stringify(reversed)}\n`);
    try {
      expect(await up()).toContain("running already");
      expect(await readFile(settingsFile(), "utf8")).toBe(`${JSON.stringify(reversed)}\n`);
    } finally {
      await writeFile(settingsFile(), before);
    }
    expect([supervisorPid(platform.instance), reconcilerPid()]).toEqual([pid, reconciler]);
  });

  it("starts again when what it read at its start says something else now", async () => {
    const pid = supervisorPid(platform.instance);
    const before = await readFile(settingsFile(), "utf8");
    await writeFile(settingsFile(), JSON.stringify({ ...JSON.parse(before), demoDays: 17 }));
    expect(await up()).not.toContain("running already");
    expect(supervisorPid(platform.instance)).not.toBe(pid);
    await writeFile(settingsFile(), before);
    await up();
  });

  it("goes on, and starts its parts again, when its checkout is moved away; a copy that nothing runs from is removed", async () => {
    // Another program, so that it runs from the other checkout's copy.
    await appendFile(
      path.join(clone, "control-plane/host/supervisor-main.ts"),
      '\nlog("another version");\nfunction log(_: string): void {}\n',
    );
    const old = readdirSync(programs());
    expect(await upFrom(clone, platform)).not.toContain("running already");
    const copies = readdirSync(programs());
    expect(copies).toHaveLength(1);
    expect(copies).not.toEqual(old);
    const supervisor = supervisorPid(platform.instance);
    await rename(clone, `${clone}-moved`);
    const reconciler = reconcilerPid();
    process.kill(reconciler, "SIGKILL");
    await expect.poll(reconcilerPid, { timeout: 60_000 }).not.toBe(reconciler);
    await expect.poll(reconcilerPid, { timeout: 60_000 }).toBeGreaterThan(0);
    expect(supervisorPid(platform.instance)).toBe(supervisor);
    expect((await platform.classmind("tenant", "list")).code).toBe(0);
    await up();
    expect(readdirSync(programs())).toEqual(old);
  });

  it("bears it when even its copy is gone: the supervisor says so, stays, and starts the reconciler when it is back", async () => {
    const supervisor = supervisorPid(platform.instance);
    const [copy = ""] = readdirSync(programs());
    const directory = path.join(programs(), copy);
    await rename(directory, `${directory}.away`);
    try {
      process.kill(reconcilerPid(), "SIGKILL");
      const log = () => readFile(layoutOf(platform.instance).supervisorLog, "utf8");
      await expect.poll(log, { timeout: 30_000 }).toMatch(/cannot be started/);
    } finally {
      await rename(`${directory}.away`, directory);
    }
    await expect.poll(reconcilerPid, { timeout: 90_000 }).toBeGreaterThan(0);
    expect(supervisorPid(platform.instance)).toBe(supervisor);
  });

  it("with a damaged copy is given a whole one by the next `up`", async () => {
    const [copy = ""] = readdirSync(programs());
    const chart = path.join(programs(), copy, "charts/tenant/namespace.yaml.hbs");
    const { size } = await stat(chart);
    await writeFile(chart, "");
    await up();
    expect((await stat(chart)).size).toBe(size);
    expect(readdirSync(programs())).toEqual([copy]);
  });
});

describe("a check's exit code", () => {
  it("is 0 when all is well, 7 when something is not, and 6 when nothing runs", async () => {
    const doctor = () => platform.classmind("doctor", "-o", "json");
    const failed = ({ stdout }: { stdout: string }) =>
      (JSON.parse(stdout) as { findings: { check: string; ok: boolean }[] }).findings
        .filter(({ ok }) => !ok)
        .map(({ check }) => check);
    const well = await doctor();
    expect(failed(well)).toEqual([]);
    expect(well.code).toBe(0);
    expect(await platform.classmind("status")).toMatchObject({ code: 0 });
    expect(await platform.classmind("logs")).toMatchObject({ code: 0, stdout: expect.stringContaining("supervisor") });
    const before = await readFile(settingsFile(), "utf8");
    await writeFile(settingsFile(), `${before}}`);
    try {
      // Settings that are no JSON are the operator's to mend, and no fault of ours.
      for (const command of ["status", "up"])
        expect(await platform.classmind(command)).toMatchObject({
          code: 3,
          stderr: expect.stringMatching(/platform\.json, line \d+: something follows the end/),
        });
    } finally {
      await writeFile(settingsFile(), before);
    }
    expect((await platform.classmind("down")).code).toBe(0);
    const down = await doctor();
    expect(failed(down)).toEqual(["platform"]);
    expect(down.code).toBe(7);
    expect(await platform.classmind("status")).toMatchObject({
      code: 6,
      stdout: expect.stringContaining("does not run"),
    });
    expect(await platform.classmind("tenant", "list")).toMatchObject({ code: 6 });
  });
});

describe("an `up` that fails", () => {
  it("does so before anything is done when a hard limit of this host is too low, and says how to raise it", async () => {
    const { name } = platform.instance;
    const launcher = path.join(import.meta.dirname, "../../../classmind");
    const script = 'ulimit -n 2048; exec "$0" up';
    const env = { ...process.env, CLASSMIND_INSTANCE: `${name}l`, CLASSMIND_CONTEXTS: "/dev/null" };
    const refused = await execute("bash", ["-c", script, launcher], { env }).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 3, stderr: expect.stringMatching(/2048 files[\s\S]*nofile/) });
    expect(existsSync(`/etc/classmind/${name}l`)).toBe(false);
  });

  it("leaves nothing running, and says why", async () => {
    await platform.classmind("down");
    const { httpsPort } = JSON.parse(await readFile(settingsFile(), "utf8")) as { httpsPort: number };
    const intruder = spawn(process.execPath, ["-e", `require("net").createServer().listen(${httpsPort}, "0.0.0.0")`]);
    try {
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      const failed = await platform.classmind("up");
      expect(failed.code).not.toBe(0);
      expect(failed.stderr).toContain("the gateway does not start");
      const { stdout } = await execute("pgrep", ["-af", `(podman|conmon).*/${platform.instance.name}/`]).catch(
        (error: { stdout: string }) => error,
      );
      expect(stdout).toBe("");
    } finally {
      intruder.kill();
    }
    await up();
  });
});
