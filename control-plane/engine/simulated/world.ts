import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { z } from "zod";
import type { Manifest } from "../engine.ts";

/**
 * The world behind the simulated engine: what would be containers, volumes and rules. It outlives the engine object (and,
 * written to a file, the process), so that a reconciler that was killed finds it as it left it.
 */

const object = z.object({ kind: z.string(), name: z.string(), hash: z.string(), manifest: z.custom<Manifest>() });
const workload = z.object({
  kind: z.string(),
  name: z.string(),
  /** Milliseconds since the epoch at which the workload becomes ready; it fails instead while `crashing`. */
  readyAt: z.number(),
  hash: z.string(),
  restarts: z.number(),
  crashing: z.boolean(),
});
const namespace = z.object({
  objects: z.array(object),
  workloads: z.array(workload),
  /** Data by volume. `made` tells an old volume from a new one of the same name. */
  volumes: z.array(
    z.object({
      name: z.string(),
      className: z.string().optional(),
      capacityBytes: z.number(),
      made: z.number(),
      data: z.record(z.string(), z.string()),
      /** What is in use, where a test says so; else what `data` takes. */
      fill: z.object({ bytes: z.number().optional(), inodes: z.number().optional() }).optional(),
    }),
  ),
});
const world = z.object({
  namespaces: z.record(z.string(), namespace),
  volumesMade: z.number(),
  calls: z.array(z.string()),
});

export type SimulatedNamespace = z.infer<typeof namespace>;
export type SimulatedWorld = z.infer<typeof world>;

export interface WorldStore {
  /** Reads, changes and keeps the world in one go. */
  change<T>(edit: (world: SimulatedWorld) => T): T;
  read(): SimulatedWorld;
}

function emptyWorld(): SimulatedWorld {
  return { namespaces: {}, volumesMade: 0, calls: [] };
}

/** A world in memory. */
export function memoryWorld(): WorldStore {
  const state = emptyWorld();
  return { change: (edit) => edit(state), read: () => state };
}

/** A world in a file, for processes that are killed. Written whole and renamed, so that a kill leaves the old or the new. */
export function fileWorld(file: string): WorldStore {
  const read = (): SimulatedWorld =>
    existsSync(file) ? world.parse(JSON.parse(readFileSync(file, "utf8"))) : emptyWorld();
  return {
    read,
    change(edit) {
      const state = read();
      const result = edit(state);
      writeFileSync(`${file}.${process.pid}`, JSON.stringify(state));
      renameSync(`${file}.${process.pid}`, file);
      return result;
    },
  };
}
