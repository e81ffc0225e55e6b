import { ClassmindError } from "../errors.ts";
import { readBundle, readCertificateHosts, readRoutes } from "./files.ts";
import type { CertificateObservation, GatewayObservation, RouteObservation, SchoolObservation } from "./gateway.ts";
import { fingerprintOf, readPair, sha1Of } from "./pair.ts";
import { certificatePath, type GatewayPaths, PATHS_INSIDE } from "./paths.ts";
import { encodeRoute, type MappedRoute } from "./route.ts";
import * as runtime from "./runtime.ts";

export interface Scope {
  /** One school; undefined for all. */
  readonly slug: string | undefined;
  /** Schools whose last change did not come to its end: whatever is found of them, it is not all applied. */
  readonly unsettled: ReadonlySet<string>;
}

/** Reads files and running process side by side. Of a certificate's hosts it sees whether any is served. */
export async function observeFiles(paths: GatewayPaths, scope: Scope): Promise<GatewayObservation> {
  const { slug, unsettled } = scope;
  const running = await answers(paths.adminSocket);
  const routes: RouteObservation[] = [];
  for (const [host, route] of await readRoutes(paths)) {
    if (slug !== undefined && route.slug !== slug) continue;
    const applied = running && !unsettled.has(route.slug) && (await isRouted(paths, host, route));
    routes.push({ ...route, host, applied });
  }
  const list = await readCertificateHosts(paths);
  const certificates: CertificateObservation[] = [];
  for (const name of slug === undefined ? list.keys() : [slug]) {
    const hosts = list.get(name);
    if (hosts === undefined) continue;
    const observed = await observeCertificate(paths, name, hosts, running && !unsettled.has(name));
    if (observed !== undefined) certificates.push(observed);
  }
  return { running, routes, certificates };
}

/** What was observed of one school, in short. */
export function summarise({ routes, certificates }: GatewayObservation): SchoolObservation {
  const [certificate] = certificates.filter(({ applied }) => applied);
  const whole = routes.length > 0 && routes.every(({ applied }) => applied);
  return {
    route: whole ? routes[0]?.destination : undefined,
    certificateFingerprint: certificate?.fingerprint,
    hosts: routes.map(({ host }) => host),
    certificateHosts: certificate?.hosts ?? [],
  };
}

async function isRouted(paths: GatewayPaths, host: string, route: MappedRoute): Promise<boolean> {
  return (await runtime.mapEntry(paths.adminSocket, PATHS_INSIDE.routes, host)) === encodeRoute(route);
}

async function observeCertificate(
  paths: GatewayPaths,
  slug: string,
  hosts: readonly string[],
  ask: boolean,
): Promise<CertificateObservation | undefined> {
  const pair = readPair((await readBundle(paths, slug)) ?? "");
  if (pair === undefined) return undefined;
  const path = certificatePath(PATHS_INSIDE, slug);
  const loaded = ask ? await runtime.loadedCertificate(paths.adminSocket, path) : undefined;
  return {
    slug,
    hosts,
    fingerprint: fingerprintOf(pair.leaf),
    serial: pair.leaf.serialNumber,
    notAfter: pair.leaf.validToDate,
    applied: loaded?.used === true && loaded.sha1 === sha1Of(pair.leaf),
  };
}

async function answers(adminSocket: string): Promise<boolean> {
  try {
    return (await runtime.runCommand(adminSocket, "show info")).includes("HAProxy");
  } catch (error) {
    if (error instanceof ClassmindError && error.code === "Unavailable") return false;
    throw error;
  }
}
