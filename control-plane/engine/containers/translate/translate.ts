import type { z } from "zod";
import { EngineError, type Manifest } from "../../engine.ts";
import { type PodModel, podOf } from "./pod.ts";
import { type Kind, LABEL_NAME, SHAPES, type ShapeOf } from "./shapes.ts";

/** A manifest that this engine can honour, typed by its kind. */
export type Accepted = { readonly [K in Kind]: ShapeOf<K> }[Kind];

/** A Deployment or StatefulSet in the terms of containers. */
export interface WorkloadModel {
  readonly kind: "Deployment" | "StatefulSet";
  readonly name: string;
  readonly replicas: 0 | 1;
  readonly pod: PodModel;
}

/** A one-off pod in the terms of containers. */
export interface JobModel {
  readonly name: string;
  readonly activeDeadlineSeconds: number;
  readonly pod: PodModel;
  /** Namespace whose claim REPOSITORY the job mounts instead of its own. */
  readonly repositoryOf: string | undefined;
}

/** Name of the claim that holds a school's backups. */
export const REPOSITORY = "repository";
/** Annotation of a Job that restores from another namespace's backups: names it. */
const REPOSITORY_OF = "classmind.de/repository-of";

function isKind(kind: string): kind is Kind {
  return Object.hasOwn(SHAPES, kind);
}

function pathOf(path: readonly PropertyKey[]): string {
  let text = "";
  for (const part of path) text += typeof part === "number" ? `[${part}]` : `${text === "" ? "" : "."}${String(part)}`;
  return text;
}

/** One line for each thing that is wrong; unions are unfolded into the branch that came closest. */
function describe(issue: z.core.$ZodIssue, prefix: readonly PropertyKey[] = []): readonly string[] {
  const path = [...prefix, ...issue.path];
  if (issue.code === "unrecognized_keys") return issue.keys.map((key) => `${pathOf([...path, key])}: not supported`);
  if (issue.code === "invalid_union") {
    const [closest] = [...issue.errors].sort((a, b) => a.length - b.length);
    if (closest !== undefined && closest.length > 0) return closest.flatMap((inner) => describe(inner, path));
  }
  if (issue.code === "invalid_value") {
    return [`${pathOf(path)}: must be ${issue.values.map((value) => JSON.stringify(value)).join(" or ")}`];
  }
  return [`${pathOf(path)}: ${issue.message}`];
}

/**
 * Checks one manifest against the engine's subset.
 * @throws EngineError "ManifestRefused" naming kind, name and every offending field by path; never retryable.
 */
export function accept(namespace: string, manifest: Manifest): Accepted {
  const title = `${manifest.kind}/${manifest.metadata.name}`;
  if (!isKind(manifest.kind)) {
    throw refuse(`${title}: kind ${manifest.apiVersion} ${manifest.kind} is not supported by the containers engine`);
  }
  const result = SHAPES[manifest.kind].safeParse(manifest);
  if (!result.success) {
    throw refuse(`${title}: ${result.error.issues.flatMap((issue) => describe(issue)).join("; ")}`);
  }
  const accepted: Accepted = result.data;
  const own = accepted.kind === "Namespace" ? accepted.metadata.name : accepted.metadata.namespace;
  if (own !== namespace) throw refuse(`${title}: metadata.namespace: is ${own ?? "missing"}, not ${namespace}`);
  if (accepted.kind === "Deployment" || accepted.kind === "StatefulSet") workloadOf(accepted);
  return accepted;
}

/** The containers of a workload. @throws EngineError "ManifestRefused" when its parts do not fit together. */
export function workloadOf(accepted: ShapeOf<"Deployment"> | ShapeOf<"StatefulSet">): WorkloadModel {
  const { name } = accepted.metadata;
  const { template, selector, replicas } = accepted.spec;
  const labels = template.metadata.labels;
  for (const [key, value] of Object.entries(selector.matchLabels)) {
    if (labels[key] !== value) throw refuse(`${accepted.kind}/${name}: spec.selector does not match the pod's labels`);
  }
  return {
    kind: accepted.kind,
    name,
    replicas,
    pod: podOf(`${accepted.kind}/${name}`, labels, template.spec, template.spec.initContainers ?? []),
  };
}

/** The container of a job. @throws EngineError "ManifestRefused" for anything the engine cannot honour. */
export function jobOf(namespace: string, manifest: Manifest): JobModel {
  const accepted = accept(namespace, manifest);
  if (accepted.kind !== "Job") throw refuse(`${manifest.kind}/${manifest.metadata.name}: is not a Job`);
  const { template, activeDeadlineSeconds } = accepted.spec;
  const { name, annotations } = accepted.metadata;
  const pod = podOf(`Job/${name}`, template.metadata.labels, template.spec, []);
  const repositoryOf = annotations?.[REPOSITORY_OF];
  if (repositoryOf !== undefined) checkForeignRepository(name, pod, repositoryOf);
  return { name, activeDeadlineSeconds, pod, repositoryOf };
}

/** Another school's backups are lent for reading only. */
function checkForeignRepository(job: string, pod: PodModel, namespace: string): void {
  const title = `Job/${job}: metadata.annotations.${REPOSITORY_OF}`;
  if (!LABEL_NAME.safeParse(namespace).success) throw refuse(`${title}: is not the name of a namespace`);
  const mounts = pod.main.mounts.filter((mount) => mount.kind === "claim" && mount.claim === REPOSITORY);
  if (mounts.length === 0) throw refuse(`${title}: the job mounts no claim ${REPOSITORY}`);
  if (mounts.some((mount) => !mount.readOnly))
    throw refuse(`${title}: the claim ${REPOSITORY} must be mounted read-only`);
}

export function refuse(message: string): EngineError {
  return new EngineError("ManifestRefused", message, { retryable: false });
}
