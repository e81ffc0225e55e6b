import { type CertificateHosts, type Routes, readBundle } from "./files.ts";
import { readPair, sha1Of } from "./pair.ts";
import { certificatePath, type GatewayPaths, PATHS_INSIDE } from "./paths.ts";
import { encodeRoute } from "./route.ts";
import * as runtime from "./runtime.ts";

/** Makes the running HAProxy what the files say; changes only what differs and counts it. */

export async function repairRoutes(paths: GatewayPaths, wanted: Routes): Promise<number> {
  const map = PATHS_INSIDE.routes;
  const present = await runtime.mapEntries(paths.adminSocket, map);
  let changes = 0;
  for (const [host, route] of wanted) {
    if (present.get(host) === encodeRoute(route)) continue;
    changes += Number(await runtime.putMapEntry(paths.adminSocket, map, host, encodeRoute(route)));
  }
  for (const host of present.keys()) {
    if (!wanted.has(host)) changes += Number(await runtime.deleteMapEntry(paths.adminSocket, map, host));
  }
  return changes;
}

/**
 * The same for certificates, among those whose path is in `scope`. New list entries come before the old ones go, so that
 * no host is without a certificate in between.
 */
export async function repairCertificates(
  paths: GatewayPaths,
  wanted: CertificateHosts,
  scope: (path: string) => boolean,
): Promise<number> {
  const socket = paths.adminSocket;
  const list = PATHS_INSIDE.certificateList;
  const listed = (await runtime.listedCertificates(socket, list)).filter(({ path }) => scope(path));
  const kept = new Set<runtime.ListedCertificate>();
  let changes = 0;
  for (const [slug, hosts] of wanted) {
    const path = certificatePath(PATHS_INSIDE, slug);
    changes += Number(await repairCertificate(paths, slug));
    const same = listed.find((entry) => entry.path === path && entry.hosts.join(" ") === hosts.join(" "));
    if (same !== undefined) kept.add(same);
    else {
      await runtime.addListed(socket, list, path, hosts);
      changes += 1;
    }
  }
  for (const entry of listed) {
    if (kept.has(entry)) continue;
    await runtime.deleteListed(socket, list, entry);
    changes += 1;
  }
  const needed = new Set([...wanted.keys()].map((slug) => certificatePath(PATHS_INSIDE, slug)));
  for (const path of await runtime.loadedPaths(socket)) {
    if (!scope(path) || needed.has(path)) continue;
    await runtime.deleteCertificate(socket, path);
    changes += 1;
  }
  return changes;
}

async function repairCertificate(paths: GatewayPaths, slug: string): Promise<boolean> {
  const path = certificatePath(PATHS_INSIDE, slug);
  const pair = readPair((await readBundle(paths, slug)) ?? "");
  if (pair === undefined) return false;
  const loaded = await runtime.loadedCertificate(paths.adminSocket, path);
  if (loaded?.sha1 === sha1Of(pair.leaf)) return false;
  await runtime.putCertificate(paths.adminSocket, path, pair.pem);
  return true;
}
