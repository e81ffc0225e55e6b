import type { Clock } from "../../clock.ts";
import type { VolumeFill, VolumeUsage } from "./context.ts";
import { isStatus } from "./failure.ts";
import { listAt, numberAt, textAt } from "./live.ts";
import type { Transport } from "./transport.ts";

const FRESH = 60_000;
/** A node that does not answer is asked again after this time. */
const AGAIN = 600_000;

interface NodeVolumes {
  readonly until: number;
  readonly fills: ReadonlyMap<string, VolumeFill>;
}

/** A volume's part of the kubelet's Summary (k8s.io/kubelet/pkg/apis/stats/v1alpha1, VolumeStats). */
function fillOf(volume: unknown): VolumeFill {
  const total = numberAt(volume, "inodes");
  const used = numberAt(volume, "inodesUsed");
  // File systems that make inodes as they need them report none.
  const counted = total !== undefined && used !== undefined && total > 0;
  return { usedBytes: numberAt(volume, "usedBytes"), inodes: counted ? { used, total } : undefined };
}

function volumesOf(summary: unknown): ReadonlyMap<string, VolumeFill> {
  const fills = new Map<string, VolumeFill>();
  for (const pod of listAt(summary, "pods")) {
    for (const volume of listAt(pod, "volume")) {
      const claim = textAt(volume, "pvcRef", "name");
      if (claim !== undefined) fills.set(`${textAt(volume, "pvcRef", "namespace")}/${claim}`, fillOf(volume));
    }
  }
  return fills;
}

/**
 * Reads how full volumes are from the kubelets' statistics, a node at most once a minute. Needs `get` on `nodes/proxy`, which is
 * a strong right: without it (403), or where a node does not answer, the fill is unknown and nothing else changes.
 */
export function openVolumeUsage(transport: Transport, clock: Clock): VolumeUsage {
  const nodes = new Map<string, Promise<NodeVolumes>>();
  async function read(node: string): Promise<NodeVolumes> {
    const now = clock.now().getTime();
    try {
      const summary = await transport.request({ path: `/api/v1/nodes/${node}/proxy/stats/summary` });
      return { until: now + FRESH, fills: volumesOf(summary) };
    } catch (error) {
      return { until: now + (isStatus(error, 403) ? 6 * AGAIN : AGAIN), fills: new Map() };
    }
  }
  return {
    async fillOf(node, namespace, claim) {
      const known = await nodes.get(node);
      if (known === undefined || known.until < clock.now().getTime()) nodes.set(node, read(node));
      return (await nodes.get(node))?.fills.get(`${namespace}/${claim}`);
    },
  };
}
