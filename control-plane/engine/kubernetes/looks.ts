import type { Observation } from "../engine.ts";
import { at, isRecord, type LiveObject } from "./live.ts";

/**
 * What the last look at each school found, so that the next one need not read it all again: while the cluster-wide watches are open
 * and have told of no change in a namespace, everything they watch is as it was. Only a school in order is remembered: one that
 * is on its way somewhere is looked at anew each time, as is one that we ourselves just touched.
 */
export interface Looks {
  /** What is known of a namespace, if nothing happened there since. */
  recall(namespace: string): Look | undefined;
  /** To be called before a look begins. Answers how to keep what it finds; that does nothing if something happened meanwhile. */
  begin(namespace: string): (look: Look | undefined) => void;
  /** We change something there: what was known is not true any more. */
  touch(namespace: string): void;
  /** Schools remembered now. */
  size(): number;
}

/** The part of a look that stays true while no watch tells otherwise. */
export interface Look {
  readonly whole: Observation["objects"];
  /** Workloads, services and claims, without what is not looked at. */
  readonly parts: readonly LiveObject[];
  /** Names and versions of the Secrets, which are not watched. */
  readonly secrets: string;
  /** What is told of certificates that others make: a change of it changes an object that is watched. */
  readonly certificates: Observation["certificates"];
}

/** Counts what is known to have happened in each namespace. */
export interface Happenings {
  /** Undefined while a watch is not open: anything may have happened. */
  count(namespace: string): number | undefined;
  note(namespace: string): void;
}

export function createLooks(happenings: Happenings): Looks {
  const known = new Map<string, { readonly count: number; readonly look: Look }>();
  return {
    recall(namespace) {
      const entry = known.get(namespace);
      if (entry === undefined) return undefined;
      if (entry.count === happenings.count(namespace)) return entry.look;
      known.delete(namespace);
      return undefined;
    },
    begin(namespace) {
      const count = happenings.count(namespace);
      return (look) => {
        if (look === undefined || count === undefined || count !== happenings.count(namespace)) known.delete(namespace);
        else known.set(namespace, { count, look });
      };
    },
    touch(namespace) {
      known.delete(namespace);
      happenings.note(namespace);
    },
    size: () => known.size,
  };
}

/** One line that changes with every change of one of these objects. Pure. */
export function versionsOf(objects: readonly LiveObject[]): string {
  return objects
    .map(({ metadata }) => `${metadata.name}@${metadata.resourceVersion}`)
    .sort()
    .join(" ");
}

/** An object without its field managers and without what its pods are made of: most of it, and no part of an observation. Pure. */
export function slim(object: LiveObject): LiveObject {
  const { managedFields: _managers, ...metadata } = object.metadata;
  const template = at(object, "spec", "template");
  if (!isRecord(object.spec) || !isRecord(template)) return { ...object, metadata };
  return { ...object, metadata, spec: { ...object.spec, template: { metadata: template.metadata } } };
}
