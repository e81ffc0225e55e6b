import type { EndpointObservation, Observation } from "../engine.ts";
import type { EngineContext } from "./context.ts";
import type { Keeper } from "./keeper.ts";
import { type NamespaceState, objectsOf, permitted, readNamespace, selectedBy } from "./namespace.ts";
import type { RecordedObject } from "./objects.ts";
import type { Placed } from "./translate/policies.ts";

/** Whether what an object stands for is there, beyond its record. */
async function isWhole(
  context: EngineContext,
  state: NamespaceState,
  record: RecordedObject,
  facts: {
    readonly network: boolean;
    readonly rules: boolean;
    readonly keeper: (record: RecordedObject) => Keeper | undefined;
  },
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
      const keeper = facts.keeper(record);
      return keeper !== undefined && keeper.observation().state !== "Missing";
    }
    default:
      return state.objects.some((object) => object.kind === kind && object.metadata.name === metadata.name);
  }
}

function endpointsOf(state: NamespaceState, keepers: readonly Keeper[]): readonly EndpointObservation[] {
  return objectsOf(state, "Service").flatMap((service) => {
    const port = service.spec.ports[0]?.targetPort;
    return selectedBy(state, service).flatMap((workload) => {
      const keeper = keepers.find((entry) => entry.ref.kind === workload.kind && entry.ref.name === workload.name);
      const address = keeper?.endpoint();
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
  await Promise.all(keepers.map((keeper) => keeper.settled()));
  const network = await context.networks.find(namespace);
  const [exists, rules] = await Promise.all([
    context.networks.exists(namespace),
    network === undefined
      ? false
      : permitted(context, state, jobs).then((allowed) => context.firewall.holds(namespace, network, allowed)),
  ]);
  const facts = {
    network: exists,
    rules,
    keeper: ({ manifest }: RecordedObject) =>
      keepers.find((entry) => entry.ref.kind === manifest.kind && entry.ref.name === manifest.metadata.name),
  };
  const whole = await Promise.all(state.records.map((record) => isWhole(context, state, record, facts)));
  const volumes = await Promise.all(
    objectsOf(state, "PersistentVolumeClaim").map((claim) => context.claims.observe(claim)),
  );
  return {
    namespace,
    exists: true,
    objects: state.records
      .filter((_, index) => whole[index])
      .map(({ manifest, hash }) => ({ kind: manifest.kind, name: manifest.metadata.name, hash })),
    workloads: keepers.map((keeper) => keeper.observation()),
    volumes,
    endpoints: endpointsOf(state, keepers),
  };
}
