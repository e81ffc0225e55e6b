import { existsSync, type Stats, statSync } from "node:fs";
import { isAbsolute } from "node:path";
import { parseRepository, type RemoteRepository, RepositoryAddressError } from "../backup/repository.ts";
import { knownHostName, knowsHost, privateKeyProblem } from "../backup/ssh-files.ts";
import { ClassmindError } from "../errors.ts";
import { readEnvironment } from "../written/environment.ts";
import { readLines } from "../written/text.ts";
import type { Settings } from "./settings-schema.ts";

/** Throws for a setting: what is wrong, and what to do. */
type Refuse = (field: string, message: string, remedy: string) => never;

function fileOf(refuse: Refuse, field: string, named: string): Stats {
  const found = isAbsolute(named) && existsSync(named) ? statSync(named) : undefined;
  if (found?.isFile()) return found;
  return refuse(field, `${named} is not the absolute path of a file`, "Name one that is there.");
}

/** Root's, or whose process this is: nobody else may put another file in its place. */
function checkOwner(refuse: Refuse, field: string, file: string, { uid }: Stats): void {
  if (uid !== 0 && uid !== process.getuid?.()) refuse(field, `${file} is not root's`, `Run: chown root:root ${file}`);
}

function checkSecret(refuse: Refuse, field: string, file: string, found: Stats): void {
  if ((found.mode & 0o077) !== 0) refuse(field, `${file} can be read by others`, `Run: chmod 600 ${file}`);
}

/**
 * Checks a file that the settings name: that it is there, and if it is secret, that nobody else reads it.
 * @param settingsFile for messages
 * @returns throws ClassmindError `Invalid` naming the field
 */
export const checkFile =
  (settingsFile: string) =>
  (field: string, file: string, secret: boolean): void => {
    const refuse: Refuse = (named, message, remedy) => {
      throw new ClassmindError("Invalid", `${settingsFile}: ${message}`, { field: named, remedy });
    };
    const found = fileOf(refuse, field, file);
    if (secret) {
      checkOwner(refuse, field, file, found);
      checkSecret(refuse, field, file, found);
    }
    readLines(file, field);
  };

function checkKey(refuse: Refuse, value: Settings, { host }: RemoteRepository): void {
  const field = "backupKeyFile";
  const file = value[field];
  if (file === undefined) {
    refuse(field, "an sftp: repository needs a private key", "Make one: ssh-keygen -t ed25519 -N '' -f FILE");
  }
  const found = fileOf(refuse, field, file);
  checkOwner(refuse, field, file, found);
  checkSecret(refuse, field, file, found);
  const problem = privateKeyProblem(readLines(file, field));
  if (problem === "not a key") refuse(field, `${file} is not a private key`, "Name the file without .pub.");
  if (problem === "cut off") {
    refuse(field, `${file} does not end as a private key does`, "Copy it again, whole, with its last line break.");
  }
  if (problem === "locked") {
    const remedy = `Nobody is there to type it at night. Make a key for ${host} alone: ssh-keygen -t ed25519 -N '' -f FILE`;
    refuse(field, `${file} asks for a passphrase`, remedy);
  }
}

function checkKnownHosts(refuse: Refuse, value: Settings, { host, port }: RemoteRepository): void {
  const field = "backupKnownHostsFile";
  const file = value[field];
  const address = value.backupHost?.address ?? host;
  const scan = `ssh-keyscan -p ${port} ${address} | sed 's/^[^ #][^ ]*/${knownHostName(host, port)}/'`;
  const remedy = `See its keys with: ${scan}\nand compare them with what its operator publishes before you keep them.`;
  if (file === undefined) refuse(field, `the key by which ${host} is known is missing`, remedy);
  const found = fileOf(refuse, field, file);
  checkOwner(refuse, field, file, found);
  if ((found.mode & 0o022) !== 0) refuse(field, `${file} can be changed by others`, `Run: chmod 644 ${file}`);
  if (!knowsHost(readLines(file, field), host, port)) {
    refuse(field, `${file} has no key of ${knownHostName(host, port)}`, remedy);
  }
}

function addressOf(refuse: Refuse, repository: string): RemoteRepository {
  try {
    return parseRepository(repository);
  } catch (error) {
    if (!(error instanceof RepositoryAddressError)) throw error;
    const remedy =
      "Write it as rest:https://name:port/ or s3:https://name:port/bucket, credentials in backupEnvironmentFile, or as sftp:user@name:/path or sftp://user@name:port//path.";
    return refuse("backupRepository", `the address of the backup repository: ${error.message}`, remedy);
  }
}

/**
 * A repository elsewhere is reached by one name at one port, its address must be known, and what opens it must be there.
 * @param file the settings' own, for messages
 * @returns undefined for a local one
 * @throws ClassmindError `Invalid` naming the field
 */
export function checkRepository(file: string, value: Settings): RemoteRepository | undefined {
  if (value.backupRepository === "local") return undefined;
  const refuse: Refuse = (field, message, remedy) => {
    throw new ClassmindError("Invalid", `${file}: ${message}`, { field, remedy });
  };
  const { backupHost, backupEnvironmentFile, backupAuthorityFile } = value;
  if (backupEnvironmentFile !== undefined) {
    const field = "backupEnvironmentFile";
    checkSecret(refuse, field, backupEnvironmentFile, fileOf(refuse, field, backupEnvironmentFile));
    readEnvironment(backupEnvironmentFile, field);
  }
  if (backupAuthorityFile !== undefined) {
    fileOf(refuse, "backupAuthorityFile", backupAuthorityFile);
    readLines(backupAuthorityFile, "backupAuthorityFile");
  }
  const remote = addressOf(refuse, value.backupRepository);
  const { host, port, kind } = remote;
  if (backupHost?.name !== host || backupHost.port !== port) {
    const remedy = `Give it as { "name": "${host}", "address": "192.0.2.1", "port": ${port} }; schools look no names up.`;
    return refuse("backupHost", `says not where ${host}:${port} is`, remedy);
  }
  if (port === value.httpPort || port === value.httpsPort) {
    const remedy = "Let the repository listen on another port, such as 8000 or 9000.";
    return refuse("backupHost.port", `port ${port} is this platform's own`, remedy);
  }
  if (kind === "sftp") {
    checkKey(refuse, value, remote);
    checkKnownHosts(refuse, value, remote);
  }
  return remote;
}

/**
 * The repository that schools' backups are copied from, checked as the one that they are copied to.
 * @returns its address; undefined when there is none
 * @throws ClassmindError `Invalid` naming the field
 */
export function formerOf(file: string, value: Settings): { readonly address: string } | undefined {
  const { backupFormer: former } = value;
  if (former === undefined) return undefined;
  const { host, repository, environmentFile, authorityFile, keyFile, knownHostsFile } = former;
  try {
    const remote = checkRepository(file, {
      ...value,
      backupRepository: repository,
      backupHost: host,
      backupEnvironmentFile: environmentFile,
      backupAuthorityFile: authorityFile,
      backupKeyFile: keyFile,
      backupKnownHostsFile: knownHostsFile,
    });
    return { address: remote?.address ?? "local" };
  } catch (error) {
    if (!(error instanceof ClassmindError)) throw error;
    // As it is called in the file: backupHost.port is backupFormer.host.port there.
    const { field = "", remedy = "" } = error;
    const named = field.replace(/^backup(\w)/, (_, first: string) => `backupFormer.${first.toLowerCase()}`);
    throw new ClassmindError(error.code, error.message, { field: named, remedy, cause: error });
  }
}
