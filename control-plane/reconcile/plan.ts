import type { ManifestHash, ObjectRef, Observation } from "../engine/engine.ts";
import type { Operation } from "../store/operations.ts";
import type { GatewayObservation, GatewayRoute } from "./dependencies.ts";

/**
 * The planner: pure. From what is wanted and what was seen it makes every choice; executing a plan chooses nothing.
 * A converged school yields no steps.
 */

export type Step = { readonly id: string; readonly after: readonly string[] } & (
  | { readonly kind: "issue-certificate" }
  | { readonly kind: "apply"; readonly objects: readonly ObjectRef[] }
  | { readonly kind: "remove"; readonly objects: readonly ObjectRef[] }
  | { readonly kind: "await-ready"; readonly workload: ObjectRef }
  | { readonly kind: "create-administrator" }
  | { readonly kind: "publish-certificate" }
  | { readonly kind: "open-route" }
  | { readonly kind: "close-route" }
  | { readonly kind: "operate"; readonly operation: Operation }
  | { readonly kind: "forget-backups" }
  | { readonly kind: "withdraw-route" }
  | { readonly kind: "remove-namespace" }
  | { readonly kind: "stop-elsewhere"; readonly engine: string }
  | { readonly kind: "remove-elsewhere"; readonly engine: string }
  | { readonly kind: "destroy-keys" }
);

export type DesiredObject = ObjectRef & { readonly hash: ManifestHash };

export interface PlanInput {
  readonly goal: "run" | "stop" | "purge";
  readonly desired: readonly DesiredObject[];
  readonly observed: Observation;
  readonly initialised: boolean;
  /** Other engines that hold something of the school; a purge removes that too. */
  readonly elsewhere: readonly string[];
  /** An engine that the school has left and on which its copy is not at rest yet. */
  readonly runsElsewhere: string | undefined;
  /** The restore that was to furnish this school failed: it gets no first administrator. */
  readonly restoreFailed: boolean;
  /** Some of its old backups are to be forgotten without a new one. */
  readonly backupsExpired: boolean;
  readonly certificate: "keep" | "issue";
  /** Undefined when the engine brings its own ingress. */
  readonly gateway: (GatewayObservation & { readonly wantedFingerprint: string | undefined }) | undefined;
  readonly operations: readonly Operation[];
}

export const DB: ObjectRef = { kind: "StatefulSet", name: "db" };
export const APP: ObjectRef = { kind: "Deployment", name: "app" };
export const TLS: ObjectRef = { kind: "Secret", name: "tls" };

function same(a: ObjectRef, b: ObjectRef): boolean {
  return a.kind === b.kind && a.name === b.name;
}

function refOf(object: ObjectRef): ObjectRef {
  return { kind: object.kind, name: object.name };
}

/** Objects that are not as desired, and objects that should not be. */
function difference(input: PlanInput): { readonly apply: readonly ObjectRef[]; readonly remove: readonly ObjectRef[] } {
  const { desired, observed } = input;
  const apply = desired.filter(
    (object) => !observed.objects.some((present) => same(present, object) && present.hash === object.hash),
  );
  // A removal that was cut off leaves a remnant, a key's file perhaps.
  const present = [...observed.objects, ...(observed.remnants ?? [])];
  // What holds data goes with the whole school alone: a change of configuration must not cost anybody their backups.
  const remove = present.filter(
    (object) => object.kind !== "PersistentVolumeClaim" && !desired.some((wanted) => same(object, wanted)),
  );
  return { apply: apply.map(refOf), remove: remove.map(refOf) };
}

function isReady(observed: Observation, workload: ObjectRef): boolean {
  return observed.workloads.some((candidate) => same(candidate.ref, workload) && candidate.state === "Ready");
}

function sameRoute(a: GatewayRoute | undefined, b: GatewayRoute): boolean {
  if (a === undefined || a.state !== b.state) return false;
  return a.state === "closed" || (b.state === "open" && a.address === b.address && a.port === b.port);
}

/** Where the app answers now, if it does. */
export function appEndpoint(observed: Observation): GatewayRoute | undefined {
  const endpoint = observed.endpoints.find((candidate) => candidate.service === "app");
  return endpoint === undefined ? undefined : { state: "open", address: endpoint.address, port: endpoint.port };
}

function routeStep(input: PlanInput, changing: boolean, after: readonly string[]): Step[] {
  const { gateway } = input;
  if (gateway === undefined) return [];
  const endpoint = appEndpoint(input.observed);
  if (!changing && endpoint !== undefined && sameRoute(gateway.route, endpoint)) return [];
  return [{ id: "open-route", kind: "open-route", after }];
}

/** Brings a new or changed certificate to the namespace and to the gateway. */
function certificateSteps(input: PlanInput, late: readonly ObjectRef[], applied: readonly string[]): Step[] {
  const issued = input.certificate === "issue";
  const after = issued ? ["issue-certificate"] : [];
  const steps: Step[] = [];
  const objects = issued && !late.some((object) => same(object, TLS)) ? [TLS, ...late] : late;
  if (objects.length > 0) steps.push({ id: "apply-tls", kind: "apply", objects, after: [...applied, ...after] });
  const { gateway } = input;
  if (gateway !== undefined && (issued || gateway.certificateFingerprint !== gateway.wantedFingerprint)) {
    steps.push({ id: "publish-certificate", kind: "publish-certificate", after });
  }
  return steps;
}

