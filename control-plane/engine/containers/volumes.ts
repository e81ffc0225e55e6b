import { hkdfSync, randomUUID } from "node:crypto";
import { chmod, mkdir, open, readdir, readFile, rename, rm, stat, statfs, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { messageOf } from "../../errors.ts";
import type { Instance } from "../../host/instance.ts";
import { ProgramError, runHost } from "../../host/program.ts";
import { EngineError, type VolumeObservation } from "../engine.ts";
import { syncDirectory, writeWhole } from "./files.ts";
import { handOver } from "./identities.ts";
import { isMountPoint, listMounts, type Mount } from "./mounts.ts";
import { createMutex } from "./mutex.ts";

/** Encrypted volumes: an ext4 image of the claim's size, loop-mounted, with native encryption of its one directory `data`. */
export interface EncryptedVolumes {
  /** @throws EngineError "VolumeShrink" when the image is larger than `bytes`; changes nothing */
  refuseShrink(namespace: string, claim: string, bytes: number): Promise<void>;
  /** Whether the image is there and at least of the given size. */
  whole(namespace: string, claim: string, bytes: number): Promise<boolean>;
  /**
   * Makes the image if there is none, grows it if it is smaller. Never shrinks, never formats over data.
   * "closed-only": the host may not grow a mounted file system (CAP_SYS_RESOURCE is missing), so it happens at the next
   * staging, or when this is called again while nothing uses the volume.
   */
  ensure(namespace: string, claim: string, bytes: number): Promise<"done" | "closed-only">;
  /** Mounts and unlocks; returns the directory that holds the data. `key` is asked for only when it is needed. */
  stage(namespace: string, claim: string, key: () => Promise<Buffer>): Promise<string>;
  /** Where a volume is mounted while pods use it. */
  mountPoint(namespace: string, claim: string): string;
  /** Locks, unmounts and detaches. Fine when nothing is mounted. */
  unstage(namespace: string, claim: string): Promise<void>;
  remove(namespace: string, claim: string): Promise<void>;
  removeNamespace(namespace: string): Promise<void>;
  observe(namespace: string, claim: string): Promise<Omit<VolumeObservation, "name" | "asked">>;
  namespaces(): Promise<readonly string[]>;
}

const MOUNT_OPTIONS = "nosuid,nodev,noexec,errors=remount-ro,discard";
const SECTOR = 4096;
/** Of the directory `data`, through which containers' users pass to what is theirs. */
const PASSABLE = 0o711;

/** 32 bytes for the kernel out of whatever the Secret holds, for this purpose only. */
function rawKey(secret: Buffer): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", secret, Buffer.alloc(0), "classmind volume", 32));
}

