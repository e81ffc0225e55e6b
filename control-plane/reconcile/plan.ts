import type { ManifestHash, ObjectRef, Observation } from "../engine/engine.ts";
import { laneOf, type Operation, type OperationKind, TRAITS } from "../store/operations.ts";
import type { SchoolVolumes } from "../tenant.ts";
import type { GatewayObservation, GatewayRoute } from "./dependencies.ts";
import { claimRef, unrecorded, volumeFault } from "./volumes.ts";

/**
 * The planner: pure. From what is wanted and what was seen it makes every choice; executing a plan chooses nothing. It plans no
 * waiting: what is still to come wakes another attempt, which plans anew. A converged school yields no steps.
 */

export type Step = { readonly id: string; readonly after: readonly string[] } & (
  | { readonly kind: "issue-certificate" }
  | { readonly kind: "apply"; readonly objects: readonly ObjectRef[] }
  | { readonly kind: "remove"; readonly objects: readonly ObjectRef[] }
  | { readonly kind: "record-volumes"; readonly claims: readonly string[] }
  | { readonly kind: "take-volume"; readonly claim: string; readonly from: string }
  | { readonly kind: "remove-volumes"; readonly claims: readonly string[] }
  | { readonly kind: "publish-certificate" }
  | { readonly kind: "open-route" }
  | { readonly kind: "close-route" }
  | { readonly kind: "request-work"; readonly work: OperationKind; readonly params: Operation["params"] }
  | { readonly kind: "start-work"; readonly operation: Operation }
  | { readonly kind: "call-off"; readonly operation: Operation; readonly why: string }
  | { readonly kind: "withdraw-route" }
  | { readonly kind: "remove-namespace" }
  | { readonly kind: "stop-elsewhere"; readonly engine: string }
  | { readonly kind: "remove-elsewhere"; readonly engine: string }
  | { readonly kind: "destroy-keys" }
);

export type DesiredObject = ObjectRef & { readonly hash: ManifestHash };

/** Open work, and whether this process is at it. */
export type OpenWork = Operation & { readonly active: boolean };

/** Work that the platform itself wants done now. */
export interface DueWork {
  readonly kind: OperationKind;
  readonly params: Operation["params"];
}

export interface PlanInput {
  readonly goal: "run" | "stop" | "purge";
  readonly desired: readonly DesiredObject[];
  readonly observed: Observation;
  readonly initialised: boolean;
  readonly volumes: SchoolVolumes;
  /** Other engines that hold something of the school; a purge removes that too. */
  readonly elsewhere: readonly string[];
  /** An engine that the school has left and on which its copy is not at rest yet. */
  readonly runsElsewhere: string | undefined;
  /** The restore that was to furnish this school failed: it gets no first administrator. */
  readonly restoreFailed: boolean;
  readonly certificate: "keep" | "issue";
  /** Undefined when the engine brings its own ingress. */
  readonly gateway: (GatewayObservation & { readonly wantedFingerprint: string | undefined }) | undefined;
  /** Oldest first. */
  readonly operations: readonly OpenWork[];
  readonly due: readonly DueWork[];
  /** Of a school that is to be destroyed: whether its last backup was read back, or need not be. */
  readonly lastBackup: LastBackup;
}

/** `none`: nothing is left to read, or an operator has said that it need not be. */
export type LastBackup =
  | { readonly state: "none" | "read" | "broken" }
  | { readonly state: "later"; readonly at: Date }
  | { readonly state: "unread"; readonly runId: string };

export const DB: ObjectRef = { kind: "StatefulSet", name: "db" };
export const APP: ObjectRef = { kind: "Deployment", name: "app" };
export const TLS: ObjectRef = { kind: "Secret", name: "tls" };

function same(a: ObjectRef, b: ObjectRef): boolean {
  return a.kind === b.kind && a.name === b.name;
}

function refOf(object: ObjectRef): ObjectRef {
  return { kind: object.kind, name: object.name };
}

/** Whether open work keeps the app stopped and its way in closed. Pure. */
export function isPaused(operations: readonly Pick<Operation, "holds">[]): boolean {
  return operations.some(({ holds }) => holds.paused === true);
}

interface Difference {
  readonly apply: readonly ObjectRef[];
  readonly remove: readonly ObjectRef[];
}

