import type { PlanLimits } from "../tenant.ts";
import type { TemplateValue } from "./template.ts";

/** Keys and passwords of a school by purpose, each as base64 of its bytes (the form Kubernetes' Secrets have). Absent while suspended. */
export interface SecretValues {
  readonly databaseSuperuser: string;
  readonly databaseOwner: string;
  readonly databaseApp: string;
  readonly databaseBackup: string;
  readonly appFieldKey: string;
  readonly appSessionKey: string;
  readonly volumeKey: string;
  /** The same key as a text without line breaks, for storages that take a passphrase. */
  readonly volumePassphrase: string;
  readonly repositoryPassword: string;
  readonly repositoryUrl: string;
  /** Lines `NAME=value` for restic (credentials of S3 or REST repositories); empty for a local one. */
  readonly repositoryEnvironment: string;
  /** PEM of the repository's own certificate authority; empty when it has none. */
  readonly repositoryAuthority: string;
  /** Private key that logs in to an sftp: repository, and the known hosts it is checked against; empty for others. */
  readonly repositoryKey: string;
  readonly repositoryKnownHosts: string;
  /** Password of the mail relay, and the PEM of its own certificate authority; empty when it has none. */
  readonly mailPassword: string;
  readonly mailAuthority: string;
}

/** The gateway sees no Secret change: it reads the pair when it is told of another one. */
export interface GatewayWord {
  /** Serial number of the certificate that is to be served, hexadecimal; undefined before there is one. */
  readonly certificateSerial: string | undefined;
}

/** Everything the chart may mention. Nothing else reaches a template. */
export interface TenantValues {
  readonly slug: string;
  readonly uid: string;
  readonly namespace: string;
  readonly displayName: string;
  readonly demo: boolean;
  readonly country: string;
  /** Label by which nodes say their country; undefined where all of them are in it. */
  readonly nodeCountryLabel: string | undefined;
  readonly url: string;
  readonly hosts: readonly string[];
  /** 0 while suspended. */
  readonly replicas: 0 | 1;
  readonly plan: PlanLimits;
  readonly images: { readonly app: string; readonly postgres: string };
  readonly secrets: SecretValues | undefined;
  /** PEM chain and key, each as base64. */
  readonly certificate: { readonly chain: string; readonly key: string } | undefined;
  /** ClusterIssuer by which cert-manager makes the certificate; undefined where we do. */
  readonly clusterIssuer: string | undefined;
  readonly storage: {
    readonly className: string;
    readonly size: string;
    /** The volume that the school runs from. */
    readonly claim: string;
    /** Volumes that are being filled to take its place. */
    readonly more: readonly string[];
    /** How many others there are: kept aside, or to be removed. */
    readonly others: number;
  };
  readonly backup: {
    readonly local: boolean;
    readonly className: string;
    readonly size: string;
    /** Names in the repository's address, which a school cannot look up. */
    readonly hosts: ReadonlyArray<{ readonly name: string; readonly address: string }>;
  };
  /** The relay that the school may hand mail to; undefined where it sends none. */
  readonly mail?:
    | {
        readonly relay: string;
        readonly from: string;
        readonly peers: ReadonlyArray<{ readonly peers: TemplateValue; readonly port: number }>;
        /** Names in its address, which a school cannot look up. */
        readonly hosts: ReadonlyArray<{ readonly name: string; readonly address: string }>;
      }
    | undefined;
  readonly network: {
    readonly ingressClass: string;
    /** See `lingerMilliseconds` of the platform's configuration. */
    readonly lingerMilliseconds: number;
    /** What our own gateway on a cluster is told; absent where another controller leads to schools. */
    readonly gateway?: GatewayWord | undefined;
    /** NetworkPolicyPeer objects that the gateway is. */
    readonly gatewayPeers: TemplateValue;
    /** Where a backup repository outside the namespace is reached. */
    readonly repositoryPeers: ReadonlyArray<{ readonly peers: TemplateValue; readonly port: number }>;
  };
}

/** The Secret that we fill, and the one that cert-manager fills: two, so that nobody ever writes over a pair that serves. */
const OWN_PAIR = "tls";
export const ISSUED_PAIR = "tls-issued";

/** One-off work in the namespace. */
export interface JobValues {
  readonly name: string;
  readonly command: string;
  readonly deadlineSeconds: number;
  /** Namespace whose local repository the job reads instead of its own (a restore into a new school). */
  readonly repositoryOf?: string;
  /** Volume that the job fills, where it is not the one that the school runs from. */
  readonly claim?: string;
}

/** uid, gid and fsGroup of every pod that mounts the volume: one identity, so that nobody's ownership changes. */
export const POD_UID = 10001;

/** What all our pods have in common: Pod Security `restricted`, one identity, beside the volume. */
export const POD = {
  securityContext: {
    runAsNonRoot: true,
    runAsUser: POD_UID,
    runAsGroup: POD_UID,
    fsGroup: POD_UID,
    fsGroupChangePolicy: "OnRootMismatch",
    seccompProfile: { type: "RuntimeDefault" },
  },
  containerSecurityContext: {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    runAsNonRoot: true,
    capabilities: { drop: ["ALL"] },
    seccompProfile: { type: "RuntimeDefault" },
  },
} as const;

/** The volume is ReadWriteOnce: all pods that mount it must share a node. A pod matches itself, so the first one schedules. */
export function besideVolume(claim: string): { readonly podAffinity: TemplateValue } {
  const labelSelector = { matchLabels: { "classmind.de/volume": claim } };
  return {
    podAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: [{ labelSelector, topologyKey: "kubernetes.io/hostname" }],
    },
  };
}

