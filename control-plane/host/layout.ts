import { join } from "node:path";
import type { DatabaseConfig } from "../config.ts";
import { RELAY_SOCKET } from "../listener/places.ts";
import type { Instance } from "./instance.ts";

/** Where everything of the platform itself lies on this host. Schools' own things are the engine's. */
export interface PlatformLayout {
  /** Key-encryption key: outside the state directory, so that a copy of the state alone opens nothing. */
  readonly kekFile: string;
  /** Certificate of the platform's authority, for people to trust. */
  readonly authorityFile: string;
  readonly settingsFile: string;
  readonly secretsDir: string;
  readonly databaseDir: string;
  readonly databaseSocketDir: string;
  readonly apiSocketDir: string;
  readonly apiSocket: string;
  /** Where the API answers requests that the listener hands on: who may open it could say where they come from. */
  readonly apiRelayDir: string;
  readonly apiRelaySocket: string;
  /** Configuration and certificate of the API's listener. */
  readonly listenerDir: string;
  readonly apiConfigFile: string;
  readonly reconcilerConfigFile: string;
  readonly reconcilerReadyFile: string;
  readonly gatewayConfigDir: string;
  readonly gatewayRunDir: string;
  /** Written when it starts. */
  readonly supervisorPidFile: string;
  /** Written when it starts: a digest of all it read then, see digestReadAtStart. */
  readonly supervisorReadFile: string;
  /** There while everything is up. */
  readonly supervisorReadyFile: string;
  readonly supervisorLog: string;
}

export function layoutOf(instance: Instance): PlatformLayout {
  const { configDir, runDir, stateDir } = instance;
  return {
    kekFile: join(configDir, "kek"),
    authorityFile: join(configDir, "ca.pem"),
    settingsFile: join(configDir, "platform.json"),
    secretsDir: join(configDir, "secrets"),
    databaseDir: join(stateDir, "platform-database"),
    databaseSocketDir: join(runDir, "postgres"),
    apiSocketDir: join(runDir, "api"),
    apiSocket: join(runDir, "api", "api.sock"),
    apiRelayDir: join(runDir, "api-relay"),
    apiRelaySocket: join(runDir, "api-relay", RELAY_SOCKET),
    listenerDir: join(runDir, "listener"),
    apiConfigFile: join(configDir, "api.json"),
    reconcilerConfigFile: join(configDir, "reconciler.json"),
    reconcilerReadyFile: join(runDir, "reconciler.ready"),
    gatewayConfigDir: join(stateDir, "gateway"),
    gatewayRunDir: join(runDir, "gateway"),
    supervisorPidFile: join(runDir, "supervisor.pid"),
    supervisorReadFile: join(runDir, "supervisor.read"),
    supervisorReadyFile: join(runDir, "supervisor.ready"),
    supervisorLog: join(stateDir, "log", "supervisor.log"),
  };
}

/** How the platform's own processes on this machine reach its database. @param user the role, after which its password's file is called */
export function databaseOf(
  { databaseSocketDir, secretsDir }: PlatformLayout,
  name: string,
  user: string,
): DatabaseConfig {
  return { host: databaseSocketDir, port: 5432, name, user, passwordFile: join(secretsDir, user) };
}
