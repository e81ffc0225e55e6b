import { readFile, statfs } from "node:fs/promises";
import { messageOf } from "../../errors.ts";
import { hostRoutes, overlappingRoutes, ownInterfaces } from "../../host/address-pool.ts";
import { runHost } from "../../host/program.ts";
import { isRoot } from "../../host/require-root.ts";
import type { Finding } from "../engine.ts";
import type { EngineContext } from "./context.ts";
import { LABEL } from "./names.ts";

const MENDED_WITHIN = 2_000;
const ENOUGH_DISK = 10 * 1024 ** 3;

type Check = (
  context: EngineContext,
) => Promise<{ readonly ok: boolean; readonly message: string; readonly remedy: string }>;

async function text(file: string): Promise<string> {
  return readFile(file, "utf8").catch(() => "");
}

async function works(command: string, args: readonly string[]): Promise<boolean> {
  return runHost(command, args).then(
    () => true,
    () => false,
  );
}

const CHECKS: Readonly<Record<string, Check>> = {
  root: async () => ({
    ok: isRoot(),
    message: isRoot() ? "runs as root" : "does not run as root: volumes, networks and firewall need it",
    remedy: "run this with sudo",
  }),
  engine: async ({ api }) => {
    const found = await api.version().catch((error: unknown) => messageOf(error));
    if (typeof found === "string") {
      return { ok: false, message: `the container engine does not answer: ${found}`, remedy: "run: classmind up" };
    }
    const major = Number(found.version.split(".")[0]);
    const minor = Number(found.version.split(".")[1]);
    const ok = found.podman ? major > 4 || (major === 4 && minor >= 3) : major >= 20;
    return {
      ok,
      message: `${found.podman ? "Podman" : "Docker"} ${found.version}`,
      remedy: "install Podman 4.3 or newer (apt-get install podman)",
    };
  },
  "loop-devices": async () => {
    const ok = await works("losetup", ["--find"]);
    return {
      ok,
      message: ok ? "loop devices are available" : "no loop device is free",
      remedy: "load the module (modprobe loop) or raise max_loop",
    };
  },
  "ext4-encryption": async () => {
    const supported = (await text("/sys/fs/ext4/features/encryption")).includes("supported");
    const tool = await works("fscrypt", ["--version"]);
    const ok = supported && tool;
    return {
      ok,
      message: ok
        ? "ext4 can encrypt"
        : supported
          ? "the program fscrypt is missing"
          : "this kernel's ext4 cannot encrypt (CONFIG_FS_ENCRYPTION)",
      remedy: supported ? "apt-get install fscrypt" : "use a Debian kernel",
    };
  },
  nftables: async () => {
    const ok = await runHost(
      "nft",
      ["--check", "--file", "-"],
      "table bridge classmind_check {\nchain a {\ntype filter hook forward priority 0; policy accept;\nip saddr 10.0.0.0/8 drop\n}\n}\n",
    ).then(
      () => true,
      () => false,
    );
    return {
      ok,
      message: ok ? "nftables works, for bridges too" : "nftables rules for bridges cannot be loaded",
      remedy: "apt-get install nftables; modprobe nf_tables",
    };
  },
  firewall: async ({ api, clock, firewall, instance, mended }) => {
    const schools = (await api.list({ [LABEL.instance]: instance.name })).filter(
      ({ running, labels }) => running && labels[LABEL.namespace] !== undefined,
    );
    // Whoever keeps the schools running puts it right in less.
    const mends = () => clock.sleep(MENDED_WITHIN).then(() => firewall.stands());
    const ok = schools.length === 0 || (await firewall.stands()) || (await mends());
    const last = [...mended.values()].sort((a, b) => b.getTime() - a.getTime())[0];
    const whole =
      last === undefined ? "is whole" : `was changed by someone else at ${last.toISOString()} and put right`;
    return {
      ok,
      message: ok
        ? `the firewall around schools ${whole}`
        : "the firewall's rules are missing or changed: this host's ports are open to schools, and schools to this host's users",
      remedy:
        "run: classmind up. If that lasts, look for what removes them: nftables.service flushes all rules when it is reloaded; let its " +
        "configuration flush its own table only (destroy table in place of flush ruleset)",
    };
  },
  "disk-space": async ({ instance }) => {
    const usage = await statfs(instance.stateDir);
    const free = usage.bavail * usage.bsize;
    return {
      ok: free >= ENOUGH_DISK,
      message: `${Math.floor(free / 1024 ** 3)} GiB free below ${instance.stateDir}`,
      remedy: "make room or put the state directory on a larger disk; volumes grow as schools fill them",
    };
  },
  "address-pool": async ({ instance }) => {
    const found = overlappingRoutes(hostRoutes(), instance.addressPool, ownInterfaces(instance));
    return {
      ok: found.length === 0,
      message:
        found.length === 0
          ? `${instance.addressPool} is not used otherwise`
          : `${instance.addressPool} overlaps with ${found.join(", ")}`,
      remedy:
        "before the first school: classmind up --address-pool 10.x.0.0/16; afterwards give that network other addresses",
    };
  },
  "control-groups": async () => {
    const mounts = await text("/proc/self/mounts");
    const unified = await text("/sys/fs/cgroup/cgroup.controllers");
    const has = (controller: string) =>
      unified.split(/\s+/).includes(controller) || new RegExp(` cgroup [^\\n]*[ ,]${controller}[ ,]`).test(mounts);
    const missing = ["memory", "cpu", "pids"].filter((controller) => !has(controller));
    return {
      ok: missing.length === 0,
      message:
        missing.length === 0
          ? "limits of memory, processors and processes are enforced"
          : `not enforced: ${missing.join(", ")}`,
      remedy: "enable the controllers on the kernel's command line (cgroup_enable=memory)",
    };
  },
};

/** Without these a school would lack what it is promised: walls, limits, encryption. */
const REQUIRED: readonly string[] = ["ext4-encryption", "nftables", "firewall", "control-groups"];

/** See Engine.preflight. Changes nothing. */
export async function preflight(context: EngineContext, images: readonly string[]): Promise<readonly Finding[]> {
  const findings = await Promise.all(
    Object.entries(CHECKS).map(async ([check, run]): Promise<Finding> => {
      const { ok, message, remedy } = await run(context).catch((error: unknown) => ({
        ok: false,
        message: messageOf(error),
        remedy: "see the message",
      }));
      const required = REQUIRED.includes(check);
      return ok ? { check, ok, message, required } : { check, ok, message, remedy, required };
    }),
  );
  for (const image of images) {
    const ok = await context.api.hasImage(image).catch(() => false);
    const check = `image ${image}`;
    findings.push(
      ok ? { check, ok, message: "present" } : { check, ok, message: "not on this host", remedy: "run: classmind up" },
    );
  }
  return findings;
}
