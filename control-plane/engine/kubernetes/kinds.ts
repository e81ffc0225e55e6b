import { EngineError, type ObjectRef, TENANT_UID } from "../engine.ts";

/** The kinds a school consists of: where the API keeps them and in which order they come and go. */
export interface KindInfo {
  readonly apiVersion: string;
  readonly plural: string;
  /** Rank in which objects are made; the other way round they are removed. */
  readonly rank: number;
}

export const KINDS: Readonly<Record<string, KindInfo>> = {
  Namespace: { apiVersion: "v1", plural: "namespaces", rank: 0 },
  // Walls and limits stand before anything could start inside them.
  ResourceQuota: { apiVersion: "v1", plural: "resourcequotas", rank: 1 },
  LimitRange: { apiVersion: "v1", plural: "limitranges", rank: 1 },
  NetworkPolicy: { apiVersion: "networking.k8s.io/v1", plural: "networkpolicies", rank: 1 },
  ServiceAccount: { apiVersion: "v1", plural: "serviceaccounts", rank: 1 },
  Secret: { apiVersion: "v1", plural: "secrets", rank: 1 },
  PersistentVolumeClaim: { apiVersion: "v1", plural: "persistentvolumeclaims", rank: 2 },
  Service: { apiVersion: "v1", plural: "services", rank: 2 },
  StatefulSet: { apiVersion: "apps/v1", plural: "statefulsets", rank: 3 },
  Deployment: { apiVersion: "apps/v1", plural: "deployments", rank: 3 },
  Ingress: { apiVersion: "networking.k8s.io/v1", plural: "ingresses", rank: 4 },
};

/** A kind of cert-manager's, known only to an engine that is configured with it: elsewhere nobody serves it. */
const CERTIFICATE: KindInfo = { apiVersion: "cert-manager.io/v1", plural: "certificates", rank: 1 };

/** The kinds that an engine applies, looks at, watches and removes. */
export function kindsWith(clusterIssuer: string | undefined): Readonly<Record<string, KindInfo>> {
  return clusterIssuer === undefined ? KINDS : { ...KINDS, Certificate: CERTIFICATE };
}

const ALL_KINDS = kindsWith("any");

/** Kinds that the engine only reads, or makes for a moment. */
export const OTHERS = {
  Job: { apiVersion: "batch/v1", plural: "jobs" },
  Pod: { apiVersion: "v1", plural: "pods" },
  Event: { apiVersion: "v1", plural: "events" },
  EndpointSlice: { apiVersion: "discovery.k8s.io/v1", plural: "endpointslices" },
} as const;

export const WORKLOADS: ReadonlySet<string> = new Set(["Deployment", "StatefulSet"]);

/** The one name under which we own fields. */
export const FIELD_MANAGER = "classmind";
/** Owns the annotation that restarts pods, so that a restart is no change of what a school consists of. */
export const RESTART_MANAGER = "classmind-restart";

export const MARK = {
  /** Label of everything we made. */
  managedBy: "app.kubernetes.io/managed-by",
  /** Label of what a job brings along; no part of the school. */
  job: "classmind.de/job",
  /** Hash of the manifest an object was made from. */
  hash: "classmind.de/hash",
  /** Digest of the values we own in an object; when the live ones differ, someone changed them. */
  owned: "classmind.de/owned",
  /** Of a pod: digest of the template it was made from. */
  template: "classmind.de/template",
  restarted: "classmind.de/restarted-at",
  tenant: "classmind.de/tenant",
  tenantUid: TENANT_UID,
} as const;
export const MANAGED_BY = "classmind";

/** Path of a collection: `/api/v1/namespaces/x/pods`, or cluster-wide without a namespace. */
export function collectionPath(info: Pick<KindInfo, "apiVersion" | "plural">, namespace?: string): string {
  const root = info.apiVersion.includes("/") ? `/apis/${info.apiVersion}` : `/api/${info.apiVersion}`;
  return namespace === undefined ? `${root}/${info.plural}` : `${root}/namespaces/${namespace}/${info.plural}`;
}

/**
 * @param kinds of the engine
 * @throws EngineError when a school has no such kind
 */
export function kindOf(kind: string, kinds = ALL_KINDS): KindInfo {
  const info = Object.hasOwn(kinds, kind) ? kinds[kind] : undefined;
  if (info === undefined)
    throw new EngineError("ManifestRefused", `${kind}: not a kind this engine knows`, { retryable: false });
  return info;
}

/** Path of one object. */
export function objectPath(namespace: string, ref: ObjectRef): string {
  if (ref.kind === "Namespace") return `${collectionPath(kindOf("Namespace"))}/${ref.name}`;
  const info = ref.kind === "Job" ? OTHERS.Job : ref.kind === "Pod" ? OTHERS.Pod : kindOf(ref.kind);
  return `${collectionPath(info, namespace)}/${ref.name}`;
}