export function openEncryptedVolumes(instance: Instance): EncryptedVolumes {
  const mutex = createMutex();
  const imageOf = (namespace: string, claim: string) => join(instance.stateDir, "volumes", namespace, `${claim}.img`);
  const mountOf = (namespace: string, claim: string) => join(instance.stateDir, "mnt", namespace, claim);
  const dataOf = (namespace: string, claim: string) => join(mountOf(namespace, claim), "data");
  /**
   * Says that the volume held data once: should its image vanish, no empty one may take its place unnoticed, and no other one. Holds
   * the file system's UUID.
   */
  const markerOf = (namespace: string, claim: string) => join(instance.stateDir, "engine", namespace, `made.${claim}`);
  /** The UUID that the file system is to have, from before it is made. */
  const wishOf = (namespace: string, claim: string) => join(instance.stateDir, "engine", namespace, `wanted.${claim}`);
  /** Volumes that this process has unlocked and not locked since: asking fscrypt takes longer than all else about a mounted one. */
  const unlocked = new Set<string>();
  const exclusive = <T>(namespace: string, claim: string, task: () => Promise<T>) =>
    mutex.run(`${namespace}/${claim}`, task);

  async function refuseShrink(namespace: string, claim: string, bytes: number): Promise<void> {
    const size = await sizeOf(imageOf(namespace, claim));
    if (size <= bytes) return;
    throw new EngineError("VolumeShrink", `volume ${claim} has ${size} bytes and cannot shrink to ${bytes}`, {
      retryable: false,
    });
  }

  async function unmount(namespace: string, claim: string): Promise<void> {
    const target = mountOf(namespace, claim);
    unlocked.delete(target);
    while (await isMountPoint(target)) {
      // The key leaves the kernel first: an unmount that is held up must not leave the data readable.
      await runHost("fscrypt", ["lock", dataOf(namespace, claim), "--quiet"]).catch((error: unknown) => {
        if (!/already locked|not encrypted|no such file/i.test(messageOf(error))) throw busy(claim, error);
      });
      await runHost("umount", [target]).catch((error: unknown) => {
        throw busy(claim, error);
      });
    }
    await detach(imageOf(namespace, claim));
    await rm(target, { recursive: false, force: true }).catch(() => undefined);
    await rm(target, { recursive: true, force: true });
  }

  async function make(namespace: string, claim: string, image: string, secret: Buffer): Promise<void> {
    const half = `${image}.new`;
    const bytes = (await stat(half)).size;
    const target = mountOf(namespace, claim);
    await unmount(namespace, claim);
    await detach(half);
    await rm(half, { force: true });
    await allocate(half, bytes);
    const identity = await identityToBe(namespace, claim);
    const options = ["-O", "encrypt", "-E", "lazy_itable_init=1,nodiscard", "-m", "0", "-U", identity];
    await runHost("mkfs.ext4", ["-q", ...options, half]);
    await mkdir(target, { recursive: true, mode: 0o700 });
    await runHost("mount", ["-o", `loop,${MOUNT_OPTIONS}`, half, target]);
    await runHost("fscrypt", ["setup", target, "--quiet", "--force"]);
    const data = dataOf(namespace, claim);
    await mkdir(data, { mode: 0o700 });
    await withKey(instance, secret, (key) =>
      runHost("fscrypt", [
        "encrypt",
        data,
        "--source=raw_key",
        `--key=${key}`,
        "--name=volume",
        "--no-recovery",
        "--quiet",
      ]),
    );
    // After fscrypt, which closes what it encrypts.
    await chmod(data, PASSABLE);
    await runHost("sync", ["--file-system", target]);
    // From here on it is a volume with data, and is never made again.
    await rename(half, image);
    await syncDirectory(dirname(image));
    await remember(namespace, claim, identity);
  }

  async function identityToBe(namespace: string, claim: string): Promise<string> {
    const file = wishOf(namespace, claim);
    const wished = await readFile(file, "utf8").catch(() => "");
    if (UUID.test(wished)) return wished;
    const identity = randomUUID();
    await writeWhole(file, identity, { mode: 0o600, durable: true });
    return identity;
  }

  async function remember(namespace: string, claim: string, identity: string): Promise<void> {
    const marker = markerOf(namespace, claim);
    if ((await sizeOf(marker)) <= 0) await writeWhole(marker, identity, { mode: 0o600, durable: true });
    // What is gone from now on was there.
    await rm(wishOf(namespace, claim), { force: true });
  }

  /** Another file system under the school's name is not the school's, whatever is on it. */
  async function refuseForeign(namespace: string, claim: string, image: string): Promise<string> {
    const remembered = await readFile(markerOf(namespace, claim), "utf8").catch(() => "");
    const identity = await uuidOf(image);
    if (remembered === "" || remembered === identity) return identity;
    throw new EngineError(
      "VolumeMissing",
      `${image} is another file system (${identity}) than the one that this school's volume ${claim} was (${remembered})`,
      { retryable: false },
    );
  }

  async function refuseReplacement(namespace: string, claim: string): Promise<void> {
    if ((await sizeOf(markerOf(namespace, claim))) < 0) return;
    throw new EngineError(
      "VolumeMissing",
      `the image of volume ${claim} (${imageOf(namespace, claim)}) is gone; restore the school from a backup`,
      { retryable: false },
    );
  }

  async function unlock(namespace: string, claim: string, image: string, secret: Buffer): Promise<void> {
    const target = mountOf(namespace, claim);
    await remember(namespace, claim, await refuseForeign(namespace, claim, image));
    // Unmounted by someone else while pods go on using it: the file system is alive, must not be checked or grown from outside,
    // and needs only a way in for the host again (mount finds the loop device that has the image already).
    const held = (await devicesOf(image)).length > 0;
    if (!held && !(await isGrown(image))) await grow(image, target);
    await mkdir(target, { recursive: true, mode: 0o700 });
    await runHost("mount", ["-o", `loop,${MOUNT_OPTIONS}`, image, target]);
    if (held && !(await isLocked(dataOf(namespace, claim)))) return;
    try {
      await withKey(instance, secret, (key) =>
        runHost("fscrypt", ["unlock", dataOf(namespace, claim), `--key=${key}`, "--quiet"]),
      );
    } catch (error) {
      await unmount(namespace, claim);
      if (/incorrect|wrong|key/i.test(messageOf(error))) {
        throw new EngineError("VolumeKeyWrong", `volume ${claim} does not open with this school's key`, {
          retryable: false,
        });
      }
      throw error;
    }
    // While it is root's: what a pod has taken over is the pod's.
    const data = dataOf(namespace, claim);
    if ((await stat(data)).uid === 0) await chmod(data, PASSABLE);
  }

  return {
    refuseShrink,
    async whole(namespace, claim, bytes) {
      return (
        (await sizeOf(imageOf(namespace, claim))) >= bytes ||
        (await sizeOf(`${imageOf(namespace, claim)}.new`)) >= bytes
      );
    },
    ensure: (namespace, claim, bytes) =>
      exclusive(namespace, claim, async () => {
        const image = imageOf(namespace, claim);
        await refuseShrink(namespace, claim, bytes);
        const size = await sizeOf(image);
        if (size >= 0) {
          if (size < bytes) await enlarge(image, bytes);
          return (await isGrown(image)) ? "done" : grow(image, mountOf(namespace, claim));
        }
        await refuseReplacement(namespace, claim);
        // The key may not be there yet: the file system is made when the first pod needs it.
        await mkdir(dirname(image), { recursive: true, mode: 0o700 });
        await identityToBe(namespace, claim);
        if ((await sizeOf(`${image}.new`)) !== bytes) await allocate(`${image}.new`, bytes);
        return "done";
      }),
    stage: (namespace, claim, key) =>
      exclusive(namespace, claim, async () => {
        const image = imageOf(namespace, claim);
        const data = dataOf(namespace, claim);
        const target = mountOf(namespace, claim);
        if ((await sizeOf(image)) < 0) {
          await refuseReplacement(namespace, claim);
          if ((await sizeOf(`${image}.new`)) < 0) {
            throw new EngineError("VolumeMissing", `the image of volume ${claim} is gone`, { retryable: false });
          }
          await make(namespace, claim, image, await key());
        } else if (!(await isMountPoint(target))) {
          await unlock(namespace, claim, image, await key());
        } else if (!unlocked.has(target) && (await isLocked(data))) {
          await unmount(namespace, claim);
          await unlock(namespace, claim, image, await key());
        }
        unlocked.add(target);
        return data;
      }),
    mountPoint: mountOf,
    unstage: (namespace, claim) => exclusive(namespace, claim, () => unmount(namespace, claim)),
    remove: (namespace, claim) =>
      exclusive(namespace, claim, async () => {
        await unmount(namespace, claim);
        await detach(`${imageOf(namespace, claim)}.new`);
        await rm(markerOf(namespace, claim), { force: true });
        await rm(wishOf(namespace, claim), { force: true });
        await rm(imageOf(namespace, claim), { force: true });
        await rm(`${imageOf(namespace, claim)}.new`, { force: true });
      }),
    async removeNamespace(namespace) {
      await rm(join(instance.stateDir, "volumes", namespace), { recursive: true, force: true });
      await rm(join(instance.stateDir, "mnt", namespace), { recursive: true, force: true });
    },
    async observe(namespace, claim) {
      const image = imageOf(namespace, claim);
      const [made, half] = await Promise.all([sizeOf(image), sizeOf(`${image}.new`)]);
      // One that is being made is what it will be, also where its maker was cut off; but not where there was one before.
      const began =
        made < 0 &&
        (await sizeOf(markerOf(namespace, claim))) < 0 &&
        (half >= 0 || (await sizeOf(wishOf(namespace, claim))) >= 0);
      const state = made >= 0 || began ? "Present" : "Lost";
      const identity = made >= 0 ? await uuidOf(image) : began ? await identityToBe(namespace, claim) : undefined;
      const target = mountOf(namespace, claim);
      if (!(await isMountPoint(target)) || (await isLocked(dataOf(namespace, claim)))) {
        return { state, identity, capacityBytes: Math.max(made, half, 0), usedBytes: undefined, locked: true };
      }
      return { state, identity, ...(await fillOf(target)), locked: false };
    },
    async namespaces() {
      const names = await readdir(join(instance.stateDir, "volumes")).catch(() => []);
      return names.sort();
    },
  };
}

