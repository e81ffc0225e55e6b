import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { cgroupMemory, givenLimits, shortages } from "../../../control-plane/host/needed-limits.ts";

const GIB = 1024 ** 3;
const ENOUGH = { openFiles: 20_000, processes: 30_000, memory: undefined };

describe("limits of a host", () => {
  it("that are enough are not mentioned", () => {
    expect(shortages(ENOUGH)).toEqual([]);
    expect(shortages({ openFiles: 4096, processes: 4096, memory: GIB })).toEqual([]);
  });

  it.each([
    [{ openFiles: 1024 }, "open-files", /1024 files/, /nofile/],
    [{ processes: 500 }, "processes", /500 processes/, /nproc/],
    [{ memory: GIB / 2 }, "memory-limit", /512 MiB/, /MemoryMax/],
  ])("that are too low (%j) are named as %s, with the numbers and what to do", (less, check, message, remedy) => {
    expect(shortages({ ...ENOUGH, ...less })).toEqual([
      { check, message: expect.stringMatching(message), remedy: expect.stringMatching(remedy) },
    ]);
  });

  it("of this process can be read", () => {
    const { openFiles, processes } = givenLimits("self");
    expect(openFiles).toBeGreaterThan(0);
    expect(processes).toBeGreaterThan(0);
  });
});

describe("the memory of a control group", () => {
  const root = mkdtempSync(join(tmpdir(), "classmind-cgroup-"));
  afterAll(() => rmSync(root, { recursive: true }));
  const limit = (file: string, text: string) => {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), `${text}\n`);
  };
  limit("system.slice/memory.max", "2147483648");
  limit("system.slice/a.service/memory.max", "max");
  limit("memory/memory.limit_in_bytes", "9223372036854771712");
  limit("memory/box/memory.limit_in_bytes", "536870912");

  it.each([
    ["0::/system.slice/a.service\n", 2 * GIB],
    ["0::/\n", undefined],
    ["0::/elsewhere\n", undefined],
    ["4:cpu,memory:/box/inner\n3:pids:/\n0::/\n", GIB / 2],
    ["4:memory:/\n", undefined],
    ["4:memory:/box\n0::/system.slice\n", GIB / 2],
    ["", undefined],
  ])("%j may take %s bytes: the least of it and all above it", (groups, bytes) => {
    expect(cgroupMemory(groups, root)).toBe(bytes);
  });
});
