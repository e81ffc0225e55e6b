import { spawn } from "node:child_process";

/** A Debian package the platform needs on a host that runs schools itself. */
export interface HostPackage {
  readonly name: string;
  readonly why: string;
}

/** What a fresh Debian 12 or 13 lacks. Versions of the distribution are good enough. */
export const HOST_PACKAGES: readonly HostPackage[] = [
  { name: "podman", why: "runs the containers of the schools" },
  { name: "runc", why: "starts containers on hosts with any kind of cgroups" },
  { name: "catatonit", why: "is the first process of each container of a school" },
  { name: "netavark", why: "gives each school a network of its own" },
  { name: "iptables", why: "called by netavark when it sets up a network" },
  { name: "nftables", why: "the firewall around each school" },
  { name: "fscrypt", why: "encrypts each school's volume with its own key" },
  { name: "e2fsprogs", why: "makes and grows the volumes" },
  { name: "mount", why: "mounts the volumes (mount, losetup)" },
  { name: "mmdebstrap", why: "builds the container images from Debian packages" },
];

/** Outcome of a command; `stderr` is for messages. */
interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function runCommand(
  command: string,
  args: readonly string[],
  env: Record<string, string> = {},
  onLine?: (line: string) => void,
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, LC_ALL: "C.UTF-8", ...env },
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
      for (const line of text.split("\n")) if (line.trim()) onLine?.(line);
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code: code ?? 1, stdout, stderr }));
  });
}

/**
 * Packages of the list that are not installed, in its order. Asks dpkg only: no network, no change.
 * @throws Error when the host has no dpkg (not a Debian system).
 */
export async function missingPackages(wanted: readonly HostPackage[] = HOST_PACKAGES): Promise<readonly HostPackage[]> {
  const { stdout } = await runCommand("dpkg-query", [
    "--show",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg's own field syntax
    "--showformat=${Package} ${db:Status-Status}\n",
    ...wanted.map((entry) => entry.name),
  ]);
  const installed = new Set<string>();
  for (const line of stdout.split("\n")) {
    const [name, status] = line.split(" ");
    if (name && status === "installed") installed.add(name);
  }
  return wanted.filter((entry) => !installed.has(entry.name));
}

/**
 * Installs packages with apt from the host's own configured mirrors, without recommended extras.
 * Does nothing for an empty list. Rejects with apt's last words when it fails.
 */
export async function installPackages(
  packages: readonly HostPackage[],
  options: { readonly onProgress?: (message: string) => void } = {},
): Promise<void> {
  if (packages.length === 0) return;
  const apt = ["--quiet", "--option=DPkg::Lock::Timeout=120"];
  const env = { DEBIAN_FRONTEND: "noninteractive", NEEDRESTART_SUSPEND: "1" };
  options.onProgress?.("reading package lists");
  // A foreign source that cannot be reached makes `update` fail although Debian's own lists arrived: let install decide.
  const update = await runCommand("apt-get", [...apt, "update"], env);
  options.onProgress?.(`installing ${packages.map((entry) => entry.name).join(", ")}`);
  const install = await runCommand(
    "apt-get",
    [...apt, "install", "--yes", "--no-install-recommends", ...packages.map((entry) => entry.name)],
    env,
    (line) => /^(Unpacking|Setting up) /.test(line) && options.onProgress?.(line),
  );
  if (install.code !== 0) {
    const words = `${install.stderr}${update.code === 0 ? "" : update.stderr}`.trim().split("\n").slice(-6).join("\n");
    throw new Error(`apt-get could not install ${packages.map((entry) => entry.name).join(", ")}: ${words}`);
  }
}
