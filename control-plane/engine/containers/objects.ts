import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { Manifest, ManifestHash, ObjectRef } from "../engine.ts";
import { syncDirectory, writeWhole } from "./files.ts";

/** An object as it was applied. A Secret's data is never part of it. */
export interface RecordedObject {
  readonly hash: ManifestHash;
  readonly manifest: Manifest;
}

/** What was applied, as files <state>/engine/<namespace>/<Kind>.<name>.json: written before the thing is made so. */
export interface ObjectStore {
  namespaces(): Promise<readonly string[]>;
  read(namespace: string): Promise<readonly RecordedObject[]>;
  /** Writes records so that they survive a power failure: all of them once this returns. */
  write(namespace: string, objects: readonly RecordedObject[]): Promise<void>;
  remove(namespace: string, ref: ObjectRef): Promise<void>;
  removeNamespace(namespace: string): Promise<void>;
}

const RECORD = z.object({
  hash: z.string(),
  manifest: z.looseObject({
    apiVersion: z.string(),
    kind: z.string(),
    metadata: z.looseObject({ name: z.string() }),
  }),
});

/** Opens the store below the instance's state directory. */
export function openObjectStore(stateDir: string): ObjectStore {
  const root = join(stateDir, "engine");
  const fileOf = (namespace: string, ref: ObjectRef) => join(root, namespace, `${ref.kind}.${ref.name}.json`);
  return {
    async namespaces() {
      return (await readdir(root).catch(() => [])).sort();
    },
    async read(namespace) {
      const directory = join(root, namespace);
      const names = (await readdir(directory).catch(() => [])).filter((name) => /^[A-Z].*\.json$/.test(name)).sort();
      return Promise.all(
        names.map(async (name) => {
          const record = RECORD.parse(JSON.parse(await readFile(join(directory, name), "utf8")));
          return { hash: record.hash, manifest: record.manifest as Manifest };
        }),
      );
    },
    async write(namespace, objects) {
      await Promise.all(
        objects.map(({ hash, manifest: given }) => {
          const manifest = given.kind === "Secret" ? { ...given, data: {} } : given;
          const file = fileOf(namespace, { kind: manifest.kind, name: manifest.metadata.name });
          return writeWhole(file, JSON.stringify({ hash, manifest }), { mode: 0o600, durable: "content" });
        }),
      );
      await syncDirectory(join(root, namespace));
    },
    async remove(namespace, ref) {
      await rm(fileOf(namespace, ref), { force: true });
    },
    async removeNamespace(namespace) {
      await rm(join(root, namespace), { recursive: true, force: true });
    },
  };
}
