import { messageOf } from "../../errors.ts";
import type { EngineContext } from "./context.ts";
import { listMounts } from "./mounts.ts";
import { fillOf, mountsBelow } from "./volumes.ts";

/**
 * Looks after what the engine made on the host and others can take away or fill without an event of the container engine: firewall
 * rules, mounts, the room in volumes. What is lost is made again at once, and whoever watches the namespace is woken.
 */

/** What guarding needs of the running engine. */
export interface Guarding {
  readonly context: EngineContext;
  /** Makes the rules of these namespaces so. */
  loadFirewall(namespaces: readonly string[]): Promise<void>;
}

/** A flush comes as hundreds of events. */
const GATHER_MS = 100;
/** Against something that changes them again each time the rules are put right at this pace: it must not cost a processor. */
const LONGEST_GATHER_MS = 2_000;
/** Milliseconds between two looks at mounts and their room: one file read, and one call to the kernel for each mounted volume. */
const ROUND_MS = 5_000;
/** Share of bytes or inodes in use from which a volume is short of room. */
const SHORT_OF_ROOM = 0.9;

/** Puts right what someone else did to the firewall. @returns whether anything was wrong */
async function mendFirewall({ context, loadFirewall }: Guarding): Promise<boolean> {
  const { firewall, clock, log, wake } = context;
  const broken = await firewall.broken();
  if (broken.length === 0) return false;
  const began = clock.now();
  log.error({ schools: broken.length }, "the firewall's rules were changed by someone else; they are put right now");
  try {
    await loadFirewall(broken);
  } finally {
    for (const namespace of broken) wake(namespace);
  }
  const milliseconds = clock.now().getTime() - began.getTime();
  log.warn({ schools: broken.length, milliseconds }, "the firewall's rules are whole again");
  return true;
}

/** Follows changes of the firewall's tables until the signal aborts. */
async function guardFirewall(guarding: Guarding, signal: AbortSignal): Promise<void> {
  const { clock, firewall, log } = guarding.context;
  let due = false;
  let gather = GATHER_MS;
  const look = () => {
    if (due) return;
    due = true;
    void clock.sleep(gather, signal).then(async () => {
      due = false;
      if (signal.aborted) return;
      try {
        gather = (await mendFirewall(guarding)) ? Math.min(gather * 2, LONGEST_GATHER_MS) : GATHER_MS;
      } catch (error) {
        log.error({ error: messageOf(error) }, "the firewall could not be put right; it is tried again");
        gather = LONGEST_GATHER_MS;
        look();
      }
    });
  };
  await firewall.follow(clock, signal, look);
}

/** Mounts that somebody took away, although pods use what is on them, are made again. */
async function mendMounts({ context }: Guarding): Promise<void> {
  const { claims, secrets, objects, log, wake } = context;
  const mounted = new Set((await listMounts()).map(({ target }) => target));
  if (await secrets.reopen(mounted)) {
    log.error({}, "the file system of the secrets was unmounted by someone else; it is mounted again, and empty");
    for (const namespace of await objects.namespaces()) wake(namespace);
  }
  for (const { namespace, name, target, claim } of claims.inUse()) {
    if (mounted.has(target)) continue;
    log.error({ namespace, volume: name }, "a volume was unmounted by someone else; it is mounted again");
    wake(namespace);
    await claims
      .reopen(claim)
      .then(() => wake(namespace))
      .catch((error: unknown) => log.error({ namespace, volume: name, error: messageOf(error) }, "it could not be"));
  }
  for (const { namespace, name, error } of await claims.lockLeft())
    log.error(
      { namespace, volume: name, error: messageOf(error) },
      "a volume that no pod uses is held open by something",
    );
}

/** Wakes a namespace when one of its volumes gets short of room, and when it no longer is. */
function createRoomWatch({ instance, wake }: EngineContext): () => Promise<void> {
  const short = new Set<string>();
  return async () => {
    const volumes = mountsBelow(instance, await listMounts());
    for (const { namespace, target } of volumes) {
      const fill = await fillOf(target).catch(() => undefined);
      if (fill === undefined) continue;
      const bytes = fill.usedBytes / Math.max(fill.capacityBytes, 1);
      const inodes = fill.inodes.used / Math.max(fill.inodes.total, 1);
      const isShort = Math.max(bytes, inodes) >= SHORT_OF_ROOM;
      if (isShort === short.has(target)) continue;
      if (isShort) short.add(target);
      else short.delete(target);
      wake(namespace);
    }
    const present = new Set(volumes.map(({ target }) => target));
    for (const target of short) if (!present.has(target)) short.delete(target);
  };
}

async function guardMounts(guarding: Guarding, signal: AbortSignal): Promise<void> {
  const { clock, log } = guarding.context;
  const watchRoom = createRoomWatch(guarding.context);
  while (!signal.aborted) {
    await clock.sleep(ROUND_MS, signal);
    if (signal.aborted) return;
    await mendMounts(guarding)
      .then(watchRoom)
      .catch((error: unknown) => log.error({ error: messageOf(error) }, "a look at the host's mounts failed"));
  }
}

/** Guards until the signal aborts. */
export async function guardHost(guarding: Guarding, signal: AbortSignal): Promise<void> {
  await Promise.all([guardFirewall(guarding, signal), guardMounts(guarding, signal)]);
}
