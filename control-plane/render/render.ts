import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { parseAllDocuments } from "yaml";
import { z } from "zod";
import type { Manifest } from "../engine/engine.ts";
import { schemaProblems } from "./schema.ts";
import { compileTemplate, type Template } from "./template.ts";
import { type JobValues, type TenantValues, templateContext } from "./values.ts";

/** The order in which a namespace comes to be: what others refer to comes first. */
const KIND_ORDER: readonly string[] = [
  "Namespace",
  "ServiceAccount",
  "ResourceQuota",
  "LimitRange",
  "NetworkPolicy",
  "Secret",
  "Certificate",
  "PersistentVolumeClaim",
  "Service",
  "StatefulSet",
  "Deployment",
  "Ingress",
];

/** RFC 1123 label: the form of every object name in the chart. */
const objectName = z.string().regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/);

const shape = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: objectName, namespace: objectName.optional() }),
});

export type JobTemplate = "admin" | "backup" | "probe" | "restore" | "retention";

/** The one object of which there may be several: a volume that is being filled is made like the one that it is to replace. */
const VOLUME = "persistentvolumeclaim-data.yaml.hbs";

export interface Chart {
  /** All objects of a school, in the order of KIND_ORDER. Throws when anything is unknown, malformed or misplaced. */
  renderTenant(values: TenantValues): readonly Manifest[];
  /** A one-off Job in the school's namespace. */
  renderJob(template: JobTemplate, values: TenantValues, job: JobValues): Manifest;
}

function parseManifest(name: string, text: string, namespace: string): Manifest | undefined {
  const documents = parseAllDocuments(text, { strict: true, uniqueKeys: true, merge: false });
  if (documents.length === 0) return undefined;
  const [document, ...rest] = documents;
  if (document === undefined || rest.length > 0)
    throw new Error(`${name}: one object a file, found ${documents.length}`);
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem !== undefined) throw new Error(`${name}: ${problem.message}`);
  const value: unknown = document.toJS();
  if (value === null) return undefined;
  const problems = schemaProblems(value);
  if (problems.length > 0) throw new Error(`${name}: ${problems.join("; ")}`);
  const manifest = shape.parse(value);
  const home = manifest.kind === "Namespace" ? manifest.metadata.name : manifest.metadata.namespace;
  if (home !== namespace) throw new Error(`${name}: belongs to ${String(home)}, not to ${namespace}`);
  return manifest as Manifest;
}

/** Texts whose manifests are remembered: an attempt renders the same school several times, and reading YAML is most of it. */
const REMEMBERED = 512;

/** Remembers what texts were parsed to. Of secrets nothing is kept. */
function rememberingParser(): typeof parseManifest {
  const known = new Map<string, Manifest>();
  return (name, text, namespace) => {
    const key = createHash("sha256").update(`${name}\0${namespace}\0${text}`).digest("base64");
    const manifest = known.get(key) ?? frozen(parseManifest(name, text, namespace));
    if (manifest === undefined || manifest.kind === "Secret") return manifest;
    // Used last, forgotten last.
    known.delete(key);
    known.set(key, manifest);
    const [oldest] = known.keys();
    if (known.size > REMEMBERED && oldest !== undefined) known.delete(oldest);
    return manifest;
  };
}

/** What is handed out more than once must not be changed by anybody. */
function frozen<T>(value: T): T {
  if (typeof value === "object" && value !== null) for (const inner of Object.values(value)) frozen(inner);
  return Object.freeze(value);
}

function loadTemplates(directory: string): ReadonlyMap<string, Template> {
  const files = readdirSync(directory).filter((file) => file.endsWith(".yaml.hbs"));
  return new Map(
    files.sort().map((file) => [file, compileTemplate(file, readFileSync(path.join(directory, file), "utf8"))]),
  );
}

function kindRank(kind: string): number {
  const rank = KIND_ORDER.indexOf(kind);
  if (rank < 0) throw new Error(`${kind}: a school has no such object`);
  return rank;
}

/**
 * Loads charts/tenant from a directory and compiles it.
 * @param directory path of `charts/tenant`
 */
export function loadChart(directory: string): Chart {
  const objects = loadTemplates(directory);
  const jobs = loadTemplates(path.join(directory, "jobs"));
  const parse = rememberingParser();
  return {
    renderTenant(values) {
      const context = templateContext(values);
      const render = (name: string, template: Template, of = context): readonly Manifest[] => {
        const manifest = parse(name, template(of), values.namespace);
        return manifest === undefined ? [] : [manifest];
      };
      const more = values.storage.more.flatMap((claim) => {
        const template = objects.get(VOLUME);
        if (template === undefined) throw new Error(`the chart has no ${VOLUME}`);
        return render(VOLUME, template, templateContext({ ...values, storage: { ...values.storage, claim } }));
      });
      const manifests = [...[...objects].flatMap(([name, template]) => render(name, template)), ...more];
      return manifests.sort(
        (a, b) => kindRank(a.kind) - kindRank(b.kind) || (a.metadata.name < b.metadata.name ? -1 : 1),
      );
    },
    renderJob(templateName, values, job) {
      const template = jobs.get(`${templateName}.yaml.hbs`);
      if (template === undefined) throw new Error(`no job template ${templateName}`);
      const manifest = parseManifest(templateName, template(templateContext(values, job)), values.namespace);
      if (manifest === undefined) throw new Error(`${templateName}: empty`);
      return manifest;
    },
  };
}
