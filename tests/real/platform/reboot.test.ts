import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { readFile, rename, rm } from "node:fs/promises";
import { createServer } from "node:net";
import path from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { layoutOf } from "../../../control-plane/host/layout.ts";
import { readSettings } from "../../../control-plane/host/settings.ts";
import { supervisorPid } from "../../../control-plane/host/supervisor-pid.ts";
import { openPlatform, type RealPlatform } from "../../fixtures/real-platform.ts";
import { reboot } from "../../fixtures/reboot.ts";
import {
  createSchool,
  rowsAndHashes,
  type SchoolInUse,
  schoolInUse,
  seenBy,
  volumeOf,
} from "../../fixtures/school-in-use.ts";

/** A power cut under a running platform, and what one command brings back. */

const execute = promisify(execFile);
let platform: RealPlatform;
let school: SchoolInUse;
beforeAll(async () => {
  platform = await openPlatform();
}, 600_000);

/** Brings the platform up or down; what keeps it from that is in the error. */
async function bring(direction: "up" | "down"): Promise<void> {
  const { code, stderr } = await platform.classmind(direction);
  const log = await readFile(layoutOf(platform.instance).supervisorLog, "utf8").catch(() => "");
  if (code !== 0)
    throw new Error(`${direction} ended with ${code}: ${stderr}\n${log.split("\n").slice(-20).join("\n")}`);
}
const up = () => bring("up");
const down = () => bring("down");

const seen = () => seenBy(() => platform.besucher(school.slug), school);

