import { existsSync, readFileSync, statfsSync } from "node:fs";
import { ClassmindError } from "../errors.ts";
import { hostRoutes, overlappingRoutes, ownInterfaces } from "./address-pool.ts";
import { examineListener } from "./examine-listener.ts";
import type { HostFinding } from "./finding.ts";
import { firewallTable, type Instance } from "./instance.ts";
import { layoutOf } from "./layout.ts";
import { listensEverywhere } from "./listening.ts";
import { givenLimits, shortages } from "./needed-limits.ts";
import { HOST_PACKAGES, missingPackages } from "./packages.ts";
import { runHost } from "./program.ts";
import { isRoot } from "./require-root.ts";
import { poolOf, readSettings } from "./settings.ts";
import type { Settings } from "./settings-schema.ts";
import { supervisorPid } from "./supervisor-pid.ts";
import { hostSystemd } from "./systemd.ts";

/** Checks of this machine: each named after what it looks at, each failure with its remedy. Changes nothing. */

const GIB = 1024 ** 3;
const LEAST_DISK = 10 * GIB;
const LEAST_MEMORY = 2 * GIB;

function finding(check: string, ok: boolean, message: string, remedy: string): HostFinding {
  return ok ? { check, ok, message } : { check, ok, message, remedy };
}

/** What only root can look at: said, and no fault. `ok` holds, so that a command's exit code speaks of what was seen. */
function needsRoot(check: string): HostFinding {
  return { check, ok: true, skipped: true, message: "not looked at: needs root" };
}

/** @param missing names of Debian packages that are not installed */
export function checkPackages(missing: readonly string[]): HostFinding {
  return finding(
    "packages",
    missing.length === 0,
    missing.length === 0 ? "all Debian packages are there" : `missing: ${missing.join(", ")}`,
    `apt-get install --no-install-recommends ${missing.join(" ")}`,
  );
}

function checkLoops(): HostFinding {
  return finding(
    "loop-devices",
    existsSync("/dev/loop-control"),
    "loop devices carry the encrypted volumes",
    "Load the module: modprobe loop",
  );
}

function checkEncryption(): HostFinding {
  const ok = existsSync("/sys/fs/ext4/features/encryption");
  return finding(
    "ext4-encryption",
    ok,
    ok ? "the kernel encrypts ext4" : "the kernel does not encrypt ext4",
    "Use a kernel with CONFIG_FS_ENCRYPTION (Debian's own has it).",
  );
}

function freeAt(directory: string): number {
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize;
}

/** @param free bytes */
export function checkDisk(directory: string, free: number): HostFinding {
  return finding(
    "disk",
    free >= LEAST_DISK,
    `${Math.floor(free / GIB)} GiB free at ${directory}`,
    "Make room: images need 2 GiB, each school as much as it fills.",
  );
}

/** @param meminfo what /proc/meminfo says */
export function checkMemory(meminfo: string): HostFinding {
  const available = Number(/^MemAvailable:\s+(\d+)/m.exec(meminfo)?.[1] ?? 0) * 1024;
  return finding(
    "memory",
    available >= LEAST_MEMORY,
    `${(available / GIB).toFixed(1)} GiB available`,
    "The platform needs about 1 GiB, each idle school about 100 MiB.",
  );
}

/** Whether what bounds the platform, or would when it is started from here, leaves it enough. A unit's limits show when it runs. */
export function checkLimits(instance: Instance): readonly HostFinding[] {
  const pid = supervisorPid(instance);
  if (pid === undefined && hostSystemd() !== undefined) return [];
  const found = shortages(givenLimits(pid ?? "self"));
  if (found.length === 0)
    return [finding("limits", true, "open files, processes and memory are not bounded too tightly", "")];
  return found.map(({ check, message, remedy }) => finding(check, false, message, remedy));
}

/** Whether schools' networks share addresses with another network that this host knows of. Until the first `up` there is none. */
export function checkAddresses(instance: Instance, routes: string): readonly HostFinding[] {
  const settings = readable(instance);
  if (settings === undefined) return [];
  const pool = poolOf(instance, settings);
  const met = overlappingRoutes(routes, pool, ownInterfaces(instance));
  const message =
    met.length === 0
      ? `no other network uses ${pool}`
      : `schools' addresses (${pool}) are those of another network too: ${met.join(", ")}`;
  const remedy =
    "Before the first school: ./classmind up --address-pool 10.x.0.0/16 (or 172.16.0.0/16 to 172.31.0.0/16); afterwards give that network other addresses.";
  return [finding("address-pool", met.length === 0, message, remedy)];
}

/** Settings, unless they are wrong: another check says that. */
function readable(instance: Instance): Settings | undefined {
  try {
    return readSettings(instance);
  } catch (error) {
    if (!(error instanceof ClassmindError)) throw error;
    return undefined;
  }
}

