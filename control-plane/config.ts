import { readFileSync } from "node:fs";
import type pg from "pg";
import { z } from "zod";
import { isRepository } from "./backup/repository.ts";
import { ClassmindError } from "./errors.ts";
import { isHostName } from "./issuer/names.ts";
import { readJson as readWrittenJson } from "./written/json.ts";

/** The only reader of the environment and of configuration files in the control plane. Secrets are files, never values here. */

const database = z.strictObject({
  /** Directory of a Unix socket, or a host name. */
  host: z.string().min(1),
  port: z.int().min(1).max(65535).default(5432),
  name: z.string().min(1),
  user: z.string().min(1),
  passwordFile: z.string().min(1),
  /** For a database across a network: TLS, with its certificate and name checked; a PEM if the world does not know its authority. */
  tls: z.strictObject({ authorityFile: z.string().min(1).optional() }).optional(),
});
export type DatabaseConfig = z.infer<typeof database>;

/** Who makes the schools' certificates: our own authority, or cert-manager where schools live on a cluster that has it. */
const issuer = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("internal") }),
  z.strictObject({
    kind: z.literal("cert-manager"),
    name: z
      .string()
      .max(253)
      .regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/),
    /** An Issuer would have to be in each school's namespace, where nobody makes one. */
    issuerKind: z.literal("ClusterIssuer").default("ClusterIssuer"),
  }),
]);

/** `local`, or restic's address of a place below which each school gets its own repository. Never with a login in it. */
const repository = z
  .string()
  .refine(
    (text) => text === "local" || isRepository(text),
    "must be local, rest:https://name:port/, s3:https://name:port/bucket or sftp://user@name:port//path, without a login",
  );

const account = z.strictObject({ role: z.string(), account: z.string(), namespace: z.string() });

/** A domain that schools can have their names below. */
export const domain = z.string().refine(isHostName, "must be a lower-case domain such as schulen.example.org");

/** How a new version reaches schools: see reconcile/rollout.ts. */
export const rollout = z.strictObject({
  /** So many schools get it first. */
  first: z.int().min(1).max(100).default(3),
  /** When it has proven good, so many at once get it. */
  atOnce: z.int().min(1).max(100).default(4),
  /** How long a school has to stay well with it, in seconds. */
  healthySeconds: z.int().min(0).max(86_400).default(60),
  /** How long a school may take to become well with it, in seconds. */
  deadlineSeconds: z.int().min(1).max(86_400).default(600),
});
export type RolloutSettings = z.infer<typeof rollout>;

const peersAndHosts = {
  /** NetworkPolicy peers and port of a repository elsewhere. */
  peers: z.array(z.strictObject({ peers: z.json(), port: z.int() })),
  /** Names in its address, which schools cannot look up, with their addresses. */
  hosts: z.array(z.strictObject({ name: z.hostname(), address: z.ipv4() })),
};

/** A repository as schools still have it; what opens it is in `formerRepositoryFiles` of the reconciler's configuration. */
const formerRepository = z.strictObject({ repository: z.string().min(1), ...peersAndHosts });
export type FormerRepository = z.infer<typeof formerRepository>;

/** A mail relay and who mails come from; its password is never in the address. */
export const mailRelayAddress = {
  /** `smtps://[user@]name[:port]`, or `smtp://…` for one that begins TLS with STARTTLS. */
  relay: z
    .url({ protocol: /^smtps?$/, hostname: z.regexes.domain, error: "must be smtps://[user@]name[:port] or smtp://…" })
    .refine((address) => new URL(address).password === "", "must not hold a password: that goes into passwordFile"),
  /** Address that mails come from. */
  from: z.email(),
};

/** The relay that schools may hand their mail to, and nothing else of the world. Its password is the reconciler's `mailPasswordFile`. */
const mail = z.strictObject({ ...mailRelayAddress, ...peersAndHosts });
export type MailSettings = z.infer<typeof mail>;