/** Until the school's page answers with a status: what the store says may still be from before the power cut. */
async function untilPage(slug: string, status: number): Promise<void> {
  const end = Date.now() + 90_000;
  for (;;) {
    const answer = await platform
      .besucher(slug)
      .get("/anmelden")
      .catch((error: unknown) => error);
    if (answer instanceof Object && "status" in answer && answer.status === status) return;
    if (Date.now() > end) throw new Error(`${slug} does not answer ${status}: ${String(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

describe("after a reboot", () => {
  it("`classmind up` brings the platform and every school back with its data; what was suspended stays closed", async () => {
    school = await schoolInUse(platform, "doeblin");
    await createSchool(platform, "werfel");
    await platform.json("tenant", "suspend", "werfel", "--yes");
    const rows = await rowsAndHashes(platform, "doeblin");
    const before = await platform.json<{ certificate: { serial: string } }>("tenant", "get", "doeblin");

    await reboot(platform.instance);

    // Nothing is left that a power cut would not have left.
    expect(supervisorPid(platform.instance)).toBeUndefined();
    expect(readdirSync(platform.instance.runDir)).toEqual([]);
    expect(await readFile("/proc/self/mounts", "utf8")).not.toContain(`${platform.instance.stateDir}/`);
    expect(existsSync(volumeOf(platform, "doeblin"))).toBe(false);
    await expect(platform.besucher("doeblin").get("/")).rejects.toThrow();
    expect((await platform.classmind("tenant", "list")).code).toBe(6);

    await up();
    await untilPage("doeblin", 200);
    expect((await platform.besucher("doeblin").get("/anmelden")).text).toContain("Anmelden");
    expect(await rowsAndHashes(platform, "doeblin")).toBe(rows);
    expect(await seen()).toEqual({ nachricht: true, datei: true });
    const after = await platform.json<{ certificate: { serial: string } }>("tenant", "get", "doeblin");
    expect(after.certificate.serial).toBe(before.certificate.serial);
    await untilPage("werfel", 503);
    expect(existsSync(volumeOf(platform, "werfel"))).toBe(false);
    expect(await platform.json("tenant", "get", "werfel")).toMatchObject({ phase: "Suspended" });
    expect(await platform.classmind("audit", "verify")).toMatchObject({ code: 0 });
    expect(await platform.classmind("clock", "show")).toMatchObject({ code: 0 });

    // The school can be worked with as before.
    await platform.json("backup", "create", "doeblin");
    expect(await platform.classmind("verify", "isolation", "doeblin")).toMatchObject({ code: 0 });
  }, 400_000);

  it("a second power cut right after the first start is survived too", async () => {
    await reboot(platform.instance);
    await up();
    await reboot(platform.instance);
    await up();
    await untilPage("doeblin", 200);
    expect((await platform.besucher("doeblin").get("/anmelden")).text).toContain("Anmelden");
  }, 400_000);
});

describe("a copy of the two directories", () => {
  it("made while the platform is down, brings everything back on a machine that has nothing of it", async () => {
    const { instance } = platform;
    const copy = path.join("/var/tmp/classmind-test", `${instance.name}-copy.tar`);
    const rows = await rowsAndHashes(platform, "doeblin");
    try {
      await down();
      // As docs/backup-and-recovery.md says: all but the images, which are built again.
      const left = [`${instance.stateDir.slice(1)}/containers`, `${instance.stateDir.slice(1)}/tmp`];
      const words = ["--create", "--sparse", "--xattrs", "--acls", "--numeric-owner", `--file=${copy}`];
      const from = [instance.configDir.slice(1), instance.stateDir.slice(1)];
      await execute("tar", [...words, ...left.map((each) => `--exclude=${each}`), "--directory=/", ...from]);
      for (const directory of [instance.configDir, instance.stateDir, instance.runDir])
        await rm(directory, { recursive: true, force: true });
      await execute("tar", ["--extract", "--xattrs", "--acls", "--numeric-owner", `--file=${copy}`, "--directory=/"]);
      await up();
      await untilPage("doeblin", 200);
      expect(await rowsAndHashes(platform, "doeblin")).toBe(rows);
      expect(await seen()).toEqual({ nachricht: true, datei: true });
      expect(await platform.classmind("backup", "verify", "doeblin")).toMatchObject({ code: 0 });
    } finally {
      await rm(copy, { force: true });
    }
  }, 500_000);
});

describe("an `up` that is interrupted while the platform starts", () => {
  it("leaves one supervisor, which the next `up` waits for: never two", async () => {
    await down();
    const { supervisorPidFile } = layoutOf(platform.instance);
    const first = spawn(path.join(import.meta.dirname, "../../../classmind"), ["up"], {
      env: { ...process.env, CLASSMIND_INSTANCE: platform.instance.name, CLASSMIND_CONTEXTS: "/dev/null" },
      stdio: "ignore",
    });
    const ended = once(first, "exit");
    while (!existsSync(supervisorPidFile)) await new Promise((resolve) => setTimeout(resolve, 10));
    first.kill("SIGINT");
    await ended;
    const pid = supervisorPid(platform.instance);
    expect(pid).toBeDefined();
    await up();
    expect(supervisorPid(platform.instance)).toBe(pid);
    const { stdout } = await execute("pgrep", ["-fc", `supervisor-main.mjs ${platform.instance.name}$`]);
    expect(stdout.trim()).toBe("1");
  }, 400_000);
});

describe("with another program on its port", () => {
  it("the platform does not start, and names the part and the reason; it does when the port is free again", async () => {
    await down();
    const port = readSettings(platform.instance)?.httpsPort;
    const intruder = createServer().listen(port, "0.0.0.0");
    await once(intruder, "listening");
    try {
      const refused = await platform.classmind("up");
      expect(refused.code).not.toBe(0);
      expect(refused.stderr).toMatch(new RegExp(`the gateway does not start: .*${port}`, "s"));
    } finally {
      intruder.close();
      await once(intruder, "close");
    }
    await up();
  }, 400_000);
});

describe("without the key-encryption key", () => {
  it("nothing starts and nothing is replaced; with the key back, everything is there", async () => {
    const kek = path.join(platform.instance.configDir, "kek");
    await down();
    await rename(kek, `${kek}.safe`);
    try {
      const refused = await platform.classmind("up");
      expect(refused.code).toBe(3);
      expect(refused.stderr).toContain("safe copy");
      expect(existsSync(kek)).toBe(false);
    } finally {
      await rename(`${kek}.safe`, kek);
    }
    await up();
    await untilPage("doeblin", 200);
    expect(await seen()).toEqual({ nachricht: true, datei: true });
  }, 400_000);
});
