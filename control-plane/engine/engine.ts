/**
 * The engine interface: what makes a school's manifests so. Shaped after Kubernetes, so that the three engines
 * (`kubernetes`, `containers`, `simulated`) pass one contract suite. An engine knows manifests, never tenants or the store.
 */

/** A Kubernetes object as rendered from charts/tenant; checked by render/ before it gets here. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

export interface ObjectRef {
  readonly kind: string;
  readonly name: string;
}

/** `sha256:<hex>` over the canonical JSON of a manifest. Equal hashes mean equal desire. */
export type ManifestHash = string;

export const WORKLOAD_STATES = ["Ready", "Starting", "Failing", "Stopped", "Missing"] as const;
export type WorkloadState = (typeof WORKLOAD_STATES)[number];

/** One Deployment or StatefulSet as it is. */
export interface WorkloadObservation {
  readonly ref: ObjectRef;
  readonly state: WorkloadState;
  /** Reason constant of control-plane/tenant.ts, e.g. ContainerCrashing. */
  readonly reason: string;
  readonly message: string;
  /** Hash of the manifest that the running pods were made from; undefined while nothing runs. */
  readonly runningHash: ManifestHash | undefined;
  readonly restarts: number;
}

/** `Terminating`: somebody has deleted it, and it goes when no pod uses it any more. `Lost`: its claim is there, what it stood for is not. */
export type VolumeState = "Present" | "Terminating" | "Lost";

export interface VolumeObservation {
  readonly name: string;
  readonly state: VolumeState;
  /**
   * What tells this volume from any other, of this name too, for as long as it exists. Undefined while it cannot be told, and of one
   * that is lost.
   */
  readonly identity: string | undefined;
  readonly capacityBytes: number;
  /** Undefined while the volume is locked (no pod uses it), and where a cluster does not tell. */
  readonly usedBytes: number | undefined;
  /** Files it holds and can hold: full of them it takes no more, however many bytes are left. Absent where nobody counts. */
  readonly inodes?: { readonly used: number; readonly total: number };
  readonly locked: boolean;
  /** What its claim asked for: a class that cannot be changed, and a size (a Kubernetes quantity) that cannot shrink. */
  readonly asked: { readonly className: string | undefined; readonly size: string };
}

/** Where a Service can be reached from the gateway, if it has a ready endpoint. */
export interface EndpointObservation {
  readonly service: string;
  readonly address: string;
  readonly port: number;
}

/** What a maker of certificates says of one: cert-manager's conditions. */
export interface MakersWord {
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

/** A certificate that somebody in the cluster makes (cert-manager), as they tell of it and as it lies there to be served. */
export interface CertificateObservation {
  readonly name: string;
  /** `ClusterIssuer/<name>`. */
  readonly issuer: string;
  /** Whether its maker has looked at what is asked for now; until then their word is about something earlier. */
  readonly upToDate: boolean;
  readonly ready: MakersWord | undefined;
  /** Present while one is being made, and after that failed. */
  readonly issuing: MakersWord | undefined;
  /** Counts what was made so far. */
  readonly revision: number;
  /** RFC 3339; when the maker will renew it. */
  readonly renewalTime: string | undefined;
  /** The certificate that the Ingress serves; undefined while there is none that can be read. */
  readonly leaf:
    | {
        readonly serial: string;
        readonly names: readonly string[];
        /** RFC 3339. */
        readonly notBefore: string;
        readonly notAfter: string;
      }
    | undefined;
}

/** Everything an engine knows of a namespace. An absent namespace yields `exists: false` and empty lists. */
export interface Observation {
  readonly namespace: string;
  readonly exists: boolean;
  /** Objects applied earlier that are still whole; an object whose substance was lost (a rule, a network, a mount, a secret file) is absent. */
  readonly objects: ReadonlyArray<ObjectRef & { readonly hash: ManifestHash }>;
  /** Objects applied earlier that are not whole any more: if they are not wanted, what is left of them has to be removed. */
  readonly remnants?: readonly ObjectRef[];
  readonly workloads: readonly WorkloadObservation[];
  readonly volumes: readonly VolumeObservation[];
  readonly endpoints: readonly EndpointObservation[];
  /** Certificates that others make; absent where nobody does. */
  readonly certificates?: readonly CertificateObservation[];
}

export interface ApplyOptions {
  readonly signal?: AbortSignal;
  /** Reports what is being done, for progress. */
  readonly onProgress?: (message: string) => void;
}

export interface RemoveOptions extends ApplyOptions {
  /**
   * Uid of the school whose namespace it has to be (annotation `classmind.de/tenant-uid`): another one's is not there for this
   * call. A cluster may hold schools of other control planes.
   */
  readonly tenantUid?: string;
}

/** A one-off pod (manifest of kind Job, one container) with JSON in and out. */
export interface JobRun {
  readonly manifest: Manifest;
  /** JSON document the container finds at /run/job/input.json. May hold secrets: never logged, gone with the job. */
  readonly input: unknown;
  /** Milliseconds after which the job is killed and reported as failed. */
  readonly deadline: number;
  readonly signal?: AbortSignal;
  /** Each line the job writes to standard error, for progress and logs. */
  readonly onLog?: (line: string) => void;
}

export interface JobResult {
  readonly exitCode: number;
  /** The JSON that the job wrote to standard output, undefined if it wrote none. */
  readonly output: unknown;
  /** Last lines of standard error, for messages. */
  readonly logTail: readonly string[];
}

export interface Finding {
  /** Stable identifier of the check, e.g. "loop-devices". */
  readonly check: string;
  readonly ok: boolean;
  readonly message: string;
  /** What to do about it when not ok. */
  readonly remedy?: string;
  /** No school is made while it is not ok, unless an administrator takes that upon themselves by the check's name. */
  readonly required?: boolean;
}

/** How thoroughly an engine examines itself: by looking alone, or with something made and removed again. */
export type Depth = "look" | "try";

export interface LogOptions {
  /** Lines from the end. */
  readonly tail?: number;
  readonly signal?: AbortSignal;
}

/** A wake-up: something in this namespace may have changed. Carries no data on purpose; the receiver observes. */
export interface Wakeup {
  readonly namespace: string;
}

/** A wall around a namespace that is not as it should be, told from outside it. */
export interface Breach {
  readonly kind: "firewall" | "network";
  /** What it is about: a container, a table. */
  readonly where: string;
  readonly label: string;
}

/** Something that a school must not reach. */
export interface Forbidden {
  readonly kind: "host-port" | "control-plane";
  readonly label: string;
  readonly host: string;
  readonly port: number;
  readonly protocol: "tcp" | "udp";
}

/** Annotation of a namespace: whose it is, when two schools had one name after the other or on two control planes. */
export const TENANT_UID = "classmind.de/tenant-uid";

/** Whether a namespace with these annotations is another school's than the one meant. */
export function isAnothers(
  annotations: Readonly<Record<string, string>> | undefined,
  tenantUid: string | undefined,
): boolean {
  const owner = annotations?.[TENANT_UID];
  return tenantUid !== undefined && owner !== undefined && owner !== tenantUid;
}

export interface RenewOptions {
  /** Revision to be replaced: a newer one is what was wished for already, by a caller that died. */
  readonly revision: number;
  /** Milliseconds. */
  readonly deadline: number;
  readonly signal?: AbortSignal;
}

/** How an engine fails. `retryable` failures are tried again with backoff; others need a person. */
export class EngineError extends Error {
  readonly reason: string;
  readonly retryable: boolean;
  constructor(reason: string, message: string, options: { retryable?: boolean; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.name = "EngineError";
    this.reason = reason;
    this.retryable = options.retryable ?? true;
  }
}

export interface Engine {
  readonly name: "containers" | "kubernetes" | "simulated";

