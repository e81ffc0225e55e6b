import { createHmac } from "node:crypto";

/** What can be said of SSH's files by reading them, before anything is tried with them. Pure. */

const BEGIN = /^-----BEGIN ([A-Z]+ )?PRIVATE KEY-----\r?\n/;
const END = /-----END ([A-Z]+ )?PRIVATE KEY-----\n$/;
const MAGIC = "openssh-key-v1\0";

/** OpenSSH's own format says in its head by which cipher it is locked (PROTOCOL.key of OpenSSH). */
function isLocked(text: string): boolean {
  if (/^-----BEGIN ENCRYPTED |^Proc-Type: .*ENCRYPTED/m.test(text)) return true;
  if (!text.startsWith("-----BEGIN OPENSSH ")) return false;
  const body = Buffer.from(text.replace(/-----[^\n]*-----/g, ""), "base64");
  const at = MAGIC.length;
  if (body.length < at + 4 || body.toString("latin1", 0, at) !== MAGIC) return false;
  return body.toString("latin1", at + 4, at + 4 + body.readUInt32BE(at)) !== "none";
}

/** Why a file's text cannot serve as the private key of a program that nobody can ask for a passphrase. */
export function privateKeyProblem(text: string): "not a key" | "cut off" | "locked" | undefined {
  if (!BEGIN.test(text)) return "not a key";
  if (!END.test(text)) return "cut off";
  return isLocked(text) ? "locked" : undefined;
}

function matches(pattern: string, name: string): boolean {
  if (pattern.startsWith("|1|")) {
    const [, , salt = "", hash = ""] = pattern.split("|");
    return createHmac("sha1", Buffer.from(salt, "base64")).update(name).digest("base64") === hash;
  }
  const escaped = pattern
    .replace(/[\\^$.|+()[\]{}]/g, "\\$&")
    .replaceAll("*", ".*")
    .replaceAll("?", ".");
  return new RegExp(`^${escaped}$`).test(name);
}

/** What ssh looks a host up as: with its port unless that is 22. */
export function knownHostName(host: string, port: number): string {
  return port === 22 ? host : `[${host}]:${port}`;
}

/** Whether a known-hosts file has a key of the host; ssh takes one without the port for any port. sshd(8), SSH_KNOWN_HOSTS. */
export function knowsHost(text: string, host: string, port: number): boolean {
  const names = [knownHostName(host, port), host];
  return text.split("\n").some((line) => {
    const words = line.trim().split(/\s+/);
    const first = words[0] ?? "";
    if (first === "" || first.startsWith("#") || first === "@revoked") return false;
    const patterns = (first.startsWith("@") ? words[1] : first) ?? "";
    return patterns.split(",").some((pattern) => names.some((name) => matches(pattern, name)));
  });
}
