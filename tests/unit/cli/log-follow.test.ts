import { appendFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { follow, lastLines } from "../../../cli/commands/log-follow.ts";

let directory: string;
let log: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "classmind-follow-"));
  log = join(directory, "log");
});
afterEach(() => rmSync(directory, { recursive: true }));

describe("the platform's log", () => {
  it("is shown from its end", () => {
    writeFileSync(log, "");
    expect(lastLines(log, 3)).toBe("");
    writeFileSync(log, Array.from({ length: 200_000 }, (_, line) => `line ${line}\n`).join(""));
    expect(lastLines(log, 2)).toBe("line 199998\nline 199999\n");
    appendFileSync(log, "half");
    expect(lastLines(log, 2)).toBe("line 199999\nhalf\n");
  });

  it("is followed: what is added, ä in two parts, and what comes after its content has moved away", async () => {
    writeFileSync(log, "before\n");
    const ending = new AbortController();
    let seen = "";
    const over = follow(
      log,
      (text) => {
        seen += text;
      },
      ending.signal,
    );
    appendFileSync(log, "one\n");
    await expect.poll(() => seen).toBe("one\n");
    const [first, second] = Buffer.from("ä");
    appendFileSync(log, Buffer.from([first ?? 0]));
    appendFileSync(log, Buffer.from([second ?? 0, 10]));
    await expect.poll(() => seen).toBe("one\nä\n");
    truncateSync(log);
    appendFileSync(log, "new\n");
    await expect.poll(() => seen).toBe("one\nä\nnew\n");
    ending.abort();
    await over;
    appendFileSync(log, "late\n");
    expect(seen).not.toContain("late");
  });
});
