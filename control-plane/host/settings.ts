import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { canonicalJson } from "../canonical-json.ts";
import { type ApiConfig, domain, engineName, type PlatformConfig, type ReconcilerConfig, site } from "../config.ts";
import { ClassmindError } from "../errors.ts";
import { GATEWAY_UID } from "../gateway/container.ts";
import type { ImageReferences } from "../images/build.ts";
import { CONTAINER_UID } from "../images/recipes.ts";
import { createKek } from "../keys/kek.ts";
import { readJson } from "../written/json.ts";
import { checkEngines } from "./engine-settings.ts";
import { createInstance, engineSocket, type Instance } from "./instance.ts";
import { layoutOf } from "./layout.ts";
import { checkRepository } from "./repository-settings.ts";

/** What an installation on one machine remembers from `up` to `up`. Edited by people too: /etc/classmind/<instance>/platform.json. */
const settings = z.strictObject({
  domain,
  country: z.string().regex(/^[A-Z]{2}$/),
  httpPort: z.int(),
  httpsPort: z.int(),
  deletionGraceDays: z.int().min(0).max(365),
  demoDays: z.int().min(1).max(365),
  /** What a purge before the end of the grace period needs: a second operator, or a reason alone; `never`: there is none. */
  earlyPurge: z.enum(["second-operator", "reason", "never"]).default("second-operator"),
  /** `local`, or restic's address of a repository elsewhere: see backup/repository.ts. */
  backupRepository: z.string(),
  /** A repository whose backups are left behind, now that `backupRepository` is another one. */
  backupAbandoned: z.string().optional(),
  /** Where that is: schools look no names up. The port must not be one that this host itself listens on. */
  backupHost: z.strictObject({ name: z.hostname(), address: z.ipv4(), port: z.int().min(1).max(65535) }).optional(),
  /** File of lines NAME=value with its credentials (RESTIC_REST_USERNAME, AWS_ACCESS_KEY_ID …), mode 0600. */
  backupEnvironmentFile: z.string().optional(),
  /** PEM of the authority that signed its certificate, if the world does not know it. */
  backupAuthorityFile: z.string().optional(),
  /** Private key that logs in to an sftp: repository, without a passphrase, root's, mode 0600. */
  backupKeyFile: z.string().optional(),
  /** Lines of known hosts with the keys by which that machine is known. */
  backupKnownHostsFile: z.string().optional(),
  backupWindowStartHour: z.int().min(0).max(23),
  backupWindowHours: z.number().min(1).max(12),
  backupConcurrency: z.int().min(1).max(32),
  workers: z.int().min(1).max(64),
  /** Addresses of schools' networks. Set by the first `up`; it cannot change while there are schools. */
  addressPool: z.string().optional(),
  /** `simulated` only for trying the control plane without containers. */
  engine: z.enum(["containers", "simulated"]),
  /** Clusters that schools may live on beside this machine, whose own engine is called `containers`. */
  engines: z.record(engineName, site).optional(),
  images: z
    .strictObject({ app: z.string(), postgres: z.string(), controlPlane: z.string(), gateway: z.string() })
    .optional(),
});
export type Settings = z.infer<typeof settings>;

export const DEFAULT_SETTINGS: Omit<Settings, "httpPort" | "httpsPort" | "images"> = {
  domain: "classmind.localhost",
  country: "DE",
  deletionGraceDays: 30,
  demoDays: 30,
  earlyPurge: "second-operator",
  backupRepository: "local",
  backupWindowStartHour: 0,
  backupWindowHours: 5,
  backupConcurrency: 2,
  workers: 4,
  engine: "containers",
};

/** Database roles of the platform with a password of their own; `postgres` is the superuser, used by nobody but people. */
export const DATABASE_ROLES = ["postgres", "controlplane_api", "controlplane_reconciler", "keyring"] as const;

