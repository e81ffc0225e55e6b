import { EngineError } from "../engine.ts";
import { type NamespaceState, objectsOf } from "./namespace.ts";
import type { PodModel } from "./translate/pod.ts";
import { type Outside, outward } from "./translate/policies.ts";

/** What a pod may reach outside, and under which names. */
export interface WaysOut {
  readonly targets: readonly Outside[];
  /** Names that it knows, with the host's side of its bridge, where the relays are. */
  readonly aliases: Readonly<Record<string, string>>;
}

/**
 * What a pod may reach outside, and the names it knows of it: each leads to the relay on the host's side of its bridge. Pure.
 * @param title of the pod, for messages
 * @throws EngineError "ManifestRefused" when it knows a name that no policy lets it reach
 */
export function waysOut(state: NamespaceState, title: string, pod: PodModel, gateway: string): WaysOut {
  const targets = outward(objectsOf(state, "NetworkPolicy"), pod.labels);
  const aliases = (pod.aliases ?? []).map(({ name, address }) => {
    if (targets.some((target) => target.address === address)) return [name, gateway] as const;
    throw new EngineError("ManifestRefused", `${title}: no policy lets it reach ${name} (${address})`, {
      retryable: false,
    });
  });
  return { targets, aliases: Object.fromEntries(aliases) };
}