/** Objects that are not as desired, and objects that should not be; but for those that work has taken charge of. */
function difference(input: PlanInput): Difference {
  const { desired, observed } = input;
  const held = input.operations.flatMap(({ holds }) => holds.objects ?? []);
  const out = withoutVolume(input);
  const free = (object: ObjectRef): boolean => !held.some((other) => same(other, object));
  const apply = desired.filter(
    (object) => !observed.objects.some((present) => same(present, object) && present.hash === object.hash),
  );
  // A removal that was cut off leaves a remnant, a key's file perhaps.
  const present = [...observed.objects, ...(observed.remnants ?? [])];
  // What holds data goes with the whole school alone, or by name: a change of configuration must not cost anybody their backups.
  const remove = present.filter(
    (object) => object.kind !== "PersistentVolumeClaim" && !desired.some((wanted) => same(object, wanted)),
  );
  return {
    apply: apply.filter((object) => free(object) && !out(object)).map(refOf),
    remove: remove.filter(free).map(refOf),
  };
}

const WORKLOADS: ReadonlySet<string> = new Set([DB.kind, APP.kind]);

/**
 * What is not applied while a volume is not the recorded one: neither it, nor what would begin anew on another one; and where a whole
 * namespace is gone, nothing, unless a person has asked for a volume to take its place.
 */
function withoutVolume({ volumes, observed, initialised }: PlanInput): (object: ObjectRef) => boolean {
  const { own, next } = volumes;
  const lost = volumeFault(own, observed, initialised) !== undefined;
  const nextLost = next !== undefined && volumeFault(next, observed, false) !== undefined;
  return (object) => {
    if (nextLost && same(object, claimRef(next.claim))) return true;
    if (!lost) return false;
    if (same(object, claimRef(own.claim))) return true;
    // At rest it can come to no harm, and has to be so before another volume takes its place.
    return next === undefined && (WORKLOADS.has(object.kind) || !observed.exists);
  };
}

/** What is made of a school before its volumes are on record: workloads, and what leads to them, only after. */
function volumeSteps(input: PlanInput, early: readonly ObjectRef[], after: readonly string[]): Step[] {
  const { own, next, dropped } = input.volumes;
  const steps: Step[] = [];
  const made = [own, ...(next === undefined ? [] : [next])]
    .filter((record) => record.identity === undefined && early.some((object) => same(object, claimRef(record.claim))))
    .map(({ claim }) => claim);
  const claims = [...new Set([...made, ...unrecorded(input.volumes, input.observed)])];
  const first = claims.length === 0 ? early : early.filter(({ kind }) => !AFTER_VOLUMES.has(kind));
  if (first.length > 0) steps.push({ id: "apply", kind: "apply", objects: first, after });
  if (claims.length > 0) {
    const known = first.length > 0 ? ["apply"] : [];
    steps.push({ id: "record-volumes", kind: "record-volumes", claims, after: known });
    const rest = early.filter((object) => !first.includes(object));
    if (rest.length > 0)
      steps.push({ id: "apply-rest", kind: "apply", objects: rest, after: [...known, "record-volumes"] });
  }
  const present = dropped.filter((claim) => claim !== own.claim && claim !== next?.claim);
  if (present.length > 0) steps.push({ id: "remove-volumes", kind: "remove-volumes", claims: present, after: [] });
  return steps;
}

const AFTER_VOLUMES: ReadonlySet<string> = new Set([...WORKLOADS, "Service", "Ingress"]);

