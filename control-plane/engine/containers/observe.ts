import type { EndpointObservation, ObjectRef, Observation } from "../engine.ts";
import type { EngineContext } from "./context.ts";
import type { Keeper } from "./keeper.ts";
import { type NamespaceState, objectsOf, permitted, readNamespace, selectedBy } from "./namespace.ts";
import type { RecordedObject } from "./objects.ts";
import type { Placed } from "./translate/policies.ts";

/** What is looked at to tell whether objects are whole. */
interface Facts {
  readonly network: boolean;
  readonly rules: boolean;
  readonly keepers: readonly Keeper[];
}

function keeperOf(keepers: readonly Keeper[], ref: ObjectRef): Keeper | undefined {
  return keepers.find((entry) => entry.ref.kind === ref.kind && entry.ref.name === ref.name);
}

/** Whether what an object stands for is there, beyond its record. */
async function isWhole(
  context: EngineContext,
  state: NamespaceState,
  record: RecordedObject,
  facts: Facts,
): Promise<boolean> {
  const { kind, metadata } = record.manifest;
  switch (kind) {
    case "Namespace":
      return facts.network;
    case "NetworkPolicy":
      return facts.rules;
    case "Secret":
      return (await context.secrets.hash(state.namespace, metadata.name)) === record.hash;
    case "PersistentVolumeClaim": {
      const claim = objectsOf(state, "PersistentVolumeClaim").find((entry) => entry.metadata.name === metadata.name);
      return claim !== undefined && (await context.claims.whole(claim));
    }
    case "Deployment":
    case "StatefulSet": {
      const keeper = keeperOf(facts.keepers, { kind, name: metadata.name });
      return keeper !== undefined && keeper.observation().state !== "Missing";
    }
    default:
      return state.objects.some((object) => object.kind === kind && object.metadata.name === metadata.name);
  }
}

async function rulesHold(context: EngineContext, state: NamespaceState, jobs: readonly Placed[]): Promise<boolean> {
  const network = await context.networks.find(state.namespace);
  if (network === undefined) return false;
  return context.firewall.holds(state.namespace, network, await permitted(context, state, jobs));
}

/** Those of the records given that are whole. Looks at nothing that none of them stands for. */
export async function wholeRecords(
  context: EngineContext,
  state: NamespaceState,
  records: readonly RecordedObject[],
  keepers: readonly Keeper[],
  jobs: readonly Placed[],
): Promise<readonly RecordedObject[]> {
  const has = (...kinds: readonly string[]) => records.some(({ manifest }) => kinds.includes(manifest.kind));
  const asked = keepers.filter((keeper) =>
    records.some(({ manifest }) => keeperOf([keeper], { kind: manifest.kind, name: manifest.metadata.name })),
  );
  await Promise.all(asked.map((keeper) => keeper.settled()));
  const [network, rules] = await Promise.all([
    has("Namespace") && context.networks.exists(state.namespace),
    has("NetworkPolicy") && rulesHold(context, state, jobs),
  ]);
  const whole = await Promise.all(
    records.map((record) => isWhole(context, state, record, { network, rules, keepers: asked })),
  );
  return records.filter((_, index) => whole[index]);
}

function endpointsOf(state: NamespaceState, keepers: readonly Keeper[]): readonly EndpointObservation[] {
  return objectsOf(state, "Service").flatMap((service) => {
    const port = service.spec.ports[0]?.targetPort;
    return selectedBy(state, service).flatMap((workload) => {
      const address = keeperOf(keepers, workload)?.endpoint();
      return address === undefined || port === undefined ? [] : [{ service: service.metadata.name, address, port }];
    });
  });
}

/** Reads a namespace as it is. */
export async function observeNamespace(
  context: EngineContext,
  namespace: string,
  keepers: readonly Keeper[],
  jobs: readonly Placed[],
): Promise<Observation> {
  const state = await readNamespace(context, namespace);
  if (state.records.length === 0) {
    return { namespace, exists: false, objects: [], workloads: [], volumes: [], endpoints: [] };
  }
  const whole = await wholeRecords(context, state, state.records, keepers, jobs);
  const remnants = state.records.filter((record) => !whole.includes(record));
  const volumes = await Promise.all(
    objectsOf(state, "PersistentVolumeClaim").map((claim) => context.claims.observe(claim)),
  );
  return {
    namespace,
    exists: true,
    objects: whole.map(({ manifest, hash }) => ({ kind: manifest.kind, name: manifest.metadata.name, hash })),
    remnants: remnants.map(({ manifest }) => ({ kind: manifest.kind, name: manifest.metadata.name })),
    workloads: keepers.map((keeper) => keeper.observation()),
    volumes,
    endpoints: endpointsOf(state, keepers),
  };
}
