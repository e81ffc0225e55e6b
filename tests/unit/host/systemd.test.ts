import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createInstance, type Instance } from "../../../control-plane/host/instance.ts";
import {
  disableUnit,
  hasUnit,
  logPlace,
  removeUnit,
  type Systemd,
  startUnit,
  stopUnit,
  unitName,
  unitText,
} from "../../../control-plane/host/systemd.ts";

const PROGRAM = { node: "/opt/cm/node", supervisor: "/opt/cm/supervisor-main.ts", path: "/usr/sbin:/usr/bin" };

/** What the code asks of systemd, in order; the text itself is checked by systemd's own tool (tests/real/host). */
let asked: string[];
let directory: string;
let systemd: Systemd;
let instance: Instance;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "classmind-unit-"));
  asked = [];
  systemd = {
    unitDirectory: directory,
    async systemctl(args) {
      asked.push(args.join(" "));
      return "";
    },
  };
  instance = createInstance("cmunit", { stateDir: join(directory, "state") });
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe("the platform's unit", () => {
  it("carries the instance's name, so that two installations have two", () => {
    expect(unitName(createInstance())).toBe("classmind.service");
    expect(unitName(instance)).toBe("classmind-cmunit.service");
  });

  it("is up only when the platform is, comes back after failures, and never ends what belongs to schools", () => {
    const text = unitText(createInstance("cmunit"), PROGRAM);
    for (const line of ["Type=notify", "Restart=on-failure", "KillMode=process", "OOMPolicy=continue"])
      expect(text.split("\n")).toContain(line);
    expect(text).toContain(
      'ExecStart="/opt/cm/node" "--disable-warning=ExperimentalWarning" "/opt/cm/supervisor-main.ts" "cmunit"',
    );
  });

  it("has the platform's words in the journal, under the unit's name, and people are sent there", () => {
    const lines = unitText(createInstance("cmunit"), PROGRAM).split("\n");
    for (const line of ["StandardOutput=journal", "StandardError=journal", "SyslogIdentifier=classmind-cmunit"])
      expect(lines).toContain(line);
    expect(logPlace(instance, systemd)).toBe("journalctl --unit classmind-cmunit.service");
    expect(logPlace(instance, undefined)).toMatch(/\/log\/supervisor\.log$|^journalctl/);
  });

  it("has no view of the file system of its own: the schools' mounts must be the host's", () => {
    const text = unitText(instance, PROGRAM);
    expect(text).not.toMatch(
      /^(Protect\w+|Private\w+|ReadWritePaths|ReadOnlyPaths|InaccessiblePaths|BindPaths|RootDirectory)=/m,
    );
    expect(text).not.toMatch(/^(SystemCallFilter|RestrictNamespaces|MemoryDenyWriteExecute|RestrictSUIDSGID)=/m);
  });

  it("names programs in any directory: spaces, quotes, percent and dollar signs", () => {
    const odd = { ...PROGRAM, node: '/opt/a "b" 100% $HOME\\c/node' };
    expect(unitText(instance, odd)).toContain('ExecStart="/opt/a \\"b\\" 100%% $$HOME\\\\c/node"');
  });

  it("is written, made to start with the machine, and started; written again only when it differs", async () => {
    await startUnit(systemd, instance, "one");
    expect(asked).toEqual(["daemon-reload", "enable classmind-cmunit.service", "start classmind-cmunit.service"]);
    asked = [];
    await startUnit(systemd, instance, "one");
    expect(asked).toEqual(["enable classmind-cmunit.service", "start classmind-cmunit.service"]);
    asked = [];
    await startUnit(systemd, instance, "two");
    expect(asked[0]).toBe("daemon-reload");
    expect(readFileSync(join(directory, "classmind-cmunit.service"), "utf8")).toBe("two");
    expect((statSync(join(directory, "classmind-cmunit.service")).mode & 0o777).toString(8)).toBe("644");
  });

  it("that does not start says where to look", async () => {
    const failing: Systemd = {
      ...systemd,
      systemctl: async (args) => {
        if (args[0] === "start") throw new Error("Job failed");
        return "";
      },
    };
    await expect(startUnit(failing, instance, "one")).rejects.toMatchObject({
      code: "Unavailable",
      remedy: expect.stringContaining("systemctl status classmind-cmunit.service"),
    });
  });

  it("is stopped, disabled and removed; where there is none, systemd is left alone", async () => {
    await stopUnit(systemd, instance);
    await disableUnit(systemd, instance);
    expect(await removeUnit(systemd, instance)).toBeUndefined();
    expect(asked).toEqual([]);
    writeFileSync(join(directory, "classmind-cmunit.service"), "one");
    await stopUnit(systemd, instance);
    expect(await removeUnit(systemd, instance)).toBe(join(directory, "classmind-cmunit.service"));
    expect(asked).toEqual(["stop classmind-cmunit.service", "disable --now classmind-cmunit.service", "daemon-reload"]);
    expect(hasUnit(systemd, instance)).toBe(false);
  });
});