/** A volume that was offered takes the own one's place once nothing of the school runs. */
function takeStep({ volumes }: PlanInput, others: readonly Step[]): Step[] {
  const { own, next } = volumes;
  if (next?.ready !== true) return [];
  return [{ id: "take-volume", kind: "take-volume", claim: next.claim, from: own.claim, after: idsOf(others) }];
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

/** A route to an app that is not ready stays: nothing better is known, and it will be again. */
function openRouteStep({ gateway, observed }: PlanInput): Step[] {
  const endpoint = appEndpoint(observed);
  if (gateway === undefined || endpoint === undefined || sameRoute(gateway.route, endpoint)) return [];
  return [{ id: "open-route", kind: "open-route", after: [] }];
}

function closeRouteStep({ gateway }: PlanInput): Step[] {
  if (gateway === undefined || sameRoute(gateway.route, { state: "closed" })) return [];
  return [{ id: "close-route", kind: "close-route", after: [] }];
}

const idsOf = (steps: readonly Step[]): readonly string[] => steps.map(({ id }) => id);

/** Issues a certificate and brings it to the gateway, where these are due. */
function pairSteps({ certificate, gateway }: PlanInput): Step[] {
  const issued = certificate === "issue";
  const steps: Step[] = issued ? [{ id: "issue-certificate", kind: "issue-certificate", after: [] }] : [];
  if (gateway !== undefined && (issued || gateway.certificateFingerprint !== gateway.wantedFingerprint))
    steps.push({ id: "publish-certificate", kind: "publish-certificate", after: idsOf(steps) });
  return steps;
}

/** The copy that a move left behind. After everything else: its engine may not answer for long. */
function leftStep({ runsElsewhere: engine }: PlanInput, others: readonly Step[]): Step[] {
  return engine === undefined
    ? []
    : [{ id: `stop-on-${engine}`, kind: "stop-elsewhere", engine, after: idsOf(others) }];
}

function isOpen(input: PlanInput, others: readonly Step[]): boolean {
  const changes = others.some(
    (step) => step.kind === "apply" && step.objects.some((object) => same(object, APP) || same(object, DB)),
  );
  return !changes && input.initialised && isReady(input.observed, DB) && isReady(input.observed, APP);
}

/** Whether work can begin now. What was begun goes on, whatever the school is like. */
function canBegin(work: OpenWork, input: PlanInput, others: readonly Step[]): boolean {
  return work.state === "Running" || !TRAITS[work.kind].needsOpen || isOpen(input, others);
}

/** Why work is to end although it has not come to its end; undefined if it may go on. Pure. */
export function calledOff(work: Operation, goal: PlanInput["goal"]): string | undefined {
  if (work.cancelReason !== undefined) return work.cancelReason;
  if (work.overdue) return work.state === "Pending" ? "it could not begin in time" : "it did not end in time";
  if (goal === "purge" && work.params.beforePurge !== true) return "the school is being destroyed";
  if (goal === "stop" && !TRAITS[work.kind].whileStopped) return "the school was suspended or deleted";
  return undefined;
}

/** Work that ends before its time. */
function callOffSteps(input: PlanInput): Step[] {
  // What a purge finds cut off still says where it had got to; it goes with the school.
  const concerned = input.goal === "purge" ? input.operations.filter(({ active }) => active) : input.operations;
  return concerned.flatMap((operation): Step[] => {
    const why = calledOff(operation, input.goal);
    return why === undefined ? [] : [{ id: `call-off-${operation.id}`, kind: "call-off", operation, why, after: [] }];
  });
}

/** What can begin of the work that is open, and of what the platform itself wants done. */
function workSteps(input: PlanInput, others: readonly Step[]): Step[] {
  const goingOn = input.operations.filter((work) => calledOff(work, input.goal) === undefined);
  const taken = new Set(input.operations.filter(({ active }) => active).map(({ kind }) => laneOf(kind)));
  const steps: Step[] = [];
  const after = idsOf(others);
  for (const operation of goingOn) {
    const lane = laneOf(operation.kind);
    // One that cannot begin yet keeps nobody from doing so: a restore may be what the school waits for.
    if (operation.active || taken.has(lane) || !canBegin(operation, input, others)) continue;
    taken.add(lane);
    steps.push({ id: `start-${operation.id}`, kind: "start-work", operation, after });
  }
  for (const { kind, params } of input.due) {
    const open = input.operations.some((operation) => operation.kind === kind);
    const wish: OpenWork | undefined = open ? undefined : wishOf(kind);
    if (wish === undefined || taken.has(laneOf(kind)) || !canBegin(wish, input, others)) continue;
    taken.add(laneOf(kind));
    steps.push({ id: `request-${kind}`, kind: "request-work", work: kind, params, after });
  }
  return steps;
}

/** Work that is not recorded yet. */
function wishOf(kind: OperationKind): OpenWork {
  const none = { result: undefined, error: undefined, startedAt: undefined, finishedAt: undefined };
  return {
    ...none,
    id: "",
    tenantUid: "",
    kind,
    params: {},
    state: "Pending",
    progress: {},
    requestedBy: "schedule",
    createdAt: "",
    holds: {},
    cancelReason: undefined,
    deadlineAt: undefined,
    overdue: false,
    active: false,
  };
}

/** The first administrator is made beside everything else: the command itself waits until the migrations are done. */
function furnishStep(input: PlanInput, applied: readonly string[]): Step[] {
  const busy = input.operations.some(({ kind }) => kind === "restore" || kind === "create-administrator");
  if (input.initialised || input.restoreFailed || busy) return [];
  if (!input.due.some(({ kind }) => kind === "create-administrator")) return [];
  return [
    { id: "request-administrator", kind: "request-work", work: "create-administrator", params: {}, after: applied },
  ];
}

function planRun(input: PlanInput): readonly Step[] {
  const { apply, remove } = difference(input);
  const paused = isPaused(input.operations) || input.volumes.next?.ready === true;
  const steps: Step[] = paused ? closeRouteStep(input) : [];
  const closed = idsOf(steps);
  const pair = pairSteps(input);
  steps.push(...pair);
  // The TLS secret is known only once the certificate is, and an Ingress never names one that is not there yet; everything else
  // need not wait for it.
  const tlsChanges = input.certificate === "issue" || apply.some((object) => same(object, TLS));
  const late = tlsChanges ? apply.filter((object) => same(object, TLS) || object.kind === "Ingress") : [];
  const early = apply.filter((object) => !late.includes(object));
  steps.push(...volumeSteps(input, early, closed));
  const applied = idsOf(steps.filter(({ kind }) => kind === "apply"));
  steps.push(...furnishStep(input, applied));
  const pairObjects =
    input.certificate === "issue" && !late.some((object) => same(object, TLS)) ? [TLS, ...late] : late;
  const issued = idsOf(pair.filter(({ kind }) => kind === "issue-certificate"));
  if (pairObjects.length > 0)
    steps.push({ id: "apply-tls", kind: "apply", objects: pairObjects, after: [...applied, ...issued] });
  // What led to something else before does so no more.
  const switched = idsOf(steps.filter(({ kind }) => kind === "apply"));
  if (remove.length > 0) steps.push({ id: "remove", kind: "remove", objects: remove, after: switched });
  if (!paused) steps.push(...openRouteStep(input));
  steps.push(...takeStep(input, steps));
  const others = [...steps];
  steps.push(...callOffSteps(input));
  steps.push(...workSteps({ ...input, due: input.due.filter(({ kind }) => kind !== "create-administrator") }, others));
  // Last: when it cannot be done, everything else is.
  steps.push(...leftStep(input, others));
  return steps;
}

function planStop(input: PlanInput): readonly Step[] {
  const steps: Step[] = [...closeRouteStep(input), ...pairSteps(input), ...callOffSteps(input)];
  // What is under way uses what is to be stopped: its end wakes the next attempt.
  const ending = input.operations.some((work) => work.active && calledOff(work, input.goal) !== undefined);
  if (ending) return steps;
  const { apply, remove } = difference(input);
  // Workloads stop first; then what they used (their secrets) can go.
  const before = idsOf(steps);
  steps.push(...volumeSteps(input, apply, before));
  const applied = idsOf(steps.filter(({ kind }) => kind === "apply"));
  if (remove.length > 0)
    steps.push({ id: "remove", kind: "remove", objects: remove, after: applied.length > 0 ? applied : before });
  const others = [...steps];
  steps.push(...workSteps(input, others));
  steps.push(...leftStep(input, others));
  return steps;
}

function planPurge(input: PlanInput): readonly Step[] {
  const callOff = callOffSteps(input);
  if (input.operations.some(({ active }) => active)) return callOff;
  // As long as it is there: so that nobody learns only after the end that there was nothing to come back to.
  const { lastBackup } = input;
  if (lastBackup.state === "broken" || lastBackup.state === "later") return callOff;
  if (lastBackup.state === "unread") {
    const cutOff = input.operations.find(({ params }) => params.beforePurge === true);
    const params = { runId: lastBackup.runId, beforePurge: true };
    return cutOff === undefined
      ? [...callOff, { id: "read-last-backup", kind: "request-work", work: "verify-backup", params, after: [] }]
      : [...callOff, { id: `start-${cutOff.id}`, kind: "start-work", operation: cutOff, after: [] }];
  }
  const elsewhere = input.elsewhere.map((engine): Step => {
    return { id: `remove-on-${engine}`, kind: "remove-elsewhere", engine, after: ["withdraw-route"] };
  });
  return [
    ...callOff,
    { id: "withdraw-route", kind: "withdraw-route", after: [] },
    { id: "remove-namespace", kind: "remove-namespace", after: ["withdraw-route"] },
    ...elsewhere,
    // Keys last: until everything else is gone, a purge that fails half-way can still be looked into.
    { id: "destroy-keys", kind: "destroy-keys", after: ["remove-namespace", ...idsOf(elsewhere)] },
  ];
}

/** Everything that has to be done now, as a graph of steps. */
export function plan(input: PlanInput): readonly Step[] {
  if (input.goal === "purge") return planPurge(input);
  return input.goal === "run" ? planRun(input) : planStop(input);
}
