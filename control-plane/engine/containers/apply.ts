import { hashManifest } from "../../render/hash.ts";
import type { ApplyOptions, Manifest } from "../engine.ts";
import type { Claim } from "./claims.ts";
import type { EngineContext } from "./context.ts";
import { claimsFor, type NamespaceState, objectsOf, readNamespace, stateOf } from "./namespace.ts";
import type { RecordedObject } from "./objects.ts";
import { userOf } from "./pods.ts";
import { claimsOf } from "./translate/pod.ts";
import { checkPolicy } from "./translate/policies.ts";
import { checkQuota } from "./translate/quota.ts";
import { accept, refuse, type WorkloadModel } from "./translate/translate.ts";

/** What applying needs of the running engine. */
export interface Applying {
  readonly context: EngineContext;
  /** Those of a namespace's records that are whole. */
  whole(state: NamespaceState, records: readonly RecordedObject[]): Promise<readonly RecordedObject[]>;
  loadFirewall(namespace: string): Promise<void>;
  want(namespace: string, workload: WorkloadModel, hash: string): Promise<void>;
}

/** Objects that are not as given, or not whole. Everything is checked before this returns; nothing is changed. */
async function outstanding(
  applying: Applying,
  namespace: string,
  objects: readonly Manifest[],
): Promise<readonly RecordedObject[]> {
  const { context } = applying;
  for (const object of objects) {
    const accepted = accept(namespace, object);
    if (accepted.kind === "Job") throw refuse(`Job/${object.metadata.name}: a job is run, not applied`);
    if (accepted.kind === "NetworkPolicy") checkPolicy(accepted, context.instance.addressPool);
    if (accepted.kind === "PersistentVolumeClaim") await context.claims.refuseShrink(accepted);
  }
  const given = objects.map((manifest) => ({ manifest, hash: hashManifest(manifest) }));
  const known = await context.objects.read(namespace);
  const isGiven = (record: RecordedObject) =>
    objects.some(
      (object) => object.kind === record.manifest.kind && object.metadata.name === record.manifest.metadata.name,
    );
  const merged = stateOf(namespace, [...known.filter((record) => !isGiven(record)), ...given]);
  checkQuota(merged.objects);
  if (objectsOf(merged, "Namespace").length === 0) {
    throw refuse(`Namespace/${namespace}: must be applied before or with what it holds`);
  }
  if (known.length === 0) return given;
  const same = known.filter((record) => given.some(({ hash }) => hash === record.hash));
  const whole = await applying.whole(stateOf(namespace, known), same);
  return given.filter(({ hash }) => !whole.some((record) => record.hash === hash));
}

async function writeSecrets(
  context: EngineContext,
  namespace: string,
  changes: readonly RecordedObject[],
): Promise<void> {
  const state = stateOf(namespace, changes);
  await Promise.all(
    objectsOf(state, "Secret").map((secret) => {
      const hash = changes.find(
        ({ manifest }) => manifest.kind === "Secret" && manifest.metadata.name === secret.metadata.name,
      )?.hash;
      return context.secrets.write(namespace, secret.metadata.name, secret.data, hash ?? "");
    }),
  );
}

/** Where a host may not grow a volume in use, its pods pause for the moment that takes. */
async function growClosed(
  applying: Applying,
  state: NamespaceState,
  claims: readonly Claim[],
  options: ApplyOptions,
): Promise<void> {
  const names = claims.map((claim) => claim.metadata.name);
  options.onProgress?.(`growing ${names.join(", ")}`);
  const users = state.workloads.filter((workload) => claimsOf(workload.pod).some((name) => names.includes(name)));
  await Promise.all(users.map((workload) => applying.want(state.namespace, { ...workload, replicas: 0 }, "")));
  for (const claim of claims) await applying.context.claims.ensure(claim);
}

/** Objects that the network and its rules follow from. */
const ROUTED: ReadonlySet<string> = new Set(["Namespace", "NetworkPolicy", "Deployment", "StatefulSet"]);

function isAmong(changes: readonly RecordedObject[], kind: string, name: string): boolean {
  return changes.some(({ manifest }) => manifest.kind === kind && manifest.metadata.name === name);
}

/** Opens the volumes of pods about to start while other things are done; what fails here, their own start says. */
async function openVolumes(context: EngineContext, state: NamespaceState): Promise<void> {
  const starting = state.workloads.filter((workload) => workload.replicas === 1);
  await Promise.allSettled(
    starting.flatMap((workload) =>
      claimsFor(state, workload.pod).map((claim) => context.claims.acquire(claim, userOf(workload))),
    ),
  );
}

/** Brings the network and its rules to where the namespace's objects want them. */
async function connect(applying: Applying, state: NamespaceState): Promise<void> {
  const { networks } = applying.context;
  await networks.ensure(state.namespace);
  for (const workload of state.workloads) await networks.addressesOf(state.namespace, workload);
  await applying.loadFirewall(state.namespace);
}

/** See Engine.apply. Order: records, then network with its rules, secrets and volumes side by side, and the workloads last. */
export async function applyObjects(
  applying: Applying,
  namespace: string,
  objects: readonly Manifest[],
  options: ApplyOptions,
): Promise<void> {
  const { context } = applying;
  const changes = await outstanding(applying, namespace, objects);
  if (changes.length === 0) return;
  options.signal?.throwIfAborted();
  await context.objects.write(namespace, changes);
  const state = await readNamespace(context, namespace);
  options.onProgress?.("network, secrets and volume");
  const claims = objectsOf(stateOf(namespace, changes), "PersistentVolumeClaim");
  const connected = changes.some(({ manifest }) => ROUTED.has(manifest.kind)) && connect(applying, state);
  const prepared = Promise.all([
    Promise.all(claims.map((claim) => context.claims.ensure(claim))),
    writeSecrets(context, namespace, changes),
  ]);
  const opened = prepared.then(() => openVolumes(context, state)).catch(() => undefined);
  const [[ensured]] = await Promise.all([prepared, connected]);
  options.signal?.throwIfAborted();
  const closedOnly = claims.filter((_, index) => ensured[index] === "closed-only");
  if (closedOnly.length > 0) {
    await opened;
    await growClosed(applying, state, closedOnly, options);
  }
  // Those that stop come first: what they used may be about to be locked. The others start beside each other.
  for (const replicas of [0, 1] as const) {
    await Promise.all(
      state.workloads
        .filter((workload) => workload.replicas === replicas)
        .map((workload) => {
          const record = state.records.find(
            ({ manifest }) => manifest.kind === workload.kind && manifest.metadata.name === workload.name,
          );
          if (isAmong(changes, workload.kind, workload.name))
            options.onProgress?.(`${replicas === 0 ? "stopping" : "starting"} ${workload.name}`);
          return applying.want(namespace, workload, record?.hash ?? "");
        }),
    );
  }
  await opened;
}
