import type { Clock } from "../../clock.ts";
import type { Log } from "../../log.ts";
import type { Client } from "./client.ts";
import type { KindInfo } from "./kinds.ts";
import type { Looks } from "./looks.ts";

/**
 * Least rights: RBAC cannot say "namespaces school-*", so an account holds what it needs inside a school by a RoleBinding in that
 * school's namespace. The engine makes its own before anything else, and that of our own gateway where there is one.
 */
export interface Grant {
  /** ClusterRole with the rights inside a school. */
  readonly role: string;
  /** ServiceAccount that gets them, and its namespace. */
  readonly account: string;
  readonly namespace: string;
}

/** What every part of the engine needs. */
export interface KubernetesContext {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Log;
  /** Aborts when the engine is closed. */
  readonly closing: AbortSignal;
  /** Rights to be taken in each school's namespace, where they are not held in all. */
  readonly grant: Grant | undefined;
  /** What our own gateway gets in each school's namespace, where the cluster has it. */
  readonly gatewayGrant: Grant | undefined;
  /** See PodFrame. */
  readonly userNamespaces: boolean;
  /** What schools here consist of. */
  readonly kinds: Readonly<Record<string, KindInfo>>;
  /** Milliseconds a step that waits for the cluster may take before it says what blocks it. */
  readonly patience: number;
  /** See Following. */
  readonly relist: number;
  /** Digests that this cluster makes of what we send (see whole.ts). */
  readonly accepted: Map<string, string>;
  readonly conflicts: ConflictLog;
  readonly looks: Looks;
  /** Nodes' statistics for the fill of volumes; undefined where the rights to read them are missing. */
  readonly usage: VolumeUsage;
}

/** Remembers how often a field was taken from another manager. */
export interface ConflictLog {
  /** Times, the present one included, that we took this field back lately. */
  note(key: string): number;
}

/** How full a mounted volume is, as far as its node tells. */
export interface VolumeFill {
  readonly usedBytes: number | undefined;
  readonly inodes: { readonly used: number; readonly total: number } | undefined;
}

/** Fills of mounted volumes, by node, namespace and claim; undefined where the node tells nothing. */
export interface VolumeUsage {
  fillOf(node: string, namespace: string, claim: string): Promise<VolumeFill | undefined>;
}

const LATELY = 600_000;

export function createConflictLog(clock: Clock): ConflictLog {
  const times = new Map<string, readonly number[]>();
  return {
    note(key) {
      const now = clock.now().getTime();
      const recent = [...(times.get(key) ?? []).filter((time) => now - time < LATELY), now];
      times.set(key, recent);
      return recent.length;
    },
  };
}
