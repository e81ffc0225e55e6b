import { schemaProblems } from "../../render/schema.ts";
import { type ApplyOptions, EngineError, type Manifest } from "../engine.ts";
import type { KubernetesContext } from "./context.ts";
import { ApiFailure, conflictsOf, type FieldConflict, isTerminating } from "./failure.ts";
import { follow } from "./follow.ts";
import { ensureGatewayGrant, ensureGrant } from "./grant.ts";
import { growVolume, storageOf } from "./grow.ts";
import { collectionPath, kindOf, MARK, OTHERS, WORKLOADS } from "./kinds.ts";
import { at, type LiveObject, textAt } from "./live.ts";
import { aliasesOf } from "./names.ts";
import { readNamespace, refuseForeign, terminating } from "./namespaces.ts";
import { listOwn, listPods } from "./observe.ts";
import { isReady } from "./pods.ts";
import { type Stamped, stamp } from "./stamp.ts";
import { isWhole, noteAccepted } from "./whole.ts";
import { holdersOf, podsOf, refusalOf } from "./workloads.ts";

/** A field that another manager sets again each time is left to people after so many rounds. */
const MOST_FIGHTS = 5;
/** A quota that was just made is not counted yet, and refuses everything for a moment. */
const QUOTA_PAUSE = 50;
const QUOTA_TRIES = 200;
/** How often a claim is tried while a quota that has just been raised does not count yet: 3 s. */
const RAISED_TRIES = 60;
const COLLISION_TRIES = 5;

function titleOf(manifest: Manifest): string {
  return `${manifest.kind}/${manifest.metadata.name}`;
}

function refuse(message: string): EngineError {
  return new EngineError("ManifestRefused", message, { retryable: false });
}

/** Checks all objects before any effect: kinds, fields, and that they belong to this namespace. */
export function refuseUnknown(
  { kinds }: Pick<KubernetesContext, "kinds">,
  namespace: string,
  objects: readonly Manifest[],
): void {
  for (const manifest of objects) {
    kindOf(manifest.kind, kinds);
    const problems = [...schemaProblems(manifest)];
    const home = manifest.kind === "Namespace" ? manifest.metadata.name : manifest.metadata.namespace;
    if (home !== namespace) problems.push(`metadata.namespace: is ${String(home)}, not ${namespace}`);
    if (problems.length > 0) throw refuse(`${titleOf(manifest)}: ${problems.join("; ")}`);
  }
}

function refuseShrink(objects: readonly Manifest[], present: readonly LiveObject[]): void {
  for (const manifest of objects) {
    if (manifest.kind !== "PersistentVolumeClaim") continue;
    const live = present.find(
      (object) => object.kind === manifest.kind && object.metadata.name === manifest.metadata.name,
    );
    if (live !== undefined && storageOf(manifest) < storageOf(live))
      throw new EngineError("VolumeShrinks", `${titleOf(manifest)}: a volume cannot shrink`, { retryable: false });
  }
}

function describe(conflicts: readonly FieldConflict[]): string {
  return conflicts.map(({ field, manager }) => `${manager} set ${field}`).join(", ");
}

/** What happens with a failed write: `again` after a pause, by force, or not at all. */
type Verdict = { readonly next: "again"; readonly pause: number } | { readonly next: "force" };

function judgeFailure(error: unknown, { kind }: Manifest, tries: number): Verdict {
  if (!(error instanceof ApiFailure)) throw error;
  const unready = error.status === 403 && error.message.includes("status unknown for quota");
  if (unready && tries < QUOTA_TRIES) return { next: "again", pause: QUOTA_PAUSE };
  // A claim comes with the quota that has room for it, and the API counts with the raised one a moment later.
  const exceeded = error.status === 403 && /exceeded quota/.test(error.message);
  if (exceeded && kind === "PersistentVolumeClaim" && tries < RAISED_TRIES)
    return { next: "again", pause: QUOTA_PAUSE };
  if (exceeded) throw new EngineError(refusalOf(error.message), error.message);
  if (conflictsOf(error).length > 0) return { next: "force" };
  // Two writers met inside the API; the apply says the same whoever came first.
  if (error.status === 409 && tries < COLLISION_TRIES) return { next: "again", pause: 0 };
  throw error;
}

async function write(
  context: KubernetesContext,
  namespace: string,
  stamped: Stamped,
  options: ApplyOptions,
): Promise<LiveObject> {
  const { manifest, body } = stamped;
  const ref = { kind: manifest.kind, name: manifest.metadata.name };
  let force = false;
  for (let tries = 1; ; tries += 1) {
    try {
      return await context.client.apply(namespace, ref, body, { force, signal: options.signal });
    } catch (error) {
      if (isTerminating(error)) {
        const space = await readNamespace(context, namespace);
        throw space === undefined ? error : terminating(space);
      }
      const verdict = judgeFailure(error, manifest, tries);
      if (verdict.next === "again") {
        await context.clock.sleep(verdict.pause, options.signal);
        continue;
      }
      takeBack(context, namespace, manifest, conflictsOf(error), options);
      force = true;
    }
  }
}

/** Says who changed what. What is ours is taken back, but not for ever against something that sets it again each time. */
function takeBack(
  context: KubernetesContext,
  namespace: string,
  manifest: Manifest,
  conflicts: readonly FieldConflict[],
  options: ApplyOptions,
): void {
  const title = titleOf(manifest);
  const told = describe(conflicts);
  for (const { field, manager } of conflicts) {
    if (context.conflicts.note(`${namespace}/${title}${field}${manager}`) > MOST_FIGHTS)
      throw new EngineError(
        "FieldConflict",
        `${title}: ${told}, again and again. Make that program leave these fields alone; they are set from the school's settings.`,
      );
  }
  context.log.warn({ namespace, object: title, conflicts }, "changed by another manager; set back");
  options.onProgress?.(`${title}: ${told}; set back`);
}