  /**
   * What is missing on this host or cluster before a school can live here.
   * @param depth `look` changes nothing; `try` proves with pods of its own what cannot be seen, and removes them again
   */
  preflight(depth: Depth, signal?: AbortSignal): Promise<readonly Finding[]>;

  /**
   * What stays the same as long as this is the same cluster: where another one answers by mistake, all schools seem to be gone.
   * Engines that cannot be mistaken for another leave this out.
   */
  identity?(): Promise<string>;

  /** Reads a namespace as it is. Never changes anything. */
  observe(namespace: string): Promise<Observation>;

  /**
   * Asks what the engine talks to whether it answers; rejects in words when it does not. Costs one request. Engines that are in this
   * process leave it out.
   */
  answers?(signal: AbortSignal): Promise<void>;

  /** Room of the storage that volumes are made on, in bytes. Engines whose storage does not tell leave this out. */
  room?(): Promise<{ readonly totalBytes: number; readonly freeBytes: number }>;

  /** Namespaces this engine holds anything of. */
  list(): Promise<readonly string[]>;

  /**
   * Makes the given objects so and returns when they are in place (not when workloads are ready).
   * Idempotent; applying an unchanged object costs no write. Refuses unknown kinds and fields by name before any effect.
   * A workload with `replicas: 0` is stopped; a volume that no pod uses is locked.
   */
  apply(namespace: string, objects: readonly Manifest[], options?: ApplyOptions): Promise<void>;

  /** Waits until a workload is ready; rejects with EngineError when the deadline (milliseconds) passes, naming the reason. */
  awaitReady(namespace: string, workload: ObjectRef, deadline: number, signal?: AbortSignal): Promise<void>;

  /** Removes objects (workloads before what they use); absent objects are fine. Removing the Namespace removes everything in it. */
  remove(namespace: string, objects: readonly ObjectRef[], options?: RemoveOptions): Promise<void>;

  /** Runs a job to its end. A job of the same name left by a dead caller is removed first. Leaves nothing behind. */
  run(namespace: string, job: JobRun): Promise<JobResult>;

  /** Lines of a workload's newest pod. */
  logs(namespace: string, workload: ObjectRef, options?: LogOptions): Promise<readonly string[]>;

  /** Restarts a workload's pods. */
  restart(namespace: string, workload: ObjectRef): Promise<void>;

  /**
   * Lets the maker of a certificate renew it now, and waits until that is done. Repeatable: what is under way is not asked for
   * again. Engines on which nobody else makes certificates leave this out.
   * @throws EngineError `IssuerFailing` with the maker's own words
   */
  renewCertificate?(namespace: string, name: string, options: RenewOptions): Promise<void>;

  /**
   * What of a namespace's isolation is broken, as can be seen without entering it, or was broken since this was asked last and has
   * been repaired. To be asked before anything is applied, which repairs some of it. Engines that cannot look leave this out.
   */
  examineIsolation?(namespace: string): Promise<readonly Breach[]>;

  /**
   * What a school must not reach besides other schools, where the engine is not the machine this process runs on. Without it every
   * listening port of this machine is meant.
   */
  outside?(): Promise<readonly Forbidden[]>;

  /** Wake-ups until the signal aborts. Missed ones are made up for by a resync of the caller. */
  watch(signal: AbortSignal): AsyncIterable<Wakeup>;

  /** Ends probes and connections; running schools go on. */
  close(): Promise<void>;
}
