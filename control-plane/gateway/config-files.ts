import { chmod, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { renderPages } from "./config.ts";
import type { GatewayPaths } from "./paths.ts";

/** Writes haproxy.cfg and the gateway's pages where they differ. @returns whether anything did */
export async function writeConfig(paths: Pick<GatewayPaths, "config" | "pages">, config: string): Promise<boolean> {
  await mkdir(paths.pages, { recursive: true });
  await chmod(paths.pages, 0o755);
  let changed = await writeIfDifferent(paths.config, config);
  for (const [name, response] of renderPages()) {
    changed = (await writeIfDifferent(join(paths.pages, name), response)) || changed;
  }
  return changed;
}

const READABLE = 0o644;

async function writeIfDifferent(path: string, text: string): Promise<boolean> {
  const present = await readFile(path, "utf8").catch(() => undefined);
  if (present !== text) await writeFile(path, text);
  // Nothing secret is in it; whatever the umask was, whoever reads it in the container can.
  if (((await stat(path)).mode & 0o777) !== READABLE) await chmod(path, READABLE);
  return present !== text;
}
