import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, readdir, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import Dockerode from "dockerode";
import { messageOf } from "../errors.ts";
import { engineSocket, type Instance } from "./instance.ts";

/** The running Podman API of an instance. */
export interface EngineService {
  readonly socket: string;
  readonly process: ChildProcess;
  /** Resolves with the exit code once the process has ended, whoever ended it. */
  readonly ended: Promise<number>;
  /** Ends the API process; containers go on. Safe to call twice. */
  stop(): Promise<void>;
}

export interface EngineServiceOptions {
  /** Lines that Podman writes (warnings); they hold no secrets because none are passed through its API. */
  readonly onLine?: (line: string) => void;
  /** Milliseconds to wait for the API to answer. */
  readonly deadline?: number;
}

/**
 * Configuration of the instance's Podman; replaces the host's (CONTAINERS_CONF), so that two instances and the host's own
 * Podman never share anything. Locks are files because the default is one segment of shared memory for the whole host.
 */
const CONTAINERS_CONF = `[containers]
log_driver = "k8s-file"
log_size_max = 10485760
init = false
# Nothing of the host leaks into a school: neither its hosts file nor its proxy settings.
base_hosts_file = "none"
host_containers_internal_ip = "none"
http_proxy = false

[engine]
lock_type = "file"
events_logger = "file"
# The monitor of each probe by exec would stay for five minutes, so that its exit could be looked up.
exit_command_delay = 10
image_parallel_copies = 2

[network]
network_backend = "netavark"
`;

/** Flags that keep storage, networks and state of an instance to itself. For people too: `podman <flags> ps`. */
export function podmanFlags(instance: Instance): readonly string[] {
  return [
    "--root",
    join(instance.stateDir, "containers"),
    "--runroot",
    join(instance.runDir, "containers"),
    "--tmpdir",
    join(instance.runDir, "libpod"),
    "--network-config-dir",
    join(instance.stateDir, "networks"),
    "--storage-driver",
    "overlay",
    "--runtime",
    "runc",
    "--cgroup-manager",
    "cgroupfs",
  ];
}

/** Environment of the instance's Podman. */
export function podmanEnvironment(instance: Instance): Record<string, string> {
  return {
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    HOME: "/root",
    LC_ALL: "C.UTF-8",
    CONTAINERS_CONF: join(instance.stateDir, "containers.conf"),
    // Images on their way in; the default is a directory of the whole host.
    TMPDIR: join(instance.stateDir, "tmp"),
  };
}

/** Addresses that Podman has given away: one file for all that it runs on a host, which a start of the machine empties. */
const GIVEN_ADDRESSES = "/run/containers/networks/ipam.db";

/** Processes directly below one. */
async function childrenOf(processes: string, pid: string): Promise<readonly string[]> {
  const tasks = await readdir(join(processes, pid, "task")).catch(() => []);
  const lists = tasks.map((task) => readFile(join(processes, pid, "task", task, "children"), "utf8").catch(() => ""));
  return (await Promise.all(lists)).flatMap((list) => list.split(" ").filter((child) => child.trim() !== ""));
}

/** Whether a process has a network of its own with more than a loopback in it: only such a one was given an address. */
async function hasAddress(processes: string, pid: string): Promise<boolean> {
  const ours = await readlink(join(processes, "self", "ns", "net"));
  const theirs = await readlink(join(processes, pid, "ns", "net")).catch(() => "");
  if (theirs === ours) return false;
  const devices = await readFile(join(processes, pid, "net", "dev"), "utf8").catch(() => "");
  // Two lines of headings, then a line for each device.
  return devices
    .split("\n")
    .slice(2)
    .some((line) => line.trim() !== "" && !line.trim().startsWith("lo:"));
}

/**
 * Podman that is killed while it starts a container can lose track of the address, and gives it to nobody until the machine
 * starts anew. While no container that runs on this host has one, none is given away: then the file goes, as a start would have it.
 * @param processes where the kernel lists them
 */
export async function forgetGivenAddresses(file = GIVEN_ADDRESSES, processes = "/proc"): Promise<void> {
  for (const pid of (await readdir(processes)).filter((name) => /^\d+$/.test(name))) {
    // Each container that runs has a monitor.
    const name = await readFile(join(processes, pid, "comm"), "utf8").catch(() => "");
    if (name.trim() !== "conmon") continue;
    const contained = await childrenOf(processes, pid);
    // One without a container may be about to start it.
    if (contained.length === 0) return;
    for (const each of contained) if (await hasAddress(processes, each)) return;
  }
  await rm(file, { force: true });
}

