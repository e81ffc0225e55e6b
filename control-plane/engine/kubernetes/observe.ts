import { messageOf } from "../../errors.ts";
import type { EndpointObservation, Observation, VolumeObservation, VolumeState } from "../engine.ts";
import { observeCertificates } from "./certificates.ts";
import type { KubernetesContext } from "./context.ts";
import { isStatus } from "./failure.ts";
import { ensureGatewayGrant, ensureGrant } from "./grant.ts";
import { collectionPath, kindOf, MANAGED_BY, MARK, OTHERS, WORKLOADS } from "./kinds.ts";
import { at, isRecord, type LiveObject, listAt, numberAt, selects, textAt } from "./live.ts";
import { type Look, slim, versionsOf } from "./looks.ts";
import { aliasesOf, knowsServices } from "./names.ts";
import { isOurs, readNamespace } from "./namespaces.ts";
import { isReady, isUnready, mayHold } from "./pods.ts";
import { bytesOf } from "./quantity.ts";
import { isWhole } from "./whole.ts";
import { observeWorkload } from "./workloads.ts";

const OWN: { readonly labelSelector: string } = {
  labelSelector: `${MARK.managedBy}=${MANAGED_BY},!${MARK.job}`,
};

/** Kinds, besides the workloads, that an observation tells more of than that they are there. */
const PARTS = new Set(["Service", "PersistentVolumeClaim"]);

/** Without cert-manager's kinds there is none of them; what is to be made then fails, and says so. */
export function noneServed(kind: string, error: unknown): { readonly items: readonly LiveObject[] } {
  if (kind === "Certificate" && isStatus(error, 404)) return { items: [] };
  throw error;
}

/** Objects of the given kinds that we made in a namespace. Lists of one kind come without their kind: it is added. */
export async function listOwn(
  context: KubernetesContext,
  namespace: string,
  kinds: readonly string[],
  signal?: AbortSignal,
): Promise<readonly LiveObject[]> {
  const listings = await Promise.all(
    kinds.map(async (kind) => {
      const info = context.kinds[kind];
      if (info === undefined || kind === "Namespace") return [];
      const { items } = await context.client
        .list(collectionPath(info, namespace), OWN, signal)
        .catch((error: unknown) => noneServed(kind, error));
      return items.map((item) => ({ ...item, kind, apiVersion: info.apiVersion }));
    }),
  );
  return listings.flat();
}

export async function listPods(
  context: KubernetesContext,
  namespace: string,
  signal?: AbortSignal,
): Promise<readonly LiveObject[]> {
  return (await context.client.list(collectionPath(OTHERS.Pod, namespace), {}, signal)).items;
}

/** Warnings of a namespace, the newest first. */
export async function listWarnings(
  context: KubernetesContext,
  namespace: string,
  signal?: AbortSignal,
): Promise<readonly LiveObject[]> {
  const { items } = await context.client.list(
    collectionPath(OTHERS.Event, namespace),
    { fieldSelector: "type=Warning" },
    signal,
  );
  const time = (event: LiveObject): string =>
    textAt(event, "lastTimestamp") ?? textAt(event, "eventTime") ?? event.metadata.creationTimestamp ?? "";
  return [...items].sort((a, b) => (time(a) < time(b) ? 1 : -1));
}

/** Names of the claims that a pod's specification mounts. */
export function claimsOf(podSpec: unknown): readonly string[] {
  return listAt(podSpec, "volumes").flatMap((volume) => textAt(volume, "persistentVolumeClaim", "claimName") ?? []);
}

export function mounts(pod: LiveObject, claim: string): boolean {
  return claimsOf(pod.spec).includes(claim);
}

/** A service's port as a pod knows it, by number or by name. */
function portOf(service: LiveObject, pod: LiveObject): number | undefined {
  const target = at(service, "spec", "ports", 0, "targetPort");
  if (typeof target === "number") return target;
  const ports = listAt(pod, "spec", "containers").flatMap((container) => listAt(container, "ports"));
  return numberAt(
    ports.find((port) => textAt(port, "name") === target),
    "containerPort",
  );
}