/** How full a mounted file system is. As df: what is kept for root counts neither as used nor as room. */
export async function fillOf(target: string): Promise<{
  readonly capacityBytes: number;
  readonly usedBytes: number;
  readonly inodes: { readonly used: number; readonly total: number };
}> {
  const { blocks, bfree, bavail, bsize, files, ffree } = await statfs(target);
  return {
    capacityBytes: (blocks - bfree + bavail) * bsize,
    usedBytes: (blocks - bfree) * bsize,
    inodes: { used: files - ffree, total: files },
  };
}

/** Directory below an unlocked volume for a subPath, with all that is in it the pod's user's. */
export async function subDirectory(
  data: string,
  subPath: string | undefined,
  uid: number,
  gid: number,
): Promise<string> {
  const path = subPath === undefined ? data : join(data, subPath);
  await mkdir(path, { mode: 0o700 }).catch((error: unknown) => {
    if (typeof error === "object" && error !== null && "code" in error && error.code === "EEXIST") return;
    throw error;
  });
  await handOver(path, uid, gid);
  return path;
}

function busy(claim: string, cause: unknown): EngineError {
  return new EngineError("VolumeBusy", `volume ${claim} is still in use: ${messageOf(cause)}`, { cause });
}

async function sizeOf(file: string): Promise<number> {
  return stat(file).then(
    (entry) => entry.size,
    () => -1,
  );
}

