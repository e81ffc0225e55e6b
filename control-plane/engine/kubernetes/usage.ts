import type { Clock } from "../../clock.ts";
import type { VolumeUsage } from "./context.ts";
import { isStatus } from "./failure.ts";
import { listAt, numberAt, textAt } from "./live.ts";
import type { Transport } from "./transport.ts";

const FRESH = 60_000;
/** A node that does not answer is asked again after this time. */
const AGAIN = 600_000;

interface NodeVolumes {
  readonly until: number;
  readonly used: ReadonlyMap<string, number>;
}

function volumesOf(summary: unknown): ReadonlyMap<string, number> {
  const used = new Map<string, number>();
  for (const pod of listAt(summary, "pods")) {
    for (const volume of listAt(pod, "volume")) {
      const claim = textAt(volume, "pvcRef", "name");
      const bytes = numberAt(volume, "usedBytes");
      if (claim !== undefined && bytes !== undefined)
        used.set(`${textAt(volume, "pvcRef", "namespace")}/${claim}`, bytes);
    }
  }
  return used;
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
      return { until: now + FRESH, used: volumesOf(summary) };
    } catch (error) {
      return { until: now + (isStatus(error, 403) ? 6 * AGAIN : AGAIN), used: new Map() };
    }
  }
  return {
    async usedBytes(node, namespace, claim) {
      const known = await nodes.get(node);
      if (known === undefined || known.until < clock.now().getTime()) nodes.set(node, read(node));
      return (await nodes.get(node))?.used.get(`${namespace}/${claim}`);
    },
  };
}