/** What the API shows and checks, and what both processes must agree on. */
const platform = z.strictObject({
  instance: z.string().regex(/^[a-z][a-z0-9]{0,11}$/),
  domain,
  country: z.string().regex(/^[A-Z]{2}$/),
  /** The port in the schools' addresses; left out of them when it is 443. */
  httpsPort: z.int().min(1).max(65535),
  deletionGraceDays: z.int().min(0).max(365),
  demoDays: z.int().min(1).max(365),
  /** What a purge before the end of the grace period needs, besides a reason. `never`: there is none. */
  earlyPurge: z.enum(["second-operator", "reason", "never"]).default("second-operator"),
  images: z.strictObject({ app: z.string(), postgres: z.string() }),
  /** How another version of the images reaches the schools that there are; the usual way if absent. */
  rollout: rollout.optional(),
  storageClass: z.string(),
  backup: z.strictObject({
    repository,
    /** Address of a repository whose backups are left behind, now that `repository` is another one. */
    abandoned: z.string().optional(),
    /** StorageClass of local repositories, whose content is encrypted already. */
    storageClass: z.string().min(1).optional(),
    /** Size of a local repository, a Kubernetes quantity. */
    repositorySize: z.string(),
    ...peersAndHosts,
    /** Where schools' backups were until now: one school after the other, they are copied from there to `repository`. */
    former: formerRepository.optional(),
    /** Hour of the day (0-23, UTC) at which the nightly window opens, and its length in hours. */
    windowStartHour: z.int().min(0).max(23),
    windowHours: z.number().min(1).max(12),
    concurrency: z.int().min(1).max(32),
  }),
  /** Without it schools send no mail. */
  mail: mail.optional(),
  gatewayPeers: z.json(),
  ingressClass: z.string(),
  /**
   * For how long an app that is asked to end still answers: as long as it takes those that lead to it to learn of its end. 0 where
   * the platform closes the way in before it asks.
   */
  lingerMilliseconds: z.int().min(0).max(10_000).optional(),
  /** Our own gateway on a cluster (k8s/gateway): its ServiceAccount, and the role by which it reads a school's certificate. */
  clusterGateway: account.optional(),
  /** Label of nodes whose value is their country (R62): schools run on nodes of their own country alone. For clusters. */
  nodeCountryLabel: z
    .string()
    .regex(/^([a-z0-9.-]{1,253}\/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/)
    .optional(),
  /** Whether schools' pods run in user namespaces (hostUsers: false): for clusters whose nodes can. Schools get it with their next version. */
  userNamespaces: z.boolean().optional(),
  /** The internal one if absent. */
  issuer: issuer.optional(),
});
export type PlatformConfig = z.infer<typeof platform>;

/** Where an engine differs from `platform`. */
const siteSettings = platform
  .pick({
    httpsPort: true,
    images: true,
    storageClass: true,
    mail: true,
    gatewayPeers: true,
    ingressClass: true,
    lingerMilliseconds: true,
    clusterGateway: true,
    nodeCountryLabel: true,
    userNamespaces: true,
    issuer: true,
  })
  .extend({
    backup: platform.shape.backup
      .pick({
        repository: true,
        abandoned: true,
        storageClass: true,
        repositorySize: true,
        peers: true,
        hosts: true,
        former: true,
      })
      .partial(),
  })
  .partial();
export type SiteSettings = z.infer<typeof siteSettings>;

/** `base` with what is there of `changes`. */
function over<T extends object>(base: T, changes: { readonly [K in keyof T]?: T[K] | undefined }): T {
  return { ...base, ...Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined)) };
}

/** The platform's configuration as it holds on an engine. */
export function platformAt(config: PlatformConfig, settings: SiteSettings): PlatformConfig {
  // Who leads to schools in another way takes another time to learn of an end.
  const { lingerMilliseconds, ...rest } = config;
  const base = settings.ingressClass === undefined ? config : rest;
  return over<PlatformConfig>(base, { ...settings, backup: over(config.backup, settings.backup ?? {}) });
}

/** How versions reach schools by this configuration. */
export function policyOf(config: Pick<PlatformConfig, "rollout">): RolloutSettings {
  return config.rollout ?? rollout.parse({});
}

/**
 * The platform's configuration as it holds for a school whose backups are still where they were until now. Pure.
 * @param at address of what they are in, as recorded of the school; undefined: the platform's
 */
export function withRepositoryAt(config: PlatformConfig, at: string | undefined): PlatformConfig {
  const { former } = config.backup;
  if (at === undefined || at !== former?.repository) return config;
  return { ...config, backup: { ...config.backup, ...former } };
}

/** The ClusterIssuer of cert-manager that makes schools' certificates; undefined where our own authority does. */
export function clusterIssuerOf({ issuer: configured }: Pick<PlatformConfig, "issuer">): string | undefined {
  return configured?.kind === "cert-manager" ? configured.name : undefined;
}

/** Settings of an engine as the store has them. */
export function parseSiteSettings(stored: unknown): SiteSettings {
  return siteSettings.parse(stored);
}

const api = z.strictObject({
  platform,
  database,
  listen: z.union([
    z.strictObject({
      socket: z.string(),
      /** Another one, for requests that the TLS listener hands on: it names their source. */
      relaySocket: z.string().optional(),
    }),
    z.strictObject({ host: z.string(), port: z.int() }),
  ]),
});
export type ApiConfig = z.infer<typeof api>;

