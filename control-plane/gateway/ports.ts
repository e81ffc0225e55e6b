import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { ClassmindError, messageOf } from "../errors.ts";

/** Ports in order of preference. */
export interface PortPreferences {
  readonly https: readonly number[];
  readonly http: readonly number[];
}

/** What browsers expect, else what people know as its substitute. */
export const USUAL_PORTS: PortPreferences = { https: [443, 8443, 9443], http: [80, 8080, 9080] };

export interface GatewayPorts {
  readonly httpPort: number;
  readonly httpsPort: number;
}

/**
 * The first free port for HTTPS and for HTTP on all given addresses. The caller remembers the choice: it is part of every
 * school's address.
 * @throws ClassmindError `Unavailable` when none is free.
 */
export async function choosePorts(
  addresses: readonly string[],
  preferences: PortPreferences = USUAL_PORTS,
): Promise<GatewayPorts> {
  return {
    httpPort: await firstFree(preferences.http, addresses),
    httpsPort: await firstFree(preferences.https, addresses),
  };
}

/** Every IPv4 address, and every IPv6 address where the host has IPv6. */
export async function everyAddress(): Promise<readonly string[]> {
  const interfaces = await readFile("/proc/net/if_inet6", "utf8").catch(() => "");
  return interfaces.trim() === "" ? ["0.0.0.0"] : ["0.0.0.0", "::"];
}

async function firstFree(ports: readonly number[], addresses: readonly string[]): Promise<number> {
  const refusals: string[] = [];
  for (const port of ports) {
    const refusal = await bindAll(port, addresses);
    if (refusal === undefined) return port;
    refusals.push(refusal);
  }
  const why = refusals.length === 0 ? "other installations have them all" : refusals.join("; ");
  throw new ClassmindError("Unavailable", `No port is free for the gateway: ${why}`, {
    remedy: `Free ${ports.length === 0 ? "one" : `one of ${ports.join(", ")}`}, or set the gateway's ports in the configuration.`,
  });
}

async function bindAll(port: number, addresses: readonly string[]): Promise<string | undefined> {
  for (const host of addresses) {
    const server = createServer();
    try {
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject);
        server.listen({ port, host, ipv6Only: host.includes(":"), exclusive: true }, resolve);
      });
    } catch (error) {
      return messageOf(error);
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  }
  return undefined;
}
