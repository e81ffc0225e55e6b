import { schemaProblems } from "../../render/schema.ts";
import { EngineError, type JobResult, type JobRun, type Manifest, type ObjectRef } from "../engine.ts";
import { lineSplitter } from "./client.ts";
import type { KubernetesContext } from "./context.ts";
import { ApiFailure, isStatus, isTerminating } from "./failure.ts";
import { follow } from "./follow.ts";
import { ensureGrant } from "./grant.ts";
import { type JobLog, readJobLog, wrapJob } from "./job-wrapper.ts";
import { collectionPath, kindOf, MANAGED_BY, MARK, OTHERS } from "./kinds.ts";
import { at, isRecord, type LiveObject, listAt, numberAt, textAt } from "./live.ts";
import { aliasesOf, withFrame } from "./names.ts";
import { readNamespace, refuseForeign } from "./namespaces.ts";
import { listOwn, listWarnings } from "./observe.ts";
import { hasEnded, judgePod } from "./pods.ts";
import { refusalOf } from "./workloads.ts";

const MOST_OUTPUT = 16 * 1024 * 1024;
/** Label that the Job controller sets on a job's pods. */
const JOB_NAME = "batch.kubernetes.io/job-name";
const FOLLOW_AGAIN = 500;
/** Exit code of a program that the kernel killed; a job that is called off or late does not come so far. */
const KILLED = 137;
const QUOTA_PAUSE = 50;
const QUOTA_TRIES = 200;

interface Run {
  readonly context: KubernetesContext;
  readonly namespace: string;
  readonly job: ObjectRef;
  /** Aborts when the job is called off or its time is over. */
  readonly signal: AbortSignal;
  /** Aborts when the job is called off. */
  readonly called: AbortSignal;
  /** Milliseconds left. */
  left(): number;
}

function podPath(run: Pick<Run, "namespace">): string {
  return collectionPath(OTHERS.Pod, run.namespace);
}

function following(run: Pick<Run, "context" | "namespace" | "job">, deadline: number) {
  return {
    ...run.context,
    path: podPath(run),
    query: { labelSelector: `${JOB_NAME}=${run.job.name}` },
    deadline,
  };
}

/** Removes a job with its pods and its input, and waits until they are gone. */
async function clear(run: Omit<Run, "signal" | "called" | "left">, ended = false): Promise<void> {
  const { context, namespace, job } = run;
  const inputs = await context.client.list(collectionPath(kindOf("Secret"), namespace), {
    labelSelector: `${MARK.job}=${job.name}`,
    metadataOnly: true,
  });
  await Promise.all([
    context.client.delete(namespace, job, { propagation: "Background" }),
    ...inputs.items.map((input) => context.client.delete(namespace, { kind: "Secret", name: input.metadata.name })),
  ]);
  const pods = await context.client.list(collectionPath(OTHERS.Pod, namespace), {
    labelSelector: `${JOB_NAME}=${job.name}`,
  });
  // The garbage collector takes its time, and a pod whose program has ended needs no grace.
  await Promise.all(
    pods.items.map((pod) => {
      const { name, uid } = pod.metadata;
      const grace = ended || hasEnded(pod) ? { graceSeconds: 0 } : {};
      return context.client.delete(namespace, { kind: "Pod", name }, { uid, ...grace });
    }),
  );
  const gone = await follow(following(run, context.patience), (found) => (found.length === 0 ? true : undefined));
  if (gone === undefined) throw new EngineError("RemovalBlocked", `the pods of job ${job.name} do not end`);
  const jobGone = await follow(
    {
      ...context,
      path: collectionPath(OTHERS.Job, namespace),
      query: { fieldSelector: `metadata.name=${job.name}` },
      deadline: context.patience,
    },
    (found) => (found.length === 0 ? true : undefined),
  );
  if (jobGone === undefined) throw new EngineError("RemovalBlocked", `the job ${job.name} does not end`);
}

async function applyOurs(run: Run, ref: ObjectRef, body: unknown): Promise<LiveObject> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await run.context.client.apply(run.namespace, ref, body, { force: true, signal: run.signal });
    } catch (error) {
      const uncounted = error instanceof ApiFailure && error.message.includes("status unknown for quota");
      if (!uncounted || tries >= QUOTA_TRIES) throw error;
      await run.context.clock.sleep(QUOTA_PAUSE, run.signal);
    }
  }
}

function labelled(manifest: Manifest, job: string, more: object = {}): Readonly<Record<string, unknown>> {
  const labels = { ...manifest.metadata.labels, [MARK.managedBy]: MANAGED_BY, [MARK.job]: job };
  return { ...manifest, metadata: { ...manifest.metadata, labels, ...more } };
}

