import { z } from "zod";

/**
 * The subset of Kubernetes that one machine can honour, as strict shapes: a field that is not listed is refused by name.
 * Fields that are accepted although they mean nothing here are marked `unused` with the reason; acceptedWithoutEffect in
 * accepted.ts lists them for the documentation, and a test compares the two.
 */

/** Marks a field that is accepted and has no effect on one machine. */
export function unused<T extends z.ZodType>(shape: T, reason: string): T {
  return shape.meta({ unused: reason });
}

export const LABEL_NAME = z
  .string()
  .regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, "is not a name of lower-case letters, digits and -");
const FILE_NAME = z.string().regex(/^(?!\.{1,2}$)[-._a-zA-Z0-9]{1,253}$/, "is not a file name");
const ABSOLUTE = z.string().regex(/^(\/(?!\.{1,2}(\/|$))[-._a-zA-Z0-9]+)+$/, "is not a plain absolute path");
const SUB_PATH = z.string().regex(/^(?!\.{1,2}$)[-._a-zA-Z0-9]{1,100}$/, "is not the name of a directory");
export const BYTES = z.string().regex(/^\d+(Ki|Mi|Gi|Ti)?$/, "is not a quantity of bytes such as 512Mi");
export const CPU = z.string().regex(/^\d+m?$/, "is not a quantity of processors such as 500m");
const LABELS = z.record(z.string(), z.string());
const SELECTOR = z.strictObject({ matchLabels: LABELS });

export const METADATA = z.strictObject({
  name: LABEL_NAME,
  namespace: LABEL_NAME.optional(),
  labels: LABELS.optional(),
  annotations: LABELS.optional(),
});

const SECCOMP = z.strictObject({ type: z.literal("RuntimeDefault") });

/** Required, not defaulted: a pod that does not say that it is harmless is refused. */
const POD_SECURITY = z.strictObject({
  runAsNonRoot: z.literal(true),
  runAsUser: z.int().min(1),
  runAsGroup: z.int().min(1),
  fsGroup: z.int().min(1).optional(),
  fsGroupChangePolicy: unused(
    z.literal("OnRootMismatch").optional(),
    "the engine makes the directories of a volume itself, with the pod's own user and group",
  ),
  seccompProfile: SECCOMP,
});

const CONTAINER_SECURITY = z.strictObject({
  allowPrivilegeEscalation: z.literal(false),
  readOnlyRootFilesystem: z.literal(true),
  runAsNonRoot: z.literal(true),
  capabilities: z.strictObject({ drop: z.tuple([z.literal("ALL")]) }),
  seccompProfile: SECCOMP.optional(),
});

const AFFINITY = z.strictObject({
  podAffinity: z.strictObject({
    requiredDuringSchedulingIgnoredDuringExecution: z.array(
      z.strictObject({ labelSelector: SELECTOR, topologyKey: z.literal("kubernetes.io/hostname") }),
    ),
  }),
});

const PORT = z.int().min(1).max(65535);
/**
 * A probe starts no process on one machine: the engine asks a database itself what this program of its image asks (postgres-ping.ts).
 * The second form is that of schools which an earlier version applied.
 */
const POSTGRES_PROBE = z.union([
  z.tuple([z.literal("/usr/local/lib/classmind/postgres-probe"), z.enum(["alive", "ready"])]),
  z.tuple([z.literal("pg_isready"), z.literal("--quiet"), z.literal("--host=127.0.0.1")]),
]);
const PROBE_TIMES = {
  initialDelaySeconds: z.int().min(0).optional(),
  periodSeconds: z.int().min(1).optional(),
  timeoutSeconds: z.int().min(1).optional(),
  failureThreshold: z.int().min(1).optional(),
  successThreshold: z.literal(1).optional(),
};
const PROBE_FIELDS = {
  exec: z.strictObject({ command: POSTGRES_PROBE }).optional(),
  httpGet: z
    .strictObject({ path: z.string().startsWith("/"), port: PORT, scheme: z.literal("HTTP").optional() })
    .optional(),
  tcpSocket: z.strictObject({ port: PORT }).optional(),
  ...PROBE_TIMES,
};
interface ProbeKinds {
  readonly exec?: unknown;
  readonly httpGet?: unknown;
  readonly tcpSocket?: unknown;
}
const asksOneWay = (probe: ProbeKinds) =>
  [probe.exec, probe.httpGet, probe.tcpSocket].filter((kind) => kind !== undefined).length === 1;
const ONE_WAY = "needs exactly one of exec, httpGet, tcpSocket";
const READINESS = z.strictObject(PROBE_FIELDS).refine(asksOneWay, ONE_WAY);
/** What a container is ended for, with the seconds it then gets to end well, if others than its pod has. */
const PROBE = z
  .strictObject({ ...PROBE_FIELDS, terminationGracePeriodSeconds: z.int().min(1).max(600).optional() })
  .refine(asksOneWay, ONE_WAY);
export type ProbeShape = z.infer<typeof PROBE>;

