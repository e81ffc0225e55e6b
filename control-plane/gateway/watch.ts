import { watch as watchDirectory } from "node:fs";
import { mkdir, readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Clock } from "../clock.ts";
import { readCertificateHosts, readRoutes } from "./files.ts";
import type { GatewayPaths } from "./paths.ts";
import { encodeRoute } from "./route.ts";

/** What the files say of each school, as one line; of its certificate only which file it is. */
export type Snapshot = ReadonlyMap<string, string>;

/** A removal comes as many events; one's own change is over when they are looked at. */
const GATHER_MS = 200;
/** Before a directory that is gone, or cannot be watched, is tried again. */
const AGAIN_MS = 1_000;

async function versionsOf(directory: string): Promise<ReadonlyMap<string, string>> {
  const names = (await readdir(directory).catch(() => [])).filter((name) => name.endsWith(".pem"));
  const found = await Promise.all(
    names.map(async (name) => {
      const info = await stat(join(directory, name)).catch(() => undefined);
      return info === undefined ? [] : [[basename(name, ".pem"), `${info.ino} ${info.mtimeMs} ${info.size}`] as const];
    }),
  );
  return new Map(found.flat());
}

/** Reads what the files say now. */
export async function snapshotOf(paths: GatewayPaths): Promise<Snapshot> {
  const [routes, hosts, versions] = await Promise.all([
    readRoutes(paths),
    readCertificateHosts(paths),
    versionsOf(paths.certificates),
  ]);
  const lines = new Map<string, string[]>();
  const add = (slug: string, line: string) => lines.set(slug, [...(lines.get(slug) ?? []), line]);
  for (const [host, route] of routes) add(route.slug, `${host} ${encodeRoute(route)}`);
  for (const [slug, names] of hosts) add(slug, `certificate for ${names.join(" ")}`);
  for (const [slug, version] of versions) add(slug, version);
  return new Map([...lines].map(([slug, all]) => [slug, all.join("\n")]));
}

/** Schools of which two snapshots say different things. Pure. */
export function changedBetween(before: Snapshot, after: Snapshot): readonly string[] {
  return [...new Set([...before.keys(), ...after.keys()])]
    .filter((slug) => before.get(slug) !== after.get(slug))
    .sort();
}

/** Calls back after each burst of changes in one of the directories, until the signal aborts or one of them is gone. */
function followOnce(directories: readonly string[], signal: AbortSignal, onChange: () => void): Promise<void> {
  return new Promise((resolve) => {
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    const end = () => {
      over.abort();
      resolve();
    };
    signal.addEventListener("abort", end, { once: true });
    for (const directory of directories) {
      try {
        watchDirectory(directory, { signal: either }, (_event, name) => {
          // A directory that was removed tells so by its own name, and nothing after that.
          if (name === basename(directory) || name === basename(directories[1] ?? "")) end();
          onChange();
        }).on("error", end);
      } catch {
        end();
      }
    }
  });
}

/**
 * Tells of each change in the gateway's files, our own ones included, until the signal aborts; and whenever some may have been
 * missed. Directories that somebody removed are made again.
 */
export async function followFiles(
  paths: GatewayPaths,
  clock: Clock,
  signal: AbortSignal,
  onChange: () => void,
): Promise<void> {
  let due = false;
  const gather = () => {
    if (due) return;
    due = true;
    void clock.sleep(GATHER_MS, signal).then(() => {
      due = false;
      if (!signal.aborted) onChange();
    });
  };
  while (!signal.aborted) {
    await mkdir(paths.certificates, { recursive: true, mode: 0o700 }).catch(() => undefined);
    const followed = followOnce([dirname(paths.routes), paths.certificates], signal, gather);
    gather();
    await followed;
    await clock.sleep(AGAIN_MS, signal);
  }
}
