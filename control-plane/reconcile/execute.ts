import { EngineError } from "../engine/engine.ts";
import { messageOf } from "../errors.ts";
import { writeProgress } from "../store/leases.ts";
import type { ProgressStep } from "../store/tenants.ts";
import { REASONS, type StepReport } from "../tenant.ts";
import { removeLeft, stopElsewhere } from "./elsewhere.ts";
import type { HeldSchool } from "./holds.ts";
import { callOff, requestWork, startWork } from "./operations/run.ts";
import type { Step } from "./plan.ts";
import type { StepFailure } from "./step-failure.ts";
import { type Attempt, executeStep, type Tell } from "./steps.ts";

export interface Execution {
  readonly steps: readonly StepReport[];
  readonly failure: StepFailure | undefined;
  /** Whether work had to wait for room. */
  readonly waiting: boolean;
}

function labelOf(step: Step): string {
  switch (step.kind) {
    case "apply":
    case "remove":
      return step.objects.length === 1
        ? `${step.kind} ${step.objects[0]?.kind}/${step.objects[0]?.name}`
        : `${step.kind} ${step.objects.length} objects`;
    case "take-volume":
      return `take volume ${step.claim}`;
    case "request-work":
      return `begin ${step.work}`;
    case "start-work":
      return `begin ${step.operation.kind}`;
    case "call-off":
      return `call ${step.operation.kind} off`;
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
 * lets running steps end and starts no more. Work that it begins goes on after it.
 */
export async function execute(attempt: Attempt, steps: readonly Step[], held: HeldSchool): Promise<Execution> {
  const { deps, gathered, hold } = attempt;
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
    writing = writing.then(() => writeProgress(deps.pool, hold, snapshot)).catch(() => undefined);
  }

  /** @returns false when there was no room for it */
  async function take(step: Step, tell: Tell): Promise<boolean> {
    switch (step.kind) {
      case "request-work":
        return requestWork(attempt, held, step);
      case "start-work":
        return startWork(attempt, held, step.operation);
      case "call-off":
        await callOff(attempt, held, step.operation, step.why);
        return true;
      case "stop-elsewhere":
        await stopElsewhere(attempt, step.engine);
        return true;
      case "remove-elsewhere":
        await removeLeft(attempt, step.engine, tell);
        return true;
      default:
        await executeStep(attempt, step, tell);
        return true;
    }
  }

  async function perform(step: Step): Promise<void> {
    const label = labelOf(step);
    const startedAt = deps.clock.now();
    const started = performance.now();
    const begunAs = { name: label, state: "Running", startedAt: startedAt.toISOString() } as const;
    const index = progress.push(begunAs) - 1;
    show();
    const tell: Tell = (message) => {
      if (progress[index]?.state !== "Running") return;
      progress[index] = { ...begunAs, message };
      show();
    };
    try {
      await deps.onStep?.("before", label);
      const begun = await take(step, tell);
      await deps.onStep?.("after", label);
      done.add(step.id);
      const milliseconds = Math.round(performance.now() - started);
      if (!begun) {
        waiting = true;
        progress[index] = { name: label, state: "Done", startedAt: startedAt.toISOString(), message: "no room yet" };
        return;
      }
      progress[index] = { name: label, state: "Done", startedAt: startedAt.toISOString(), milliseconds };
      reports.push({ name: label, startedAt: startedAt.toISOString(), milliseconds });
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