const repositoryFiles = {
  /** Lines NAME=value for restic when the repository is elsewhere; empty for a local one. */
  repositoryEnvironmentFile: z.string().optional(),
  /** PEM of the authority that signed the repository's certificate, if the world does not know it. */
  repositoryAuthorityFile: z.string().optional(),
  /** Private key and known hosts of an sftp: repository. */
  repositoryKeyFile: z.string().optional(),
  repositoryKnownHostsFile: z.string().optional(),
};

/** What opens the mail relay: a password, and the PEM of its authority if the world does not know it. */
const mailFiles = { mailPasswordFile: z.string().optional(), mailAuthorityFile: z.string().optional() };

/** What opens the repository that `backup.former` names. */
const formerFiles = z.strictObject(repositoryFiles);
export type RepositoryFiles = z.infer<typeof formerFiles>;

const engine = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("containers"),
    socket: z.string(),
    instance: z.strictObject({
      name: z.string(),
      short: z.string(),
      stateDir: z.string(),
      runDir: z.string(),
      configDir: z.string(),
      cacheDir: z.string(),
      addressPool: z.string(),
    }),
    hostAccessUids: z.array(z.int()),
    /** Whether each school runs as a user of the host of its own: it does, if absent. */
    ownUsers: z.boolean().optional(),
  }),
  z.strictObject({
    kind: z.literal("kubernetes"),
    /** Absent in a pod of the cluster itself, where its ServiceAccount is used. */
    kubeconfig: z.string().min(1).optional(),
    /** Of the kubeconfig; its current one if absent. */
    context: z.string().min(1).optional(),
    /** Role, and the ServiceAccount that takes it in each school's namespace; absent if it has its rights everywhere. */
    grant: account.optional(),
  }),
  z.strictObject({ kind: z.literal("simulated"), stateFile: z.string() }),
]);
export type EngineConfig = z.infer<typeof engine>;

/** One of several engines: what it is, which schools it takes, and where it differs from the platform. */
export const site = z.strictObject({
  engine,
  /** Where its machines stand; the platform's country if absent. */
  country: platform.shape.country.optional(),
  labels: z.record(z.string().regex(/^[a-z0-9]([a-z0-9./-]{0,60}[a-z0-9])?$/), z.string().max(63)).default({}),
  /** Most schools it takes; without it there is no limit. */
  capacity: z.int().min(1).optional(),
  platform: siteSettings.default({}),
  /** Of a backup repository of its own. */
  ...repositoryFiles,
  formerRepositoryFiles: formerFiles.optional(),
  /** Of a mail relay of its own. */
  ...mailFiles,
});
export type SiteConfig = z.infer<typeof site>;

export const engineName = z.string().regex(/^[a-z][a-z0-9-]{0,39}$/);

/** The certificate of the API's TLS listener: see listener/certificate.ts. */
const listener = z.strictObject({
  name: z.string(),
  directory: z.string(),
  uid: z.int(),
  files: z.strictObject({ certificate: z.string(), key: z.string() }).optional(),
});

const reconciler = z.strictObject({
  platform,
  database,
  keyring: database,
  kekFile: z.string(),
  ...repositoryFiles,
  formerRepositoryFiles: formerFiles.optional(),
  ...mailFiles,
  workers: z.int().min(1).max(64),
  /** Of the only engine, which is called after its kind; or `engines`, by name. */
  engine: engine.optional(),
  engines: z
    .record(engineName, site)
    .refine((engines) => Object.keys(engines).length > 0, "at least one engine is needed")
    .optional(),
  /** Directories of the gateway on this machine; a cluster's ingress needs none. */
  gateway: z.strictObject({ configDir: z.string(), runDir: z.string() }).optional(),
  listener: listener.optional(),
  /** Where the authority's certificate is laid for people to trust. */
  authorityFile: z.string().optional(),
  /** Where metrics are served, to whoever can reach it; nowhere if absent. */
  metrics: z.strictObject({ host: z.string().min(1), port: z.int().min(0).max(65535) }).optional(),
  /** Written once the loop runs. */
  readyFile: z.string().optional(),
});
export type ReconcilerConfig = z.infer<typeof reconciler>;

/**
 * The engines of a reconciler by their names.
 * @throws ClassmindError `Invalid` unless exactly one of `engine` and `engines` is there
 */
export function sitesOf(config: ReconcilerConfig): ReadonlyMap<string, SiteConfig> {
  if ((config.engine === undefined) === (config.engines === undefined))
    throw new ClassmindError("Invalid", "A reconciler's configuration has either `engine` or `engines`.", {
      field: "engine",
      remedy: "Name one engine, or several by their names.",
    });
  if (config.engine !== undefined)
    return new Map([[config.engine.kind, { engine: config.engine, labels: {}, platform: {} }]]);
  return new Map(Object.entries(config.engines ?? {}));
}

