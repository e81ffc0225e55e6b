import type { z } from "zod";
import { failure } from "../backup/results.ts";
import type { Manifest, ObjectRef } from "../engine/engine.ts";
import { EngineError } from "../engine/engine.ts";
import type { JobTemplate } from "../render/render.ts";
import { type HeldClient, type Hold, whileHeld } from "../store/held.ts";
import { forgetDropped, recordIdentity, takeNext } from "../store/volumes.ts";
import { namespaceOf, REASONS } from "../tenant.ts";
import type { CertificatePair } from "./certificate.ts";
import type { Dependencies } from "./dependencies.ts";
import { desiredManifests, type Gathered, readCertificate, valuesOf } from "./gather.ts";
import { appEndpoint, type Step } from "./plan.ts";
import { claimRef, seenVolume } from "./volumes.ts";

/** Executing steps: no choices here. Each can be repeated after a crash at any point. */

const READY_DEADLINE_MS = 180_000;
const JOB_DEADLINE_MS = 120_000;

/** What the steps of one attempt, or the stages of one piece of work, act with and hand to each other. */
export interface Attempt {
  readonly deps: Dependencies;
  readonly gathered: Gathered;
  /** Aborts when what is under way is to end: the lease is lost, the process ends, or the work is called off. */
  readonly signal: AbortSignal;
  /** Aborts when nothing may be done at the school any more. Whatever clears up after itself heeds this one alone. */
  readonly lost: AbortSignal;
  /** Guards whatever is written. */
  readonly hold: Hold;
  certificate: CertificatePair | undefined;
  keysDestroyed: number | undefined;
}

/** Writes about the school, while it is ours. @throws LeaseLostError */
export function write<T>(
  { deps, hold }: Pick<Attempt, "deps" | "hold">,
  work: (db: HeldClient) => Promise<T>,
): Promise<T> {
  return whileHeld(deps.pool, hold, work);
}

/** Runs a one-off job of the school's own images and parses its output. */
export async function runJob<T>(
  attempt: Attempt,
  template: JobTemplate,
  job: {
    readonly command: string;
    readonly input: unknown;
    readonly schema: z.ZodType<T>;
    readonly deadline?: number;
    /** See JobValues. */
    readonly repositoryOf?: string;
    readonly claim?: string;
  },
): Promise<T> {
  const { deps, gathered } = attempt;
  const deadline = job.deadline ?? JOB_DEADLINE_MS;
  const manifest = deps.chart.renderJob(template, valuesOf(deps, gathered, attempt.certificate), {
    name: `${template}-${job.command}`,
    command: job.command,
    deadlineSeconds: Math.ceil(deadline / 1000),
    ...(job.repositoryOf === undefined ? {} : { repositoryOf: job.repositoryOf }),
    ...(job.claim === undefined ? {} : { claim: job.claim }),
  });
  const result = await deps.engine.run(namespaceOf(gathered.tenant.slug), {
    manifest,
    input: job.input,
    deadline,
    signal: attempt.signal,
    onLog: (line) => deps.log.debug({ slug: gathered.tenant.slug, job: manifest.metadata.name, line }, "job"),
  });
  const failed = failure.safeParse(result.output);
  if (failed.success || result.exitCode !== 0) {
    const { name: job } = manifest.metadata;
    deps.log.warn({ slug: gathered.tenant.slug, job, words: result.logTail.slice(-5) }, "a job failed");
  }
  if (failed.success) throw new EngineError(failed.data.error.code, failed.data.error.message);
  if (result.exitCode !== 0) {
    throw new EngineError(
      "StepFailed",
      `${template} ${job.command} ended with code ${result.exitCode}: ${result.logTail.slice(-3).join(" | ")}`,
    );
  }
  const parsed = job.schema.safeParse(result.output);
  if (!parsed.success)
    throw new EngineError("StepFailed", `${template} ${job.command} answered what nobody understands`);
  return parsed.data;
}

async function issueCertificate(attempt: Attempt): Promise<void> {
  const { deps, gathered } = attempt;
  const issued = await deps.issuer.issue({ hosts: gathered.hosts, now: gathered.now });
  const pair: CertificatePair = {
    chain: issued.certificatePem + issued.chainPem,
    key: issued.privateKeyPem,
    issuer: issued.issuer,
  };
  await deps.keyring.storeMaterial(gathered.tenant.uid, "tls", Buffer.from(JSON.stringify(pair), "utf8"));
  attempt.certificate = pair;
}

function select(manifests: readonly Manifest[], refs: readonly ObjectRef[]): readonly Manifest[] {
  return manifests.filter((manifest) =>
    refs.some((ref) => ref.kind === manifest.kind && ref.name === manifest.metadata.name),
  );
}

async function apply(attempt: Attempt, refs: readonly ObjectRef[]): Promise<void> {
  const { deps, gathered } = attempt;
  const manifests = desiredManifests(deps, gathered, attempt.certificate);
  await deps.engine.apply(namespaceOf(gathered.tenant.slug), select(manifests, refs), { signal: attempt.signal });
}