function isAsWanted(file: string, content: string, mode: number, uid: number): boolean {
  if (!existsSync(file)) return false;
  const found = statSync(file);
  return (found.mode & 0o777) === mode && found.uid === uid && readFileSync(file, "utf8") === content;
}

/** Leaves a file alone that is as wanted: its age tells `up` whether a running platform has read it. */
function writeFile(file: string, content: string, mode: number, uid = 0): void {
  if (isAsWanted(file, content, mode, uid)) return;
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  // On the disk before it takes the old one's place: a power cut must leave either, not an empty one.
  writeFileSync(`${file}.new`, content, { mode, flush: true });
  chmodSync(`${file}.new`, mode);
  chownSync(`${file}.new`, uid, uid);
  renameSync(`${file}.new`, file);
}

/** @throws ClassmindError `Invalid` naming the field, or the line of what is no JSON */
export function readSettings(instance: Instance): Settings | undefined {
  const { settingsFile } = layoutOf(instance);
  if (!existsSync(settingsFile)) return undefined;
  const parsed = settings.safeParse(readJson(settingsFile));
  if (parsed.success) {
    checkRepository(settingsFile, parsed.data);
    checkEngines(settingsFile, parsed.data);
    return parsed.data;
  }
  const issue = parsed.error.issues[0];
  throw new ClassmindError("Invalid", `${settingsFile}: ${issue?.message ?? "malformed"}`, {
    field: issue?.path.join(".") ?? "",
    remedy: "Correct this field and run: classmind up",
  });
}

/** Whether the file says these settings, in whatever order and layout people gave it. */
function saysAlready(file: string, value: Settings): boolean {
  if (!existsSync(file) || (statSync(file).mode & 0o777) !== 0o600) return false;
  try {
    return canonicalJson(settings.parse(readJson(file))) === canonicalJson(value);
  } catch {
    return false;
  }
}

/** Writes the settings, always in the same order; leaves a file alone that says them already. */
export function writeSettings(instance: Instance, value: Settings): void {
  const { settingsFile } = layoutOf(instance);
  const ordered = settings.parse(value);
  if (!saysAlready(settingsFile, ordered)) writeFile(settingsFile, `${JSON.stringify(ordered, null, 2)}\n`, 0o600);
}

/** The addresses that schools' networks are made of. @throws ClassmindError `Invalid` when the settings name none that can be used */
export function poolOf(instance: Instance, { addressPool }: Pick<Settings, "addressPool">): string {
  return addressPool === undefined ? instance.addressPool : createInstance(instance.name, { addressPool }).addressPool;
}

function platformOf(instance: Instance, value: Settings, images: ImageReferences): PlatformConfig {
  return {
    instance: instance.name,
    domain: value.domain,
    country: value.country,
    httpsPort: value.httpsPort,
    deletionGraceDays: value.deletionGraceDays,
    demoDays: value.demoDays,
    earlyPurge: value.earlyPurge,
    images: { app: images.app, postgres: images.postgres },
    storageClass: "classmind-encrypted",
    backup: {
      repository: checkRepository(layoutOf(instance).settingsFile, value)?.address ?? "local",
      ...(value.backupAbandoned === undefined ? {} : { abandoned: value.backupAbandoned }),
      repositorySize: "20Gi",
      peers:
        value.backupHost === undefined
          ? []
          : [{ peers: [{ ipBlock: { cidr: `${value.backupHost.address}/32` } }], port: value.backupHost.port }],
      hosts: value.backupHost === undefined ? [] : [{ name: value.backupHost.name, address: value.backupHost.address }],
      windowStartHour: value.backupWindowStartHour,
      windowHours: value.backupWindowHours,
      concurrency: value.backupConcurrency,
    },
    gatewayPeers: [{ ipBlock: { cidr: instance.addressPool } }],
    ingressClass: "classmind",
  };
}

/**
 * Passwords and the key-encryption key: made once, never replaced.
 * @throws ClassmindError `PreconditionFailed` when the key is gone but what it opens is there: a new one would open nothing
 */