function secretOf(run: Run, name: string, input: unknown): Manifest {
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, namespace: run.namespace },
    type: "Opaque",
    immutable: true,
    data: { "input.json": Buffer.from(JSON.stringify(input ?? null)).toString("base64") },
  };
}

function terminated(pod: LiveObject): unknown {
  return at(listAt(pod, "status", "containerStatuses")[0], "state", "terminated");
}

function hasStarted(pod: LiveObject): boolean {
  const state = at(listAt(pod, "status", "containerStatuses")[0], "state");
  return isRecord(state) && ("running" in state || "terminated" in state);
}

/** Why a job has no running pod, in the words of whoever refuses it. */
async function explainNotStarted(run: Run, pod: LiveObject | undefined): Promise<EngineError> {
  const name = run.job.name;
  if (pod !== undefined) {
    const { reason, message } = judgePod(pod, run.context.clock.now().getTime());
    return new EngineError(reason, `job ${name} did not start in time: ${message}`);
  }
  const warnings = await listWarnings(run.context, run.namespace).catch(() => []);
  const told = warnings.find((event) => textAt(event, "involvedObject", "name") === name);
  const message = textAt(told, "message");
  if (message === undefined) return new EngineError("JobDeadline", `job ${name} got no pod in time`);
  return new EngineError(refusalOf(message), `job ${name} got no pod: ${message}`);
}

async function awaitStarted(run: Run): Promise<LiveObject> {
  let seen: LiveObject | undefined;
  // Whoever cannot start says so soon, however long the work itself may take.
  const patience = Math.min(run.left(), run.context.patience);
  const started = await follow({ ...following(run, patience), signal: run.called }, (pods) => {
    seen = pods.find((pod) => pod.metadata.deletionTimestamp === undefined);
    return pods.find(hasStarted);
  });
  refuseAborted(run);
  if (started === undefined) throw await explainNotStarted(run, seen);
  return started;
}

function refuseAborted(run: Run): void {
  if (run.signal.aborted && run.left() > 0) throw new EngineError("JobAborted", `job ${run.job.name} was called off`);
}

/** Reads a pod's log to its end. A broken stream is read again from the beginning; lines that were seen are skipped. */
async function followLog(run: Run, pod: string, log: JobLog): Promise<void> {
  let seen = 0;
  const path = `${podPath(run)}/${pod}/log`;
  while (!run.signal.aborted) {
    let line = 0;
    const lines = lineSplitter((text) => {
      line += 1;
      if (line <= seen) return;
      seen = line;
      log.push(text);
    });
    try {
      await run.context.client.transport.stream({ path, query: { follow: true }, signal: run.signal }, lines.push);
      lines.end();
      if (log.exitCode() !== undefined) return;
      const now = await run.context.client.get(run.namespace, { kind: "Pod", name: pod }, run.signal);
      if (now === undefined || terminated(now) !== undefined) return;
    } catch (error) {
      // A pod that is gone has no log, and never will: its end says what became of it.
      if (run.signal.aborted || isStatus(error, 404)) return;
      run.context.log.debug({ namespace: run.namespace, job: run.job.name, error: String(error) }, "the log broke off");
    }
    await run.context.clock.sleep(FOLLOW_AGAIN, run.signal);
  }
}

async function awaitEnd(run: Run, name: string): Promise<LiveObject> {
  const ended = await follow({ ...following(run, run.left()), signal: run.called }, (pods) => {
    const pod = pods.find((candidate) => candidate.metadata.name === name);
    if (pod === undefined) return "lost" as const;
    return terminated(pod) === undefined && textAt(pod, "status", "phase") !== "Failed" ? undefined : pod;
  });
  refuseAborted(run);
  if (ended === "lost") throw new EngineError("JobLost", `job ${run.job.name} was lost: its pod was removed`);
  if (ended === undefined) throw late(run);
  return ended;
}

function late(run: Pick<Run, "job">): EngineError {
  return new EngineError("JobDeadline", `job ${run.job.name} did not end in time`);
}

