import { mkdir, readdir, rm, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../clock.ts";
import type { Instance } from "../../host/instance.ts";
import { CONTAINER_UID } from "../../images/recipes.ts";
import { quantityToBytes } from "../../render/values.ts";
import { EngineError, type VolumeObservation } from "../engine.ts";
import { handOver, type Identities, openToGroup } from "./identities.ts";
import { createMutex } from "./mutex.ts";
import type { SecretFiles } from "./secrets.ts";
import type { ShapeOf } from "./translate/shapes.ts";
import type { EncryptedVolumes } from "./volumes.ts";

export type Claim = ShapeOf<"PersistentVolumeClaim">;

/** Annotation that names the Secret (key `key`) an encrypted claim opens with, if it is not `volume-key`. */
const KEY_ANNOTATION = "classmind.de/volume-key";
const LOCK_ATTEMPTS = 4;
const LOCK_PAUSE_MS = 100;

/** Claims of both classes: an encrypted volume, or a plain directory for a repository that restic encrypts itself. */
export interface Claims {
  /** @throws EngineError "VolumeShrink" when the claim asks for less than the volume has; changes nothing */
  refuseShrink(claim: Claim): Promise<void>;
  whole(claim: Claim): Promise<boolean>;
  /** "closed-only": it can only grow while no pod uses it; call again then. */
  ensure(claim: Claim): Promise<"done" | "closed-only">;
  /** Makes a claim usable by a pod and returns its directory; it stays so until its last user releases it. */
  acquire(claim: Claim, user: string): Promise<string>;
  /**
   * Drops a user of the given claims; a volume that nobody uses is locked.
   * @throws EngineError of one that something on the host still holds: `lockLeft` locks it later
   */
  release(user: string, claims: readonly Claim[]): Promise<void>;
  /** Locks what could not be locked when its last user released it, unless somebody uses it again. Told is what stays open. */
  lockLeft(): Promise<readonly { readonly namespace: string; readonly name: string; readonly error: unknown }[]>;
  /** Encrypted volumes that pods use, as this process knows. */
  inUse(): readonly UsedClaim[];
  /** Mounts a volume in use again, which someone else unmounted; the pods that use it notice nothing. */
  reopen(claim: Claim): Promise<void>;
  remove(claim: Claim): Promise<void>;
  removeNamespace(namespace: string): Promise<void>;
  observe(claim: Claim): Promise<VolumeObservation>;
  namespaces(): Promise<readonly string[]>;
}

/** An encrypted volume that pods use. */
export interface UsedClaim {
  readonly namespace: string;
  readonly name: string;
  /** Where it is mounted, unless somebody took that away. */
  readonly target: string;
  readonly claim: Claim;
}

/** @param isMounted whether any running container mounts a claim, of whichever process it is */
export function openClaims(
  instance: Instance,
  volumes: EncryptedVolumes,
  secrets: SecretFiles,
  identities: Pick<Identities, "of">,
  clock: Clock,
  isMounted: (namespace: string, claim: string) => Promise<boolean>,
): Claims {
  const users = new Map<string, Set<string>>();
  /** Encrypted claims that have users, by the same keys. */
  const used = new Map<string, UsedClaim>();
  /** Encrypted claims that nobody uses and that are open nevertheless, by the same keys. */
  const left = new Map<string, Claim>();
  // Staging and locking of one claim must not overtake each other.
  const mutex = createMutex();
  const repositories = join(instance.stateDir, "repositories");
  const namespaceOf = (claim: Claim) => claim.metadata.namespace ?? "";
  const isEncrypted = (claim: Claim) => claim.spec.storageClassName === "classmind-encrypted";
  const bytesOf = (claim: Claim) => quantityToBytes(claim.spec.resources.requests.storage);
  const directoryOf = (claim: Claim) => join(repositories, namespaceOf(claim), claim.metadata.name);
  const keyOf = (claim: Claim) => `${namespaceOf(claim)}/${claim.metadata.name}`;

  /** Locks a claim that nobody uses. What its containers held is given back by the kernel a moment after they are gone. */
  async function lock(claim: Claim): Promise<void> {
    if (await isMounted(namespaceOf(claim), claim.metadata.name)) return;
    left.set(keyOf(claim), claim);
    for (let attempt = 1; ; attempt += 1) {
      try {
        await volumes.unstage(namespaceOf(claim), claim.metadata.name);
        break;
      } catch (error) {
        if (attempt >= LOCK_ATTEMPTS) throw error;
        await clock.sleep(LOCK_PAUSE_MS);
      }
    }
    left.delete(keyOf(claim));
  }

  const usedOf = (claim: Claim): UsedClaim => {
    const [namespace, { name }] = [namespaceOf(claim), claim.metadata];
    return { namespace, name, target: volumes.mountPoint(namespace, name), claim };
  };

  async function secretOf(claim: Claim): Promise<Buffer> {
    const name = claim.metadata.annotations?.[KEY_ANNOTATION] ?? "volume-key";
    const key = await secrets.read(namespaceOf(claim), name, "key");
    if (key === undefined || key.length < 16) {
      throw new EngineError(
        "VolumeKeyMissing",
        `volume ${claim.metadata.name} cannot be opened: its key (Secret ${name}) is not there`,
      );
    }
    return key;
  }

  /** A repository is its school's; another school's restore reads it by the group. */
  async function openRepository(claim: Claim): Promise<string> {
    const directory = directoryOf(claim);
    await handOver(directory, (await identities.of(namespaceOf(claim))) ?? CONTAINER_UID, CONTAINER_UID);
    await openToGroup(directory);
    return directory;
  }

  return {
    async refuseShrink(claim) {
      if (isEncrypted(claim)) await volumes.refuseShrink(namespaceOf(claim), claim.metadata.name, bytesOf(claim));
    },
    async whole(claim) {
      if (isEncrypted(claim)) return volumes.whole(namespaceOf(claim), claim.metadata.name, bytesOf(claim));
      return stat(directoryOf(claim)).then(
        (entry) => entry.isDirectory(),
        () => false,
      );
    },
    async ensure(claim) {
      if (isEncrypted(claim)) return volumes.ensure(namespaceOf(claim), claim.metadata.name, bytesOf(claim));
      await mkdir(directoryOf(claim), { recursive: true, mode: 0o700 });
      await openRepository(claim);
      return "done";
    },
    acquire: (claim, user) =>
      mutex.run(keyOf(claim), async () => {
        const directory = isEncrypted(claim)
          ? await volumes.stage(namespaceOf(claim), claim.metadata.name, () => secretOf(claim))
          : await openRepository(claim);
        const current = users.get(keyOf(claim)) ?? new Set();
        users.set(keyOf(claim), current.add(user));
        left.delete(keyOf(claim));
        if (isEncrypted(claim)) used.set(keyOf(claim), usedOf(claim));
        return directory;
      }),
    async release(user, claims) {
      for (const claim of claims) {
        await mutex.run(keyOf(claim), async () => {
          const current = users.get(keyOf(claim));
          current?.delete(user);
          if (!isEncrypted(claim) || (current !== undefined && current.size > 0)) return;
          users.delete(keyOf(claim));
          used.delete(keyOf(claim));
          await lock(claim);
        });
      }
    },
    async lockLeft() {
      const held: Awaited<ReturnType<Claims["lockLeft"]>>[number][] = [];
      for (const claim of [...left.values()]) {
        const lockIt = async () => (left.has(keyOf(claim)) ? lock(claim) : undefined);
        const { name } = claim.metadata;
        await mutex.run(keyOf(claim), lockIt).catch((error: unknown) => {
          held.push({ namespace: namespaceOf(claim), name, error });
        });
      }
      return held;
    },
    inUse: () => [...used.values()],
    reopen: (claim) =>
      mutex.run(keyOf(claim), async () => {
        if (!used.has(keyOf(claim))) return;
        await volumes.stage(namespaceOf(claim), claim.metadata.name, () => secretOf(claim));
      }),
    remove: (claim) =>
      mutex.run(keyOf(claim), async () => {
        users.delete(keyOf(claim));
        used.delete(keyOf(claim));
        left.delete(keyOf(claim));
        if (isEncrypted(claim)) await volumes.remove(namespaceOf(claim), claim.metadata.name);
        else await rm(directoryOf(claim), { recursive: true, force: true });
      }),
    async removeNamespace(namespace) {
      for (const [key, claim] of left) if (namespaceOf(claim) === namespace) left.delete(key);
      await volumes.removeNamespace(namespace);
      await rm(join(repositories, namespace), { recursive: true, force: true });
    },
    async observe(claim) {
      const name = claim.metadata.name;
      const { storageClassName: className, resources } = claim.spec;
      const asked = { className, size: resources.requests.storage };
      if (isEncrypted(claim)) return { name, asked, ...(await volumes.observe(namespaceOf(claim), name)) };
      const there = await stat(directoryOf(claim)).then(
        (entry) => entry.isDirectory(),
        () => false,
      );
      const usage = await statfs(directoryOf(claim)).catch(() => undefined);
      const free = usage ? usage.bavail * usage.bsize : 0;
      return {
        name,
        asked,
        state: there ? "Present" : "Lost",
        identity: undefined,
        capacityBytes: bytesOf(claim),
        usedBytes: Math.max(0, bytesOf(claim) - free),
        locked: false,
      };
    },
    async namespaces() {
      const own = await readdir(repositories).catch(() => []);
      return [...new Set([...own, ...(await volumes.namespaces())])].sort();
    },
  };
}
