import { type Clock, systemClock } from "../clock.ts";
import { ClassmindError } from "../errors.ts";
import * as files from "./files.ts";
import type { Gateway, GatewayRepair } from "./gateway.ts";
import { type CheckedCertificate, type CheckedRoute, checkCertificate, checkRoute, checkSlug } from "./input.ts";
import { observeFiles, summarise } from "./observe.ts";
import { sha1Of } from "./pair.ts";
import { certificatePath, type GatewayPaths, gatewayPaths, PATHS_INSIDE } from "./paths.ts";
import { repairCertificates, repairRoutes } from "./repair.ts";
import { encodeRoute, type MappedRoute } from "./route.ts";
import * as runtime from "./runtime.ts";
import { changedBetween, followFiles, type Snapshot, snapshotOf } from "./watch.ts";

/**
 * The gateway on HAProxy. Each change goes to the files first, then to the running process through its runtime interface:
 * no reload, no dropped connection. Only if HAProxy disagrees with what it was told is it reloaded from the files.
 */
export function haproxyGateway(
  directories: { readonly configDir: string; readonly runDir: string },
  clock: Clock = systemClock,
): Gateway {
  const paths = gatewayPaths(directories);
  const inTurn = oneAtATime();
  /** Schools whose last change did not come to its end: not observed as applied until one does. */
  const unsettled = new Set<string>();
  /** What the files said when we had last written or looked; undefined while nobody watches. */
  let seen: Snapshot | undefined;

  /** What we ourselves changed of a school is no news. */
  async function noteOwn(slug: string): Promise<void> {
    if (seen === undefined) return;
    const now = (await snapshotOf(paths)).get(slug);
    const others = [...seen].filter(([other]) => other !== slug);
    seen = new Map(now === undefined ? others : [...others, [slug, now]]);
  }

  const change = (slug: string, work: (slug: string) => Promise<void>): Promise<void> =>
    inTurn(async () => {
      const checked = checkSlug(slug);
      const wasSettled = !unsettled.has(checked);
      unsettled.add(checked);
      try {
        await work(checked);
        // The files forget a host before the process does: what an earlier attempt left there shows only in comparison.
        if (!wasSettled) await orReload(paths, async () => repairRoutes(paths, await files.readRoutes(paths)));
        unsettled.delete(checked);
      } catch (error) {
        // Refused input has had no effect.
        if (wasSettled && error instanceof ClassmindError && error.code !== "Unavailable") unsettled.delete(checked);
        throw error;
      } finally {
        await noteOwn(checked);
      }
    });

  return {
    setRoute: (slug, hosts, destination) =>
      change(slug, (checked) => replaceRoutes(paths, checked, mappedRoutes(checked, checkRoute(hosts, destination)))),
    removeRoute: (slug) => change(slug, (checked) => replaceRoutes(paths, checked, new Map())),
    setCertificate: (slug, hosts, pem) =>
      change(slug, (checked) => setCertificate(paths, checked, checkCertificate(hosts, pem))),
    removeCertificate: (slug) => change(slug, (checked) => removeCertificate(paths, checked)),
    remove: (slug) =>
      change(slug, async (checked) => {
        await replaceRoutes(paths, checked, new Map());
        await removeCertificate(paths, checked);
      }),
    observe: (slug) => inTurn(async () => summarise(await observeFiles(paths, { slug: checkSlug(slug), unsettled }))),
    observeAll: () => inTurn(() => observeFiles(paths, { slug: undefined, unsettled })),
    list: () => inTurn(() => list(paths)),
    reconcileAll: () =>
      inTurn(async () => {
        const repair = await reconcileAll(paths);
        unsettled.clear();
        return repair;
      }),
    async watch(signal, onChange) {
      seen = await inTurn(() => snapshotOf(paths));
      const look = () =>
        inTurn(async () => {
          const now = await snapshotOf(paths);
          for (const slug of changedBetween(seen ?? now, now)) onChange(slug);
          seen = now;
        });
      await followFiles(paths, clock, signal, () => void look().catch(() => undefined));
      seen = undefined;
    },
  };
}

function mappedRoutes(slug: string, { hosts, destination }: CheckedRoute): files.Routes {
  return new Map(hosts.map((host) => [host, { slug, destination }]));
}

async function replaceRoutes(paths: GatewayPaths, slug: string, wanted: files.Routes): Promise<void> {
  const present = await files.readRoutes(paths);
  refuseTaken(wanted.keys(), slug, (host) => present.get(host)?.slug);
  const next = new Map([...present].filter(([host, route]) => route.slug !== slug || wanted.has(host)));
  for (const [host, route] of wanted) next.set(host, route);
  if (!sameRoutes(present, next)) await files.writeRoutes(paths, next);
  // Hosts in the file that go, and hosts to stay: each is compared with the running process, which costs no change.
  const stale = [...present].filter(([host, route]) => route.slug === slug && !wanted.has(host)).map(([host]) => host);
  await orReload(paths, async () => {
    for (const [host, route] of wanted) {
      await runtime.putMapEntry(paths.adminSocket, PATHS_INSIDE.routes, host, encodeRoute(route));
    }
    for (const host of stale) await runtime.deleteMapEntry(paths.adminSocket, PATHS_INSIDE.routes, host);
  });
}

