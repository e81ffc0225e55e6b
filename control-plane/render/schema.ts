// The models alone: the client beside them, which no model needs, takes every reconciler half a second to load and 40 MiB to keep.
import * as models from "@kubernetes/client-node/dist/gen/models/ObjectSerializer.js";
import { certificateSpecProblems } from "./certificate-schema.ts";

/**
 * Checks objects against the published Kubernetes types, read from the generated client's attribute maps
 * (the OpenAPI specification of the release the client was generated from). Unknown fields and wrong types are named by path.
 */

interface Attribute {
  readonly baseName: string;
  readonly type: string;
}

interface ModelClass {
  getAttributeTypeMap(): readonly Attribute[];
}

const CLASS_OF_KIND: Readonly<Record<string, string>> = {
  "v1/Namespace": "V1Namespace",
  "v1/ServiceAccount": "V1ServiceAccount",
  "v1/ResourceQuota": "V1ResourceQuota",
  "v1/LimitRange": "V1LimitRange",
  "v1/PersistentVolumeClaim": "V1PersistentVolumeClaim",
  "v1/Secret": "V1Secret",
  "v1/Service": "V1Service",
  "apps/v1/StatefulSet": "V1StatefulSet",
  "apps/v1/Deployment": "V1Deployment",
  "batch/v1/Job": "V1Job",
  "networking.k8s.io/v1/NetworkPolicy": "V1NetworkPolicy",
  "networking.k8s.io/v1/Ingress": "V1Ingress",
};

const SCALARS: Readonly<Record<string, (value: unknown) => boolean>> = {
  string: (value) => typeof value === "string",
  number: (value) => typeof value === "number",
  boolean: (value) => typeof value === "boolean",
  IntOrString: (value) => typeof value === "string" || Number.isInteger(value),
  Quantity: (value) => typeof value === "string",
  Date: (value) => typeof value === "string",
  any: () => true,
  object: (value) => typeof value === "object",
};

function modelOf(name: string): ModelClass | undefined {
  const candidate: unknown = Reflect.get(models, name);
  if (typeof candidate !== "function" || !("getAttributeTypeMap" in candidate)) return undefined;
  const attributes = candidate.getAttributeTypeMap;
  if (typeof attributes !== "function") return undefined;
  return { getAttributeTypeMap: () => attributes.call(candidate) as readonly Attribute[] };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function checkList(inner: string, value: unknown, path: string, problems: string[]): void {
  if (!Array.isArray(value)) {
    problems.push(`${path}: expected a list`);
    return;
  }
  for (const [index, item] of value.entries()) checkType(inner, item, `${path}[${index}]`, problems);
}

function checkMap(inner: string, value: unknown, path: string, problems: string[]): void {
  if (!isRecord(value)) {
    problems.push(`${path}: expected a mapping`);
    return;
  }
  for (const [key, item] of Object.entries(value)) checkType(inner, item, `${path}.${key}`, problems);
}

function checkModel(model: ModelClass, value: unknown, path: string, problems: string[]): void {
  if (!isRecord(value)) {
    problems.push(`${path}: expected a mapping`);
    return;
  }
  const attributes = new Map(model.getAttributeTypeMap().map((attribute) => [attribute.baseName, attribute.type]));
  for (const [key, item] of Object.entries(value)) {
    const type = attributes.get(key);
    if (type === undefined) problems.push(`${path}.${key}: no such field`);
    else checkType(type, item, `${path}.${key}`, problems);
  }
}

function checkType(type: string, value: unknown, path: string, problems: string[]): void {
  const list = /^Array<(.+)>$/.exec(type)?.[1];
  if (list !== undefined) {
    checkList(list, value, path, problems);
    return;
  }
  const map = /^\{ \[key: string\]: (.+); \}$/.exec(type)?.[1];
  if (map !== undefined) {
    checkMap(map, value, path, problems);
    return;
  }
  const scalar = SCALARS[type];
  if (scalar !== undefined) {
    if (!scalar(value)) problems.push(`${path}: expected ${type}`);
    return;
  }
  const model = modelOf(type);
  if (model === undefined) problems.push(`${path}: unknown type ${type}`);
  else checkModel(model, value, path, problems);
}

/** cert-manager's kind: what Kubernetes itself knows of it is the metadata. */
const CERTIFICATE = "cert-manager.io/v1/Certificate";

function certificateProblems(object: Readonly<Record<string, unknown>>): readonly string[] {
  const { apiVersion: _version, kind: _kind, metadata, spec, ...others } = object;
  const problems = Object.keys(others).map((key) => `Certificate.${key}: no such field`);
  checkType("V1ObjectMeta", metadata, "Certificate.metadata", problems);
  return [...problems, ...certificateSpecProblems(spec)];
}

/**
 * Lists every difference between an object and its published Kubernetes type, by path; empty when it conforms.
 * @param object parsed manifest
 * @param others classes of kinds by `apiVersion/kind` that a school has not
 */
export function schemaProblems(object: unknown, others: Readonly<Record<string, string>> = {}): readonly string[] {
  if (!isRecord(object)) return ["the document is not an object"];
  const kind = `${String(object.apiVersion)}/${String(object.kind)}`;
  if (kind === CERTIFICATE) return certificateProblems(object);
  const className = CLASS_OF_KIND[kind] ?? others[kind];
  const model = className === undefined ? undefined : modelOf(className);
  if (model === undefined) return [`${kind}: a school has no such object`];
  const problems: string[] = [];
  checkModel(model, object, String(object.kind), problems);
  return problems;
}