/** Ready pods behind each service. Taken from the pods, so that it never lags behind their readiness. Pure. */
export function endpointsOf(
  services: readonly LiveObject[],
  pods: readonly LiveObject[],
): readonly EndpointObservation[] {
  return services.flatMap((service) => {
    const selector = at(service, "spec", "selector");
    if (!isRecord(selector)) return [];
    return pods.flatMap((pod) => {
      const address = textAt(pod, "status", "podIP");
      const port = portOf(service, pod);
      const serves =
        selects(selector, pod.metadata.labels) && isReady(pod) && pod.metadata.deletionTimestamp === undefined;
      return serves && address !== undefined && port !== undefined
        ? [{ service: service.metadata.name, address, port }]
        : [];
    });
  });
}

function volumeState(claim: LiveObject): VolumeState {
  if (claim.metadata.deletionTimestamp !== undefined) return "Terminating";
  return textAt(claim, "status", "phase") === "Lost" ? "Lost" : "Present";
}

async function observeVolume(
  context: KubernetesContext,
  claim: LiveObject,
  pods: readonly LiveObject[],
): Promise<VolumeObservation> {
  const { name, namespace = "" } = claim.metadata;
  const users = pods.filter((pod) => mayHold(pod) && mounts(pod, name));
  const capacity =
    textAt(claim, "status", "capacity", "storage") ?? textAt(claim, "spec", "resources", "requests", "storage");
  const node = users.map((pod) => textAt(pod, "spec", "nodeName")).find((candidate) => candidate !== undefined);
  const fill = node === undefined ? undefined : await context.usage.fillOf(node, namespace, name);
  return {
    name,
    state: volumeState(claim),
    identity: textAt(claim, "status", "phase") === "Lost" ? undefined : claim.metadata.uid,
    capacityBytes: bytesOf(capacity),
    usedBytes: fill?.usedBytes,
    ...(fill?.inodes === undefined ? {} : { inodes: fill.inodes }),
    locked: users.length === 0,
    asked: {
      className: textAt(claim, "spec", "storageClassName"),
      size: textAt(claim, "spec", "resources", "requests", "storage") ?? "0",
    },
  };
}

/** Whether a workload has no pod where one is wanted: the reason is then in an event. */
function lacksPods(objects: readonly LiveObject[], pods: readonly LiveObject[]): boolean {
  return objects.some(
    (object) =>
      WORKLOADS.has(object.kind ?? "") &&
      (numberAt(object, "spec", "replicas") ?? 1) > 0 &&
      !pods.some((pod) => selects(at(object, "spec", "selector", "matchLabels"), pod.metadata.labels)),
  );
}

/** Everything in a namespace of ours; undefined where it ends and the rights in it have gone already, like everything else. */
async function readAll(
  context: KubernetesContext,
  space: LiveObject,
): Promise<readonly [objects: readonly LiveObject[], pods: readonly LiveObject[]] | undefined> {
  const { name, deletionTimestamp } = space.metadata;
  try {
    return await Promise.all([listOwn(context, name, Object.keys(context.kinds)), listPods(context, name)]);
  } catch (error) {
    if (deletionTimestamp !== undefined && context.grant !== undefined && isStatus(error, 403)) return undefined;
    throw error;
  }
}

/** The observation that follows from what was read. Events are read only when a pod is missing or not ready. */
async function observationOf(
  context: KubernetesContext,
  namespace: string,
  look: Look,
  pods: readonly LiveObject[],
): Promise<Observation> {
  const { parts, whole } = look;
  const warnings = lacksPods(parts, pods) || pods.some(isUnready) ? await listWarnings(context, namespace) : [];
  const now = context.clock.now().getTime();
  const ofKind = (kind: string): readonly LiveObject[] => parts.filter((object) => object.kind === kind);
  return {
    namespace,
    exists: true,
    objects: whole,
    workloads: parts
      .filter((object) => WORKLOADS.has(object.kind ?? ""))
      .map((object) => observeWorkload(object, pods, warnings, now)),
    volumes: await Promise.all(ofKind("PersistentVolumeClaim").map((claim) => observeVolume(context, claim, pods))),
    endpoints: endpointsOf(ofKind("Service"), pods),
    ...(look.certificates === undefined ? {} : { certificates: look.certificates }),
  };
}

