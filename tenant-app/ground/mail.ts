import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { MailConfig } from "./config.ts";
import { ConfigError } from "./config.ts";

/** A mail of plain text. Nothing that is said in it is secret from whoever carries mail. */
export interface Mail {
  readonly to: string;
  readonly subject: string;
  readonly text: string;
}

/** The way out for mail: the one relay that the operator configured. */
export interface Mailer {
  /** Hands a mail to the relay. Throws what the relay or the way to it said; never with the address in it. */
  send(mail: Mail): Promise<void>;
}

const timeoutMs = 15_000;

/**
 * The relay that the operator configured, always with TLS and its name checked. What opens it is a file: `mail-relay/password`, and
 * `mail-relay/authority.pem` for a relay whose certificate the world does not know.
 * @throws ConfigError when a user is configured and the password cannot be read
 */
export async function relayMailer(
  { relay, from }: MailConfig,
  options: { readonly secretsDir: string; readonly senderName: string },
): Promise<Mailer> {
  const at = (file: string) => join(options.secretsDir, "mail-relay", file);
  const secret = async (file: string) => (await readFile(at(file), "utf8").catch(() => "")).trim();
  const user = decodeURIComponent(relay.username);
  if (user !== "" && (await secret("password")) === "") {
    throw new ConfigError(`${at("password")} cannot be read or is empty: it must hold the password of the mail relay`);
  }
  const secure = relay.protocol === "smtps:";
  const settings = {
    host: relay.hostname,
    port: Number(relay.port) || (secure ? 465 : 587),
    secure,
    requireTLS: true,
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    socketTimeout: timeoutMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  };
  return {
    send: async ({ to, subject, text }) => {
      // Loaded with the first mail: an idle school does not carry it.
      const { createTransport } = await import("nodemailer");
      // Read anew each time: what was changed counts without a restart.
      const [pass, authority] = await Promise.all([secret("password"), secret("authority.pem")]);
      const transport = createTransport({
        ...settings,
        ...(user === "" ? {} : { auth: { user, pass } }),
        tls: { minVersion: "TLSv1.2", ...(authority === "" ? {} : { ca: authority }) },
      });
      try {
        await transport.sendMail({
          from: { name: options.senderName, address: from },
          to: { name: "", address: to },
          subject,
          text,
          headers: { "Auto-Submitted": "auto-generated" },
        });
      } catch (error) {
        const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
        // What a relay answers may name the receiver.
        throw new Error(`the mail relay did not take the mail (${code})`);
      } finally {
        transport.close();
      }
    },
  };
}
