import { keepWatching, type Watching } from "../engine/kubernetes/keep-watching.ts";
import type { LiveObject } from "../engine/kubernetes/live.ts";

/** Objects of one kind as the cluster has them, by namespace; of each only what is needed is kept. */
export interface Mirror<T> {
  in(namespace: string): readonly T[];
  namespaces(): readonly string[];
  /** Resolves once everything that is there was told. */
  readonly listed: Promise<void>;
  /** Resolves when the signal has aborted and nothing is watched any more. */
  readonly ended: Promise<void>;
}

/**
 * Keeps a mirror of a collection until the signal aborts.
 * @param slim what is kept of an object
 * @param onChange is told each namespace in which something changed after the first list
 * @param onBroken is told why the cluster cannot be listed or watched, once until that changes or it works again
 */
export function keepMirror<T>(
  watching: Watching,
  slim: (object: LiveObject) => T,
  onChange: (namespace: string) => void,
  onBroken: (why: string) => void,
): Mirror<T> {
  let objects = new Map<string, Map<string, { readonly version: string | undefined; readonly value: T }>>();
  let first: (() => void) | undefined;
  const listed = new Promise<void>((resolve) => {
    first = resolve;
  });

  const put = (into: typeof objects, { metadata }: LiveObject, value: T): void => {
    const namespace = metadata.namespace ?? "";
    const here = into.get(namespace) ?? new Map();
    into.set(namespace, here);
    here.set(metadata.name, { version: metadata.resourceVersion, value });
  };

  const versionsIn = (from: typeof objects, namespace: string): string =>
    [...(from.get(namespace) ?? [])]
      .map(([name, { version }]) => `${name}/${version}`)
      .sort()
      .join();

  let broken: string | undefined;

  const ended = keepWatching(watching, {
    broke(why) {
      if (why !== broken) onBroken(why);
      broken = why;
    },
    listed(items) {
      broken = undefined;
      const before = objects;
      objects = new Map();
      for (const item of items) put(objects, item, slim(item));
      if (first !== undefined) {
        first();
        first = undefined;
        return;
      }
      for (const namespace of new Set([...before.keys(), ...objects.keys()])) {
        if (versionsIn(before, namespace) !== versionsIn(objects, namespace)) onChange(namespace);
      }
    },
    changed(type, object) {
      const { namespace = "", name } = object.metadata;
      if (type !== "DELETED") put(objects, object, slim(object));
      else {
        objects.get(namespace)?.delete(name);
        if (objects.get(namespace)?.size === 0) objects.delete(namespace);
      }
      onChange(namespace);
    },
  });

  return {
    in: (namespace) => [...(objects.get(namespace)?.values() ?? [])].map(({ value }) => value),
    namespaces: () => [...objects.keys()],
    listed,
    ended,
  };
}
