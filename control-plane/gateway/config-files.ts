import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { renderPages } from "./config.ts";
import type { GatewayPaths } from "./paths.ts";

/** Writes haproxy.cfg and the gateway's pages where they differ. @returns whether anything did */
export async function writeConfig(paths: Pick<GatewayPaths, "config" | "pages">, config: string): Promise<boolean> {
  await mkdir(paths.pages, { recursive: true, mode: 0o755 });
  let changed = await writeIfDifferent(paths.config, config);
  for (const [name, response] of renderPages()) {
    changed = (await writeIfDifferent(join(paths.pages, name), response)) || changed;
  }
  return changed;
}

async function writeIfDifferent(path: string, text: string): Promise<boolean> {
  const present = await readFile(path, "utf8").catch(() => undefined);
  if (present === text) return false;
  await writeFile(path, text, { mode: 0o644 });
  return true;
}