async function allocate(file: string, bytes: number): Promise<void> {
  const handle = await open(file, "w", 0o600);
  await handle.truncate(Math.ceil(bytes / SECTOR) * SECTOR);
  await handle.close();
}

async function enlarge(image: string, bytes: number): Promise<void> {
  const handle = await open(image, "r+");
  await handle.truncate(bytes);
  await handle.sync();
  await handle.close();
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** ext4's superblock: 1024 bytes in, little-endian (the kernel's Documentation/filesystems/ext4). */
async function readSuperblock(image: string): Promise<{ readonly size: number; readonly superblock: Buffer }> {
  const handle = await open(image, "r");
  try {
    const { size } = await handle.stat();
    const superblock = Buffer.alloc(1024);
    await handle.read(superblock, 0, 1024, 1024);
    return { size, superblock };
  } finally {
    await handle.close();
  }
}

/** UUID of the file system in an image (s_uuid). */
async function uuidOf(image: string): Promise<string> {
  const hex = (await readSuperblock(image)).superblock.toString("hex", 0x68, 0x78);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** Whether the file system fills its image. */
async function isGrown(image: string): Promise<boolean> {
  const { size, superblock } = await readSuperblock(image);
  const blockSize = 1024 << superblock.readUInt32LE(24);
  const blocks = superblock.readUInt32LE(4) + superblock.readUInt32LE(0x150) * 2 ** 32;
  // A last group too small to be worth it may stay unused.
  return size - blocks * blockSize < 1024 * 1024;
}

/** Grows the file system to its image's size, while it is used if the host permits that. */
async function grow(image: string, target: string): Promise<"done" | "closed-only"> {
  const mounted = (await listMounts()).find((mount) => mount.target === target);
  if (!mounted) {
    // 1: errors were corrected.
    await runHost("e2fsck", ["-f", "-p", image]).catch((error: unknown) => {
      if (!(error instanceof ProgramError && error.code === 1)) throw error;
    });
    await runHost("resize2fs", [image]);
    return "done";
  }
  await runHost("losetup", ["--set-capacity", mounted.source]);
  try {
    await runHost("resize2fs", [mounted.source]);
    return "done";
  } catch (error) {
    if (/permission denied|operation not permitted/i.test(messageOf(error))) return "closed-only";
    throw error;
  }
}

/** Loop devices that hold a file (in use, or of a mount that lost its starter). */
async function devicesOf(image: string): Promise<readonly string[]> {
  const devices = (await readdir("/sys/block")).filter((name) => name.startsWith("loop"));
  const holding = await Promise.all(
    devices.map(async (device) => {
      // Only a device in use has this file. The kernel marks a file that was removed.
      const backing = await readFile(`/sys/block/${device}/loop/backing_file`, "utf8").catch(() => "");
      return backing.trim().replace(/ \(deleted\)$/, "") === image ? [`/dev/${device}`] : [];
    }),
  );
  return holding.flat();
}

/** Detaches loop devices that still hold a file. */
async function detach(image: string): Promise<void> {
  for (const device of await devicesOf(image)) await runHost("losetup", ["--detach", device]);
}

/** Volumes among mounts. Pure. */
export function mountsBelow(
  instance: Pick<Instance, "stateDir">,
  mounts: readonly Mount[],
): ReadonlyArray<{ readonly namespace: string; readonly target: string }> {
  const root = `${join(instance.stateDir, "mnt")}/`;
  return mounts.flatMap(({ target }) => {
    const [namespace, claim, ...deeper] = target.startsWith(root) ? target.slice(root.length).split("/") : [];
    return namespace === undefined || claim === undefined || deeper.length > 0 ? [] : [{ namespace, target }];
  });
}

/** Without the key, names in an encrypted directory cannot be created. fscrypt says so without trying. */
async function isLocked(data: string): Promise<boolean> {
  const status = await runHost("fscrypt", ["status", data]).catch(() => "");
  return !/Unlocked:\s+Yes/.test(status);
}

/** fscrypt reads a raw key from a file only: one on the secrets' tmpfs that exists for the moment of the call. */
async function withKey(instance: Instance, secret: Buffer, use: (file: string) => Promise<unknown>): Promise<void> {
  const directory = join(instance.runDir, "secrets", ".keys");
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const file = join(directory, `${process.pid}-${Math.random().toString(36).slice(2)}`);
  await writeFile(file, rawKey(secret), { mode: 0o600, flag: "wx" });
  await chmod(file, 0o400);
  try {
    await use(file);
  } finally {
    await rm(file, { force: true });
  }
}
