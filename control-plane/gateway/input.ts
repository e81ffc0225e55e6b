import { isIP } from "node:net";
import { z } from "zod";
import { ClassmindError } from "../errors.ts";
import { isHostName } from "../issuer/names.ts";
import type { PemPair } from "./gateway.ts";
import { type Pair, readPair } from "./pair.ts";
import type { Destination } from "./route.ts";
import { PAYLOAD_LIMIT } from "./runtime.ts";

/** Input of the gateway, checked before any effect: what passes is written into files and commands line by line. */

const slug = z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, "must be lower-case letters, digits and dashes");
const hosts = z
  .array(z.string().refine(isHostName, "must be a lower-case host name"))
  .min(1, "must name at least one host")
  .refine((names) => new Set(names).size === names.length, "must not name a host twice");

const route = z.object({
  hosts,
  destination: z.discriminatedUnion("state", [
    z.object({
      state: z.literal("open"),
      address: z.string().refine((address) => isIP(address) === 4, "must be an IPv4 address"),
      port: z.number().int().min(1).max(65_535),
    }),
    z.object({ state: z.literal("closed") }),
  ]),
});

const certificate = z.object({ hosts, chain: z.string(), key: z.string() });

/** @throws ClassmindError `Invalid` */
export function checkSlug(input: string): string {
  return parse(slug, input);
}

export interface CheckedRoute {
  readonly hosts: readonly string[];
  readonly destination: Destination;
}

/** @throws ClassmindError `Invalid` */
export function checkRoute(hostNames: readonly string[], destination: Destination): CheckedRoute {
  return parse(route, { hosts: hostNames, destination });
}

export interface CheckedCertificate {
  readonly hosts: readonly string[];
  readonly pair: Pair;
}

/**
 * Key and certificate belong together and cover every host.
 * @throws ClassmindError `Invalid`; never quotes the key.
 */
export function checkCertificate(hostNames: readonly string[], pem: PemPair): CheckedCertificate {
  const { hosts, chain, key } = parse(certificate, { hosts: hostNames, chain: pem.chain, key: pem.key });
  const pair = readPair(`${key}\n${chain}`);
  if (pair === undefined) {
    throw new ClassmindError("Invalid", `Certificate and private key for ${hosts[0]} do not belong together`, {
      field: "chain",
      remedy: "Give one private key (RSA from 2048 bits, or EC) and its own certificate, both as PEM.",
    });
  }
  const uncovered = hosts.filter((host) => pair.leaf.checkHost(host, { subject: "never" }) === undefined);
  if (uncovered.length > 0) {
    throw new ClassmindError("Invalid", `The certificate does not cover ${uncovered.join(", ")}`, { field: "hosts" });
  }
  if (Buffer.byteLength(pair.pem) > PAYLOAD_LIMIT) {
    throw new ClassmindError("Invalid", "Key and certificates together are too large", {
      field: "chain",
      remedy: "Leave out the root and certificates that the chain does not need.",
    });
  }
  return { hosts, pair };
}

function parse<T>(schema: z.ZodType<T>, input: unknown): T {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const field = issue?.path.join(".") ?? "";
  throw new ClassmindError("Invalid", `${field === "" ? "The value" : field} ${issue?.message ?? "is invalid"}`, {
    field,
  });
}
