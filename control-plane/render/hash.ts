import { createHash } from "node:crypto";
import { canonicalJson } from "../canonical-json.ts";
import type { ManifestHash } from "../engine/engine.ts";

/** Hash of a manifest over its canonical JSON (keys sorted): equal desire, equal hash. Secrets hash to something that does not reveal them, since their values are random keys. */
export function hashManifest(manifest: unknown): ManifestHash {
  return `sha256:${createHash("sha256").update(canonicalJson(manifest)).digest("hex")}`;
}