async function setCertificate(paths: GatewayPaths, slug: string, { hosts, pair }: CheckedCertificate): Promise<void> {
  const list = await files.readCertificateHosts(paths);
  const owners = new Map([...list].flatMap(([owner, names]) => names.map((name) => [name, owner])));
  refuseTaken(hosts, slug, (host) => owners.get(host));

  const before = await files.readBundle(paths, slug);
  if (before !== pair.pem) await files.writeBundle(paths, slug, pair.pem);
  const path = certificatePath(PATHS_INSIDE, slug);
  const loaded = await runtime.loadedCertificate(paths.adminSocket, path).catch(async (error) => {
    // Not running: the next start serves it.
    await listHosts(paths, list, slug, hosts);
    throw error;
  });
  if (before !== pair.pem || loaded?.sha1 !== sha1Of(pair.leaf)) {
    try {
      await runtime.putCertificate(paths.adminSocket, path, pair.pem);
    } catch (error) {
      if (error instanceof runtime.RuntimeRefusal) throw await takeBack(paths, slug, before, error);
      throw error;
    }
  }
  await listHosts(paths, list, slug, hosts);
  await orReload(paths, () => repairCertificates(paths, new Map([[slug, hosts]]), (entry) => entry === path));
}

async function listHosts(
  paths: GatewayPaths,
  list: files.CertificateHosts,
  slug: string,
  hosts: readonly string[],
): Promise<void> {
  if (list.get(slug)?.join(" ") === hosts.join(" ")) return;
  await files.writeCertificateHosts(paths, new Map([...list, [slug, hosts]]));
}

/** HAProxy would not take the pair: the last good one stays in the file as it stays in memory. */
async function takeBack(
  paths: GatewayPaths,
  slug: string,
  before: string | undefined,
  cause: runtime.RuntimeRefusal,
): Promise<ClassmindError> {
  if (before === undefined) await files.removeBundle(paths, slug);
  else await files.writeBundle(paths, slug, before);
  return new ClassmindError("Invalid", `The gateway refused the certificate of ${slug}; the last good one stays`, {
    field: "chain",
    cause,
  });
}

async function removeCertificate(paths: GatewayPaths, slug: string): Promise<void> {
  const list = await files.readCertificateHosts(paths);
  if (list.delete(slug)) await files.writeCertificateHosts(paths, list);
  await files.removeBundle(paths, slug);
  const path = certificatePath(PATHS_INSIDE, slug);
  await orReload(paths, async () => {
    if ((await runtime.loadedCertificate(paths.adminSocket, path)) === undefined) return;
    await repairCertificates(paths, new Map(), (entry) => entry === path);
  });
}

async function list(paths: GatewayPaths): Promise<readonly string[]> {
  const routes = await files.readRoutes(paths);
  const certificates = await files.readCertificateHosts(paths);
  return [...new Set([...[...routes.values()].map(({ slug }) => slug), ...certificates.keys()])].sort();
}

async function reconcileAll(paths: GatewayPaths): Promise<GatewayRepair> {
  const mended = await files.mendFiles(paths);
  const repair = { routes: 0, certificates: 0, files: mended };
  await orReload(paths, async () => {
    // Ways first: a certificate that is refused must not keep them from being right.
    repair.routes += await repairRoutes(paths, await files.readRoutes(paths));
    repair.certificates += await repairCertificates(paths, await files.readCertificateHosts(paths), () => true);
  });
  return repair;
}

/** A refused command means that HAProxy is not what it was thought to be: it starts over from the files. */
async function orReload(paths: GatewayPaths, change: () => Promise<unknown>): Promise<void> {
  try {
    await change();
  } catch (error) {
    if (!(error instanceof runtime.RuntimeRefusal)) throw error;
    await runtime.reload(paths.masterSocket).catch((cause: unknown) => {
      throw new ClassmindError("Unavailable", "The gateway could neither take the change nor reload", { cause });
    });
  }
}

function refuseTaken(hosts: Iterable<string>, slug: string, ownerOf: (host: string) => string | undefined): void {
  for (const host of hosts) {
    const owner = ownerOf(host);
    if (owner === undefined || owner === slug) continue;
    throw new ClassmindError("Conflict", `${host} already belongs to another school`, { field: "hosts" });
  }
}

function sameRoutes(one: ReadonlyMap<string, MappedRoute>, other: ReadonlyMap<string, MappedRoute>): boolean {
  if (one.size !== other.size) return false;
  return [...one].every(([host, route]) => {
    const counterpart = other.get(host);
    return counterpart !== undefined && encodeRoute(route) === encodeRoute(counterpart);
  });
}

/** Runs what it is given one after the other, in the order given. */
function oneAtATime(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const next = last.then(work, work);
    last = next.catch(() => undefined);
    return next;
  };
}
