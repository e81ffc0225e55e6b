import type { Clock } from "../clock.ts";
import type { Client } from "../engine/kubernetes/client.ts";
import { WATCH_TIMES, type Watching, type WatchTimes } from "../engine/kubernetes/keep-watching.ts";
import { at, type LiveObject, textAt } from "../engine/kubernetes/live.ts";
import { ClassmindError, messageOf } from "../errors.ts";
import { type WholeSchool, writeSchools } from "../gateway/files.ts";
import type { Gateway, PemPair } from "../gateway/gateway.ts";
import { checkCertificate } from "../gateway/input.ts";
import type { GatewayPaths } from "../gateway/paths.ts";
import { leafOf } from "../issuer/certificate.ts";
import type { Log } from "../log.ts";
import { keepMirror } from "./mirror.ts";
import { createRetries } from "./retries.ts";
import { destinationOf, readIngress, type Wanted } from "./wanted.ts";

/**
 * Leads the Ingresses of schools to the gateway: host names, addresses and certificates, as the cluster has them now. It writes nothing
 * to the cluster. Of Secrets it reads a school's certificate alone, and only when the Ingress says that there is another one. What it
 * cannot carry out it tries again, ever more slowly; while the API does not answer, the gateway goes on with what it has.
 */
export interface IngressControllerOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Log;
  readonly gateway: Gateway;
  /** Of the gateway's files, as this process sees them. */
  readonly paths: GatewayPaths;
  /** Class of the Ingresses that are ours. */
  readonly ingressClass: string;
  readonly signal: AbortSignal;
  readonly times?: WatchTimes;
  /** Milliseconds before what failed is tried again for the first time; doubles with each further time. */
  readonly retry?: number;
}

export interface IngressController {
  /** Resolves once the gateway's files say what the cluster said at the start. */
  readonly ready: Promise<void>;
  /** Resolves when the signal has aborted and nothing is under way any more. */
  readonly ended: Promise<void>;
}

/** Label of everything that a school consists of. */
const OURS = "app.kubernetes.io/managed-by=classmind,classmind.de/tenant";
/** Name of the work on all schools; no namespace is called so. */
const ALL = "*";
/** Without a Service. Its address may be another school's soon: nothing is sent there any more. */
const NOWHERE = { state: "closed" } as const;
const FIRST_RETRY = 500;
const LONGEST_RETRY = 60_000;

/** Identity of the certificate that an Ingress asks for, and of the names that it is to be served for. */
const certificateOf = ({ secretName, serial, hosts }: Wanted): string => `${secretName}/${serial}/${hosts.join()}`;

const slimIngress = ({ metadata, spec }: LiveObject) => ({
  metadata: {
    name: metadata.name,
    namespace: metadata.namespace,
    annotations: metadata.annotations,
  },
  spec,
});
const slimService = ({ metadata, spec }: LiveObject) => ({
  metadata: { name: metadata.name },
  spec: { clusterIP: at(spec, "clusterIP"), clusterIPs: at(spec, "clusterIPs") },
});

/** A pair as a Secret of type kubernetes.io/tls has it; undefined where it has none. */
function pairIn(secret: LiveObject | undefined): PemPair | undefined {
  const text = (name: string): string | undefined => {
    const encoded = textAt(secret, "data", name);
    return encoded === undefined ? undefined : Buffer.from(encoded, "base64").toString("utf8");
  };
  const [chain, key] = [text("tls.crt"), text("tls.key")];
  return chain === undefined || key === undefined ? undefined : { chain, key };
}