/** Who a school's new volumes are is on record before anything is kept on them. */
async function recordVolumes(attempt: Attempt, claims: readonly string[]): Promise<void> {
  const { deps, gathered, hold } = attempt;
  const observed = await deps.engine.observe(namespaceOf(gathered.tenant.slug));
  for (const claim of claims) {
    const identity = seenVolume(observed, claim)?.identity;
    if (identity === undefined)
      throw new EngineError(
        REASONS.VolumePending,
        `The volume ${claim} is not there yet, or cannot be told from others.`,
      );
    await write(attempt, (db) => recordIdentity(db, hold, claim, identity));
  }
}

/** The offered volume takes the own one's place: nothing runs that could still write to that. */
async function takeVolume(attempt: Attempt, claim: string): Promise<void> {
  const { deps, gathered, hold } = attempt;
  const observed = await deps.engine.observe(namespaceOf(gathered.tenant.slug));
  const running = observed.workloads.filter(({ state }) => state !== "Stopped");
  if (running.length > 0)
    throw new EngineError(
      REASONS.ContainerStopping,
      `${running.map(({ ref }) => ref.name).join(" and ")} must stop before ${claim} takes the volume's place.`,
    );
  const now = deps.clock.now();
  await write(attempt, (db) => takeNext(db, hold, now, `replaced by ${claim}`));
}

/** What a step that takes its time says of it, for people: what is in its way above all. */
export type Tell = (message: string) => void;

const toldTo = (tell: Tell | undefined): { readonly onProgress?: Tell } =>
  tell === undefined ? {} : { onProgress: tell };

async function removeVolumes(attempt: Attempt, claims: readonly string[], tell?: Tell): Promise<void> {
  const { deps, gathered, signal, hold } = attempt;
  const { slug, uid } = gathered.tenant;
  await deps.engine.remove(namespaceOf(slug), claims.map(claimRef), { signal, tenantUid: uid, ...toldTo(tell) });
  await write(attempt, (db) => forgetDropped(db, hold, claims));
}

async function publishCertificate(attempt: Attempt): Promise<void> {
  const { deps, gathered } = attempt;
  const pair = attempt.certificate ?? (await readCertificate(deps, gathered.tenant.uid));
  if (pair === undefined) throw new EngineError("CertificateMissing", "There is no certificate to publish.");
  await deps.gateway?.setCertificate(gathered.tenant.slug, gathered.hosts, pair);
}

export async function openRoute(attempt: Attempt): Promise<void> {
  const { deps, gathered } = attempt;
  const observed = await deps.engine.observe(namespaceOf(gathered.tenant.slug));
  const endpoint = appEndpoint(observed);
  if (endpoint === undefined) throw new EngineError("NotRouted", "The app has no ready endpoint.");
  await deps.gateway?.setRoute(gathered.tenant.slug, gathered.hosts, endpoint);
}

export async function closeRoute(attempt: Attempt): Promise<void> {
  await attempt.deps.gateway?.setRoute(attempt.gathered.tenant.slug, attempt.gathered.hosts, { state: "closed" });
}

/** Removes all of the school from the attempt's engine; another school's namespace of the same name stays. Repeatable. */
export async function removeNamespace({ deps, gathered, signal }: Attempt, tell?: Tell): Promise<void> {
  const { slug, uid } = gathered.tenant;
  const namespace = namespaceOf(slug);
  await deps.engine.remove(namespace, [{ kind: "Namespace", name: namespace }], {
    signal,
    tenantUid: uid,
    ...toldTo(tell),
  });
}

/** Work waits for what it cannot go on without; attempts never do. */
export async function awaitReady({ deps, gathered, signal }: Attempt, workload: ObjectRef): Promise<void> {
  await deps.engine.awaitReady(namespaceOf(gathered.tenant.slug), workload, READY_DEADLINE_MS, signal);
}

/** Steps that are not the engine's or the gateway's: execute.ts. */
type Other = { readonly kind: "request-work" | "start-work" | "call-off" | "stop-elsewhere" | "remove-elsewhere" };

/** Executes one of the other steps. */
export async function executeStep(attempt: Attempt, step: Exclude<Step, Other>, tell?: Tell): Promise<void> {
  const { deps, gathered, signal } = attempt;
  const namespace = namespaceOf(gathered.tenant.slug);
  switch (step.kind) {
    case "issue-certificate":
      return issueCertificate(attempt);
    case "apply":
      return apply(attempt, step.objects);
    case "remove":
      return deps.engine.remove(namespace, step.objects, { signal, tenantUid: gathered.tenant.uid, ...toldTo(tell) });
    case "record-volumes":
      return recordVolumes(attempt, step.claims);
    case "take-volume":
      return takeVolume(attempt, step.claim);
    case "remove-volumes":
      return removeVolumes(attempt, step.claims, tell);
    case "publish-certificate":
      return publishCertificate(attempt);
    case "open-route":
      return openRoute(attempt);
    case "close-route":
      return closeRoute(attempt);
    case "withdraw-route":
      return deps.gateway?.remove(gathered.tenant.slug);
    case "remove-namespace":
      return removeNamespace(attempt, tell);
    case "destroy-keys": {
      attempt.keysDestroyed = await deps.keyring.destroy(gathered.tenant.uid);
      return;
    }
  }
}