function checkPlatform(instance: Instance): HostFinding {
  const pid = supervisorPid(instance);
  return finding(
    "platform",
    pid !== undefined,
    pid === undefined ? "does not run" : `runs (supervisor ${pid})`,
    "Start it: ./classmind up",
  );
}

/** Chains that end in refusal, whatever schools there are. */
const FIREWALL_CHAINS = [
  ["inet", "input"],
  ["inet", "forward"],
  ["inet", "output"],
  ["bridge", "forward"],
] as const;

/**
 * Whether the firewall around schools is loaded. The platform's engine loads it before anything else, and puts back what is taken away.
 * @param tables what nft lists of the two tables, empty where there is none
 */
export function checkFirewall(tables: Readonly<Record<"inet" | "bridge", string>>): HostFinding {
  const chain = (text: string, name: string) => new RegExp(`chain ${name} \\{[^}]*\\}`).exec(text)?.[0] ?? "";
  const missing = FIREWALL_CHAINS.filter(([family, name]) => !/\bdrop\b/.test(chain(tables[family], name)));
  return finding(
    "firewall",
    missing.length === 0,
    missing.length === 0
      ? "the firewall around schools is loaded"
      : `rules are missing (${missing.map((each) => each.join(" ")).join(", ")}): this host's ports are open to schools, and schools to this host's users`,
    "Run ./classmind up. If that lasts, look for what removes them: `systemctl reload nftables` with a configuration that begins with `flush ruleset`, another firewall program.",
  );
}

/** Only where the platform runs with containers. */
async function examineFirewall(instance: Instance): Promise<readonly HostFinding[]> {
  const expected = supervisorPid(instance) !== undefined && readable(instance)?.engine === "containers";
  if (!expected) return [];
  const list = (family: string) => runHost("nft", ["list", "table", family, firewallTable(instance)]).catch(() => "");
  const [inet, bridge] = await Promise.all([list("inet"), list("bridge")]);
  return [checkFirewall({ inet, bridge })];
}

function checkKek(instance: Instance): HostFinding {
  const { kekFile } = layoutOf(instance);
  const exists = existsSync(kekFile);
  return finding(
    "key-encryption-key",
    exists,
    exists ? `${kekFile} is there: keep a copy in a safe place, away from this disk` : `${kekFile} does not exist yet`,
    "`./classmind up` makes it on a new installation; on an old one, bring it back from your safe copy.",
  );
}

/**
 * Whether schools can be let out to what the settings name, a backup's job to its repository and an app to the mail relay: a relay needs
 * the port of what it leads to on this host.
 */
export function checkWaysOut(instance: Instance): readonly HostFinding[] {
  const check = "backup-way";
  try {
    const settings = readSettings(instance);
    const ways = [
      { check, who: "backups", host: settings?.backupHost },
      { check: "mail-way", who: "mails", host: settings?.mail?.host },
    ];
    return ways.flatMap(({ check: named, who, host }) => {
      if (host === undefined) return [];
      const taken = listensEverywhere(host.port);
      const message = taken
        ? `a program of this host listens at port ${host.port} on every address: ${who} cannot reach ${host.name}:${host.port}`
        : `port ${host.port} is free for the way to ${host.name}`;
      const remedy =
        "Let it listen on the host's own address alone (sshd: ListenAddress), or let what is to be reached have another port.";
      return [finding(named, !taken, message, remedy)];
    });
  } catch (error) {
    if (!(error instanceof ClassmindError)) throw error;
    return [finding(check, false, error.message, error.remedy ?? "Correct this setting and run: ./classmind up")];
  }
}

/** What lies in root's own directories, or is told to root alone. */
async function examineAsRoot(instance: Instance): Promise<readonly HostFinding[]> {
  if (!isRoot()) return ["key-encryption-key", "address-pool", "backup-way", "firewall"].map(needsRoot);
  const listener = supervisorPid(instance) === undefined ? undefined : readable(instance)?.apiListener;
  return [
    checkKek(instance),
    ...checkAddresses(instance, hostRoutes()),
    ...checkWaysOut(instance),
    ...(await examineFirewall(instance)),
    ...(listener === undefined ? [] : [await examineListener(instance, listener, new Date())]),
  ];
}

/** Everything that is looked at, in the order in which to mend it. */
export async function examineHost(instance: Instance): Promise<readonly HostFinding[]> {
  const directory = existsSync(instance.stateDir) ? instance.stateDir : "/var";
  return [
    isRoot() ? { check: "root", ok: true, message: "running as root" } : needsRoot("root"),
    checkPackages((await missingPackages(HOST_PACKAGES)).map(({ name }) => name)),
    checkLoops(),
    checkEncryption(),
    checkDisk(directory, freeAt(directory)),
    checkMemory(readFileSync("/proc/meminfo", "utf8")),
    ...checkLimits(instance),
    ...(await examineAsRoot(instance)),
    checkPlatform(instance),
  ];
}