/** cert-manager is a program of a cluster, and so is a gateway in a pod; elsewhere nobody would do their work. */
function refuseClusterSettingsElsewhere(file: string, config: ReconcilerConfig): void {
  for (const [name, { engine: own, platform: settings }] of sitesOf(config)) {
    if (own.kind === "kubernetes") continue;
    const refuse = (setting: "issuer" | "clusterGateway" | "userNamespaces", why: string, remedy: string): never => {
      const field = settings[setting] === undefined ? `platform.${setting}` : `engines.${name}.platform.${setting}`;
      const message = `The configuration ${file} is wrong: the engine ${name} is of kind ${own.kind}; ${why} on kubernetes alone.`;
      throw new ClassmindError("Invalid", message, { field, remedy });
    };
    const platformHere = platformAt(config.platform, settings);
    if (clusterIssuerOf(platformHere) !== undefined)
      refuse(
        "issuer",
        "cert-manager makes certificates",
        `Name cert-manager at engines of kind kubernetes, or give ${name} "issuer": {"kind": "internal"}.`,
      );
    if (platformHere.clusterGateway !== undefined)
      refuse("clusterGateway", "a gateway runs in pods", "Name it in `platform` of the engines of kind kubernetes.");
    if (platformHere.userNamespaces === true)
      refuse(
        "userNamespaces",
        "pods have user namespaces, and schools on one machine a user each without asking,",
        "Say so in `platform` of the engines of kind kubernetes.",
      );
  }
}

/** @throws ClassmindError `Invalid` naming the file, and the line of what is no JSON */
function readJson(file: string): unknown {
  try {
    return readWrittenJson(file);
  } catch (error) {
    if (error instanceof ClassmindError) throw error;
    throw new ClassmindError("Invalid", `The configuration ${file} cannot be read.`, {
      remedy: "Run: classmind up — on a cluster, see docs/kubernetes.md",
      cause: error,
    });
  }
}

/** `platform` may name a file instead: on a cluster both processes read one, so that they cannot disagree. */
function withPlatform(json: unknown): unknown {
  if (typeof json !== "object" || json === null || !("platform" in json)) return json;
  return typeof json.platform === "string" ? { ...json, platform: readJson(json.platform) } : json;
}

/** @throws ClassmindError `Invalid` naming file and field */
export function readConfig<T>(schema: z.ZodType<T>, file: string): T {
  const json = withPlatform(readJson(file));
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new ClassmindError("Invalid", `The configuration ${file} is wrong: ${issue?.message ?? "unknown"}`, {
    field: issue?.path.join(".") ?? "",
    remedy: "Correct this field, or let `classmind up` write the file anew.",
  });
}

/** @throws ClassmindError `Invalid` naming file and field */
export function readApiConfig(file: string): ApiConfig {
  return readConfig(api, file);
}

/** @throws ClassmindError `Invalid` naming file and field */
export function readReconcilerConfig(file: string): ReconcilerConfig {
  const config = readConfig(reconciler, file);
  if (config.engine !== undefined || config.engines !== undefined) refuseClusterSettingsElsewhere(file, config);
  return config;
}

/** Path of the configuration file of this process, from CLASSMIND_CONFIG. */
export function configFile(environment: NodeJS.ProcessEnv): string {
  const file = environment.CLASSMIND_CONFIG;
  if (file === undefined || file === "") {
    throw new ClassmindError("Invalid", "CLASSMIND_CONFIG does not name a configuration file.", {
      field: "CLASSMIND_CONFIG",
      remedy: "Run: classmind up",
    });
  }
  return file;
}

/** `pg` takes the host's name for the one that the certificate must carry. */
function tlsOf(tls: NonNullable<DatabaseConfig["tls"]>): { rejectUnauthorized: true; ca?: string } {
  const { authorityFile } = tls;
  return {
    rejectUnauthorized: true,
    ...(authorityFile === undefined ? {} : { ca: readFileSync(authorityFile, "utf8") }),
  };
}

/** Connection settings for `pg`. The password is read when a connection is made, so that a rotated one is picked up. */
export function connectionOf(config: DatabaseConfig): pg.PoolConfig {
  return {
    host: config.host,
    port: config.port,
    database: config.name,
    user: config.user,
    password: () => readFileSync(config.passwordFile, "utf8").trim(),
    ...(config.tls === undefined ? {} : { ssl: tlsOf(config.tls) }),
    connectionTimeoutMillis: 5_000,
  };
}

/** Address of a school under this platform. */
export function urlOf(host: string, platformConfig: Pick<PlatformConfig, "httpsPort">): string {
  return platformConfig.httpsPort === 443 ? `https://${host}` : `https://${host}:${platformConfig.httpsPort}`;
}
