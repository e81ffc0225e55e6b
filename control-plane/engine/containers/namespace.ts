import type { Claim } from "./claims.ts";
import type { EngineContext } from "./context.ts";
import { LABEL } from "./names.ts";
import type { RecordedObject } from "./objects.ts";
import type { Leaving } from "./standing-relays.ts";
import { claimsOf, type PodModel } from "./translate/pod.ts";
import { type Allowance, allowances, outward, type Placed } from "./translate/policies.ts";
import { type Kind, SHAPES, type ShapeOf } from "./translate/shapes.ts";
import { type Accepted, type WorkloadModel, workloadOf } from "./translate/translate.ts";

/** What was applied to a namespace, typed. Records were checked when they were written. */
export interface NamespaceState {
  readonly namespace: string;
  readonly records: readonly RecordedObject[];
  readonly objects: readonly Accepted[];
  readonly workloads: readonly WorkloadModel[];
}

export async function readNamespace(context: EngineContext, namespace: string): Promise<NamespaceState> {
  const records = await context.objects.read(namespace);
  return stateOf(namespace, records);
}

/** Records that an older version wrote and this one no longer understands are left out: applying them again repairs that. */
export function stateOf(namespace: string, records: readonly RecordedObject[]): NamespaceState {
  const objects = records.flatMap(({ manifest }): readonly Accepted[] => {
    if (!Object.hasOwn(SHAPES, manifest.kind)) return [];
    const parsed = SHAPES[manifest.kind as Kind].safeParse(manifest);
    return parsed.success ? [parsed.data] : [];
  });
  const workloads = objects.flatMap((object) =>
    object.kind === "Deployment" || object.kind === "StatefulSet" ? [workloadOf(object)] : [],
  );
  return { namespace, records, objects, workloads };
}

export function objectsOf<K extends Kind>(state: NamespaceState, kind: K): readonly ShapeOf<K>[] {
  return state.objects.filter((object): object is Extract<Accepted, ShapeOf<K>> => object.kind === kind);
}

/** Claims a pod mounts. @throws Error naming a claim that was never applied */
export function claimsFor(state: NamespaceState, pod: PodModel): readonly Claim[] {
  const known = objectsOf(state, "PersistentVolumeClaim");
  return claimsOf(pod).map((name) => {
    const claim = known.find((candidate) => candidate.metadata.name === name);
    if (claim === undefined) throw new Error(`there is no PersistentVolumeClaim ${name}`);
    return claim;
  });
}

function selects(selector: Readonly<Record<string, string>>, labels: Readonly<Record<string, string>>): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value);
}

/** Workloads that a Service leads to. */
export function selectedBy(state: NamespaceState, service: ShapeOf<"Service">): readonly WorkloadModel[] {
  return state.workloads.filter((workload) => selects(service.spec.selector, workload.pod.labels));
}

/**
 * Names that pods of the namespace can resolve: Services in front of a StatefulSet, whose address never changes. The address of
 * a Deployment changes at each update, so inside the namespace it has no name (nothing there needs one: the gateway asks).
 */
export async function serviceHosts(context: EngineContext, state: NamespaceState): Promise<Record<string, string>> {
  const hosts: Record<string, string> = {};
  for (const service of objectsOf(state, "Service")) {
    const [workload] = selectedBy(state, service);
    if (workload?.kind !== "StatefulSet") continue;
    const [address] = await context.networks.addressesOf(state.namespace, workload);
    if (address !== undefined) hosts[service.metadata.name] = address;
  }
  return hosts;
}

/** Connections that the namespace's policies permit between its workloads, the given jobs and the host. */
export async function permitted(
  context: EngineContext,
  state: NamespaceState,
  jobs: readonly Placed[],
): Promise<readonly Allowance[]> {
  const pods: Placed[] = [...jobs];
  for (const workload of state.workloads) {
    for (const address of await context.networks.addressesOf(state.namespace, workload)) {
      pods.push({ address, labels: workload.pod.labels });
    }
  }
  const policies = objectsOf(state, "NetworkPolicy");
  // Outside this machine only through relays on the host.
  const relayed = pods.flatMap(({ address, labels }) =>
    outward(policies, labels).map(({ port }) => ({ from: address, to: "host", port })),
  );
  return [...allowances(policies, pods), ...relayed];
}

/** Who of a namespace's workloads may leave it, and where to: those that are wanted. */
export async function leaving(context: EngineContext, state: NamespaceState): Promise<readonly Leaving[]> {
  const policies = objectsOf(state, "NetworkPolicy");
  const found: Leaving[] = [];
  for (const workload of state.workloads.filter(({ replicas }) => replicas === 1)) {
    const targets = outward(policies, workload.pod.labels);
    if (targets.length === 0) continue;
    for (const from of await context.networks.addressesOf(state.namespace, workload)) found.push({ from, targets });
  }
  return found;
}

/** Labels that find the containers of a namespace, or of one of its workloads. */
export function labelsOf(context: EngineContext, namespace: string, workload?: { kind: string; name: string }) {
  return {
    [LABEL.instance]: context.instance.name,
    [LABEL.namespace]: namespace,
    ...(workload ? { [LABEL.workload]: `${workload.kind}/${workload.name}` } : {}),
  };
}
