import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { ClassmindError } from "../errors.ts";
import type { PortPreferences } from "../gateway/ports.ts";
import type { Instance } from "./instance.ts";

/** Other installations of this host: what they hold, though they may not run just now. */
const claims = z.object({
  httpPort: z.int().optional(),
  httpsPort: z.int().optional(),
  addressPool: z.string().optional(),
});
export type Claims = z.infer<typeof claims>;

function claimsIn(file: string): Claims {
  try {
    return claims.parse(JSON.parse(readFileSync(file, "utf8")));
  } catch {
    // Its own `up` says what is wrong with it.
    return {};
  }
}

/** What the settings of the other installations claim. */
export function claimsOfOthers(instance: Instance): readonly Claims[] {
  const root = dirname(instance.configDir);
  if (!existsSync(root)) return [];
  return readdirSync(root)
    .filter((name) => join(root, name) !== instance.configDir)
    .map((name) => join(root, name, "platform.json"))
    .filter(existsSync)
    .map(claimsIn);
}

/** The preferred ports that nobody else has claimed. Pure. */
export function unclaimed(preferences: PortPreferences, others: readonly Claims[]): PortPreferences {
  const taken = new Set(others.flatMap(({ httpPort, httpsPort }) => [httpPort, httpsPort]));
  const free = (ports: readonly number[]) => ports.filter((port) => !taken.has(port));
  return { https: free(preferences.https), http: free(preferences.http) };
}

const PATIENCE_MS = 60_000;

/**
 * Does something while no other process of this host does the same. An abstract Unix socket is the lock: the kernel gives it back
 * however its holder ends.
 * @throws ClassmindError `Unavailable` when another one holds it for a minute
 */
export async function alone<T>(what: string, work: () => Promise<T>): Promise<T> {
  const lock = createServer((visitor) => visitor.destroy());
  const held = () =>
    new Promise<boolean>((resolve) => {
      lock.once("error", () => resolve(false));
      lock.listen({ path: `\0classmind-${what}` }, () => resolve(true));
    });
  for (const end = Date.now() + PATIENCE_MS; !(await held()); await sleep(50)) {
    lock.removeAllListeners("error");
    if (Date.now() > end)
      throw new ClassmindError("Unavailable", `Another process of this host is at the same work (${what}).`, {
        remedy: "Wait until it has ended, and run this again.",
      });
  }
  try {
    return await work();
  } finally {
    lock.close();
  }
}
