import { describe, expect, it } from "vitest";
import { checkDisk, checkMemory, checkPackages } from "../../../control-plane/host/doctor.ts";

const GIB = 1024 ** 3;
const meminfo = (kib: number) =>
  `MemTotal:       16384000 kB\nMemFree:          100000 kB\nMemAvailable:   ${kib} kB\n`;

describe("the examination of a host", () => {
  it("names the packages that are missing, in the command that installs them", () => {
    const { ok, message, remedy } = checkPackages(["podman", "runc"]);
    expect({ ok, message }).toEqual({ ok: false, message: "missing: podman, runc" });
    expect(remedy).toMatch(/^apt-get install .* podman runc$/);
    expect(checkPackages([])).toMatchObject({ ok: true });
  });

  it("wants 10 GiB of the disk, and says where it looked", () => {
    expect(checkDisk("/srv", 10 * GIB)).toEqual({ check: "disk", ok: true, message: "10 GiB free at /srv" });
    expect(checkDisk("/srv", 10 * GIB - 1)).toMatchObject({ ok: false, remedy: expect.stringContaining("room") });
  });

  it("wants 2 GiB of memory that can be had, not that is unused", () => {
    expect(checkMemory(meminfo(2 * 1024 * 1024))).toEqual({ check: "memory", ok: true, message: "2.0 GiB available" });
    expect(checkMemory(meminfo(2 * 1024 * 1024 - 1))).toMatchObject({ ok: false, remedy: expect.any(String) });
  });
});
