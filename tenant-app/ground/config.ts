import { z } from "zod";

/** A setting is missing or wrong; the message names it and says what to do. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

const port = z.coerce.number().int().min(1).max(65535);
const absolutePath = z.string().startsWith("/", "must be an absolute path");

const databaseSchema = z.object({
  CLASSMIND_DATABASE_HOST: z.string().min(1, "must name the database's host or socket directory"),
  CLASSMIND_DATABASE_PORT: port.default(5432),
  CLASSMIND_DATABASE_NAME: z.string().min(1).max(63).default("school"),
  CLASSMIND_SECRETS_DIR: absolutePath.default("/run/secrets"),
});

const adminSchema = databaseSchema.extend({
  CLASSMIND_FILES_DIR: absolutePath,
  CLASSMIND_JOB_INPUT: absolutePath.default("/run/job/input.json"),
});

const serveSchema = databaseSchema.extend({
  CLASSMIND_SCHOOL_SLUG: z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, "must be the school's slug"),
  CLASSMIND_SCHOOL_NAME: z.string().trim().min(1, "must be the school's name").max(200),
  CLASSMIND_SCHOOL_DEMO: z.enum(["true", "false"]).default("false"),
  CLASSMIND_URL: z.url({ protocol: /^https$/, error: "must be the school's public address, https://…" }),
  CLASSMIND_EXTRA_HOSTS: z.string().default(""),
  CLASSMIND_FILES_DIR: absolutePath,
  CLASSMIND_LISTEN_PORT: port.or(z.literal("0").transform(() => 0)),
  CLASSMIND_LISTEN_ADDRESS: z.string().min(1).default("0.0.0.0"),
  CLASSMIND_LINGER_MS: z.coerce.number().int().min(0).max(10_000).default(1_500),
  CLASSMIND_UPLOAD_LIMIT_MIB: z.coerce.number().int().min(1).max(10_240).default(50),
  CLASSMIND_PERSON_QUOTA_MIB: z.coerce.number().int().min(1).max(1_048_576).optional(),
  CLASSMIND_MAIL_RELAY: z
    .url({ protocol: /^smtps?$/, error: "must be the mail relay's address, smtps://[user@]name[:port] or smtp://…" })
    .refine((address) => new URL(address).password === "", "must not hold a password: that is a file")
    .optional(),
  CLASSMIND_MAIL_FROM: z.email("must be the address that mails come from").optional(),
});

export interface DatabaseConfig {
  readonly host: string;
  readonly port: number;
  readonly name: string;
  readonly secretsDir: string;
}

export interface AdminConfig extends DatabaseConfig {
  readonly filesDir: string;
  readonly jobInput: string;
}

export interface MailConfig {
  /** `smtps:` has TLS from the first byte, `smtp:` begins it with STARTTLS; there is no mail without. */
  readonly relay: URL;
  /** Address that mails come from. */
  readonly from: string;
}

export interface ServeConfig extends DatabaseConfig {
  readonly slug: string;
  readonly schoolName: string;
  readonly demo: boolean;
  /** Public origin, e.g. `https://goethe.example.org:8443`, without a trailing slash. */
  readonly origin: string;
  /** Values of the Host header that are answered; everything else gets 421. */
  readonly hosts: ReadonlySet<string>;
  readonly filesDir: string;
  readonly listenPort: number;
  readonly listenAddress: string;
  /** Milliseconds for which it still answers after it was asked to end: whoever sends requests learns of the end a moment later. */
  readonly lingerMs: number;
  /** Largest upload in bytes. */
  readonly uploadLimit: number;
  /** Bytes that one person's files may take; a share of the volume if absent. */
  readonly personQuota?: number;
  /** The way out for mail; without it none is sent. */
  readonly mail?: MailConfig;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Settings of `serve`. Throws ConfigError. */
export function serveConfig(env: Environment): ServeConfig {
  const value = parse(serveSchema, env);
  const url = new URL(value.CLASSMIND_URL);
  const extra = value.CLASSMIND_EXTRA_HOSTS.split(",").map((host) => host.trim().toLowerCase());
  return {
    ...databaseOf(value),
    slug: value.CLASSMIND_SCHOOL_SLUG,
    schoolName: value.CLASSMIND_SCHOOL_NAME,
    demo: value.CLASSMIND_SCHOOL_DEMO === "true",
    origin: url.origin,
    hosts: new Set([url.host, ...extra.filter((host) => host !== "")]),
    filesDir: value.CLASSMIND_FILES_DIR,
    listenPort: value.CLASSMIND_LISTEN_PORT,
    listenAddress: value.CLASSMIND_LISTEN_ADDRESS,
    lingerMs: value.CLASSMIND_LINGER_MS,
    uploadLimit: value.CLASSMIND_UPLOAD_LIMIT_MIB * 1024 * 1024,
    ...(value.CLASSMIND_PERSON_QUOTA_MIB === undefined
      ? {}
      : { personQuota: value.CLASSMIND_PERSON_QUOTA_MIB * 1024 * 1024 }),
    ...mailOf(value),
  };
}

function mailOf({
  CLASSMIND_MAIL_RELAY: relay,
  CLASSMIND_MAIL_FROM: from,
}: z.infer<typeof serveSchema>): Pick<ServeConfig, "mail"> {
  if (relay === undefined && from === undefined) {
    return {};
  }
  if (relay === undefined || from === undefined) {
    const [set, missing] = relay === undefined ? ["FROM", "RELAY"] : ["RELAY", "FROM"];
    throw new ConfigError(`CLASSMIND_MAIL_${set} is set and CLASSMIND_MAIL_${missing} is not: mail needs both`);
  }
  return { mail: { relay: new URL(relay), from } };
}

/** Settings of `migrate`. Throws ConfigError. */
export function migrateConfig(env: Environment): DatabaseConfig {
  return databaseOf(parse(databaseSchema, env));
}

/** Settings of `admin`. Throws ConfigError. */
export function adminConfig(env: Environment): AdminConfig {
  const value = parse(adminSchema, env);
  return { ...databaseOf(value), filesDir: value.CLASSMIND_FILES_DIR, jobInput: value.CLASSMIND_JOB_INPUT };
}

function databaseOf(value: z.infer<typeof databaseSchema>): DatabaseConfig {
  return {
    host: value.CLASSMIND_DATABASE_HOST,
    port: value.CLASSMIND_DATABASE_PORT,
    name: value.CLASSMIND_DATABASE_NAME,
    secretsDir: value.CLASSMIND_SECRETS_DIR,
  };
}

function parse<S extends z.ZodType>(schema: S, env: Environment): z.infer<S> {
  const result = schema.safeParse(env);
  if (result.success) {
    return result.data;
  }
  const problems = result.error.issues.map((issue) => {
    const field = issue.path.join(".");
    return env[field] === undefined ? `${field} is not set` : `${field}: ${issue.message}`;
  });
  throw new ConfigError(`Settings (environment) are not usable: ${problems.join("; ")}`);
}
