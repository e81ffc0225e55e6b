import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import type { PortPreferences } from "../gateway/ports.ts";
import { readJson } from "../written/json.ts";
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
    return claims.parse(readJson(file));
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
