import { existsSync } from "node:fs";
import { chmod, cp, mkdir, readdir, readFile, rename, rm, truncate, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInstance } from "../../control-plane/host/instance.ts";
import { HOST_PACKAGES } from "../../control-plane/host/packages.ts";
import { assembleImages } from "../../control-plane/images/build.ts";
import { REPOSITORY } from "../../control-plane/images/bundle.ts";
import { mirrorLines } from "../../control-plane/images/debian-mirror.ts";
import { proxyOptions } from "../../control-plane/images/layers.ts";
import { IMAGE_RECIPES } from "../../control-plane/images/recipes.ts";
import { must } from "./program.ts";

/**
 * The disk of the machine: a Debian 12 with systemd as it comes from Debian's packages, and on it what an operator would have
 * brought: this checkout with its packages, and the layers of the images, which would take hours to make under emulation.
 */

/** What makes it a machine that one can reach. */
const MACHINE_PACKAGES = [
  "systemd-sysv",
  "linux-image-cloud-amd64",
  "apparmor",
  "dbus",
  "libpam-systemd",
  "udev",
  "kmod",
  "openssh-server",
  "ca-certificates",
  "curl",
  "iproute2",
  "procps",
];

/** Bytes of the disk; the file is sparse. */
const DISK_BYTES = 24 * 1024 ** 3;

/** Where the checkout lies in the machine. */
export const CHECKOUT = "/root/classmind";

export interface Disk {
  readonly image: string;
  readonly kernel: string;
  readonly initrd: string;
  /** Private key that opens root's account. */
  readonly key: string;
  /** The machine's public host key, as OpenSSH writes it. */
  readonly hostKey: string;
}

/** Files of the checkout: what git knows or would take, as it is now. */
async function checkoutFiles(signal: AbortSignal): Promise<readonly string[]> {
  const words = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
  const listed = await must("git", ["-C", REPOSITORY, ...words], { signal, seconds: 60 });
  return listed.split("\0").filter((file) => file !== "" && existsSync(join(REPOSITORY, file)));
}

/** Lays the checkout and its packages into a directory. */
export async function copyCheckout(target: string, signal: AbortSignal): Promise<void> {
  await mkdir(target, { recursive: true, mode: 0o755 });
  const files = await checkoutFiles(signal);
  const tar = `tar --create --null --files-from=- | tar --extract --owner=0 --group=0 --directory="$1"`;
  const quoted = { signal, seconds: 300, cwd: REPOSITORY, input: files.join("\0") };
  await must("sh", ["-c", tar, "sh", target], quoted);
  const packages = `tar --create --exclude=./node_modules/.cache --exclude=./node_modules/.vite ./node_modules | tar --extract --directory="$1"`;
  await must("sh", ["-c", packages, "sh", target], { signal, seconds: 300, cwd: REPOSITORY });
  // The launcher fetches packages anew when the list of them is younger than what was installed.
  const now = new Date();
  await utimes(join(target, "node_modules/.package-lock.json"), now, now);
}

/** Brings the checkout as it is now into a machine that has an older one; packages stay. @param login the words of ssh */
export async function sendCheckout(login: string, signal: AbortSignal): Promise<void> {
  const files = await checkoutFiles(signal);
  const sent = `tar --create --null --files-from=- | ${login} 'tar --extract --owner=0 --group=0 --directory=${CHECKOUT}; touch ${CHECKOUT}/node_modules/.package-lock.json'`;
  await must("sh", ["-c", sent], { signal, seconds: 600, cwd: REPOSITORY, input: files.join("\0") });
}

/** Makes what is missing of the images' layers here, where it takes minutes, and lays them where the machine looks for them. */
async function copyLayers(root: string): Promise<void> {
  const { cacheDir } = createInstance();
  await assembleImages({ cacheDir }, IMAGE_RECIPES, {}, async () => undefined);
  for (const name of ["keys", "layers"]) {
    await mkdir(join(root, cacheDir, name), { recursive: true });
    await cp(join(cacheDir, name), join(root, cacheDir, name), { recursive: true });
  }
}

async function debian(root: string, signal: AbortSignal): Promise<void> {
  const packages = [...MACHINE_PACKAGES, ...HOST_PACKAGES.map(({ name }) => name)];
  const words = [
    "--mode=root",
    "--variant=minbase",
    "--quiet",
    `--include=${packages.join(",")}`,
    "--dpkgopt=force-unsafe-io",
    ...(await proxyOptions()),
    "bookworm",
    root,
    ...(await mirrorLines("bookworm")),
  ];
  await must("mmdebstrap", words, { signal, seconds: 900 });
}

/** Name, network, file systems and who may come in. @returns the machine's public host key */
async function furnish(root: string, publicKey: string, signal: AbortSignal): Promise<string> {
  const write = async (file: string, text: string, mode = 0o644) => {
    await mkdir(join(root, file, ".."), { recursive: true });
    await writeFile(join(root, file), text);
    await chmod(join(root, file), mode);
  };
  await rm(join(root, "etc/resolv.conf"), { force: true });
  await write("etc/resolv.conf", "nameserver 10.0.2.3\n");
  await write("etc/hostname", "machine\n");
  await write("etc/hosts", "127.0.0.1 localhost\n127.0.1.1 machine\n");
  await write("etc/fstab", "/dev/vda / ext4 errors=remount-ro 0 1\n");
  await write("etc/systemd/network/80-wired.network", "[Match]\nName=en* eth*\n\n[Network]\nDHCP=yes\n");
  await mkdir(join(root, "root/.ssh"), { recursive: true, mode: 0o700 });
  await write("root/.ssh/authorized_keys", publicKey, 0o600);
  // Debian's own firewall unit, whose configuration begins with `flush ruleset`.
  const units = ["systemd-networkd.service", "nftables.service", "ssh.service"];
  await must("chroot", [root, "systemctl", "--quiet", "enable", ...units], { signal, seconds: 60 });
  return readFile(join(root, "etc/ssh/ssh_host_ed25519_key.pub"), "utf8");
}

/**
 * Makes the disk, its kernel and the keys, all below a directory.
 * @param say told what is done
 */
export async function makeDisk(directory: string, say: (line: string) => void, signal: AbortSignal): Promise<Disk> {
  const root = join(directory, "root");
  const key = join(directory, "key");
  const image = join(directory, "disk.img");
  const boot = { kernel: join(directory, "vmlinuz"), initrd: join(directory, "initrd.img") };
  await must("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "machine", "-f", key], { signal, seconds: 60 });
  say("Debian 12 by mmdebstrap");
  await debian(root, signal);
  const hostKey = await furnish(root, await readFile(`${key}.pub`, "utf8"), signal);
  for (const name of await readdir(join(root, "boot"))) {
    if (name.startsWith("vmlinuz-")) await rename(join(root, "boot", name), boot.kernel);
    if (name.startsWith("initrd.img-")) await rename(join(root, "boot", name), boot.initrd);
  }
  say("this checkout with its packages; the layers of the images");
  await copyCheckout(join(root, CHECKOUT), signal);
  await copyLayers(root);
  say("an ext4 file system of them");
  await writeFile(image, "");
  await truncate(image, DISK_BYTES);
  await must("mke2fs", ["-q", "-t", "ext4", "-d", root, image], { signal, seconds: 900 });
  await rm(root, { recursive: true, force: true });
  return { image, ...boot, key, hostKey };
}