const EPHEMERAL = unused(
  BYTES.optional(),
  "the root file system is read-only and every writable directory is a size-limited tmpfs or a volume with a quota",
);

const CONTAINER = z.strictObject({
  name: LABEL_NAME,
  image: z.string().regex(/^[a-z0-9][-._/:@a-z0-9]+$/, "is not an image reference"),
  imagePullPolicy: unused(
    z.enum(["IfNotPresent", "Never"]).optional(),
    "images are loaded beforehand; nothing is ever pulled",
  ),
  command: z.array(z.string()).min(1),
  args: z.array(z.string()).optional(),
  env: z.array(z.strictObject({ name: z.string().regex(/^[A-Z_][A-Z0-9_]*$/), value: z.string() })).optional(),
  ports: z
    .array(z.strictObject({ name: LABEL_NAME.optional(), containerPort: PORT, protocol: z.literal("TCP").optional() }))
    .optional(),
  securityContext: CONTAINER_SECURITY,
  resources: z.strictObject({
    requests: unused(
      z
        .strictObject({ cpu: CPU.optional(), memory: BYTES.optional(), "ephemeral-storage": BYTES.optional() })
        .optional(),
      "requests choose a node; there is only one",
    ),
    limits: z.strictObject({ cpu: CPU, memory: BYTES, "ephemeral-storage": EPHEMERAL }),
  }),
  startupProbe: PROBE.optional(),
  livenessProbe: PROBE.optional(),
  readinessProbe: READINESS.optional(),
  volumeMounts: z
    .array(
      z.strictObject({
        name: LABEL_NAME,
        mountPath: ABSOLUTE,
        subPath: SUB_PATH.optional(),
        readOnly: z.boolean().optional(),
      }),
    )
    .optional(),
});
export type ContainerShape = z.infer<typeof CONTAINER>;

const VOLUME = z
  .strictObject({
    name: LABEL_NAME,
    secret: z.strictObject({ secretName: LABEL_NAME, defaultMode: z.literal(0o440).optional() }).optional(),
    emptyDir: z.strictObject({ medium: z.literal("Memory"), sizeLimit: BYTES }).optional(),
    persistentVolumeClaim: z.strictObject({ claimName: LABEL_NAME }).optional(),
  })
  .refine(
    (volume) =>
      [volume.secret, volume.emptyDir, volume.persistentVolumeClaim].filter((kind) => kind !== undefined).length === 1,
    { message: "needs exactly one of secret, emptyDir, persistentVolumeClaim" },
  );

const HOST_ALIASES = z.array(z.strictObject({ ip: z.ipv4(), hostnames: z.array(z.hostname()).min(1) }));
const POD = {
  serviceAccountName: unused(LABEL_NAME.optional(), "there is no API that a pod could have an account with"),
  automountServiceAccountToken: z.literal(false),
  enableServiceLinks: z.literal(false),
  shareProcessNamespace: unused(
    z.literal(true).optional(),
    "each container has a first process that takes in orphans; on a cluster the pod's own does",
  ),
  terminationGracePeriodSeconds: z.int().min(0).max(600).optional(),
  securityContext: POD_SECURITY,
  hostAliases: HOST_ALIASES.optional(),
  affinity: unused(AFFINITY.optional(), "all pods are on this machine, beside their volume"),
  containers: z.tuple([CONTAINER]),
  volumes: z.array(VOLUME).optional(),
};
const POD_SPEC = z.strictObject({ ...POD, initContainers: z.array(CONTAINER).optional() });
const JOB_POD_SPEC = z.strictObject({ ...POD, restartPolicy: z.literal("Never") });
export type PodShape = z.infer<typeof POD_SPEC>;

const TEMPLATE_METADATA = z.strictObject({ labels: LABELS, annotations: LABELS.optional() });
const REPLICAS = z.union([z.literal(0), z.literal(1)]);

function manifest<K extends string, A extends string, S extends z.ZodRawShape>(apiVersion: A, kind: K, fields: S) {
  return z.strictObject({ apiVersion: z.literal(apiVersion), kind: z.literal(kind), metadata: METADATA, ...fields });
}

const POLICY_PORTS = z.array(z.strictObject({ protocol: z.literal("TCP"), port: PORT })).min(1);
const POD_PEER = z.strictObject({ podSelector: SELECTOR });
const ADDRESS_PEER = z.strictObject({ ipBlock: z.strictObject({ cidr: z.cidrv4() }) });

