import { createServer, type Server } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { ClassmindError } from "../errors.ts";
import type { Instance } from "./instance.ts";

/** Locks of a host: abstract Unix sockets, which the kernel gives back however their holder ends. */

/** Takes a lock, held until it is closed; undefined while somebody else holds it. */
function tryLock(name: string): Promise<Server | undefined> {
  const lock = createServer((visitor) => visitor.destroy());
  return new Promise((resolve, reject) => {
    lock.once("error", (error: NodeJS.ErrnoException) =>
      error.code === "EADDRINUSE" ? resolve(undefined) : reject(error),
    );
    lock.listen({ path: `\0classmind-${name}` }, () => resolve(lock));
  });
}

/**
 * Makes this process the only supervisor of an installation for as long as it lives.
 * @throws Error when another one holds it
 */
export async function holdSupervisorLock(instance: Instance): Promise<void> {
  const lock = await tryLock(`supervisor-${instance.name}`);
  if (lock === undefined) throw new Error("another supervisor of this installation runs");
  // It holds, and is nothing to wait for.
  lock.unref();
}

const PATIENCE_MS = 60_000;

/**
 * Does something while no other process of this host does the same.
 * @throws ClassmindError `Unavailable` when another one is at it for a minute
 */
export async function alone<T>(what: string, work: () => Promise<T>): Promise<T> {
  let lock = await tryLock(what);
  for (const end = Date.now() + PATIENCE_MS; lock === undefined; lock = await tryLock(what)) {
    if (Date.now() > end)
      throw new ClassmindError("Unavailable", `Another process of this host is at the same work (${what}).`, {
        remedy: "Wait until it has ended, and run this again.",
      });
    await sleep(50);
  }
  try {
    return await work();
  } finally {
    lock.close();
  }
}