/**
 * Starts the Podman API of an instance and returns when it answers. A process or socket left by a dead starter is replaced;
 * containers survive, they do not depend on the API process.
 * @throws Error with Podman's words when it does not come up.
 */
export async function startEngineService(
  instance: Instance,
  options: EngineServiceOptions = {},
): Promise<EngineService> {
  const socket = engineSocket(instance);
  const pidFile = join(instance.runDir, "engine.pid");
  await mkdir(instance.runDir, { recursive: true, mode: 0o700 });
  await mkdir(join(instance.stateDir, "tmp"), { recursive: true, mode: 0o700 });
  await mkdir(join(instance.stateDir, "networks"), { recursive: true, mode: 0o700 });
  await endLeftOver(pidFile, socket);
  await forgetGivenAddresses();
  await rm(socket, { force: true });
  await writeFile(join(instance.stateDir, "containers.conf"), CONTAINERS_CONF, { mode: 0o600 });

  // However its starter ends, even by a kill, the kernel ends it too (prctl(2), PR_SET_PDEATHSIG): none is left running alone.
  const ending = ["--pdeathsig", "TERM", "podman"];
  const service = ["system", "service", "--time", "0", `unix://${socket}`];
  const child = spawn("setpriv", [...ending, ...podmanFlags(instance), ...service], {
    stdio: ["ignore", "pipe", "pipe"],
    env: podmanEnvironment(instance),
  });
  const lastLines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      for (const line of text.split("\n").filter((entry) => entry.trim() !== "")) {
        lastLines.push(line);
        if (lastLines.length > 20) lastLines.shift();
        options.onLine?.(line);
      }
    });
  }
  let failure: unknown;
  const ended = new Promise<number>((resolve) => {
    child.on("error", (error) => {
      failure = error;
      resolve(127);
    });
    child.on("exit", (code) => resolve(code ?? 1));
  });
  let running = true;
  void ended.then(() => {
    running = false;
  });
  if (child.pid !== undefined) await writeFile(pidFile, `${child.pid}\n`, { mode: 0o600 });

  const until = Date.now() + (options.deadline ?? 20_000);
  while (!(await answers(socket))) {
    if (!running || Date.now() > until) {
      child.kill("SIGKILL");
      const words = failure === undefined ? lastLines.join("\n") : messageOf(failure);
      throw new Error(`the container engine did not start: ${words || "no answer on its socket"}`);
    }
    await delay(10);
  }

  return {
    socket,
    process: child,
    ended,
    async stop() {
      if (!running) return;
      child.kill("SIGTERM");
      const forced = setTimeout(() => child.kill("SIGKILL"), 5_000);
      await ended;
      clearTimeout(forced);
      await rm(socket, { force: true });
      await rm(pidFile, { force: true });
    },
  };
}

/** Works with the instance's engine; where its service does not run, it runs for the work alone. */
export async function withEngine<T>(instance: Instance, work: (docker: Dockerode) => Promise<T>): Promise<T> {
  const socketPath = engineSocket(instance);
  const service = (await answers(socketPath)) ? undefined : await startEngineService(instance);
  try {
    return await work(new Dockerode({ socketPath }));
  } finally {
    await service?.stop();
  }
}

/** Whether a Docker API answers on a Unix socket. */
export function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = request({ socketPath, path: "/_ping", method: "GET", timeout: 2_000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    probe.on("error", () => resolve(false));
    probe.on("timeout", () => {
      probe.destroy();
      resolve(false);
    });
    probe.end();
  });
}

/** Ends the API process of a starter that died, recognised by its command line: a process id alone may have been reused. */
async function endLeftOver(pidFile: string, socket: string): Promise<void> {
  const pid = Number(await readFile(pidFile, "utf8").catch(() => ""));
  if (!Number.isInteger(pid) || pid <= 1) return;
  const isOurs = async () =>
    (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).split("\0").includes(`unix://${socket}`);
  if (!(await isOurs())) return;
  process.kill(pid, "SIGTERM");
  for (let waited = 0; waited < 5_000 && (await isOurs()); waited += 20) await delay(20);
  if (await isOurs()) process.kill(pid, "SIGKILL");
}

function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
