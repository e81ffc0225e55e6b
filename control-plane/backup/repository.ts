/**
 * Addresses of backup repositories, in restic's words. Pure.
 * https://restic.readthedocs.io/en/stable/030_preparing_a_new_repo.html
 */

/** A repository on another machine, reached by one name at one port. */
export interface RemoteRepository {
  readonly kind: "rest" | "s3" | "sftp";
  readonly host: string;
  readonly port: number;
  /** The address as it is handed on: for sftp always as a URL, `sftp://user@host:port//absolute` or `…/relative`. */
  readonly address: string;
}

/** An address that cannot be used; the message says why, without repeating it: it may hold what should not be in it. */
export class RepositoryAddressError extends Error {}

const HTTP = /^(rest|s3):https?:\/\/([a-z0-9.-]+):(\d+)(\/|$)/;
const SSH_PORT = 22;
const SFTP_URL = /^sftp:\/\/(?:([^@/]*)@)?([^@:/]*)(?::([^@:/]*))?(?:\/(.*))?$/s;
/** As scp writes it: no port, and all after the first colon is the path. */
const SFTP_PLAIN = /^sftp:(?!\/\/)(?:([^@:/]*)@)?([^@:/]*):(.*)$/s;
const USER = /^[A-Za-z0-9_][A-Za-z0-9._+-]*$/;
const HOST = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/;
const IPV4 = /^\d+(\.\d+){3}$/;
/** What needs no quoting anywhere: not in a URL, not on the other side. */
const PATH = /^[A-Za-z0-9._+,=/-]*$/;

function sftpPath(path: string): string {
  if (path.startsWith("~")) {
    throw new RepositoryAddressError(
      "the path begins with ~, which SFTP servers do not know: leave ~/ out, for a path without a leading / begins at home",
    );
  }
  if (!PATH.test(path)) throw new RepositoryAddressError("the path may have letters, digits and . _ + , = - / alone");
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) throw new RepositoryAddressError("the path must not have .. in it");
  return `${path.startsWith("/") ? "/" : ""}${parts.join("/")}`;
}

function parseSftp(text: string): RemoteRepository {
  const [, user, host = "", port, path = ""] = SFTP_URL.exec(text) ?? plainParts(text);
  if (user?.includes(":")) throw new RepositoryAddressError("it has a password in it; only a key is used");
  if (user === undefined || !USER.test(user)) {
    throw new RepositoryAddressError("it does not say as which user to log in (letters, digits and . _ + -)");
  }
  if (!HOST.test(host)) throw new RepositoryAddressError("the name of the host is not understood (in lower case)");
  const number = port === undefined ? SSH_PORT : /^\d{1,5}$/.test(port) ? Number(port) : 0;
  if (number < 1 || number > 65535) throw new RepositoryAddressError("the port is not a number between 1 and 65535");
  const address = `sftp://${user}@${host}:${number}/${sftpPath(path)}`;
  return { kind: "sftp", host, port: number, address };
}

/** The parts of the plain form, in the order of the URL's. */
function plainParts(text: string): readonly (string | undefined)[] {
  const plain = SFTP_PLAIN.exec(text);
  if (plain === null)
    throw new RepositoryAddressError("it is neither sftp:user@host:/path nor sftp://user@host:port//path");
  const [whole, user, host, path] = plain;
  return [whole, user, host, undefined, path];
}

/**
 * Reads the address of a repository elsewhere: `rest:http(s)://name:port/`, `s3:http(s)://name:port/bucket`,
 * `sftp:user@name:/path` or `sftp://user@name:port//path`. In a URL one slash begins a path at the user's home, two an
 * absolute one.
 * @throws RepositoryAddressError saying what is wrong
 */
export function parseRepository(text: string): RemoteRepository {
  const remote = text.startsWith("sftp:") ? parseSftp(text) : parseHttp(text);
  // An address in digits is never looked up, so nothing would lead it to the relay.
  if (IPV4.test(remote.host)) {
    throw new RepositoryAddressError("it has an IP address in place of a name: give the machine a name, any will do");
  }
  return remote;
}

/** Whether a text is the address of a repository elsewhere that can be used. */
export function isRepository(text: string): boolean {
  try {
    parseRepository(text);
    return true;
  } catch (error) {
    if (error instanceof RepositoryAddressError) return false;
    throw error;
  }
}

function parseHttp(text: string): RemoteRepository {
  const [, kind, host, port] = HTTP.exec(text) ?? [];
  if ((kind !== "rest" && kind !== "s3") || host === undefined)
    throw new RepositoryAddressError("it is not understood");
  return { kind, host, port: Number(port), address: text };
}

/**
 * Why a school's backups cannot get from one repository to another; undefined if they can. The copy is made by a job where one of
 * them is local, which holds the login of the other for as long as it runs.
 */
export function copyObstacle(from: string, to: string): string | undefined {
  if (from === "local" && to === "local") return "both keep backups on their own storage, which the other cannot reach";
  if (from !== to && from !== "local" && to !== "local")
    return "they keep backups in two different places, and neither reaches the other's";
  return undefined;
}

/** Where a repository on this machine is in a job. */
const LOCAL = "/var/lib/classmind/repository";

/**
 * Where one school's backups lie, as its jobs see it: a directory of its own below the platform's repository.
 * @param repository `local`, or an address as parseRepository understands it
 * @param number of the school's repository: further ones are begun beside one that is damaged
 */
export function schoolRepository(repository: string, uid: string, number = 1): string {
  // restic leaves alone what it does not know of.
  if (repository === "local") return number === 1 ? LOCAL : `${LOCAL}/beside-${number}`;
  const address = repository.startsWith("sftp:") ? parseRepository(repository).address : repository;
  return `${address.replace(/\/$/, "")}/${uid}${number === 1 ? "" : `-${number}`}`;
}
