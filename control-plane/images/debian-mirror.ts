import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/** An apt source of the host that carries Debian itself. */
interface HostSource {
  readonly uri: string;
  readonly suites: readonly string[];
  readonly components: readonly string[];
}

/**
 * Apt source lines for another Debian suite, from the mirrors that this host is configured for: whoever chose those (an
 * internal mirror, a proxy) chose them for everything.
 * @param suite e.g. "trixie"
 * @param etc where the host's apt configuration lies
 * @throws Error when the host has no Debian mirror configured.
 */
export async function mirrorLines(suite: string, etc = "/etc"): Promise<readonly string[]> {
  const release = await readFile(join(etc, "os-release"), "utf8");
  const codename = /^VERSION_CODENAME="?([a-z]+)"?$/m.exec(release)?.[1];
  if (!codename) throw new Error("this host does not say which Debian it is (VERSION_CODENAME in os-release)");
  const sources = await readSources(join(etc, "apt"));
  const lines: string[] = [];
  for (const suffix of ["", "-updates", "-security"]) {
    const found = sources.find(
      (source) => source.suites.includes(`${codename}${suffix}`) && source.components.includes("main"),
    );
    if (found) lines.push(`deb ${found.uri} ${suite}${suffix} main`);
  }
  if (lines.length === 0) throw new Error(`no mirror of Debian ${codename} is configured in ${join(etc, "apt")}`);
  return lines;
}

async function readSources(apt: string): Promise<readonly HostSource[]> {
  const files = [join(apt, "sources.list")];
  const parts = join(apt, "sources.list.d");
  for (const name of (await readdir(parts).catch(() => [])).sort()) {
    if (/\.(list|sources)$/.test(name)) files.push(join(parts, name));
  }
  const sources: HostSource[] = [];
  for (const file of files) {
    const text = await readFile(file, "utf8").catch(() => "");
    sources.push(...(file.endsWith(".sources") ? parseDeb822(text) : parseOneLine(text)));
  }
  return sources;
}

/** `deb [options] uri suite component…`, see sources.list(5). */
export function parseOneLine(text: string): readonly HostSource[] {
  const sources: HostSource[] = [];
  for (const line of text.split("\n")) {
    const match = /^\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+([^#]+)/.exec(line);
    if (match?.[1] && match[2] && match[3]) {
      sources.push({ uri: match[1], suites: [match[2]], components: match[3].trim().split(/\s+/) });
    }
  }
  return sources;
}

/** Paragraphs of `Field: value`, see sources.list(5), deb822. */
export function parseDeb822(text: string): readonly HostSource[] {
  const sources: HostSource[] = [];
  for (const paragraph of text.split(/\n\s*\n/)) {
    const fields = new Map<string, string>();
    for (const line of paragraph.split("\n")) {
      const match = /^([A-Za-z-]+):\s*(.*)$/.exec(line);
      if (match?.[1] !== undefined && match[2] !== undefined) fields.set(match[1].toLowerCase(), match[2].trim());
    }
    const words = (field: string) => (fields.get(field) ?? "").split(/\s+/).filter((word) => word !== "");
    if (fields.get("enabled") === "no" || !words("types").includes("deb")) continue;
    for (const uri of words("uris")) sources.push({ uri, suites: words("suites"), components: words("components") });
  }
  return sources;
}
