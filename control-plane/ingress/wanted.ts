import { isIPv4 } from "node:net";
import { z } from "zod";
import { listAt, textAt } from "../engine/kubernetes/live.ts";
import type { Destination } from "../gateway/route.ts";
import { isHostName } from "../issuer/names.ts";

/**
 * What an Ingress of a school asks of the gateway. Pure. Nothing of what a cluster says is taken for granted: the gateway serves
 * Ingresses as charts/tenant has them, in the namespaces of schools, and refuses any other by name.
 */

/** Secrets that a school's certificate can lie in, as charts/tenant and the gateway's role name them. */
const PAIRS = ["tls", "tls-issued"] as const;
const NAMESPACE = /^school-([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)$/;
/** Name of the Ingress in charts/tenant. */
const NAME = "app";

const hostName = z.string().refine(isHostName, "must be a lower-case host name");

const ingress = z.object({
  metadata: z.object({
    name: z.literal(NAME),
    namespace: z.string().regex(NAMESPACE, "must be a school's namespace"),
    annotations: z
      .object({
        "classmind.de/certificate-serial": z.string().default(""),
        "classmind.de/state": z.enum(["open", "closed"]).default("open"),
      })
      .prefault({}),
  }),
  spec: z.object({
    tls: z
      .array(z.object({ hosts: z.array(hostName).min(1), secretName: z.enum(PAIRS) }))
      .length(1, "must name one certificate"),
    rules: z
      .array(
        z.object({
          host: hostName,
          http: z.object({
            paths: z
              .array(
                z.object({
                  path: z.literal("/"),
                  pathType: z.literal("Prefix"),
                  backend: z.object({
                    service: z.object({ name: z.string(), port: z.object({ number: z.int().min(1).max(65_535) }) }),
                  }),
                }),
              )
              .length(1, "must lead to one service"),
          }),
        }),
      )
      .min(1),
  }),
});

/** What the gateway is to do for a school. */
export interface Wanted {
  readonly slug: string;
  readonly namespace: string;
  readonly hosts: readonly string[];
  readonly service: { readonly name: string; readonly port: number };
  readonly closed: boolean;
  readonly secretName: string;
  /** Serial number that the certificate is to have, hexadecimal; empty where there is none yet. */
  readonly serial: string;
}

export type Reading =
  | { readonly wanted: Wanted }
  | { readonly refused: { readonly field: string; readonly why: string } };

/** Reads an Ingress. */
export function readIngress(object: unknown): Reading {
  const parsed = ingress.safeParse(object);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return { refused: { field: issue?.path.join(".") ?? "", why: issue?.message ?? "is not understood" } };
  }
  const { metadata, spec } = parsed.data;
  const [tls] = spec.tls;
  const [rule] = spec.rules;
  const [way] = rule?.http.paths ?? [];
  const hosts = spec.rules.map(({ host }) => host);
  if (tls === undefined || way === undefined) return { refused: { field: "spec", why: "leads nowhere" } };
  const slug = NAMESPACE.exec(metadata.namespace)?.[1] ?? "";
  // No namespace can ask for another school's names, whoever made it.
  if (hosts.some((host) => !host.startsWith(`${slug}.`)))
    return { refused: { field: "spec.rules", why: `must name hosts of the school alone: ${slug}.…` } };
  if (new Set(hosts).size < hosts.length)
    return { refused: { field: "spec.rules", why: "must not name a host twice" } };
  if ([...hosts].sort().join() !== [...tls.hosts].sort().join())
    return { refused: { field: "spec.tls.0.hosts", why: "must be the hosts of the rules" } };
  const { service } = way.backend;
  const astray = spec.rules.some(({ http }) =>
    http.paths.some(
      ({ backend }) => backend.service.name !== service.name || backend.service.port.number !== service.port.number,
    ),
  );
  if (astray) return { refused: { field: "spec.rules", why: "must all lead to one service" } };
  return {
    wanted: {
      slug,
      namespace: metadata.namespace,
      hosts,
      service: { name: service.name, port: service.port.number },
      closed: metadata.annotations["classmind.de/state"] === "closed",
      secretName: tls.secretName,
      serial: metadata.annotations["classmind.de/certificate-serial"],
    },
  };
}

/** Where a school's requests go; undefined while its Service is not there or has no IPv4 address. @param services of its namespace */
export function destinationOf(wanted: Wanted, services: readonly unknown[]): Destination | undefined {
  if (wanted.closed) return { state: "closed" };
  const found = services.find((service) => textAt(service, "metadata", "name") === wanted.service.name);
  const addresses = [textAt(found, "spec", "clusterIP"), ...listAt(found, "spec", "clusterIPs")];
  const address = addresses.find((each): each is string => typeof each === "string" && isIPv4(each));
  return address === undefined ? undefined : { state: "open", address, port: wanted.service.port };
}