export function startIngressController(options: IngressControllerOptions): IngressController {
  const { client, clock, log, gateway, paths, ingressClass, signal } = options;
  const watching = (path: string): Watching => ({
    client,
    clock,
    log,
    path,
    query: { labelSelector: OURS },
    times: options.times ?? WATCH_TIMES,
    signal,
  });
  /** By namespace, the certificate that the gateway has. Keys are never kept here. */
  const served = new Map<string, string>();
  const refused = new Map<string, string>();
  const slugs = new Map<string, string>();
  const work = createRetries({
    clock,
    signal,
    first: options.retry ?? FIRST_RETRY,
    longest: LONGEST_RETRY,
    carryOut: (name) => (name === ALL ? gateway.reconcileAll().then(() => undefined) : settle(name)),
    onFailure(name, error, retryInSeconds) {
      const why = messageOf(error);
      // At a pod's start HAProxy waits for us: what it is to serve lies in its files.
      if (name === ALL) log.info({ error: why, retryInSeconds }, "HAProxy is not told of its schools yet");
      else log.warn({ namespace: name, error: why, retryInSeconds }, "a school's way in is not as wanted yet");
    },
  });
  const onBroken = (error: string): void =>
    log.warn({ error }, "the cluster does not tell what its schools want; what is served goes on");
  const ingresses = keepMirror(watching("/apis/networking.k8s.io/v1/ingresses"), slimIngress, work.add, onBroken);
  const services = keepMirror(watching("/api/v1/services"), slimService, work.add, onBroken);

  /** What the one Ingress of a namespace asks for; undefined where there is none that is ours. */
  function wantedIn(namespace: string): Wanted | undefined {
    const ours = ingresses.in(namespace).filter(({ spec }) => textAt(spec, "ingressClassName") === ingressClass);
    let wanted: Wanted | undefined;
    for (const ingress of ours) {
      const reading = readIngress(ingress);
      if ("wanted" in reading) wanted = reading.wanted;
      else noteRefusal(`${namespace}/${ingress.metadata.name}`, `${reading.refused.field}: ${reading.refused.why}`);
    }
    return wanted;
  }

  /** Said once, until it changes. */
  function noteRefusal(ingress: string, why: string): void {
    if (refused.get(ingress) === why) return;
    refused.set(ingress, why);
    log.warn({ ingress, why }, "an Ingress is not served: it is not one of a school");
  }

  /** Reads the pair that is to be served. @throws ApiFailure, ClassmindError `Unavailable` */
  async function readPairOf({ namespace, secretName: name }: Wanted): Promise<PemPair> {
    const pair = pairIn(await client.get(namespace, { kind: "Secret", name }, signal));
    if (pair === undefined) throw new ClassmindError("Unavailable", `the Secret ${name} holds no certificate yet`);
    return pair;
  }

  /**
   * Remembers what the gateway has, unless it is not what the Ingress announces: the Secret may be read before it was changed. Before
   * there is a certificate the Ingress announces none.
   */
  function noteServed(wanted: Wanted, { chain }: PemPair): void {
    if (wanted.serial === "" || leafOf(chain)?.serial === wanted.serial)
      served.set(wanted.namespace, certificateOf(wanted));
  }

  /** Makes the gateway have what one school wants now. @throws when it could not, which is tried again */
  async function settle(namespace: string): Promise<void> {
    const wanted = wantedIn(namespace);
    const slug = slugs.get(namespace);
    if (wanted === undefined) {
      served.delete(namespace);
      if (slug === undefined) return;
      await gateway.remove(slug);
      slugs.delete(namespace);
      log.info({ slug }, "a school's way in was taken away");
      return;
    }
    slugs.set(namespace, wanted.slug);
    const destination = destinationOf(wanted, services.in(namespace));
    await gateway.setRoute(wanted.slug, wanted.hosts, destination ?? NOWHERE);
    if (served.get(namespace) !== certificateOf(wanted)) {
      const pair = await readPairOf(wanted);
      await gateway.setCertificate(wanted.slug, wanted.hosts, pair);
      noteServed(wanted, pair);
    }
    if (served.get(namespace) !== certificateOf(wanted))
      throw new ClassmindError("Unavailable", "the certificate that is announced does not lie in the Secret yet");
    if (destination === undefined) throw new ClassmindError("Unavailable", "the school's Service has no address yet");
  }

  /** All of one school for the files; undefined where it wants nothing, or nothing that could be served. */
  async function wholeOf(namespace: string): Promise<WholeSchool | undefined> {
    const wanted = wantedIn(namespace);
    if (wanted === undefined) return undefined;
    const { slug, hosts } = wanted;
    slugs.set(namespace, slug);
    const destination = destinationOf(wanted, services.in(namespace));
    let pem: string | undefined;
    try {
      const pair = await readPairOf(wanted);
      pem = checkCertificate(hosts, pair).pair.pem;
      noteServed(wanted, pair);
    } catch {
      // Tried again, and said, by the school's own attempt.
    }
    if (destination === undefined || served.get(namespace) !== certificateOf(wanted)) work.add(namespace);
    return { slug, hosts, route: { slug, destination: destination ?? NOWHERE }, pem };
  }

  /** The start: everything at once, so that it takes no longer for many schools than their certificates take to be read. */
  async function begin(): Promise<void> {
    await Promise.race([Promise.all([ingresses.listed, services.listed]), aborted(signal)]);
    if (signal.aborted) return;
    const schools = await Promise.all(ingresses.namespaces().map(wholeOf));
    await writeSchools(
      paths,
      schools.flatMap((school) => school ?? []),
    );
    // A gateway that runs already is told; one that does not reads the files when it starts.
    work.add(ALL);
    log.info({ schools: slugs.size }, "the gateway has every school of the cluster");
  }

  const ready = begin();
  const ended = ready
    .then(() => work.run())
    .then(() => Promise.all([ingresses.ended, services.ended]))
    .then(() => undefined);
  return { ready, ended };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
