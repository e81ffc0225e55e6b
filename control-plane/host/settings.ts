import { randomBytes } from "node:crypto";
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import type { ApiConfig, PlatformConfig, ReconcilerConfig } from "../config.ts";
import { ClassmindError } from "../errors.ts";
import { GATEWAY_UID } from "../gateway/container.ts";
import type { ImageReferences } from "../images/build.ts";
import { CONTAINER_UID } from "../images/recipes.ts";
import { createKek } from "../keys/kek.ts";
import { engineSocket, type Instance } from "./instance.ts";
import { layoutOf } from "./layout.ts";

/** What an installation on one machine remembers from `up` to `up`. Edited by people too: /etc/classmind/<instance>/platform.json. */
const settings = z.strictObject({
  domain: z.hostname(),
  country: z.string().regex(/^[A-Z]{2}$/),
  httpPort: z.int(),
  httpsPort: z.int(),
  deletionGraceDays: z.int().min(0).max(365),
  demoDays: z.int().min(1).max(365),
  backupRepository: z.string(),
  backupWindowStartHour: z.int().min(0).max(23),
  backupWindowHours: z.number().min(1).max(12),
  backupConcurrency: z.int().min(1).max(32),
  workers: z.int().min(1).max(64),
  /** `simulated` only for trying the control plane without containers. */
  engine: z.enum(["containers", "simulated"]),
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
  backupRepository: "local",
  backupWindowStartHour: 0,
  backupWindowHours: 5,
  backupConcurrency: 2,
  workers: 4,
  engine: "containers",
};

/** Database roles of the platform with a password of their own; `postgres` is the superuser, used by nobody but people. */
export const DATABASE_ROLES = ["postgres", "controlplane_api", "controlplane_reconciler", "keyring"] as const;

function writeFile(file: string, content: string, mode: number, uid = 0): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  writeFileSync(`${file}.new`, content, { mode });
  chmodSync(`${file}.new`, mode);
  chownSync(`${file}.new`, uid, uid);
  renameSync(`${file}.new`, file);
}

/** @throws ClassmindError `Invalid` naming the field */
export function readSettings(instance: Instance): Settings | undefined {
  const { settingsFile } = layoutOf(instance);
  if (!existsSync(settingsFile)) return undefined;
  const parsed = settings.safeParse(JSON.parse(readFileSync(settingsFile, "utf8")));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new ClassmindError("Invalid", `${settingsFile}: ${issue?.message ?? "malformed"}`, {
    field: issue?.path.join(".") ?? "",
    remedy: "Correct this field and run: classmind up",
  });
}

export function writeSettings(instance: Instance, value: Settings): void {
  writeFile(layoutOf(instance).settingsFile, `${JSON.stringify(value, null, 2)}\n`, 0o600);
}

function platformOf(instance: Instance, value: Settings, images: ImageReferences): PlatformConfig {
  return {
    instance: instance.name,
    domain: value.domain,
    country: value.country,
    httpsPort: value.httpsPort,
    deletionGraceDays: value.deletionGraceDays,
    demoDays: value.demoDays,
    images: { app: images.app, postgres: images.postgres },
    storageClass: "classmind-encrypted",
    backup: {
      repository: value.backupRepository,
      repositorySize: "20Gi",
      peers: [],
      windowStartHour: value.backupWindowStartHour,
      windowHours: value.backupWindowHours,
      concurrency: value.backupConcurrency,
    },
    gatewayPeers: [{ ipBlock: { cidr: instance.addressPool } }],
    ingressClass: "classmind",
  };
}

/** Passwords and the key-encryption key: made once, never replaced. */
function ensureSecrets(instance: Instance): void {
  const layout = layoutOf(instance);
  createKek(layout.kekFile);
  mkdirSync(layout.secretsDir, { recursive: true, mode: 0o711 });
  for (const role of DATABASE_ROLES) {
    const file = join(layout.secretsDir, role);
    // The database's container reads them all; the API's gets its own alone.
    if (!existsSync(file)) writeFile(file, randomBytes(24).toString("base64url"), 0o400, CONTAINER_UID);
  }
}

/** Where the API finds things inside its container. */
export const API_MOUNTS = {
  config: "/etc/classmind/api.json",
  password: "/run/secrets/database/password",
  database: "/run/postgresql",
  sockets: "/run/classmind-api",
} as const;

/** Writes what the two processes read at their start. Repeatable. */
export function writeConfigurations(instance: Instance, value: Settings, images: ImageReferences): void {
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
    engine:
      value.engine === "simulated"
        ? { kind: "simulated", stateFile: join(instance.stateDir, "simulated.json") }
        : {
            kind: "containers",
            socket: engineSocket(instance),
            instance: { ...instance },
            hostAccessUids: [0, GATEWAY_UID],
          },
    gateway: { configDir: layout.gatewayConfigDir, runDir: layout.gatewayRunDir },
    authorityFile: layout.authorityFile,
    readyFile: layout.reconcilerReadyFile,
  };
  writeFile(layout.apiConfigFile, `${JSON.stringify(api, null, 2)}\n`, 0o444);
  writeFile(layout.reconcilerConfigFile, `${JSON.stringify(reconciler, null, 2)}\n`, 0o600);
}
