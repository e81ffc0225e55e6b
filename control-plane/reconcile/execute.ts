import { EngineError } from "../engine/engine.ts";
import { messageOf } from "../errors.ts";
import { writeProgress } from "../store/leases.ts";
import type { ProgressStep } from "../store/tenants.ts";
import { REASONS, type Reason, type StepReport } from "../tenant.ts";
import { removeLeft, stopElsewhere } from "./elsewhere.ts";
import { operate } from "./operate.ts";
import type { Step } from "./plan.ts";
import { forgetWithoutBackup } from "./retention.ts";
import { type Attempt, executeStep } from "./steps.ts";

export interface StepFailure {
  readonly step: string;
  readonly reason: Reason;
  readonly message: string;
  readonly retryable: boolean;
}

export interface Execution {
  readonly steps: readonly StepReport[];
  readonly failure: StepFailure | undefined;
  /** Whether heavy work had to wait for room. */
  readonly waiting: boolean;
}

function labelOf(step: Step): string {
  switch (step.kind) {
    case "apply":
    case "remove":
      return step.objects.length === 1
        ? `${step.kind} ${step.objects[0]?.kind}/${step.objects[0]?.name}`
        : `${step.kind} ${step.objects.length} objects`;
    case "await-ready":
      return `await ${step.workload.name}`;
    case "operate":
      return step.operation.kind;
    default:
      return step.kind;
  }
}

function toFailure(step: string, error: unknown): StepFailure {
  const reason = error instanceof EngineError ? error.reason : REASONS.StepFailed;
  return {
    step,
    reason: Object.values(REASONS).find((known) => known === reason) ?? REASONS.StepFailed,
    message: messageOf(error),
    retryable: !(error instanceof EngineError) || error.retryable,
  };
}

/**
 * Executes a plan: every step as soon as those it comes after are done, independent ones side by side. The first failure
 * lets running steps end and starts no more.
 * @param holder lease holder; progress is written only while the lease holds
 */
export async function execute(attempt: Attempt, steps: readonly Step[], holder: string): Promise<Execution> {
  const { deps, gathered } = attempt;
  const progress: ProgressStep[] = [];
  const reports: StepReport[] = [];
  const done = new Set<string>();
  const pending = new Map(steps.map((step) => [step.id, step]));
  const running = new Map<string, Promise<void>>();
  let failure: StepFailure | undefined;
  let waiting = false;
  let writing: Promise<unknown> = Promise.resolve();

  function show(): void {
    const snapshot = progress.map((step) => ({ ...step }));
    // In order, and never in the way of the work: people watch this, nothing depends on it.
    writing = writing
      .then(() => writeProgress(deps.pool, gathered.tenant.uid, holder, snapshot))
      .catch(() => undefined);
  }

  async function perform(step: Step): Promise<void> {
    const label = labelOf(step);
    const startedAt = deps.clock.now();
    const started = performance.now();
    const index = progress.push({ name: label, state: "Running", startedAt: startedAt.toISOString() }) - 1;
    show();
    try {
      await deps.onStep?.("before", label);
      if (step.kind === "operate") {
        const outcome = await operate(attempt, step.operation);
        waiting = outcome === "waiting" || waiting;
        // What else was planned was planned for the engine on which the school no longer lives.
        if (outcome === "moved") pending.clear();
      } else if (step.kind === "forget-backups") await forgetWithoutBackup(attempt);
      else if (step.kind === "stop-elsewhere") await stopElsewhere(attempt, step.engine);
      else if (step.kind === "remove-elsewhere") await removeLeft(attempt, step.engine);
      else await executeStep(attempt, step);
      await deps.onStep?.("after", label);
      const milliseconds = Math.round(performance.now() - started);
      progress[index] = { name: label, state: "Done", startedAt: startedAt.toISOString(), milliseconds };
      reports.push({ name: label, startedAt: startedAt.toISOString(), milliseconds });
      done.add(step.id);
      deps.log.info({ slug: gathered.tenant.slug, step: label, milliseconds }, "step done");
    } catch (error) {
      failure ??= toFailure(label, error);
      progress[index] = { name: label, state: "Failed", startedAt: startedAt.toISOString(), message: messageOf(error) };
      deps.log.warn({ slug: gathered.tenant.slug, step: label, error: messageOf(error) }, "step failed");
    } finally {
      show();
    }
  }

  function startReady(): void {
    if (failure !== undefined || attempt.signal.aborted) return;
    for (const [id, step] of pending) {
      if (!step.after.every((before) => done.has(before))) continue;
      pending.delete(id);
      running.set(
        id,
        perform(step).finally(() => running.delete(id)),
      );
    }
  }

  startReady();
  while (running.size > 0) {
    await Promise.race(running.values());
    startReady();
  }
  await writing;
  return { steps: reports, failure, waiting };
}
