import { cpuToMillis, quantityToBytes } from "../../../render/values.ts";
import { type Accepted, refuse, workloadOf } from "./translate.ts";

/** Sums of what a namespace asks for, in the units of its ResourceQuota. */
interface Totals {
  readonly counts: Readonly<Record<"pods" | "services" | "persistentvolumeclaims" | "secrets", number>>;
  readonly storageBytes: number;
  readonly cpuMillis: number;
  readonly memoryBytes: number;
}

function totalsOf(objects: readonly Accepted[]): Totals {
  const counts = { pods: 0, services: 0, persistentvolumeclaims: 0, secrets: 0 };
  let storageBytes = 0;
  let cpuMillis = 0;
  let memoryBytes = 0;
  for (const object of objects) {
    if (object.kind === "Service") counts.services += 1;
    else if (object.kind === "Secret") counts.secrets += 1;
    else if (object.kind === "PersistentVolumeClaim") {
      counts.persistentvolumeclaims += 1;
      storageBytes += quantityToBytes(object.spec.resources.requests.storage);
    } else if (object.kind === "Deployment" || object.kind === "StatefulSet") {
      const workload = workloadOf(object);
      // A Deployment's surge pod counts: it exists for a while at each update.
      const pods = workload.replicas * (object.kind === "Deployment" ? 2 : 1);
      counts.pods += pods;
      cpuMillis += pods * (workload.pod.main.nanoCpus / 1_000_000);
      memoryBytes += pods * workload.pod.main.memoryBytes;
    }
  }
  return { counts, storageBytes, cpuMillis, memoryBytes };
}

/**
 * Checks what a namespace would hold against its own ResourceQuota objects.
 * @throws EngineError "ManifestRefused" naming quota and resource
 */
export function checkQuota(objects: readonly Accepted[]): void {
  const totals = totalsOf(objects);
  for (const object of objects) {
    if (object.kind !== "ResourceQuota") continue;
    const { hard } = object.spec;
    const compare = (resource: string, used: number, limit: number | undefined) => {
      if (limit !== undefined && used > limit) {
        throw refuse(
          `ResourceQuota/${object.metadata.name}: spec.hard.${resource}: ${used} asked for, ${limit} allowed`,
        );
      }
    };
    const number = (text: string | undefined) => (text === undefined ? undefined : Number(text));
    const bytes = (text: string | undefined) => (text === undefined ? undefined : quantityToBytes(text));
    compare("pods", totals.counts.pods, number(hard.pods));
    compare("services", totals.counts.services, number(hard.services));
    compare("persistentvolumeclaims", totals.counts.persistentvolumeclaims, number(hard.persistentvolumeclaims));
    compare("secrets", totals.counts.secrets, number(hard.secrets));
    compare("requests.storage", totals.storageBytes, bytes(hard["requests.storage"]));
    compare(
      "limits.cpu",
      totals.cpuMillis,
      hard["limits.cpu"] === undefined ? undefined : cpuToMillis(hard["limits.cpu"]),
    );
    compare("limits.memory", totals.memoryBytes, bytes(hard["limits.memory"]));
  }
}
