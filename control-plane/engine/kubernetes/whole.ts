import type { KubernetesContext } from "./context.ts";
import { MARK } from "./kinds.ts";
import type { LiveObject } from "./live.ts";
import { ownedDigest } from "./owned.ts";
import type { Stamped } from "./stamp.ts";

function keyOf(live: LiveObject): string {
  return `${live.metadata.uid}/${live.metadata.annotations?.[MARK.hash]}`;
}

/**
 * Remembers what the cluster makes of an object we just applied, where that differs from what we sent: an admission webhook
 * may rewrite fields. Without this, such an object would be taken for changed, and written again and again.
 */
export function noteAccepted(context: KubernetesContext, stamped: Stamped, live: LiveObject): void {
  const digest = ownedDigest(live);
  if (digest === undefined || digest === stamped.owned) return;
  context.accepted.set(keyOf(live), digest);
  const { kind, metadata } = stamped.manifest;
  context.log.debug(
    { namespace: metadata.namespace ?? metadata.name, object: `${kind}/${metadata.name}` },
    "the cluster rewrites what is applied",
  );
}

/** Whether everything that we own in an object is as we left it. */
export function isWhole(context: KubernetesContext, live: LiveObject): boolean {
  const digest = ownedDigest(live);
  if (digest === undefined || live.metadata.deletionTimestamp !== undefined) return false;
  return digest === live.metadata.annotations?.[MARK.owned] || digest === context.accepted.get(keyOf(live));
}