/** After everything else, for that may take away what this step brings along. */
function retentionStep(input: PlanInput, others: readonly Step[]): Step[] {
  const after = others.map((step) => step.id);
  return input.backupsExpired ? [{ id: "forget-backups", kind: "forget-backups", after }] : [];
}

/** The copy that a move left behind. After everything else: its engine may not answer for long. */
function leftStep({ runsElsewhere: engine }: PlanInput, others: readonly Step[]): Step[] {
  const after = others.map((step) => step.id);
  return engine === undefined ? [] : [{ id: `stop-on-${engine}`, kind: "stop-elsewhere", engine, after }];
}

function planRun(input: PlanInput): readonly Step[] {
  const { apply, remove } = difference(input);
  const steps: Step[] = [];
  if (input.certificate === "issue") steps.push({ id: "issue-certificate", kind: "issue-certificate", after: [] });
  // The TLS secret is known only once the certificate is, and an Ingress never names one that is not there yet; everything else
  // need not wait for it.
  const tlsChanges = input.certificate === "issue" || apply.some((object) => same(object, TLS));
  const late = tlsChanges ? apply.filter((object) => same(object, TLS) || object.kind === "Ingress") : [];
  const early = apply.filter((object) => !late.includes(object));
  const restoring = input.restoreFailed || input.operations.some((operation) => operation.kind === "restore");
  if (early.length > 0) steps.push({ id: "apply", kind: "apply", objects: early, after: [] });
  const workloadsChange = early.some((object) => same(object, APP) || same(object, DB));
  const applied = early.length > 0 ? ["apply"] : [];
  if (workloadsChange || !isReady(input.observed, DB))
    steps.push({ id: "await-db", kind: "await-ready", workload: DB, after: applied });
  const starting = workloadsChange || !isReady(input.observed, APP);
  if (starting) steps.push({ id: "await-app", kind: "await-ready", workload: APP, after: applied });
  const awaited = starting ? ["await-app"] : [];
  // Beside the app's start: the command itself waits until the migrations are done.
  if (!input.initialised && !restoring)
    steps.push({ id: "create-administrator", kind: "create-administrator", after: applied });
  steps.push(...certificateSteps(input, late, applied));
  // What led to something else before does so no more.
  const switched = steps.filter(({ kind }) => kind === "apply").map(({ id }) => id);
  if (remove.length > 0) steps.push({ id: "remove", kind: "remove", objects: remove, after: switched });
  steps.push(...routeStep(input, starting, awaited));
  steps.push(...operationSteps(input, steps));
  // Last: when it cannot be done, everything else is.
  steps.push(...retentionStep(input, steps));
  steps.push(...leftStep(input, steps));
  return steps;
}

/** One after the other, when everything else is done. */
function operationSteps(input: PlanInput, others: readonly Step[]): readonly Step[] {
  let previous = others.map((step) => step.id);
  return input.operations.map((operation): Step => {
    const step: Step = { id: `operate-${operation.id}`, kind: "operate", operation, after: previous };
    previous = [step.id];
    return step;
  });
}

function planStop(input: PlanInput): readonly Step[] {
  const { apply, remove } = difference(input);
  const steps: Step[] = [];
  const { gateway } = input;
  if (gateway !== undefined && !sameRoute(gateway.route, { state: "closed" }))
    steps.push({ id: "close-route", kind: "close-route", after: [] });
  const closed = steps.map((step) => step.id);
  if (input.certificate === "issue") steps.push({ id: "issue-certificate", kind: "issue-certificate", after: [] });
  if (
    gateway !== undefined &&
    (input.certificate === "issue" || gateway.certificateFingerprint !== gateway.wantedFingerprint)
  ) {
    steps.push({
      id: "publish-certificate",
      kind: "publish-certificate",
      after: input.certificate === "issue" ? ["issue-certificate"] : [],
    });
  }
  // Workloads stop first; then what they used (their secrets) can go.
  if (apply.length > 0) steps.push({ id: "apply", kind: "apply", objects: apply, after: closed });
  if (remove.length > 0)
    steps.push({ id: "remove", kind: "remove", objects: remove, after: apply.length > 0 ? ["apply"] : closed });
  steps.push(...operationSteps(input, steps));
  steps.push(...retentionStep(input, steps));
  steps.push(...leftStep(input, steps));
  return steps;
}

function planPurge({ elsewhere: engines }: PlanInput): readonly Step[] {
  const elsewhere = engines.map((engine): Step => {
    return { id: `remove-on-${engine}`, kind: "remove-elsewhere", engine, after: ["withdraw-route"] };
  });
  return [
    { id: "withdraw-route", kind: "withdraw-route", after: [] },
    { id: "remove-namespace", kind: "remove-namespace", after: ["withdraw-route"] },
    ...elsewhere,
    // Keys last: until everything else is gone, a purge that fails half-way can still be looked into.
    { id: "destroy-keys", kind: "destroy-keys", after: ["remove-namespace", ...elsewhere.map(({ id }) => id)] },
  ];
}

/** Everything that has to be done now, as a graph of steps. */
export function plan(input: PlanInput): readonly Step[] {
  if (input.goal === "purge") return planPurge(input);
  return input.goal === "run" ? planRun(input) : planStop(input);
}