/** What all pods of a school have in common; with a label of nodes, they run in the school's country alone. */
function podOf({ nodeCountryLabel, country }: TenantValues, claim: string): TemplateValue {
  const beside = besideVolume(claim);
  if (nodeCountryLabel === undefined) return { ...POD, affinity: beside, placement: false };
  const inCountry = { key: nodeCountryLabel, operator: "In", values: [country] };
  const nodeAffinity = {
    requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions: [inCountry] }] },
  };
  // `placement` is for pods that need not be beside the volume.
  return { ...POD, affinity: { ...beside, nodeAffinity }, placement: { nodeAffinity } };
}

const MEBI = 1024 * 1024;
const UNITS: Readonly<Record<string, number>> = { Ki: 1024, Mi: MEBI, Gi: 1024 * MEBI, Ti: MEBI * MEBI, "": 1 };

/** Bytes of a Kubernetes quantity with a binary suffix, e.g. "5Gi". */
export function quantityToBytes(quantity: string): number {
  const match = /^(\d+)(Ki|Mi|Gi|Ti)?$/.exec(quantity);
  const unit = UNITS[match?.[2] ?? ""];
  if (match === null || unit === undefined) throw new Error(`not a quantity: ${quantity}`);
  return Number(match[1]) * unit;
}

/** Millicores of a CPU quantity, e.g. "500m" or "2". */
export function cpuToMillis(quantity: string): number {
  const match = /^(\d+)(m)?$/.exec(quantity);
  if (match === null) throw new Error(`not a CPU quantity: ${quantity}`);
  return match[2] === "m" ? Number(match[1]) : Number(match[1]) * 1000;
}

/** The namespace's totals: database, two app pods (surge), one job, in Kubernetes quantities; its volumes and its repository. */
function quotaOf(values: TenantValues): { cpu: string; memory: string; storage: string; claims: string } {
  const { database, app } = values.plan;
  const cpu = cpuToMillis(database.cpu) + 2 * cpuToMillis(app.cpu) + 1000;
  const memory = quantityToBytes(database.memory) + 2 * quantityToBytes(app.memory) + 768 * MEBI;
  const volumes = 1 + values.storage.more.length + values.storage.others;
  const storage =
    volumes * quantityToBytes(values.storage.size) + (values.backup.local ? quantityToBytes(values.backup.size) : 0);
  return {
    cpu: `${cpu}m`,
    memory: `${Math.ceil(memory / MEBI)}Mi`,
    storage: `${Math.ceil(storage / MEBI)}Mi`,
    claims: String(volumes + 1),
  };
}

/** PostgreSQL's shared_buffers: small, as most schools idle most of the day; grows with the plan. */
function sharedBuffers(plan: PlanLimits): string {
  return `${Math.max(16, Math.floor(quantityToBytes(plan.database.memory) / MEBI / 16))}MB`;
}

/** Kubernetes' hostAliases for names outside; false when there are none. */
function hostAliases(hosts: TenantValues["backup"]["hosts"]): TemplateValue {
  return hosts.length === 0 ? false : hosts.map(({ name, address }) => ({ ip: address, hostnames: [name] }));
}

/** The context of a template: the values plus what follows from them. */
export function templateContext(values: TenantValues, job?: JobValues): { readonly [key: string]: TemplateValue } {
  return {
    ...values,
    nodeCountryLabel: values.nodeCountryLabel ?? false,
    demo: String(values.demo),
    images: { ...values.images },
    plan: { storage: values.plan.storage, database: { ...values.plan.database }, app: { ...values.plan.app } },
    secrets: values.secrets === undefined ? false : { ...values.secrets },
    certificate: values.certificate === undefined ? false : { ...values.certificate },
    clusterIssuer: values.clusterIssuer ?? false,
    issuedPair: ISSUED_PAIR,
    servedPair: values.clusterIssuer === undefined || values.certificate !== undefined ? OWN_PAIR : ISSUED_PAIR,
    storage: { ...values.storage, more: [...values.storage.more] },
    backup: { ...values.backup, hosts: [], hostAliases: hostAliases(values.backup.hosts) },
    mail:
      values.mail === undefined
        ? false
        : {
            relay: values.mail.relay,
            from: values.mail.from,
            peers: values.mail.peers.map((peer) => ({ ...peer })),
            hostAliases: hostAliases(values.mail.hosts),
          },
    network: {
      ingressClass: values.network.ingressClass,
      lingerMilliseconds: String(values.network.lingerMilliseconds),
      gateway:
        values.network.gateway === undefined
          ? false
          : {
              certificateSerial: values.network.gateway.certificateSerial ?? "",
              state: values.replicas === 0 ? "closed" : "open",
            },
      gatewayPeers: values.network.gatewayPeers,
      repositoryPeers: values.network.repositoryPeers.map((peer) => ({ ...peer })),
    },
    pod: podOf(values, job?.claim ?? values.storage.claim),
    quota: quotaOf(values),
    database: { sharedBuffers: sharedBuffers(values.plan) },
    labels: {
      "app.kubernetes.io/name": "classmind",
      "app.kubernetes.io/part-of": "classmind",
      "app.kubernetes.io/managed-by": "classmind",
      "app.kubernetes.io/instance": values.slug,
      "classmind.de/tenant": values.slug,
    },
    ...(job === undefined
      ? {}
      : {
          job: {
            ...job,
            repositoryOf: job.repositoryOf ?? false,
            claim: job.claim ?? values.storage.claim,
            inputSecret: `${job.name}-input`,
          },
        }),
  };
}
