import { describe, expect, it } from "vitest";
import { checkDisk, checkFirewall, checkMemory, checkPackages } from "../../../control-plane/host/doctor.ts";

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

  it("finds a firewall that somebody flushed, wholly or in part, and says what is open then", () => {
    const chain = (name: string) =>
      `chain ${name} {\n\t\ttype filter hook ${name} priority -10; policy accept;\n\t\tdrop\n\t}\n`;
    const inet = `table inet x {\n${["input", "forward", "output"].map(chain).join("")}}`;
    const bridge = `table bridge x {\n${chain("forward")}}`;
    expect(checkFirewall({ inet, bridge })).toMatchObject({ check: "firewall", ok: true });
    expect(checkFirewall({ inet: "", bridge: "" })).toMatchObject({
      ok: false,
      message: expect.stringMatching(/inet input, inet forward, inet output, bridge forward.*ports are open/),
      remedy: expect.stringContaining("flush ruleset"),
    });
    const open = inet.replace("drop", "accept");
    expect(checkFirewall({ inet: open, bridge })).toMatchObject({
      ok: false,
      message: expect.stringContaining("rules are missing (inet input)"),
    });
  });

  it("wants 2 GiB of memory that can be had, not that is unused", () => {
    expect(checkMemory(meminfo(2 * 1024 * 1024))).toEqual({ check: "memory", ok: true, message: "2.0 GiB available" });
    expect(checkMemory(meminfo(2 * 1024 * 1024 - 1))).toMatchObject({ ok: false, remedy: expect.any(String) });
  });
});
