import { z } from "zod";
import type { Manifest, ObjectRef, Observation, VolumeObservation } from "../engine/engine.ts";
import { quantityToBytes } from "../render/values.ts";
import type { SchoolVolumes, VolumeRecord } from "../tenant.ts";

/**
 * Whether a school's volume is the one that its record names. What is missing, ending, or another is never made anew: a new, empty
 * school would say that all is well. Pure.
 */

export interface VolumeFault {
  readonly kind: "missing" | "terminating" | "lost" | "other";
  /** For people. */
  readonly message: string;
}

const CLAIM = "PersistentVolumeClaim";

export function claimRef(claim: string): ObjectRef {
  return { kind: CLAIM, name: claim };
}

export function seenVolume(observed: Pick<Observation, "volumes">, claim: string): VolumeObservation | undefined {
  return observed.volumes.find(({ name }) => name === claim);
}

/** Whether a volume may be made: it never was, and the school has never held anything. */
export function mayBeMade({ identity }: VolumeRecord, initialised: boolean): boolean {
  return identity === undefined && !initialised;
}

/**
 * What is wrong with a volume, if it is not as recorded.
 * @param initialised whether the school was ever furnished: then its volume was there, recorded or not
 */
export function volumeFault(
  record: VolumeRecord,
  observed: Pick<Observation, "volumes">,
  initialised: boolean,
): VolumeFault | undefined {
  const seen = seenVolume(observed, record.claim);
  const was = record.identity === undefined ? "" : ` (${record.identity})`;
  if (seen === undefined) {
    if (mayBeMade(record, initialised)) return undefined;
    return { kind: "missing", message: `The volume ${record.claim}${was} is gone.` };
  }
  if (seen.state === "Terminating")
    return {
      kind: "terminating",
      message: `Somebody has deleted the volume ${record.claim}${was}: it goes as soon as nothing uses it any more.`,
    };
  // Its making was cut off before there was anything.
  if (seen.state === "Lost" && mayBeMade(record, initialised)) return undefined;
  if (seen.state === "Lost")
    return { kind: "lost", message: `What the volume ${record.claim}${was} consisted of is gone.` };
  if (record.identity !== undefined && seen.identity !== undefined && seen.identity !== record.identity)
    return {
      kind: "other",
      message: `The volume ${record.claim} is another one (${seen.identity}) than the school's own${was}.`,
    };
  return undefined;
}

/** Volumes that were seen for the first time: who they are is to be recorded before anything is kept on them. */
export function unrecorded(volumes: SchoolVolumes, observed: Pick<Observation, "volumes">): readonly string[] {
  const records = [volumes.own, ...(volumes.next === undefined ? [] : [volumes.next])];
  return records
    .filter(({ identity }) => identity === undefined)
    .map(({ claim }) => claim)
    .filter((claim) => seenVolume(observed, claim)?.identity !== undefined);
}

const claimSpec = z.looseObject({
  storageClassName: z.string(),
  resources: z.looseObject({ requests: z.looseObject({ storage: z.string() }) }),
});

const quotaSpec = z.looseObject({
  hard: z.looseObject({ persistentvolumeclaims: z.string(), "requests.storage": z.string() }),
});

function keepClaim(manifest: Manifest, observed: Pick<Observation, "volumes">): Manifest {
  const { asked } = seenVolume(observed, manifest.metadata.name) ?? {};
  if (asked === undefined) return manifest;
  const spec = claimSpec.parse(manifest.spec);
  const { requests } = spec.resources;
  const storage = quantityToBytes(asked.size) > quantityToBytes(requests.storage) ? asked.size : requests.storage;
  const resources = { ...spec.resources, requests: { ...requests, storage } };
  return { ...manifest, spec: { ...spec, storageClassName: asked.className ?? spec.storageClassName, resources } };
}

/** Room for all claims that are there or to be: what is kept although nobody asks for it any more counts too. */
function coverClaims(manifest: Manifest, claims: ReadonlyMap<string, string>): Manifest {
  const spec = quotaSpec.parse(manifest.spec);
  const { persistentvolumeclaims: count, "requests.storage": storage } = spec.hard;
  const bytes = [...claims.values()].reduce((sum, size) => sum + quantityToBytes(size), 0);
  const hard = {
    ...spec.hard,
    persistentvolumeclaims: String(Math.max(Number(count), claims.size)),
    "requests.storage": bytes > quantityToBytes(storage) ? `${Math.ceil(bytes / 1024 ** 2)}Mi` : storage,
  };
  return { ...manifest, spec: { ...spec, hard } };
}

/**
 * Claims as they can be: a volume that is there keeps its class, and what it has of room, whatever the platform's settings say by
 * now, and the quota has room for all that there are. Asked for anything else, an engine would refuse, and all upkeep of every school
 * would end with that. Pure.
 */
export function keepVolumes(
  manifests: readonly Manifest[],
  observed: Pick<Observation, "volumes">,
): readonly Manifest[] {
  const kept = manifests.map((manifest) => (manifest.kind === CLAIM ? keepClaim(manifest, observed) : manifest));
  const sizes = new Map<string, string>();
  for (const { name, asked } of observed.volumes) if (asked !== undefined) sizes.set(name, asked.size);
  for (const { kind, metadata, spec } of kept)
    if (kind === CLAIM) sizes.set(metadata.name, claimSpec.parse(spec).resources.requests.storage);
  return kept.map((manifest) => (manifest.kind === "ResourceQuota" ? coverClaims(manifest, sizes) : manifest));
}
