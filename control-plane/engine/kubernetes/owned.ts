import { createHash } from "node:crypto";
import { canonicalJson } from "../../canonical-json.ts";
import { FIELD_MANAGER, MARK } from "./kinds.ts";
import { isRecord, type LiveObject } from "./live.ts";
import { milliOf } from "./quantity.ts";

/**
 * What we own in an object, and whether it still is as we left it. The API notes for each field who set it last
 * (`metadata.managedFields`, structured-merge-diff's `fieldsV1`): whoever changes a field of ours takes it from us. So the
 * values at the fields we still own, compared with those we sent, tell every change and removal; what others added is theirs.
 */

/** Maps whose values are quantities; the API rewrites these ("4000m" becomes "4"). */
const QUANTITY_MAPS = new Set(["limits", "requests", "hard", "default", "defaultRequest", "max", "min"]);
const QUANTITIES = new Set(["sizeLimit"]);

function matches(item: unknown, keys: unknown): boolean {
  return isRecord(item) && isRecord(keys) && Object.entries(keys).every(([key, value]) => item[key] === value);
}

function extractList(list: readonly unknown[], members: readonly (readonly [string, unknown])[]): unknown {
  return members.flatMap(([member, inner]) => {
    const wanted: unknown = JSON.parse(member.slice(2));
    const found = list.find((item) => (member.startsWith("k:") ? matches(item, wanted) : item === wanted));
    return found === undefined ? [] : [extract(found, inner)];
  });
}

/** The part of a value that a set of fields (`fieldsV1`) names. Pure. */
export function extract(value: unknown, fields: unknown): unknown {
  const members = isRecord(fields) ? Object.entries(fields).filter(([name]) => name !== ".") : [];
  if (members.length === 0) return value;
  if (Array.isArray(value)) return extractList(value, members);
  if (!isRecord(value)) return undefined;
  return Object.fromEntries(
    members.flatMap(([name, inner]) => {
      // The API owns an empty list to us but does not store it: what is owned and absent is empty.
      const key = name.slice(2);
      return [[key, key in value ? extract(value[key], inner) : null]];
    }),
  );
}

function normalText(text: string, quantity: boolean): string {
  const milli = quantity ? milliOf(text) : undefined;
  return milli === undefined ? text : `${milli}m`;
}

/** What is empty: a list, a mapping or nothing. That it is empty can be the point, as in a policy that allows nothing. */
const EMPTY = "(empty)";

/** A form in which what the API stores and what was sent are equal: one sign for emptiness, canonical quantities, lists in any order. */
function normal(value: unknown, quantity = false): unknown {
  if (value === null) return EMPTY;
  if (typeof value === "string") return normalText(value, quantity);
  if (Array.isArray(value))
    return value.length === 0 ? EMPTY : value.map((item) => canonicalJson({ item: normal(item) })).sort();
  if (isRecord(value)) {
    const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
    if (entries.length === 0) return EMPTY;
    return Object.fromEntries(
      entries.map(([key, inner]) => [key, normal(inner, quantity || QUANTITIES.has(key) || QUANTITY_MAPS.has(key))]),
    );
  }
  return value;
}

/** Digest of the values in an object as we would send it. Names and versions are left out: nobody can change those. */
export function digestOf(object: Readonly<Record<string, unknown>>): string {
  const { apiVersion: _version, kind: _kind, status: _status, metadata, ...rest } = object;
  const { labels, annotations, ownerReferences } = isRecord(metadata) ? metadata : {};
  const { [MARK.owned]: _own, ...others } = isRecord(annotations) ? annotations : {};
  const value = { ...rest, metadata: { labels, annotations: others, ownerReferences } };
  return createHash("sha256")
    .update(canonicalJson(normal(value)))
    .digest("hex")
    .slice(0, 32);
}

/** The values we own in a live object: what we last applied. Undefined if we own nothing in it. */
export function ownedValues(live: LiveObject): Readonly<Record<string, unknown>> | undefined {
  const entry = live.metadata.managedFields?.find(
    (candidate) =>
      candidate.manager === FIELD_MANAGER && candidate.operation === "Apply" && (candidate.subresource ?? "") === "",
  );
  const owned = entry === undefined ? undefined : extract(live, entry.fieldsV1);
  return isRecord(owned) ? owned : undefined;
}

/** Digest of the values we own in a live object; undefined if we own nothing in it. */
export function ownedDigest(live: LiveObject): string | undefined {
  const owned = ownedValues(live);
  return owned === undefined ? undefined : digestOf(owned);
}