async function lookOf(context: KubernetesContext, space: LiveObject, objects: readonly LiveObject[]): Promise<Look> {
  const names = aliasesOf(objects.filter(({ kind }) => kind === "Service"));
  const whole = [{ ...space, kind: "Namespace" }, ...objects].flatMap((object) => {
    const hash = object.metadata.annotations?.[MARK.hash];
    const lost = WORKLOADS.has(object.kind ?? "") && !knowsServices(object, names);
    return hash !== undefined && !lost && isWhole(context, object)
      ? [{ kind: object.kind ?? "", name: object.metadata.name, hash }]
      : [];
  });
  const parts = objects.filter(({ kind = "" }) => PARTS.has(kind) || WORKLOADS.has(kind)).map(slim);
  const certificates = await observeCertificates(context, objects);
  const secrets = versionsOf(objects.filter(({ kind }) => kind === "Secret"));
  return { whole, parts, secrets, certificates };
}

/** The Secret that cert-manager fills is not watched: until there is something in it, it is looked at anew. */
function isSettled({ workloads, certificates = [] }: Observation): boolean {
  return (
    workloads.every(({ state }) => state === "Ready" || state === "Stopped") &&
    certificates.every(({ leaf, ready, issuing }) => leaf && ready?.status === "True" && issuing?.status !== "True")
  );
}

/**
 * A look at a school of which no watch told anything since the last one: reads what is not watched, its pods and the versions of
 * its Secrets. Undefined when that shows something new, or cannot be read.
 */
async function observeAgain(context: KubernetesContext, namespace: string): Promise<Observation | undefined> {
  const look = context.looks.recall(namespace);
  if (look === undefined) return undefined;
  try {
    const query = { ...OWN, metadataOnly: true };
    const [pods, secrets] = await Promise.all([
      listPods(context, namespace),
      context.client.list(collectionPath(kindOf("Secret"), namespace), query),
    ]);
    if (versionsOf(secrets.items) !== look.secrets) return undefined;
    const observation = await observationOf(context, namespace, look, pods);
    return isSettled(observation) ? observation : undefined;
  } catch (error) {
    // Somebody took our rights away; the whole look takes them back.
    if (isStatus(error, 403)) return undefined;
    throw error;
  }
}

/** Lists each kind in the namespace, all side by side. */
async function observeAll(context: KubernetesContext, namespace: string): Promise<Observation> {
  const keep = context.looks.begin(namespace);
  const space = await readNamespace(context, namespace);
  const nothing = { objects: [], workloads: [], volumes: [], endpoints: [] };
  if (space === undefined) return { namespace, exists: false, ...nothing };
  if (!isOurs(space)) return { namespace, exists: true, ...nothing };
  // To look needs the rights too, and somebody may have taken them away.
  if (space.metadata.deletionTimestamp === undefined) {
    await ensureGrant(context, namespace, undefined);
    // Only the gateway needs it; preflight and each apply say what is wrong.
    await ensureGatewayGrant(context, namespace, undefined).catch((error: unknown) =>
      context.log.warn(
        { namespace, error: messageOf(error) },
        "the gateway could not be let read this school's certificate",
      ),
    );
  }
  const all = await readAll(context, space);
  if (all === undefined) return { namespace, exists: true, ...nothing };
  const [objects, pods] = all;
  const look = await lookOf(context, space, objects);
  const observation = await observationOf(context, namespace, look, pods);
  keep(isSettled(observation) && look.whole.length === objects.length + 1 ? look : undefined);
  return observation;
}

/** See Engine.observe. A school in which nothing happened costs two requests, any other one for each kind. */
export async function observeNamespace(context: KubernetesContext, namespace: string): Promise<Observation> {
  return (await observeAgain(context, namespace)) ?? observeAll(context, namespace);
}