/** Waits until the pods of workloads that shall stop are gone: only then is their volume at rest. */
async function awaitStopped(
  context: KubernetesContext,
  namespace: string,
  stopped: readonly LiveObject[],
  options: ApplyOptions,
): Promise<void> {
  if (stopped.length === 0) return;
  let left: readonly string[] = [];
  const done = await follow(
    {
      ...context,
      path: collectionPath(OTHERS.Pod, namespace),
      deadline: context.patience,
      signal: options.signal,
    },
    (pods) => {
      left = holdersOf(stopped, pods);
      return left.length === 0 ? true : undefined;
    },
  );
  options.signal?.throwIfAborted();
  if (done === undefined) throw new EngineError("ContainerStopping", `these pods do not end: ${left.join(", ")}`);
}

/**
 * A StatefulSet waits for its pod to become ready before it replaces it, so one that never will would be kept for ever, whatever is
 * applied. Such a pod of an earlier template is removed; the controller makes the new one.
 */
async function replaceStuck(
  context: KubernetesContext,
  namespace: string,
  workload: LiveObject,
  options: ApplyOptions,
): Promise<void> {
  const mark = textAt(workload, "spec", "template", "metadata", "annotations", MARK.template);
  const stuck = podsOf(workload, await listPods(context, namespace, options.signal)).filter(
    (pod) =>
      !isReady(pod) &&
      pod.metadata.deletionTimestamp === undefined &&
      pod.metadata.annotations?.[MARK.template] !== mark,
  );
  for (const pod of stuck) {
    const { name, uid } = pod.metadata;
    options.onProgress?.(`replacing ${name}, which does not become ready`);
    await context.client.delete(namespace, { kind: "Pod", name }, { uid, signal: options.signal });
  }
}

function isChanged(context: KubernetesContext, present: readonly LiveObject[], stamped: Stamped): boolean {
  const { manifest, hash, owned } = stamped;
  const live = present.find(
    (object) => object.kind === manifest.kind && object.metadata.name === manifest.metadata.name,
  );
  const { [MARK.hash]: liveHash, [MARK.owned]: liveOwned } = live?.metadata.annotations ?? {};
  return live === undefined || liveHash !== hash || liveOwned !== owned || !isWhole(context, live);
}

/** See Engine.apply. Order: namespace, walls and secrets, volumes and services, what stops, what starts, the way in. */
export async function applyObjects(
  context: KubernetesContext,
  namespace: string,
  objects: readonly Manifest[],
  options: ApplyOptions,
): Promise<void> {
  refuseUnknown(context, namespace, objects);
  const space = await readNamespace(context, namespace, options.signal);
  const own = objects.find((manifest) => manifest.kind === "Namespace");
  if (space === undefined && own === undefined)
    throw refuse(`Namespace/${namespace}: must be applied before or with what it holds`);
  if (space !== undefined) refuseForeign(space, own);
  if (space !== undefined) await ensureGrant(context, namespace, options.signal);
  const kinds = new Set(objects.map((manifest) => manifest.kind));
  if (objects.some(({ kind }) => WORKLOADS.has(kind))) kinds.add("Service");
  const present =
    space === undefined
      ? []
      : [{ ...space, kind: "Namespace" }, ...(await listOwn(context, namespace, [...kinds], options.signal))];
  refuseShrink(objects, present);
  const services = new Map(
    present.filter(({ kind }) => kind === "Service").map((service) => [service.metadata.name, service]),
  );

  const perform = async (round: readonly Stamped[]): Promise<readonly LiveObject[]> =>
    Promise.all(
      round.map(async (stamped) => {
        const live = await write(context, namespace, stamped, options);
        noteAccepted(context, stamped, live);
        if (stamped.manifest.kind === "Service") services.set(live.metadata.name, live);
        return live;
      }),
    );
  for (const rank of [...new Set(Object.values(context.kinds).map((info) => info.rank))].sort()) {
    options.signal?.throwIfAborted();
    // Services come before the pods that shall know their addresses.
    const round = objects
      .filter((manifest) => kindOf(manifest.kind).rank === rank)
      .map((manifest) =>
        stamp(manifest, { aliases: aliasesOf(services.values()), userNamespaces: context.userNamespaces }),
      )
      .filter((stamped) => isChanged(context, present, stamped));
    if (round.length === 0) continue;
    options.onProgress?.(`applying ${round.map(({ manifest }) => titleOf(manifest)).join(", ")}`);
    const stops = round.filter(
      ({ manifest }) => WORKLOADS.has(manifest.kind) && at(manifest, "spec", "replicas") === 0,
    );
    await awaitStopped(context, namespace, await perform(stops), options);
    const made = await perform(round.filter((stamped) => !stops.includes(stamped)));
    if (rank === 0) {
      await ensureGrant(context, namespace, options.signal);
      await ensureGatewayGrant(context, namespace, options.signal);
    }
    for (const workload of made.filter((live) => live.kind === "StatefulSet" && space !== undefined))
      await replaceStuck(context, namespace, workload, options);
    for (const claim of made.filter((live) => live.kind === "PersistentVolumeClaim"))
      await growVolume(context, namespace, claim, options);
  }
}
