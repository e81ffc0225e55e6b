import { z } from "zod";
import { type MailSettings, mailRelayAddress } from "../config.ts";
import { ClassmindError } from "../errors.ts";

/** The mail relay as people write it down in platform.json. */
export const mailRelay = z.strictObject({
  ...mailRelayAddress,
  /** Where it is: schools look no names up. */
  host: z.strictObject({ name: z.hostname(), address: z.ipv4(), port: z.int().min(1).max(65535) }),
  /** File with the user's password, root's, mode 0600. */
  passwordFile: z.string().optional(),
  /** PEM of the authority that signed its certificate, if the world does not know it. */
  authorityFile: z.string().optional(),
});
export type MailRelay = z.infer<typeof mailRelay>;

const usualPort = (relay: URL): number => (relay.protocol === "smtps:" ? 465 : 587);

/** What the control plane is told of it. Pure. */
export function mailOf({ relay, from, host }: MailRelay): MailSettings {
  const { name, address, port } = host;
  return {
    relay,
    from,
    peers: [{ peers: [{ ipBlock: { cidr: `${address}/32` } }], port }],
    hosts: [{ name, address }],
  };
}

/**
 * A relay is reached by one name at one port, whose address must be known; what opens it must be there and nobody else's to read.
 * @param file the settings' own, for messages
 * @param ports of this platform itself
 * @param checkFile throws for a file that is not there, or not as secret as it must be
 * @throws ClassmindError `Invalid` naming the field
 */
export function checkMail(
  file: string,
  mail: MailRelay | undefined,
  ports: readonly number[],
  checkFile: (field: string, file: string, secret: boolean) => void,
): void {
  if (mail === undefined) return;
  const refuse = (field: string, message: string, remedy: string): never => {
    throw new ClassmindError("Invalid", `${file}: ${message}`, { field: `mail.${field}`, remedy });
  };
  const relay = new URL(mail.relay);
  const port = Number(relay.port) || usualPort(relay);
  const { host, passwordFile, authorityFile } = mail;
  if (host.name !== relay.hostname || host.port !== port) {
    const remedy = `Give it as { "name": "${relay.hostname}", "address": "192.0.2.1", "port": ${port} }; schools look no names up.`;
    refuse("host", `says not where ${relay.hostname}:${port} is`, remedy);
  }
  if (ports.includes(port))
    refuse("host.port", `port ${port} is this platform's own`, "Let the relay listen on 465 or 587.");
  if (relay.username !== "" && passwordFile === undefined)
    refuse("passwordFile", `the password of ${relay.username} is missing`, "Name a file that holds it, mode 0600.");
  if (passwordFile !== undefined) checkFile("mail.passwordFile", passwordFile, true);
  if (authorityFile !== undefined) checkFile("mail.authorityFile", authorityFile, false);
}
