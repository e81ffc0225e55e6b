import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { runHost } from "../../host/program.ts";
import { CONTAINER_UID } from "../../images/recipes.ts";
import type { ManifestHash } from "../engine.ts";
import { type Access, hasAccess, makeDirectory, writeWhole } from "./files.ts";
import { isMountPoint } from "./mounts.ts";
import { createMutex } from "./mutex.ts";

/** Secrets as files on a tmpfs of our own: never on disk, gone at a reboot. */
export interface SecretFiles {
  /** Makes sure that the tmpfs is there. */
  open(): Promise<void>;
  /**
   * The same for one that was there.
   * @param mounted where something is mounted
   * @returns whether it had to be mounted again: every secret is lost then
   */
  reopen(mounted: ReadonlySet<string>): Promise<boolean>;
  write(namespace: string, name: string, data: Readonly<Record<string, string>>, hash: ManifestHash): Promise<void>;
  /**
   * Hash of the manifest the files were written from; undefined when they are not there, or not such that the containers' user
   * can read them and nobody else.
   */
  hash(namespace: string, name: string): Promise<ManifestHash | undefined>;
  read(namespace: string, name: string, key: string): Promise<Buffer | undefined>;
  /** Directory to bind into a container. */
  directory(namespace: string, name: string): string;
  remove(namespace: string, name: string): Promise<void>;
  removeNamespace(namespace: string): Promise<void>;
  namespaces(): Promise<readonly string[]>;
}

const OWNER = [0, CONTAINER_UID] as const;
const DIRECTORY: Access = { mode: 0o750, owner: OWNER };
const FILE: Access = { mode: 0o440, owner: OWNER };

/** Whether the containers' user can read a secret, as it was meant to. An older version let the umask take that away. */
async function isReadable(directory: string): Promise<boolean> {
  if (!(await hasAccess(directory, DIRECTORY))) return false;
  const files = (await readdir(directory).catch(() => [])).map((name) => hasAccess(join(directory, name), FILE));
  return (await Promise.all(files)).every((fine) => fine);
}

/**
 * @param runDir run directory of the instance; the tmpfs is mounted at <runDir>/secrets with mode 0700, so that no other user
 *   of the host reaches the files although their group is the containers'
 */
export function openSecretFiles(runDir: string): SecretFiles {
  const root = join(runDir, "secrets");
  const directory = (namespace: string, name: string) => join(root, namespace, name);
  const marker = (namespace: string, name: string) => join(root, namespace, `.${name}.hash`);
  const mutex = createMutex();
  const open = () =>
    mutex.run("mount", async () => {
      await mkdir(root, { recursive: true, mode: 0o700 });
      if (await isMountPoint(root)) return;
      const options = "size=256m,mode=0700,nosuid,nodev,noexec";
      // `noswap` came with Linux 6.4; without it the host's swap should be encrypted.
      await runHost("mount", ["-t", "tmpfs", "-o", `${options},noswap`, "classmind-secrets", root]).catch(() =>
        runHost("mount", ["-t", "tmpfs", "-o", options, "classmind-secrets", root]),
      );
    });
  return {
    directory,
    open,
    async reopen(mounted) {
      if (mounted.has(root)) return false;
      await open();
      return true;
    },
    async write(namespace, name, data, hash) {
      // Never on what lies below it, which may be a disk, should somebody have unmounted it.
      await open();
      const target = directory(namespace, name);
      await makeDirectory(target, DIRECTORY);
      await rm(marker(namespace, name), { force: true });
      for (const [key, value] of Object.entries(data)) {
        await writeWhole(join(target, key), Buffer.from(value, "base64"), { ...FILE, durable: false });
      }
      for (const present of await readdir(target)) {
        if (!Object.hasOwn(data, present)) await rm(join(target, present), { force: true });
      }
      await writeWhole(marker(namespace, name), hash, { mode: 0o600, durable: false });
    },
    async hash(namespace, name) {
      const written = await readFile(marker(namespace, name), "utf8").catch(() => undefined);
      return written !== undefined && (await isReadable(directory(namespace, name))) ? written : undefined;
    },
    async read(namespace, name, key) {
      return readFile(join(directory(namespace, name), key)).catch(() => undefined);
    },
    async remove(namespace, name) {
      await rm(marker(namespace, name), { force: true });
      await rm(directory(namespace, name), { recursive: true, force: true });
    },
    async removeNamespace(namespace) {
      await rm(join(root, namespace), { recursive: true, force: true });
    },
    async namespaces() {
      return (await readdir(root).catch(() => [])).sort();
    },
  };
}
