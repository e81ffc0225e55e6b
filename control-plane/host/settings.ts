import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { canonicalJson } from "../canonical-json.ts";
import type { ApiConfig, FormerRepository, PlatformConfig, ReconcilerConfig, RepositoryFiles } from "../config.ts";
import { ClassmindError } from "../errors.ts";
import { GATEWAY_UID } from "../gateway/container.ts";
import type { ImageReferences } from "../images/build.ts";
import { CONTAINER_UID } from "../images/recipes.ts";
import { createKek } from "../keys/kek.ts";
import { LISTENER_UID, RELAY_SOCKET } from "../listener/places.ts";
import { readJson } from "../written/json.ts";
import { checkEngines } from "./engine-settings.ts";
import { createInstance, engineSocket, type Instance } from "./instance.ts";
import { databaseOf, layoutOf, type PlatformLayout } from "./layout.ts";
import { checkListener, listenerName } from "./listener-settings.ts";
import { checkMail, mailOf } from "./mail-settings.ts";
import { checkFile, checkRepository, formerOf } from "./repository-settings.ts";
import { type Settings, settings } from "./settings-schema.ts";
import { writeFile } from "./write-file.ts";

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

/** @throws ClassmindError `Invalid` naming the field, or the line of what is no JSON */
export function readSettings(instance: Instance): Settings | undefined {
  const { settingsFile } = layoutOf(instance);
  if (!existsSync(settingsFile)) return undefined;
  const parsed = settings.safeParse(readJson(settingsFile));
  if (parsed.success) {
    checkRepository(settingsFile, parsed.data);
    formerOf(settingsFile, parsed.data);
    const { mail, httpPort, httpsPort } = parsed.data;
    checkMail(settingsFile, mail, [httpPort, httpsPort], checkFile(settingsFile));
    checkEngines(settingsFile, parsed.data);
    checkListener(settingsFile, parsed.data, poolOf(instance, parsed.data));
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

/** What opens a repository, as the reconciler calls it. */
function filesOf(parts: Omit<NonNullable<Settings["backupFormer"]>, "repository" | "host">): RepositoryFiles {
  const { environmentFile, authorityFile, keyFile, knownHostsFile } = parts;
  return {
    ...(environmentFile === undefined ? {} : { repositoryEnvironmentFile: environmentFile }),
    ...(authorityFile === undefined ? {} : { repositoryAuthorityFile: authorityFile }),
    ...(keyFile === undefined ? {} : { repositoryKeyFile: keyFile }),
    ...(knownHostsFile === undefined ? {} : { repositoryKnownHostsFile: knownHostsFile }),
  };
}

/** NetworkPolicy peers and names of a repository; none of a local one. */
function wayTo(host: Settings["backupHost"]): Pick<FormerRepository, "peers" | "hosts"> {
  if (host === undefined) return { peers: [], hosts: [] };
  const { name, address, port } = host;
  return { peers: [{ peers: [{ ipBlock: { cidr: `${address}/32` } }], port }], hosts: [{ name, address }] };
}

function formerRepository(file: string, value: Settings): { readonly former?: FormerRepository } {
  const former = formerOf(file, value);
  return former === undefined ? {} : { former: { repository: former.address, ...wayTo(value.backupFormer?.host) } };
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
    ...(value.rollout === undefined ? {} : { rollout: value.rollout }),
    storageClass: "classmind-encrypted",
    backup: {
      repository: checkRepository(layoutOf(instance).settingsFile, value)?.address ?? "local",
      ...(value.backupAbandoned === undefined ? {} : { abandoned: value.backupAbandoned }),
      repositorySize: "20Gi",
      ...wayTo(value.backupHost),
      ...formerRepository(layoutOf(instance).settingsFile, value),
      windowStartHour: value.backupWindowStartHour,
      windowHours: value.backupWindowHours,
      concurrency: value.backupConcurrency,
    },
    ...(value.mail === undefined ? {} : { mail: mailOf(value.mail) }),
    gatewayPeers: [{ ipBlock: { cidr: instance.addressPool } }],
    ingressClass: "classmind",
    lingerMilliseconds: 0,
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
  relay: "/run/classmind-relay",
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
          ...(value.ownUsers === undefined ? {} : { ownUsers: value.ownUsers }),
        };
  if (value.engines === undefined) return { engine: own };
  return { engines: { [own.kind]: { engine: own, labels: {}, platform: {} }, ...value.engines } };
}

/** What the reconciler keeps the listener's certificate by. */
function listenerOf(layout: PlatformLayout, value: Settings): Pick<ReconcilerConfig, "listener"> {
  const { apiListener: listener } = value;
  if (listener === undefined) return {};
  const { certificateFile: certificate, keyFile: key } = listener;
  const files = certificate === undefined || key === undefined ? {} : { files: { certificate, key } };
  return {
    listener: { name: listenerName(value, listener), directory: layout.listenerDir, uid: LISTENER_UID, ...files },
  };
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
    listen: {
      socket: `${API_MOUNTS.sockets}/api.sock`,
      ...(value.apiListener === undefined ? {} : { relaySocket: `${API_MOUNTS.relay}/${RELAY_SOCKET}` }),
    },
  };
  const reconciler: ReconcilerConfig = {
    platform,
    database: databaseOf(layout, "controlplane", "controlplane_reconciler"),
    keyring: databaseOf(layout, "keyring", "keyring"),
    kekFile: layout.kekFile,
    workers: value.workers,
    ...filesOf({
      environmentFile: value.backupEnvironmentFile,
      authorityFile: value.backupAuthorityFile,
      keyFile: value.backupKeyFile,
      knownHostsFile: value.backupKnownHostsFile,
    }),
    ...(value.backupFormer === undefined ? {} : { formerRepositoryFiles: filesOf(value.backupFormer) }),
    ...(value.mail?.passwordFile === undefined ? {} : { mailPasswordFile: value.mail.passwordFile }),
    ...(value.mail?.authorityFile === undefined ? {} : { mailAuthorityFile: value.mail.authorityFile }),
    ...enginesOf(instance, value),
    gateway: { configDir: layout.gatewayConfigDir, runDir: layout.gatewayRunDir },
    authorityFile: layout.authorityFile,
    ...listenerOf(layout, value),
    readyFile: layout.reconcilerReadyFile,
  };
  writeFile(layout.apiConfigFile, `${JSON.stringify(api, null, 2)}\n`, 0o444);
  writeFile(layout.reconcilerConfigFile, `${JSON.stringify(reconciler, null, 2)}\n`, 0o600);
}
