import { createSecretKey, type KeyObject } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError } from "./config.ts";

/** Password of a database role (`app` or `owner`) from `<dir>/database-<role>/password`. Throws ConfigError. */
export async function databasePassword(secretsDir: string, role: "app" | "owner"): Promise<string> {
  const path = join(secretsDir, `database-${role}`, "password");
  const password = (await read(path)).toString("utf8").trim();
  if (password === "") {
    throw new ConfigError(`${path} is empty: it must hold the password of the database role school_${role}`);
  }
  return password;
}

/** Key that encrypts single fields and wraps the keys of messages and files: 32 raw bytes. Throws ConfigError. */
export function fieldKey(secretsDir: string): Promise<KeyObject> {
  return key(join(secretsDir, "app-keys", "field-key"));
}

/** Key under which session and security keys are hashed: 32 raw bytes. Throws ConfigError. */
export function sessionKey(secretsDir: string): Promise<KeyObject> {
  return key(join(secretsDir, "app-session", "session-key"));
}

async function key(path: string): Promise<KeyObject> {
  const bytes = await read(path);
  if (bytes.length !== 32) {
    throw new ConfigError(`${path} must hold exactly 32 raw bytes, not ${bytes.length}: refusing to start`);
  }
  return createSecretKey(bytes);
}

async function read(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unreadable";
    throw new ConfigError(`${path} cannot be read (${code}): mount the secret there; refusing to start without it`);
  }
}