export const SHAPES = {
  Namespace: manifest("v1", "Namespace", {}),
  ServiceAccount: manifest("v1", "ServiceAccount", { automountServiceAccountToken: z.literal(false) }),
  ResourceQuota: manifest("v1", "ResourceQuota", {
    spec: z.strictObject({
      hard: z.strictObject({
        pods: z.string().optional(),
        services: z.string().optional(),
        "services.loadbalancers": unused(
          z.literal("0").optional(),
          "a Service of any other type than ClusterIP is refused",
        ),
        "services.nodeports": unused(
          z.literal("0").optional(),
          "a Service of any other type than ClusterIP is refused",
        ),
        persistentvolumeclaims: z.string().optional(),
        secrets: z.string().optional(),
        configmaps: unused(z.string().optional(), "a ConfigMap is refused"),
        "count/jobs.batch": unused(z.string().optional(), "the number of a namespace's addresses bounds its jobs"),
        "requests.storage": BYTES.optional(),
        "limits.cpu": CPU.optional(),
        "limits.memory": BYTES.optional(),
        "limits.ephemeral-storage": EPHEMERAL,
      }),
    }),
  }),
  LimitRange: manifest("v1", "LimitRange", {
    spec: unused(
      z.strictObject({
        limits: z.array(
          z.strictObject({
            type: z.literal("Container"),
            default: z.record(z.string(), z.string()),
            defaultRequest: z.record(z.string(), z.string()),
          }),
        ),
      }),
      "every container must state its limits, so there is nothing to default",
    ),
  }),
  NetworkPolicy: manifest("networking.k8s.io/v1", "NetworkPolicy", {
    spec: z.strictObject({
      podSelector: z.strictObject({ matchLabels: LABELS.optional() }),
      policyTypes: z.array(z.enum(["Ingress", "Egress"])),
      ingress: z
        .array(z.strictObject({ from: z.array(z.union([POD_PEER, ADDRESS_PEER])).min(1), ports: POLICY_PORTS }))
        .optional(),
      egress: z
        .array(z.strictObject({ to: z.array(z.union([POD_PEER, ADDRESS_PEER])).min(1), ports: POLICY_PORTS }))
        .optional(),
    }),
  }),
  PersistentVolumeClaim: manifest("v1", "PersistentVolumeClaim", {
    spec: z.strictObject({
      accessModes: z.tuple([z.literal("ReadWriteOnce")]),
      storageClassName: z.enum(["classmind-encrypted", "classmind-repository"]),
      resources: z.strictObject({ requests: z.strictObject({ storage: BYTES }) }),
    }),
  }),
  Secret: manifest("v1", "Secret", {
    type: unused(z.enum(["Opaque", "kubernetes.io/tls"]).optional(), "files are files"),
    data: z.record(FILE_NAME, z.base64()),
  }),
  Service: manifest("v1", "Service", {
    spec: z.strictObject({
      type: z.literal("ClusterIP").optional(),
      publishNotReadyAddresses: unused(
        z.literal(true).optional(),
        "a name always leads to its database's address, ready or not; the gateway is led to what is ready alone",
      ),
      selector: LABELS,
      ports: z
        .array(
          z.strictObject({
            name: LABEL_NAME.optional(),
            protocol: z.literal("TCP").optional(),
            port: PORT,
            targetPort: PORT,
          }),
        )
        .min(1),
    }),
  }),
  Ingress: manifest("networking.k8s.io/v1", "Ingress", {
    spec: unused(
      z.strictObject({
        ingressClassName: z.string(),
        tls: z.array(z.strictObject({ hosts: z.array(z.string()), secretName: LABEL_NAME })),
        rules: z.array(
          z.strictObject({
            host: z.string(),
            http: z.strictObject({
              paths: z.array(
                z.strictObject({
                  path: z.literal("/"),
                  pathType: z.literal("Prefix"),
                  backend: z.strictObject({
                    service: z.strictObject({ name: LABEL_NAME, port: z.strictObject({ number: PORT }) }),
                  }),
                }),
              ),
            }),
          }),
        ),
      }),
      "the platform's gateway routes host names; it is told by the reconciler",
    ),
  }),
  StatefulSet: manifest("apps/v1", "StatefulSet", {
    spec: z.strictObject({
      replicas: REPLICAS,
      serviceName: LABEL_NAME,
      selector: SELECTOR,
      template: z.strictObject({ metadata: TEMPLATE_METADATA, spec: POD_SPEC }),
    }),
  }),
  Deployment: manifest("apps/v1", "Deployment", {
    spec: z.strictObject({
      replicas: REPLICAS,
      strategy: z.strictObject({
        type: z.literal("RollingUpdate"),
        rollingUpdate: z.strictObject({ maxSurge: z.literal(1), maxUnavailable: z.literal(0) }),
      }),
      selector: SELECTOR,
      template: z.strictObject({ metadata: TEMPLATE_METADATA, spec: POD_SPEC }),
    }),
  }),
  Job: manifest("batch/v1", "Job", {
    spec: z.strictObject({
      backoffLimit: z.literal(0),
      activeDeadlineSeconds: z.int().min(1),
      ttlSecondsAfterFinished: unused(z.int().min(0).optional(), "a job is removed as soon as its result is read"),
      template: z.strictObject({ metadata: TEMPLATE_METADATA, spec: JOB_POD_SPEC }),
    }),
  }),
} as const;

export type Kind = keyof typeof SHAPES;
export type ShapeOf<K extends Kind> = z.infer<(typeof SHAPES)[K]>;
