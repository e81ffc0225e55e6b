import { mkdtemp, readFile, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { installPackages, missingPackages } from "../../control-plane/host/packages.ts";
import { freePort } from "../fixtures/free-port.ts";
import { makeDisk, sendCheckout } from "./disk.ts";
import { type Guest, openGuest, startMachine, untilReachable, type Way } from "./guest.ts";
import { must } from "./program.ts";
import { createReport, Over } from "./report.ts";
import { tryAll } from "./stages.ts";

/**
 * `npm run test:machine`: the platform on a Debian with systemd as its first process, a machine of its own under QEMU. Needs root
 * on Debian, Debian's packages and 16 GiB of disk, and neither virtualisation in hardware nor systemd here. Takes half an hour to
 * an hour.
 *
 * `-- --keep`: the machine stays when all was tried, until Ctrl-C. `-- --into <directory>`: tries all in such a machine.
 */
const { values: options } = parseArgs({
  options: { keep: { type: "boolean", default: false }, into: { type: "string" } },
});

const PACKAGES = [
  { name: "qemu-system-x86", why: "emulates the machine" },
  { name: "mmdebstrap", why: "makes its disk from Debian's packages" },
  { name: "e2fsprogs", why: "makes the disk's file system" },
  { name: "openssh-client", why: "leads into the machine" },
  { name: "git", why: "says which files are the checkout's" },
];
const NEEDED_BYTES = 16 * 1024 ** 3;
const BOOT_SECONDS = 600;

const interrupted = new AbortController();
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  process.on(name, () => interrupted.abort(new Error(`interrupted by ${name}`)));
const { signal } = interrupted;

let guest: Guest | undefined;

/** What the machine says of itself, for who reads of a failure. */
async function explain(): Promise<string> {
  if (guest === undefined || signal.aborted) return "";
  const asked = [
    "cd /root/classmind; systemctl --no-pager status classmind | cut -c -160 | head -14",
    "journalctl --no-pager --boot --unit classmind --lines 25 --output cat | cut -c -240",
    "./classmind tenant get demo",
    "free -m | head -2; uptime; df -h / | tail -1",
  ];
  const { stdout, stderr } = await guest.run(asked.join("; "), 120);
  return `--- the machine says\n${stdout}${stderr}---\n`;
}

const report = createReport((text) => void process.stdout.write(text), explain, signal);

async function prepare(): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error("This needs root: mmdebstrap makes a system's files. Use sudo.");
  if (process.arch !== "x64")
    throw new Error("The machine is an x86-64 one and takes this checkout's Node: needs x86-64.");
  const missing = await missingPackages(PACKAGES);
  await installPackages(missing);
  const { bavail, bsize } = await statfs(tmpdir());
  if (bavail * bsize < NEEDED_BYTES) throw new Error(`less than ${NEEDED_BYTES / 1024 ** 3} GiB free at ${tmpdir()}`);
  report.say(missing.length === 0 ? "all there" : `installed ${missing.map(({ name }) => name).join(", ")}`);
}

async function remove(directory: string): Promise<void> {
  const never = new AbortController().signal;
  await must("rm", ["-rf", "--one-file-system", directory], { signal: never, seconds: 120 });
}

/** Until Ctrl-C. */
function interruption(): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

/** A machine from nothing, tried, and taken away. */
async function inNewMachine(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "classmind-machine-"));
  try {
    const way: Way = { directory, sshPort: await freePort(), httpsPort: await freePort() };
    let disk: Awaited<ReturnType<typeof makeDisk>> | undefined;
    await report.stage("what this needs is here", prepare, "needed");
    await report.stage(
      "a disk with Debian 12 and systemd",
      async () => {
        disk = await makeDisk(directory, report.say, signal);
      },
      "needed",
    );
    if (disk === undefined) return;
    const made = disk;
    await using machine = startMachine(made, way);
    await report.stage(
      "it starts, and root comes in by ssh",
      async () => {
        const opened = await openGuest(way, made.hostKey, signal);
        await untilReachable(opened, machine, BOOT_SECONDS, signal);
        guest = opened;
      },
      "needed",
    );
    if (guest === undefined) return;
    if (options.keep) await writeFile(join(directory, "way.json"), JSON.stringify({ ...way, hostKey: made.hostKey }));
    const kept = options.keep ? interruption() : undefined;
    try {
      await tryAll({ guest, machine, report, signal });
    } finally {
      if (kept !== undefined && !signal.aborted) {
        process.stderr.write(`kept until Ctrl-C: ${guest.login}\nagain: npm run test:machine -- --into ${directory}\n`);
        await kept;
      }
    }
  } finally {
    // Never into what mmdebstrap had mounted there, should it have been killed.
    await remove(directory);
  }
}

/** The same in a machine that another run keeps, with this checkout as it is now. */
async function inKeptMachine(directory: string): Promise<void> {
  const { hostKey, ...way } = JSON.parse(await readFile(join(directory, "way.json"), "utf8")) as Way & {
    hostKey: string;
  };
  const opened = await openGuest(way, hostKey, signal);
  guest = opened;
  await report.stage("this checkout brought into the machine", () => sendCheckout(opened.login, signal), "needed");
  await tryAll({ guest, machine: undefined, report, signal });
}

try {
  await (options.into === undefined ? inNewMachine() : inKeptMachine(options.into));
} catch (error) {
  if (!(error instanceof Over) && !signal.aborted) throw error;
  report.say(
    signal.aborted
      ? "\ninterrupted"
      : `\nwithout "${error instanceof Error ? error.message : ""}" nothing further is tried`,
  );
}
report.say(`\n${report.passed} passed, ${report.failed} failed`);
process.exitCode = signal.aborted ? 130 : report.failed > 0 ? 1 : 0;