async function execute(run: Run, job: JobRun): Promise<JobResult> {
  const services = await listOwn(run.context, run.namespace, ["Service"], run.signal);
  const { manifest, mark, input } = wrapJob(
    withFrame(job.manifest, { aliases: aliasesOf(services), userNamespaces: run.context.userNamespaces }),
  );
  const { name } = run.job;
  const secret = secretOf(run, input, job.input);
  const ref = { kind: "Secret", name: input };
  const { uid } = (await applyOurs(run, ref, labelled(secret, name))).metadata;
  const made = await applyOurs(run, run.job, labelled(manifest, name));
  // Should this process die, the input goes with the job, which the cluster removes some time after its end. The uid: one that is
  // removed meanwhile is not made again.
  const ownerReferences = [{ apiVersion: "batch/v1", kind: "Job", name, uid: made.metadata.uid }];
  const bound = applyOurs(run, ref, labelled(secret, name, { uid, ownerReferences })).catch(() => undefined);
  const pod = await awaitStarted(run);
  const log = readJobLog(mark, (line) => job.onLog?.(line));
  await followLog(run, pod.metadata.name, log);
  refuseAborted(run);
  if (run.left() <= 0) throw late(run);
  const ended = log.exitCode() === undefined ? await awaitEnd(run, pod.metadata.name) : undefined;
  await bound;
  const end = ended === undefined ? undefined : terminated(ended);
  const exitCode = log.exitCode() ?? numberAt(end, "exitCode");
  const logTail = [...log.tail];
  if (textAt(end, "reason") === "OOMKilled" || exitCode === KILLED) logTail.push("the job ran out of memory");
  if (exitCode === undefined)
    throw new EngineError("JobLost", `job ${name}: ${textAt(ended, "status", "message") ?? "its pod was lost"}`);
  if (log.size > MOST_OUTPUT)
    throw new EngineError("JobOutput", `job ${run.job.name} wrote more than ${MOST_OUTPUT} bytes`);
  return { exitCode, output: log.output(), logTail };
}

function refuseManifest(namespace: string, manifest: Manifest): void {
  const problems = [...schemaProblems(manifest)];
  if (manifest.kind !== "Job") problems.push(`${manifest.kind}: only a Job is run`);
  if (manifest.metadata.namespace !== namespace)
    problems.push(`metadata.namespace: is ${String(manifest.metadata.namespace)}, not ${namespace}`);
  if (problems.length > 0)
    throw new EngineError("ManifestRefused", `Job/${manifest.metadata.name}: ${problems.join("; ")}`, {
      retryable: false,
    });
}

function refuseCalledOff(job: JobRun): void {
  if (job.signal?.aborted === true)
    throw new EngineError("JobAborted", `job ${job.manifest.metadata.name} was called off`);
}

/** A namespace's volume is its own on a cluster: another school's local repository cannot be lent. */
function refuseForeignRepository(manifest: Manifest): void {
  const lender = manifest.metadata.annotations?.["classmind.de/repository-of"];
  if (lender === undefined) return;
  throw new EngineError(
    "ManifestRefused",
    `the backups of ${lender} lie in a volume of its namespace, which no other can mount: keep backups in a repository outside the cluster to restore them into another school`,
    { retryable: false },
  );
}

/** See Engine.run. */
export async function runJob(context: KubernetesContext, namespace: string, job: JobRun): Promise<JobResult> {
  refuseManifest(namespace, job.manifest);
  refuseForeignRepository(job.manifest);
  const { name } = job.manifest.metadata;
  const refs = {
    context,
    namespace,
    job: { kind: "Job", name },
  };
  refuseCalledOff(job);
  const space = await readNamespace(context, namespace, job.signal);
  if (space === undefined) throw new EngineError("NamespaceMissing", `there is no namespace ${namespace}`);
  refuseForeign(space);
  await ensureGrant(context, namespace, job.signal);
  await clear(refs);
  const seconds = numberAt(job.manifest, "spec", "activeDeadlineSeconds");
  const limit = Math.min(job.deadline, seconds === undefined ? job.deadline : seconds * 1000);
  const end = context.clock.now().getTime() + limit;
  const expiry = new AbortController();
  const over = new AbortController();
  void context.clock.sleep(limit, over.signal).then(() => expiry.abort());
  const called = AbortSignal.any([context.closing, ...(job.signal === undefined ? [] : [job.signal])]);
  const left = (): number => end - context.clock.now().getTime();
  let ended = false;
  try {
    const result = await execute({ ...refs, called, signal: AbortSignal.any([expiry.signal, called]), left }, job);
    ended = true;
    return result;
  } catch (error) {
    refuseCalledOff(job);
    if (left() <= 0) throw error instanceof EngineError && error.reason !== "EngineUnavailable" ? error : late(refs);
    if (isTerminating(error))
      throw new EngineError("NamespaceTerminating", `the namespace ${namespace} is being deleted`);
    throw error;
  } finally {
    over.abort();
    await clear(refs, ended);
  }
}
