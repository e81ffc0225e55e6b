import { once } from "node:events";
import { createServer } from "node:net";
import type { Instance } from "./instance.ts";

/**
 * Makes this process the only supervisor of an installation for as long as it lives. An abstract Unix socket is the lock: the
 * kernel gives it back however the process ends.
 * @throws Error when another one holds it
 */
export async function holdSupervisorLock(instance: Instance): Promise<void> {
  const lock = createServer((visitor) => visitor.destroy());
  lock.listen({ path: `\0classmind-supervisor-${instance.name}` });
  try {
    await once(lock, "listening");
  } catch (error) {
    throw new Error("another supervisor of this installation runs", { cause: error });
  }
  // It holds, and is nothing to wait for.
  lock.unref();
}
