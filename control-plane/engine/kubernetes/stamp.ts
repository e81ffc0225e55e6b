import { createHash } from "node:crypto";
import { canonicalJson } from "../../canonical-json.ts";
import { hashManifest } from "../../render/hash.ts";
import type { Manifest, ManifestHash } from "../engine.ts";
import { MANAGED_BY, MARK, WORKLOADS } from "./kinds.ts";
import { at, isRecord } from "./live.ts";
import { type PodFrame, withFrame } from "./names.ts";
import { digestOf } from "./owned.ts";

/** A manifest as it is sent: with our label, and with annotations that tell later what it was made from. */
export interface Stamped {
  readonly manifest: Manifest;
  readonly hash: ManifestHash;
  /** Digest of the values sent; see owned.ts. */
  readonly owned: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Pods are told apart by their template alone, so that a school that is stopped and started keeps its pods' mark. */
function templateMark(template: unknown): string {
  return createHash("sha256").update(canonicalJson(template)).digest("hex").slice(0, 32);
}

function withTemplateMark(manifest: Manifest): Readonly<Record<string, unknown>> {
  const template = at(manifest, "spec", "template");
  if (!WORKLOADS.has(manifest.kind) || !isRecord(template) || !isRecord(manifest.spec)) return manifest;
  const metadata = isRecord(template.metadata) ? template.metadata : {};
  const annotations = isRecord(metadata.annotations) ? metadata.annotations : {};
  const marked = { ...metadata, annotations: { ...annotations, [MARK.template]: templateMark(template) } };
  return { ...manifest, spec: { ...manifest.spec, template: { ...template, metadata: marked } } };
}

/**
 * Pure. The hash is the manifest's own, as the planner knows it.
 * @param around what the cluster's settings add to its pods
 */
export function stamp(manifest: Manifest, around: PodFrame = { aliases: [], userNamespaces: false }): Stamped {
  const { metadata } = manifest;
  const hash = hashManifest(manifest);
  const labels = { ...metadata.labels, [MARK.managedBy]: MANAGED_BY };
  const annotations = { ...metadata.annotations, [MARK.hash]: hash };
  const sent = WORKLOADS.has(manifest.kind) ? withFrame(manifest, around) : manifest;
  const marked = { ...withTemplateMark(sent), metadata: { ...metadata, labels, annotations } };
  const owned = digestOf(marked);
  const body = { ...marked, metadata: { ...marked.metadata, annotations: { ...annotations, [MARK.owned]: owned } } };
  return { manifest, hash, owned, body };
}
