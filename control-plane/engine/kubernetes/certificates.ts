import { leafOf } from "../../issuer/certificate.ts";
import { type CertificateObservation, EngineError, type MakersWord, type RenewOptions } from "../engine.ts";
import type { KubernetesContext } from "./context.ts";
import { isStatus } from "./failure.ts";
import { follow } from "./follow.ts";
import { collectionPath, kindOf } from "./kinds.ts";
import { conditionsOf, type LiveCondition, type LiveObject, listAt, numberAt, textAt } from "./live.ts";

/**
 * cert-manager's Certificates (cert-manager.io/v1). It tells how they stand in their status: condition `Ready`, and condition
 * `Issuing` while one is being made, which stays with status False and the reason when that failed.
 */

/** Under this name a renewal is asked for; cert-manager takes the condition away when it has answered. */
const RENEWAL_MANAGER = "classmind-renewal";
const PAUSE = 200;
const MOST_TRIES = 10;

function wordOf(live: LiveObject, type: string): MakersWord | undefined {
  const found = conditionsOf(live).find((condition) => condition.type === type);
  return found && { status: found.status, reason: found.reason, message: found.message };
}

/** Whether cert-manager's `Ready` is about what is asked for now. */
function isUpToDate(live: LiveObject): boolean {
  const ready = listAt(live, "status", "conditions").find((condition) => textAt(condition, "type") === "Ready");
  const seen = numberAt(ready, "observedGeneration");
  return ready !== undefined && (seen === undefined || seen >= (live.metadata.generation ?? 0));
}

/** What lies in the Secret to be served. Its key is there too, which nobody needs: it is let go at once. */
async function readLeaf(context: KubernetesContext, live: LiveObject): Promise<CertificateObservation["leaf"]> {
  const name = textAt(live, "spec", "secretName");
  const { namespace = "" } = live.metadata;
  const secret = name === undefined ? undefined : await context.client.get(namespace, { kind: "Secret", name });
  const encoded = textAt(secret, "data", "tls.crt");
  const facts = encoded === undefined ? undefined : leafOf(Buffer.from(encoded, "base64").toString("utf8"));
  return (
    facts && {
      serial: facts.serial,
      names: facts.names,
      notBefore: facts.notBefore.toISOString(),
      notAfter: facts.notAfter.toISOString(),
    }
  );
}

async function observeOne(context: KubernetesContext, live: LiveObject): Promise<CertificateObservation> {
  return {
    name: live.metadata.name,
    issuer: `${textAt(live, "spec", "issuerRef", "kind")}/${textAt(live, "spec", "issuerRef", "name")}`,
    upToDate: isUpToDate(live),
    ready: wordOf(live, "Ready"),
    issuing: wordOf(live, "Issuing"),
    revision: numberAt(live, "status", "revision") ?? 0,
    renewalTime: textAt(live, "status", "renewalTime"),
    leaf: await readLeaf(context, live),
  };
}

/** What is told of the Certificates among these objects; undefined where the engine has none to do with. */
export async function observeCertificates(
  context: KubernetesContext,
  objects: readonly LiveObject[],
): Promise<readonly CertificateObservation[] | undefined> {
  if (context.kinds.Certificate === undefined) return undefined;
  const found = objects.filter(({ kind }) => kind === "Certificate");
  return Promise.all(found.map((live) => observeOne(context, live)));
}

/**
 * Sets the condition `Issuing`, as `cmctl renew` does: in the status alone, so that nothing of what is asked for changes. The whole
 * list is written, with the version it was read in: a server that does not merge it by its types would drop the others. And an
 * answer that got lost may have been heard: then this is no longer that version, and nothing is asked twice.
 */
async function askForRenewal(context: KubernetesContext, live: LiveObject, signal?: AbortSignal): Promise<void> {
  const { name, namespace = "", resourceVersion, generation } = live.metadata;
  const others = listAt(live, "status", "conditions").filter((condition) => textAt(condition, "type") !== "Issuing");
  const wish = {
    type: "Issuing",
    status: "True",
    reason: "ManuallyTriggered",
    message: "Certificate re-issuance manually triggered",
    lastTransitionTime: context.clock
      .now()
      .toISOString()
      .replace(/\.\d+Z$/, "Z"),
    observedGeneration: generation,
  };
  await context.client.transport.request({
    method: "PATCH",
    path: `${collectionPath(kindOf("Certificate", context.kinds), namespace)}/${name}/status`,
    query: { fieldManager: RENEWAL_MANAGER },
    contentType: "application/merge-patch+json",
    body: { metadata: { resourceVersion }, status: { conditions: [...others, wish] } },
    signal,
  });
}

const issuingOf = (live: LiveObject): LiveCondition | undefined =>
  conditionsOf(live).find(({ type }) => type === "Issuing");

const isUnderWay = (live: LiveObject): boolean => issuingOf(live)?.status === "True";
const revisionOf = (live: LiveObject): number => numberAt(live, "status", "revision") ?? 0;

const failureOf = (live: LiveObject): string | undefined => textAt(live, "status", "lastFailureTime");

/** Asks, unless it is under way or done; reads again where cert-manager wrote meanwhile (409). */
async function ask(
  context: KubernetesContext,
  found: LiveObject,
  revision: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { name, namespace = "" } = found.metadata;
  let live: LiveObject | undefined = found;
  for (let tries = 1; live !== undefined && !isUnderWay(live) && revisionOf(live) <= revision; tries += 1) {
    try {
      await askForRenewal(context, live, signal);
      return;
    } catch (error) {
      if (!isStatus(error, 409) || tries === MOST_TRIES) throw error;
      await context.clock.sleep(PAUSE, signal);
      live = await context.client.get(namespace, { kind: "Certificate", name }, signal);
    }
  }
}

/** See Engine.renewCertificate. */
export async function renewCertificate(
  context: KubernetesContext,
  namespace: string,
  name: string,
  { revision, deadline, signal }: RenewOptions,
): Promise<void> {
  const live = await context.client.get(namespace, { kind: "Certificate", name }, signal);
  if (live === undefined) throw new EngineError("CertificateMissing", `Certificate/${name} does not exist`);
  if (revisionOf(live) > revision) return;
  await ask(context, live, revision, signal);
  const path = collectionPath(kindOf("Certificate", context.kinds), namespace);
  const query = { fieldSelector: `metadata.name=${name}` };
  // A read may be older than the wish: only a failure that was not there before is the answer to it.
  const before = failureOf(live);
  const outcome = await follow({ ...context, path, query, deadline, signal }, ([now]) => {
    if (now === undefined) return { failure: "it was removed" };
    if (revisionOf(now) > revision) return { failure: undefined };
    const failed = failureOf(now) !== before && !isUnderWay(now);
    return failed ? { failure: issuingOf(now)?.message ?? "it failed" } : undefined;
  });
  signal?.throwIfAborted();
  if (outcome === undefined)
    throw new EngineError(
      "IssuerFailing",
      `cert-manager has not renewed it in ${Math.round(deadline / 1000)} s and goes on trying. What it waits for: cmctl status certificate ${name} --namespace ${namespace}`,
    );
  if (outcome.failure !== undefined) throw new EngineError("IssuerFailing", `cert-manager says: ${outcome.failure}`);
}
