import { createHash } from "node:crypto";
import type { ManifestHash } from "../engine/engine.ts";

function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(
      Object.entries(value)
        .filter(([, inner]) => inner !== undefined)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, inner]) => [key, canonical(inner)]),
    );
  }
  return value;
}

/** Hash of a manifest over its canonical JSON (keys sorted): equal desire, equal hash. Secrets hash to something that does not reveal them, since their values are random keys. */
export function hashManifest(manifest: unknown): ManifestHash {
  return `sha256:${createHash("sha256")
    .update(JSON.stringify(canonical(manifest)))
    .digest("hex")}`;
}
