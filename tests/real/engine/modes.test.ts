import { chmod, chown, readdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { hasAccess, makeDirectory, writeWhole } from "../../../control-plane/engine/containers/files.ts";
import type { Engine, ObjectRef } from "../../../control-plane/engine/engine.ts";
import { writeConfig } from "../../../control-plane/gateway/config-files.ts";
import { smallJob, smallSchool } from "../../fixtures/engine-school.ts";
import { testInstance } from "../test-host.ts";
import { openTestEngine } from "./open.ts";

/** Files and directories that the engine makes for somebody else, with the umask of the platform's unit. */

const UID = 10001;
const SPACE = "school-umask";
const DB: ObjectRef = { kind: "StatefulSet", name: "db" };
const APP: ObjectRef = { kind: "Deployment", name: "app" };
const SECRET: ObjectRef = { kind: "Secret", name: "database-app" };
const directory = () => join(testInstance().runDir, "secrets", SPACE, SECRET.name);
const file = () => join(directory(), "password");

async function access(path: string): Promise<string> {
  const { mode, uid, gid } = await stat(path);
  return `${(mode & 0o7777).toString(8)} ${uid}:${gid}`;
}

describe("all of these tests", () => {
  it("run with the umask of the platform's unit", () => {
    expect(process.umask().toString(8)).toBe("77");
  });
});

describe("what is written for others", () => {
  const scratch = () => join(testInstance().stateDir, "modes");
  afterEach(() => rm(scratch(), { recursive: true, force: true }));

  it("has the mode and the owner that were asked for, whatever was there before", async () => {
    const target = join(scratch(), "made");
    await makeDirectory(target, { mode: 0o750, owner: [0, UID] });
    const content = join(target, "content");
    await writeFile(join(target, ".content.new"), "left over", { mode: 0o600 });
    await writeWhole(content, "text", { mode: 0o444, owner: [UID, UID], durable: true });
    expect([await access(target), await access(content)]).toEqual([`750 0:${UID}`, `444 ${UID}:${UID}`]);
    await writeWhole(content, "text", { mode: 0o600, durable: false });
    expect(await access(content)).toBe("600 0:0");
    expect(await hasAccess(content, { mode: 0o600 })).toBe(true);
    expect(await hasAccess(content, { mode: 0o600, owner: [0, UID] })).toBe(false);
    expect(await hasAccess(join(target, "absent"), { mode: 0o600 })).toBe(false);
  });

  it("the gateway's configuration is readable, and made so where an older version left it closed", async () => {
    const paths = { config: join(scratch(), "haproxy.cfg"), pages: join(scratch(), "pages") };
    await makeDirectory(scratch(), { mode: 0o700 });
    expect(await writeConfig(paths, "global\n")).toBe(true);
    expect([await access(paths.config), await access(paths.pages)]).toEqual(["644 0:0", "755 0:0"]);
    await chmod(paths.config, 0o600);
    // Nothing that the gateway reads has changed: it need not read it again.
    expect(await writeConfig(paths, "global\n")).toBe(false);
    expect(await access(paths.config)).toBe("644 0:0");
  });
});

describe("a school's secrets", () => {
  let engine: Engine;
  const objects = () => smallSchool({ namespace: SPACE, image: inject("images").app });
  const remnants = async () => (await engine.observe(SPACE)).remnants ?? [];
  beforeEach(async () => {
    engine = await openTestEngine();
    await engine.remove(SPACE, [{ kind: "Namespace", name: SPACE }]);
    await engine.apply(SPACE, objects());
  });
  afterEach(async () => {
    await engine.remove(SPACE, [{ kind: "Namespace", name: SPACE }]);
    await engine.close();
  });

  it("can be read by the school, which starts", async () => {
    for (const workload of [DB, APP]) await engine.awaitReady(SPACE, workload, 30_000);
    expect([await access(directory()), await access(file())]).toEqual([`750 0:${UID}`, `440 0:${UID}`]);
    const job = { manifest: smallJob(SPACE, inject("images").app), input: { action: "facts" }, deadline: 60_000 };
    const { exitCode, output, logTail } = await engine.run(SPACE, job);
    expect(exitCode, logTail.join("\n")).toBe(0);
    // The empty resolv.conf was read, and programs inside have the usual umask.
    expect(output).toMatchObject({ resolv: "", status: expect.stringMatching(/^Umask:\s+0022$/m) });
    const data = join(testInstance().stateDir, "mnt", SPACE, "data", "data");
    expect(await access(data)).toBe("711 0:0");
  });

  it.each([
    ["a file that the school cannot read", () => chmod(file(), 0o400)],
    ["a file that others can read", () => chmod(file(), 0o444)],
    ["a file of another owner", () => chown(file(), 0, 0)],
    ["a directory that the school cannot open", () => chmod(directory(), 0o700)],
    ["a file of a writer that was killed", () => writeFile(join(directory(), ".password.new"), "half")],
  ])("with %s are not whole, though their content is as applied: applying makes them right", async (_what, harm) => {
    expect(await remnants()).toEqual([]);
    await harm();
    expect(await remnants()).toEqual([SECRET]);
    await engine.apply(SPACE, objects());
    expect(await remnants()).toEqual([]);
    expect([await access(directory()), await access(file())]).toEqual([`750 0:${UID}`, `440 0:${UID}`]);
    expect(await readdir(directory())).toEqual(["password"]);
  });
});
