import { execFileSync, spawn } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { boundLog, rotate } from "../../../control-plane/host/log-bound.ts";

let directory: string;
let log: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "classmind-log-"));
  log = join(directory, "supervisor.log");
});
afterEach(() => rmSync(directory, { recursive: true }));

describe("the supervisor's log", () => {
  it("stays as it is until it is too large, or while there is none", async () => {
    expect(await rotate(log, { most: 10, kept: 2 })).toBe(false);
    appendFileSync(log, "0123456789");
    expect(await rotate(log, { most: 10, kept: 2 })).toBe(false);
    expect(readdirSync(directory)).toEqual(["supervisor.log"]);
  });

  it("moves its content then, and keeps as many earlier files as it should", async () => {
    for (const text of ["first", "second", "third", "fourth"]) {
      appendFileSync(log, `${text}\n`);
      expect(await rotate(log, { most: 4, kept: 2 })).toBe(true);
    }
    expect(readdirSync(directory).sort()).toEqual(["supervisor.log", "supervisor.log.1", "supervisor.log.2"]);
    expect(readFileSync(log, "utf8")).toBe("");
    expect(readFileSync(`${log}.1`, "utf8")).toBe("fourth\n");
    expect(readFileSync(`${log}.2`, "utf8")).toBe("third\n");
  });

  it("is bounded while others hold it open and write, and what they write is still found", async () => {
    const writers = openSync(log, "a", 0o600);
    const failures: unknown[] = [];
    const stop = boundLog(log, (error) => failures.push(error), { most: 20_000, kept: 2, pause: 20 });
    const program = "for (let n = 0; n < 3000; n += 1) setTimeout(() => console.log('line ' + n), n / 3)";
    const child = spawn(process.execPath, ["-e", program], { stdio: ["ignore", writers, writers] });
    await new Promise((resolve) => child.once("exit", resolve));
    await expect.poll(() => statSync(log).size).toBeLessThan(20_000);
    stop();
    expect(failures).toEqual([]);
    expect(existsSync(`${log}.1`)).toBe(true);
    expect(existsSync(`${log}.3`)).toBe(false);
    expect(execFileSync("sh", ["-c", `cat '${log}.1' '${log}'`], { encoding: "utf8" })).toContain("line 2999\n");
  });
});
