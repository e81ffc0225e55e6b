import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { readPair } from "./pair.ts";
import { certificatePath, type GatewayPaths, PATHS_INSIDE } from "./paths.ts";
import { decodeRoute, encodeRoute, type MappedRoute } from "./route.ts";

/**
 * What the gateway serves, on disk: HAProxy reads these files when it starts. Every write is whole or absent (a new file
 * renamed over the old). HAProxy refuses to start over a list that names a missing certificate, so a certificate is written
 * before the list names it and removed after.
 */

/** Host names served with the certificate of each school. */
export type CertificateHosts = ReadonlyMap<string, readonly string[]>;

/** Host name to route. */
export type Routes = ReadonlyMap<string, MappedRoute>;

export async function readRoutes(paths: GatewayPaths): Promise<Map<string, MappedRoute>> {
  const routes = new Map<string, MappedRoute>();
  for (const line of await linesOf(paths.routes)) {
    const [host = "", value = ""] = line.split(" ");
    const route = decodeRoute(value);
    if (route !== undefined) routes.set(host, route);
  }
  return routes;
}

export function writeRoutes(paths: GatewayPaths, routes: Routes): Promise<void> {
  return writeWhole(paths.routes, [...routes].map(([host, route]) => `${host} ${encodeRoute(route)}\n`).join(""));
}

export async function readCertificateHosts(paths: GatewayPaths): Promise<Map<string, readonly string[]>> {
  const list = new Map<string, readonly string[]>();
  for (const line of await linesOf(paths.certificateList)) {
    const [path = "", ...hosts] = line.split(" ");
    list.set(basename(path, ".pem"), hosts);
  }
  return list;
}

export function writeCertificateHosts(paths: GatewayPaths, list: CertificateHosts): Promise<void> {
  const lines = [...list].map(([slug, hosts]) => `${[certificatePath(PATHS_INSIDE, slug), ...hosts].join(" ")}\n`);
  return writeWhole(paths.certificateList, lines.join(""));
}

/** Key, leaf and chain of a school as stored, undefined when there is none. */
export async function readBundle(paths: GatewayPaths, slug: string): Promise<string | undefined> {
  return await readIfPresent(certificatePath(paths, slug));
}

export function writeBundle(paths: GatewayPaths, slug: string, pem: string): Promise<void> {
  return writeWhole(certificatePath(paths, slug), pem);
}

export function removeBundle(paths: GatewayPaths, slug: string): Promise<void> {
  return rm(certificatePath(paths, slug), { force: true });
}

/** One school with all that the gateway has of it. */
export interface WholeSchool {
  readonly slug: string;
  /** Checked host names. */
  readonly hosts: readonly string[];
  readonly route: MappedRoute;
  /** Key and certificates as `readPair` gives them; undefined: as the files have it. */
  readonly pem: string | undefined;
}

/**
 * Makes the files say these schools and no others, in one go whatever their number. What runs is told by `reconcileAll`.
 * Of a host that several ask for, the first has it.
 */
export async function writeSchools(paths: GatewayPaths, schools: readonly WholeSchool[]): Promise<void> {
  await mendFiles(paths);
  const listBefore = await readCertificateHosts(paths);
  const routes = new Map<string, MappedRoute>();
  const list = new Map<string, readonly string[]>();
  for (const { slug, hosts, route, pem } of schools) {
    const own = hosts.filter((host) => !routes.has(host));
    for (const host of own) routes.set(host, route);
    if (own.length === 0 || (pem === undefined && !listBefore.has(slug))) continue;
    if (pem !== undefined && (await readBundle(paths, slug)) !== pem) await writeBundle(paths, slug, pem);
    list.set(slug, own);
  }
  await writeCertificateHosts(paths, list);
  await writeRoutes(paths, routes);
  await removeLeftovers(paths.certificates, (name) => !list.has(basename(name, ".pem")));
}

/**
 * Makes the files such that HAProxy can start with them: directories and lists exist, the list names only pairs that can be
 * read and belong together, and nothing else lies about. Yields the number of things mended.
 */
export async function mendFiles(paths: GatewayPaths): Promise<number> {
  await mkdir(paths.certificates, { recursive: true, mode: 0o700 });
  await chmod(dirname(paths.routes), 0o700);
  await chmod(paths.certificates, 0o700);
  let mended = await removeLeftovers(dirname(paths.routes), (name) => name.startsWith(".new-"));
  const list = await readCertificateHosts(paths);
  const whole = new Map<string, readonly string[]>();
  for (const [slug, hosts] of list) {
    const bundle = await readBundle(paths, slug);
    if (bundle !== undefined && hosts.length > 0 && readPair(bundle) !== undefined) whole.set(slug, hosts);
  }
  mended += list.size - whole.size;
  if (whole.size !== list.size || (await readIfPresent(paths.certificateList)) === undefined) {
    await writeCertificateHosts(paths, whole);
  }
  if ((await readIfPresent(paths.routes)) === undefined) await writeRoutes(paths, new Map());
  mended += await removeLeftovers(paths.certificates, (name) => !whole.has(basename(name, ".pem")));
  return mended;
}

async function removeLeftovers(directory: string, isLeftover: (name: string) => boolean): Promise<number> {
  const leftovers = (await readdir(directory)).filter(isLeftover);
  for (const name of leftovers) await rm(join(directory, name), { force: true });
  return leftovers.length;
}

/** Replaces a file, readable by its owner only. */
async function writeWhole(path: string, text: string): Promise<void> {
  const draft = join(dirname(path), `.new-${basename(path)}`);
  await writeFile(draft, text, { mode: 0o600 });
  await chmod(draft, 0o600);
  await rename(draft, path);
}

async function linesOf(path: string): Promise<string[]> {
  const text = await readIfPresent(path);
  return (text ?? "").split("\n").filter((line) => line !== "");
}

async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}