function ensureSecrets(instance: Instance): void {
  const layout = layoutOf(instance);
  if (!existsSync(layout.kekFile) && existsSync(join(layout.databaseDir, "pgdata"))) {
    throw new ClassmindError(
      "PreconditionFailed",
      `The key-encryption key ${layout.kekFile} is missing, and ${layout.databaseDir} holds keys that only it opens.`,
      { field: "", remedy: "Bring the key back from your safe copy. Without it no school's data can be read." },
    );
  }
  createKek(layout.kekFile);
  mkdirSync(layout.secretsDir, { recursive: true });
  chmodSync(layout.secretsDir, 0o711);
  for (const role of DATABASE_ROLES) {
    const file = join(layout.secretsDir, role);
    // The database's container reads them all; the API's gets its own alone.
    const password = existsSync(file) ? readFileSync(file, "utf8") : randomBytes(24).toString("base64url");
    writeFile(file, password, 0o400, CONTAINER_UID);
  }
}

/** Where the API finds things inside its container. */
export const API_MOUNTS = {
  config: "/etc/classmind/api.json",
  password: "/run/secrets/database/password",
  database: "/run/postgresql",
  sockets: "/run/classmind-api",
} as const;

/** This machine's engine alone, or with the clusters beside it. */
function enginesOf(instance: Instance, value: Settings): Pick<ReconcilerConfig, "engine" | "engines"> {
  const own: NonNullable<ReconcilerConfig["engine"]> =
    value.engine === "simulated"
      ? { kind: "simulated", stateFile: join(instance.stateDir, "simulated.json") }
      : {
          kind: "containers",
          socket: engineSocket(instance),
          instance: { ...instance },
          hostAccessUids: [0, GATEWAY_UID],
        };
  if (value.engines === undefined) return { engine: own };
  return { engines: { [own.kind]: { engine: own, labels: {}, platform: {} }, ...value.engines } };
}

/** Writes what the two processes read at their start. Repeatable. */
export function writeConfigurations(named: Instance, value: Settings, images: ImageReferences): void {
  const instance = { ...named, addressPool: poolOf(named, value) };
  ensureSecrets(instance);
  const layout = layoutOf(instance);
  const platform = platformOf(instance, value, images);
  const api: ApiConfig = {
    platform,
    database: {
      host: API_MOUNTS.database,
      port: 5432,
      name: "controlplane",
      user: "controlplane_api",
      passwordFile: API_MOUNTS.password,
    },
    listen: { socket: `${API_MOUNTS.sockets}/api.sock` },
  };
  const connection = (name: string, user: string) => ({
    host: layout.databaseSocketDir,
    port: 5432,
    name,
    user,
    passwordFile: join(layout.secretsDir, user),
  });
  const reconciler: ReconcilerConfig = {
    platform,
    database: connection("controlplane", "controlplane_reconciler"),
    keyring: connection("keyring", "keyring"),
    kekFile: layout.kekFile,
    workers: value.workers,
    ...(value.backupEnvironmentFile === undefined ? {} : { repositoryEnvironmentFile: value.backupEnvironmentFile }),
    ...(value.backupAuthorityFile === undefined ? {} : { repositoryAuthorityFile: value.backupAuthorityFile }),
    ...(value.backupKeyFile === undefined ? {} : { repositoryKeyFile: value.backupKeyFile }),
    ...(value.backupKnownHostsFile === undefined ? {} : { repositoryKnownHostsFile: value.backupKnownHostsFile }),
    ...enginesOf(instance, value),
    gateway: { configDir: layout.gatewayConfigDir, runDir: layout.gatewayRunDir },
    authorityFile: layout.authorityFile,
    readyFile: layout.reconcilerReadyFile,
  };
  writeFile(layout.apiConfigFile, `${JSON.stringify(api, null, 2)}\n`, 0o444);
  writeFile(layout.reconcilerConfigFile, `${JSON.stringify(reconciler, null, 2)}\n`, 0o600);
}
