import { isIP } from "node:net";
import { z } from "zod";
import { ClassmindError } from "../errors.ts";
import { isHostName } from "../issuer/names.ts";
import type { SchoolCertificate, SchoolRoute } from "./gateway.ts";
import { fingerprintOf, type Pair, readPair } from "./pair.ts";
import { PAYLOAD_LIMIT } from "./runtime.ts";

/** Input of the gateway, checked before any effect: what passes is written into files and commands line by line. */

const slug = z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, "must be lower-case letters, digits and dashes");
const hosts = z
  .array(z.string().refine(isHostName, "must be a lower-case host name"))
  .min(1, "must name at least one host")
  .refine((names) => new Set(names).size === names.length, "must not name a host twice");

const route = z.object({
  slug,
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

const certificate = z.object({
  slug,
  hosts,
  certificatePem: z.string(),
  chainPem: z.string(),
  privateKeyPem: z.string(),
});

/** @throws ClassmindError `Invalid` */
export function checkSlug(input: string): string {
  return parse(slug, input);
}

/** @throws ClassmindError `Invalid` */
export function checkRoute(input: SchoolRoute): SchoolRoute {
  return parse(route, input);
}

export interface CheckedCertificate {
  readonly slug: string;
  readonly hosts: readonly string[];
  readonly pair: Pair;
  readonly fingerprint: string;
}

/**
 * Key and certificate belong together and cover every host.
 * @throws ClassmindError `Invalid`; never quotes the key.
 */
export function checkCertificate(input: SchoolCertificate): CheckedCertificate {
  const { slug, hosts, certificatePem, chainPem, privateKeyPem } = parse(certificate, input);
  const pair = readPair([privateKeyPem, certificatePem, chainPem].join("\n"));
  if (pair === undefined) {
    throw new ClassmindError("Invalid", `Certificate and private key for ${hosts[0]} do not belong together`, {
      field: "certificatePem",
      remedy: "Give one private key (RSA from 2048 bits, or EC) and its own certificate, both as PEM.",
    });
  }
  const uncovered = hosts.filter((host) => pair.leaf.checkHost(host, { subject: "never" }) === undefined);
  if (uncovered.length > 0) {
    throw new ClassmindError("Invalid", `The certificate does not cover ${uncovered.join(", ")}`, { field: "hosts" });
  }
  if (Buffer.byteLength(pair.pem) > PAYLOAD_LIMIT) {
    throw new ClassmindError("Invalid", "Key and certificates together are too large", {
      field: "chainPem",
      remedy: "Leave out the root and certificates that the chain does not need.",
    });
  }
  return { slug, hosts, pair, fingerprint: fingerprintOf(pair.leaf) };
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
